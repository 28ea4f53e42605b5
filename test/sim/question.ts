/** Questions and messages for tests, with the oddest of names in them. */
import type { Question, QuestionAbout } from '../../src/domain/question.ts';
import type { Message } from '../../src/notify/channel.ts';

/** What a hostile label, file name or shelf could carry: ends of lines, escapes, markup, mentions. */
export const HOSTILE = 'Bank\r\nBcc: all@example.org\x1b]0;x\x07 <!channel> @everyone <b>&';

export function question(changed: Partial<Question> = {}): Question {
  return {
    id: 7,
    askedMs: Date.UTC(2026, 10, 20, 9),
    about: { kind: 'medium', barcode: 'ABC001L9', location: 'Bank, box 2' },
    reason: 'cartridge ABC001L9 is not in the library',
    waiting: { who: 'restore', contents: 12, readers: undefined },
    attempt: 1,
    choices: ['retry', 'decline'],
    byDefault: 'decline',
    deadlineMs: Date.UTC(2026, 10, 20, 21),
    ...changed,
  };
}

export function about(location: string): QuestionAbout {
  return { kind: 'medium', barcode: 'ABC001L9', location };
}

export function asked(changed: Partial<Question> = {}): Message {
  return {
    id: 'msg_1',
    timeMs: Date.UTC(2026, 10, 20, 9),
    host: 'tapehost',
    notice: { kind: 'asked', question: question(changed) },
  };
}
