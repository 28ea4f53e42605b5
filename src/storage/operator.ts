/**
 * The operator: the person who has the cartridges, as jobs see them.
 *
 * A question stands in a table that every process sees, and is told on every channel. It is answered by whoever types an
 * answer, by the cartridge being put in, or by its deadline. Nothing is held meanwhile: the drives are free for others.
 */
import type { Clock } from '../base/clock.ts';
import { CodedError } from '../base/errors.ts';
import type { Answer, NewQuestion, Notice, Question } from '../domain/question.ts';

/** Where questions stand; shared by all processes. The first answer counts. */
export interface QuestionBoard {
  post(question: NewQuestion, nowMs: number): Question;
  /** Those that somebody waits for. */
  open(): readonly Question[];
  /** Those that were answered since. */
  answeredSince(sinceMs: number): readonly Question[];
  answerOf(id: number): Answer | undefined;
  /** @returns false where it was answered before */
  answer(id: number, answer: Answer, nowMs: number): boolean;
  remove(id: number): void;
}

/** Tells people. Never fails and never waits. */
export interface Announcer {
  /** Whether it is likely that anybody reads it. */
  readonly reaches: boolean;
  tell(notice: Notice): void;
}

/** What was found when the world was looked at. */
export type Seen =
  | { readonly kind: 'nothing' }
  /** That is the answer. */
  | { readonly kind: 'answer'; readonly answer: Answer }
  /** A cartridge was put in that does not help: its name, and what became of it, in a sentence. */
  | { readonly kind: 'wrong'; readonly sentence: string };

/** Looks whether the world has answered a question. */
export interface Watch {
  /** @param question undefined before it is asked: what is found then is nobody's mistake */
  look(question: Question | undefined, signal: AbortSignal): Promise<Seen>;
}

export type AskRequest = Omit<NewQuestion, 'deadlineMs' | 'attempt'> & {
  /** From 1; default 1. */
  readonly attempt?: number;
  readonly watch?: Watch | undefined;
  /** Default: the operator's. */
  readonly timeoutMs?: number | undefined;
  /** It is not answered at once. Whatever is held may be let go of now. */
  onAsked?(): void | Promise<void>;
};

export interface Operator {
  /** A wrong cartridge may be put in so often before it is given up. */
  readonly attemptsMax: number;
  /** Questions of all processes that are open, or were answered a moment ago: their cartridges are about to be used. */
  recent(): readonly Question[];
  /** The cartridge that was asked for is attached: it may be ejected for another one when it is free again. */
  taken(barcode: string): void;
  /** Whether that was a moment ago: who put it in has made no mistake. */
  wasTaken(barcode: string): boolean;
  /**
   * Resolves when it is answered, at the latest at its deadline. What only a person can decide gets its default at once
   * where no channel reaches one.
   * @throws the signal's reason; a failure of the table of questions
   */
  ask(request: AskRequest, signal: AbortSignal): Promise<Answer>;
}

export type OperatorTools = {
  readonly board: QuestionBoard;
  readonly announcer: Announcer;
  readonly clock: Clock;
  readonly settings: {
    readonly timeoutMs: number;
    readonly attemptsMax: number;
    /** How often drives and ports are looked at. */
    readonly lookMs: number;
  };
  warn(message: string): void;
};

/** How often the table is asked whether another process has answered. */
const ANSWER_POLL_MS = 1000;
/** From an answer to the cartridge being held: a few polls. */
const MOMENT_MS = 60_000;

/** Nobody is there: what the world does not answer at once gets its default. */
export const absentOperator: Operator = {
  attemptsMax: 1,
  recent: () => [],
  taken: () => {},
  wasTaken: () => false,
  ask: async ({ watch, byDefault }, signal) => {
    const seen = await watch?.look(undefined, signal);
    return seen?.kind === 'answer' ? seen.answer : byDefault;
  },
};

