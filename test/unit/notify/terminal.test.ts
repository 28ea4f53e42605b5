import { expect, test } from 'vitest';
import { terminalChannel } from '../../../src/notify/terminal.ts';
import { about, asked, HOSTILE, question } from '../../sim/question.ts';

const go = new AbortController().signal;

/** A person at a terminal. */
function person() {
  let said = '';
  let type: ((line: string) => void) | undefined;
  const answers: [number, string][] = [];
  const channel = terminalChannel(
    {
      write: (text) => {
        said += text;
      },
      lines: (onLine) => {
        type = onLine;
        return {
          close: () => {
            type = undefined;
          },
        };
      },
    },
    (id, text) => {
      answers.push([id, text]);
      return `${id}: \x1b${text}`;
    },
  );
  return {
    channel,
    answers,
    type: (line: string) => type?.(line),
    isRead: () => type !== undefined,
    said: () => said,
  };
}

test('rings, shows the question with its commands, and no control byte of a name', async () => {
  const { channel, said } = person();
  await channel.send(asked({ about: about(HOSTILE) }), go);
  const head = '\r\x1b[K\x07';
  expect(said().startsWith(`${head}7: cartridge ABC001L9 is wanted`)).toBe(true);
  expect(said()).toContain('  shelfs answer 7 decline');
  expect(said().slice(head.length).replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
});

test('an answer may be typed there, as long as a question is open', async () => {
  const { channel, answers, type, isRead, said } = person();
  expect(isRead()).toBe(false);
  await channel.send(asked(), go);
  type('decline');
  type('7 retry');
  type('  shelfs answer 7  bad ');
  type('what is this');
  type('');
  expect(answers).toEqual([
    [7, 'decline'],
    [7, 'retry'],
    [7, 'bad'],
  ]);
  expect(said()).toContain('7: \\x1bdecline');
  expect(said()).toContain('say which and what, for instance: 7 decline');
  const other = { ...asked({ id: 8 }), id: 'msg_2' };
  await channel.send(other, go);
  type('decline');
  expect(answers).toHaveLength(3);
  for (const id of [7, 8]) {
    expect(isRead()).toBe(true);
    const answered = { kind: 'answered', question: question({ id }), answer: 'inserted' } as const;
    await channel.send({ ...asked(), notice: answered }, go);
  }
  expect(isRead()).toBe(false);
});

test('closed, it reads no more', async () => {
  const { channel, isRead } = person();
  await channel.send(asked(), go);
  channel.close();
  expect(isRead()).toBe(false);
});
