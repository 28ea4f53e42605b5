/** The operator as this machine reaches one: questions in run.db, channels as the config says. */
import { resolve } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { CodedError } from '../base/errors.ts';
import { Questions } from '../catalog/run-db/questions.ts';
import { RunDb, systemProcesses } from '../catalog/run-db/run-db.ts';
import { Media } from '../catalog/shelf/media.ts';
import { type Config, type NotifyConfig, RUN_DB_FILE } from '../config.ts';
import type { Warning } from '../domain/question.ts';
import { answerQuestion } from '../job/questions.ts';
import type { Channel } from '../notify/channel.ts';
import { Notifier } from '../notify/notifier.ts';
import type { TakeAnswer, Terminal } from '../notify/terminal.ts';
import { askForMedium } from '../storage/attach.ts';
import type { Library } from '../storage/library.ts';
import { askingOperator, type Operator } from '../storage/operator.ts';
import { decideFailure } from '../storage/operator-failure.ts';
import { withNotes } from './care.ts';
import type { Surroundings } from './surroundings.ts';

export type OpenOperator = {
  readonly operator: Operator;
  /** Tells people what no answer is waited for; on all channels. */
  tell(warning: Warning): void;
  close(): Promise<void>;
};

/** A medium that a recall wants, and for whom. */
export type RecallRequest = {
  readonly barcode: string;
  readonly location: string | undefined;
  readonly reason: string;
  readonly contents: number;
  readonly readers: number;
  readonly attempt: number;
};

/** What of the application the operator needs. */
type OperatorSurroundings = Pick<
  Surroundings,
  'stateDirectory' | 'clock' | 'random' | 'host' | 'terminal'
> & {
  config(): Promise<Pick<Config, 'operator' | 'notify'>>;
};

export function openQuestions(app: Pick<Surroundings, 'stateDirectory'>): {
  readonly questions: Questions;
  close(): void;
} {
  const runDb = RunDb.open(resolve(app.stateDirectory, RUN_DB_FILE));
  return { questions: new Questions(runDb, systemProcesses()), close: () => runDb.close() };
}

/** @param options.timeoutMs default: the config's */
export async function wireOperator(
  app: OperatorSurroundings,
  options: { warn(message: string): void; readonly timeoutMs?: number | undefined },
): Promise<OpenOperator> {
  const { operator: settings, notify } = await app.config();
  const { clock, random, host, terminal } = app;
  const { warn, timeoutMs = settings.timeout } = options;
  const { questions, close } = openQuestions(app);
  questions.forgetDead();
  const takeAnswer: TakeAnswer = (id, text) => {
    try {
      return `${id}: ${answerQuestion(questions, id, { text, nowMs: clock.nowMs() }).answer} it is`;
    } catch (error) {
      if (error instanceof CodedError) return error.message;
      throw error;
    }
  };
  const typed = notify.terminal && terminal ? { terminal, takeAnswer } : undefined;
  const { channels, stop } = await openChannels(notify, clock, typed);
  const notifier = new Notifier({ channels, clock, random, host: host.name, warn });
  const operator = askingOperator({
    board: questions,
    announcer: notifier,
    clock,
    warn,
    settings: { timeoutMs, attemptsMax: settings.attempts, lookMs: settings.look },
  });
  return {
    operator,
    tell: (warning) => notifier.tell({ kind: 'warned', warning }),
    async close() {
      await notifier.close();
      stop();
      close();
    },
  };
}

/** One whose channels, where they fail, are told of in the job's log too. */
export async function openOperator(
  app: OperatorSurroundings & Pick<Surroundings, 'warn' | 'writing'>,
  asked: { readonly timeoutMs?: number | undefined },
): Promise<OpenOperator> {
  const told = withNotes(app, app.warn);
  const opened = await wireOperator(app, { ...asked, warn: told.warn });
  return {
    ...opened,
    close: async () => {
      await opened.close();
      await told.settled();
    },
  };
}

/** Asks for what a recall wants, with an operator of its own. */
export async function openAsker(app: Surroundings, timeoutMs: number) {
  const { operator, close } = await openOperator(app, { timeoutMs });
  const media = new Media(await app.catalog('read'));
  const { clock, library } = app;
  return { asker: askerOf({ operator, media, clock, library }), close };
}

/** Asks for what a recall wants; a cartridge that is put in is proven by its label before it counts. */
export function askerOf(tools: {
  readonly operator: Operator;
  readonly media: Media;
  readonly clock: Clock;
  library(): Promise<Library>;
}) {
  return {
    decide: async (failure: { barcode: string; error: CodedError }, signal: AbortSignal) => {
      const { operator, clock } = tools;
      const library = await tools.library();
      return decideFailure({ ...failure, who: 'recall' }, { operator, library, clock }, signal);
    },
    ask: async (request: RecallRequest, signal: AbortSignal) => {
      const { barcode, location, reason, contents, readers, attempt } = request;
      const medium = { barcode, location, uuid: tools.media.find(barcode)?.uuid };
      const { operator } = tools;
      const waiting = { who: 'recall', contents, readers };
      const library = await tools.library();
      return askForMedium({ medium, reason, waiting, attempt }, { library, operator }, signal);
    },
  };
}

/** Only what the config names is loaded. */
async function openChannels(
  { desktop, webhook, mail, command }: NotifyConfig,
  clock: Clock,
  typed: { readonly terminal: Terminal; readonly takeAnswer: TakeAnswer } | undefined,
): Promise<{ readonly channels: readonly Channel[]; stop(): void }> {
  const channels: Channel[] = [];
  let stop = () => {};
  if (typed) {
    const { terminalChannel } = await import('../notify/terminal.ts');
    const channel = terminalChannel(typed.terminal, typed.takeAnswer);
    channels.push(channel);
    stop = () => channel.close();
  }
  if (desktop) channels.push((await import('../notify/desktop.ts')).desktopChannel());
  for (const one of webhook)
    channels.push((await import('../notify/webhook.ts')).webhookChannel(one, clock));
  if (mail) channels.push((await import('../notify/mail.ts')).mailChannel(mail));
  for (const { argv } of command)
    channels.push((await import('../notify/command.ts')).commandChannel(argv));
  return { channels, stop };
}
