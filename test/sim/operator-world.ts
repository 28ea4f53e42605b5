/** People with cartridges: a table of questions in a run.db, channels that write down, and a hand at a drive without changer. */
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { Questions } from '../../src/catalog/run-db/questions.ts';
import { type Processes, RunDb } from '../../src/catalog/run-db/run-db.ts';
import type { Question } from '../../src/domain/question.ts';
import { subjectOf } from '../../src/domain/question-words.ts';
import type { Channel } from '../../src/notify/channel.ts';
import { Notifier } from '../../src/notify/notifier.ts';
import type { HealthKeeper } from '../../src/storage/health-watch.ts';
import { Library } from '../../src/storage/library.ts';
import { askingOperator, type Operator } from '../../src/storage/operator.ts';
import type { SimWorld } from './world.ts';

const go = new AbortController().signal;

export type Desk = {
  readonly operator: Operator;
  readonly questions: Questions;
  readonly warnings: string[];
  /** `asked 1: subject`, as a channel was told. */
  readonly told: string[];
  /** Resolves with the next question that is asked. */
  next(): Promise<Question>;
};

export type DeskOptions = {
  /** Default: `run.db` in the state directory. */
  readonly state: string;
  readonly process?: string;
  /** None: nobody is reached. Default: one that writes down. */
  readonly channels?: readonly Channel[] | undefined;
  readonly attemptsMax?: number;
  readonly timeoutMs?: number;
  readonly lookMs?: number;
};

/** Processes by made-up names, all alive but those that are said to be dead. */
export function processes(own: string, dead: ReadonlySet<string> = new Set()): Processes {
  return { own, isAlive: (name) => !dead.has(name) };
}

export function desk(sim: Pick<SimWorld, 'clock'>, options: DeskOptions): Desk {
  const { state, process = 'a', attemptsMax = 5, timeoutMs = 12 * 3_600_000 } = options;
  const { lookMs = 5000 } = options;
  const { clock } = sim;
  const runDb = RunDb.open(join(state, 'run.db'));
  const questions = new Questions(runDb, processes(process));
  const told: string[] = [];
  const warnings: string[] = [];
  const waiting: ((question: Question) => void)[] = [];
  const asked: Question[] = [];
  const writesDown: Channel = {
    name: 'paper',
    send: async ({ notice }) => {
      if (notice.kind === 'warned') {
        told.push(`warned: ${notice.warning.subject}`);
        return;
      }
      const about = notice.kind === 'told' ? notice.sentence : subjectOf(notice.question);
      const answer = notice.kind === 'answered' ? ` (${notice.answer})` : '';
      told.push(`${notice.kind} ${notice.question.id}: ${about}${answer}`);
    },
  };
  const warn = (message: string) => void warnings.push(message);
  const notifier = new Notifier({
    channels: options.channels ?? [writesDown],
    clock,
    random: seededRandom(5),
    host: 'here',
    warn,
  });
  const post = questions.post.bind(questions);
  const operator = askingOperator({
    board: {
      post: (...question) => {
        const posted = post(...question);
        const next = waiting.shift();
        if (next) next(posted);
        else asked.push(posted);
        return posted;
      },
      open: () => questions.open(),
      answerOf: (id) => questions.answerOf(id),
      answeredSince: (sinceMs) => questions.answeredSince(sinceMs),
      answer: (id, answer, nowMs) => questions.answer(id, answer, nowMs),
      remove: (id) => questions.remove(id),
    },
    announcer: notifier,
    clock,
    warn,
    settings: { timeoutMs, attemptsMax, lookMs },
  });
  onTestFinished(async () => {
    await notifier.close();
    runDb.close();
  });
  const next = () => {
    const known = asked.shift();
    return known ? Promise.resolve(known) : new Promise<Question>((done) => waiting.push(done));
  };
  return { operator, questions, warnings, told, next };
}

/** The drives of a simulated library with a person for a changer. */
export async function libraryByHand(sim: SimWorld, keeper?: HealthKeeper): Promise<Library> {
  const serials = await sim.library.driveSerials();
  return new Library(
    {
      openChanger: undefined,
      hand: {
        load: async (name, drive) => `shelf ${await sim.library.loadByHand(name, drive)}`,
        unload: async (drive) => `shelf ${await sim.library.unloadByHand(drive)}`,
      },
      drives: serials.map((serial, index) => ({
        name: `virtual drive ${index}`,
        serial,
        hold: async () => {
          const port = await sim.library.openDrive(index);
          return {
            port,
            takeTape: async () => {},
            letGoOfTape: async () => {},
            close: () => port.close(),
          };
        },
      })),
    },
    sim.clock,
    keeper,
  );
}

/** Puts a cartridge into the drive, as soon as the one before has been ejected. */
export async function insert(sim: SimWorld, barcode: string): Promise<void> {
  for (;;) {
    try {
      await sim.library.loadByHand(barcode, 0);
      return;
    } catch (error) {
      if (!String(error).includes('threaded')) throw error;
      await sim.clock.sleepMs(1000, go);
    }
  }
}

/** Until something is so that others bring about. */
export async function until(sim: Pick<SimWorld, 'clock'>, isSo: () => boolean): Promise<void> {
  while (!isSo()) await sim.clock.sleepMs(1000, go);
}