export function askingOperator(tools: OperatorTools): Operator {
  const { board, announcer, clock, settings } = tools;
  /** Answered questions of our own whose cartridge nobody need wait for any more. */
  const used = new Set<number>();
  const answeredMedia = new Map<string, number>();
  const takenMs = new Map<string, number>();
  return {
    attemptsMax: settings.attemptsMax,
    recent: () => {
      const answered = board.answeredSince(clock.nowMs() - MOMENT_MS);
      return [...board.open(), ...answered.filter(({ id }) => !used.has(id))];
    },
    taken: (barcode) => {
      const id = answeredMedia.get(barcode);
      if (id === undefined) return;
      used.add(id);
      takenMs.set(barcode, clock.nowMs());
    },
    wasTaken: (barcode) => clock.nowMs() - (takenMs.get(barcode) ?? -Infinity) <= MOMENT_MS,
    async ask(request, signal) {
      const { watch, timeoutMs = settings.timeoutMs, attempt = 1, onAsked, ...asked } = request;
      const before = watch && (await patiently(watch, undefined, { tools, signal }));
      if (before?.kind === 'answer') return before.answer;
      if (isForPerson(asked) && !announcer.reaches) return asked.byDefault;
      const nowMs = clock.nowMs();
      const question = board.post({ ...asked, attempt, deadlineMs: nowMs + timeoutMs }, nowMs);
      announcer.tell({ kind: 'asked', question });
      try {
        await onAsked?.();
        const proposed = await waitFor(question, { watch, timeoutMs }, { tools, signal });
        // Somebody else's answer may have come while the cartridge was being looked at.
        board.answer(question.id, proposed, clock.nowMs());
        const answer = board.answerOf(question.id) ?? proposed;
        const { about } = asked;
        if (about.kind === 'medium') answeredMedia.set(about.barcode, question.id);
        else used.add(question.id);
        announcer.tell({ kind: 'answered', question, answer });
        return answer;
      } catch (error) {
        board.remove(question.id);
        throw error;
      }
    },
  };
}

type Around = { readonly tools: OperatorTools; readonly signal: AbortSignal };

async function waitFor(
  question: Question,
  { watch, timeoutMs }: { readonly watch: Watch | undefined; readonly timeoutMs: number },
  around: Around,
): Promise<Answer> {
  const { board, announcer, clock, settings } = around.tools;
  const startMs = clock.monotonicMs();
  let lookedMs = startMs;
  let { attempt } = question;
  for (;;) {
    const answer = board.answerOf(question.id);
    if (answer !== undefined) return answer;
    const nowMs = clock.monotonicMs();
    if (nowMs - startMs >= timeoutMs) return question.byDefault;
    if (watch && nowMs - lookedMs >= settings.lookMs) {
      lookedMs = nowMs;
      const seen = await patiently(watch, question, around);
      if (seen.kind === 'answer') return seen.answer;
      if (seen.kind === 'wrong') {
        attempt += 1;
        if (attempt > settings.attemptsMax) return question.byDefault;
        const again: Question = { ...question, attempt };
        announcer.tell({ kind: 'told', question: again, sentence: seen.sentence });
      }
    }
    const leftMs = timeoutMs - (clock.monotonicMs() - startMs);
    await clock.sleepMs(Math.max(0, Math.min(ANSWER_POLL_MS, leftMs)), around.signal);
  }
}

/** A drive that others have, or that fails while it is looked at, may be looked at again later. */
async function patiently(
  watch: Watch,
  question: Question | undefined,
  { tools, signal }: Around,
): Promise<Seen> {
  try {
    return await watch.look(question, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof CodedError)) throw error;
    if (error.failure.retry !== 'later') tools.warn(error.message);
    return { kind: 'nothing' };
  }
}

/** No cartridge that is put in answers these. */
function isForPerson({ about }: Pick<NewQuestion, 'about'>): boolean {
  return about.kind === 'failure' || about.kind === 'blank';
}
