import { describe, expect, test } from 'vitest';
import { parseAnswer, type QuestionAbout, readAnswer } from '../../../src/domain/question.ts';
import { commandsOf, subjectOf, wordsOf } from '../../../src/domain/question-words.ts';
import { HOSTILE, question } from '../../sim/question.ts';

const BLANK: QuestionAbout = {
  kind: 'blank',
  pool: 'main',
  drive: '/dev/nst0',
  offered: undefined,
};

describe('an answer', () => {
  test.each([
    ['retry', { answer: 'retry' }],
    [' DECLINE\n', { answer: 'decline' }],
  ])('%j', (text, parsed) => expect(parseAnswer(question(), text)).toEqual(parsed));

  test.each(['bad', 'inserted', '', 'retry now', 'ABC001L9'])('%j is none of it', (text) =>
    expect(parseAnswer(question(), text)).toEqual({
      refused: 'that is no answer to it; say retry or decline',
    }),
  );

  test.each([
    [' abc004l9 ', { answer: 'ABC004L9' }],
    ['decline', { answer: 'decline' }],
  ])('to a blank cartridge: %j', (text, parsed) =>
    expect(parseAnswer({ about: BLANK, choices: ['decline'] }, text)).toEqual(parsed),
  );

  test.each([
    ['CLN001L1', /cleaning cartridge; or say decline/],
    ['ABC', /8 characters/],
    ['retry', /8 characters/],
  ])('a blank cartridge is not called %j', (text, refused) =>
    expect(parseAnswer({ about: BLANK, choices: ['decline'] }, text)).toEqual({
      refused: expect.stringMatching(refused),
    }),
  );

  test.each(['retry', 'bad', 'abort', 'decline', 'inserted', 'ABC004L9'])(
    '%s is read back as it was written',
    (text) => expect(readAnswer(text)).toBe(text),
  );

  test.each(['', 'no', 'Retry'])('%j was never written', (text) =>
    expect(readAnswer(text)).toBeUndefined(),
  );
});

describe('words', () => {
  test.each<[QuestionAbout, string]>([
    [{ kind: 'medium', barcode: 'ABC001L9', location: undefined }, 'cartridge ABC001L9 is wanted'],
    [
      { kind: 'scratch', pool: 'main', number: 3, expected: 5 },
      'a scratch cartridge of pool main is wanted (no. 3 of about 5)',
    ],
    [
      // More than was thought of.
      { kind: 'scratch', pool: 'main', number: 6, expected: 5 },
      'a scratch cartridge of pool main is wanted (no. 6 of about 6)',
    ],
    [
      { kind: 'scratch', pool: 'main', number: 1, expected: undefined },
      'a scratch cartridge of pool main is wanted (no. 1)',
    ],
    [BLANK, 'which barcode has the blank cartridge in /dev/nst0?'],
    [{ kind: 'failure', barcode: 'ABC001L9' }, 'cartridge ABC001L9: the drive gave up'],
  ])('%j', (about, subject) => expect(subjectOf({ about })).toBe(subject));

  test('the command of a blank cartridge offers the next of the series', () => {
    const asked = question({ about: BLANK, choices: ['decline'] });
    expect(commandsOf(asked).map(({ command }) => command)).toEqual([
      'shelfs answer 7 BARCODE',
      'shelfs answer 7 decline',
    ]);
    const parsed = parseAnswer(asked, 'ABC004L9');
    const offered = 'answer' in parsed ? parsed.answer : '';
    const about = { ...BLANK, offered } as QuestionAbout;
    expect(commandsOf(question({ about }))[0]?.command).toBe('shelfs answer 7 ABC004L9');
  });

  test('nothing that steers a terminal comes through, however long it is', () => {
    const hostile = question({
      about: { kind: 'medium', barcode: HOSTILE, location: HOSTILE },
      reason: HOSTILE.repeat(10_000),
      waiting: { who: HOSTILE, contents: 1, readers: 1 },
    });
    for (const kind of ['asked', 'told', 'answered'] as const) {
      const words = wordsOf({ kind, question: hostile, sentence: HOSTILE, answer: 'retry' });
      const text = JSON.stringify(words);
      expect(text).not.toMatch(/\p{Cc}|\\[nrtbfu]/u);
      expect(text.length).toBeLessThan(5000);
    }
  });

  test('who waits, and until when', () => {
    const waiting = { who: 'recall', contents: 1, readers: 3 };
    const { lines } = wordsOf({ kind: 'asked', question: question({ waiting, attempt: 2 }) });
    expect(lines).toEqual([
      'Insert cartridge ABC001L9; it is at: Bank, box 2 (asked for the second time).',
      'cartridge ABC001L9 is not in the library',
      'recall waits: 1 file for 3 readers.',
      'Without an answer until 2026-11-20 21:00 UTC: decline (it is not to be had: whoever waits goes without).',
    ]);
  });
});
