import { expect, test } from 'vitest';
import { SimClock } from '../../../src/base/clock.ts';
import { CodedError, type FailureCode } from '../../../src/base/errors.ts';
import { seededRandom } from '../../../src/base/random.ts';
import type { Channel, Message } from '../../../src/notify/channel.ts';
import { Notifier } from '../../../src/notify/notifier.ts';
import { asked, question } from '../../sim/question.ts';

const NOTICE = asked().notice;
const go = new AbortController().signal;

/** A channel that fails as often as told. */
function channel(name: string, failures: readonly FailureCode[] = []) {
  const tries: Message[] = [];
  const sent: Message[] = [];
  const left = [...failures];
  const made: Channel = {
    name,
    send: async (message) => {
      tries.push(message);
      const code = left.shift();
      if (code) throw new CodedError(code, 'no\x07 way');
      sent.push(message);
    },
  };
  return { made, tries, sent };
}

function notifier(clock: SimClock, ...channels: Channel[]) {
  const warnings: string[] = [];
  const warn = (message: string) => void warnings.push(message);
  const made = new Notifier({ channels, clock, random: seededRandom(3), host: 'here', warn });
  return { made, warnings };
}

test('a channel that fails is tried again, with the same message, and holds no other up', async () => {
  const clock = new SimClock();
  const bad = channel('bad', ['NOTICE_FAILED', 'NOTICE_FAILED']);
  const good = channel('good');
  const { made, warnings } = notifier(clock, bad.made, good.made);
  made.tell(NOTICE);
  expect(good.sent).toHaveLength(1);
  await clock.sleepMs(40_000, go);
  expect(bad.sent).toEqual([good.sent[0]]);
  expect(new Set(bad.tries.map(({ id }) => id)).size).toBe(1);
  expect(warnings).toEqual(['bad: no\\x07 way; again in 5 s', 'bad: no\\x07 way; again in 30 s']);
  await made.close();
});

test.each([
  ['after five tries', Array<FailureCode>(9).fill('NOTICE_FAILED'), 5],
  ['at once where no try will help', ['NOTICE_REFUSED'] as FailureCode[], 1],
])('a message is given up %s', async (_, failures, tries) => {
  const clock = new SimClock();
  const bad = channel('bad', failures);
  const { made, warnings } = notifier(clock, bad.made);
  made.tell(NOTICE);
  await clock.sleepMs(3_600_000, go);
  expect(bad.tries).toHaveLength(tries);
  expect(warnings.at(-1)).toBe('bad: no\\x07 way; it is given up');
  made.tell(NOTICE);
  await made.close();
  expect(bad.tries.length).toBeGreaterThan(tries);
});

test('messages wait for each other, in order; too many are not kept', async () => {
  const clock = new SimClock();
  const { promise, resolve } = Promise.withResolvers<void>();
  const sent: number[] = [];
  const slow: Channel = {
    name: 'slow',
    send: async ({ notice }) => {
      if (notice.kind !== 'warned') sent.push(notice.question.id);
      await promise;
    },
  };
  const { made, warnings } = notifier(clock, slow);
  for (let id = 0; id < 103; id += 1) made.tell({ kind: 'asked', question: question({ id }) });
  resolve();
  await made.close();
  expect(sent).toEqual([0, ...Array.from({ length: 100 }, (_, index) => index + 3)]);
  expect(warnings).toHaveLength(2);
});

test('one that never ends is ended; at the close of the process after seconds', async () => {
  const clock = new SimClock();
  const tries: AbortSignal[] = [];
  const hanging: Channel = {
    name: 'hanging',
    send: (_, signal) => {
      tries.push(signal);
      return new Promise(() => {});
    },
  };
  const { made, warnings } = notifier(clock, hanging);
  made.tell(NOTICE);
  await clock.sleepMs(30_001, go);
  expect(tries[0]?.aborted).toBe(true);
  expect(warnings).toEqual(['hanging: no end of it in 30 s; again in 5 s']);
  await clock.sleepMs(6000, go);
  const beforeMs = clock.monotonicMs();
  await made.close();
  await made.close();
  expect(clock.monotonicMs() - beforeMs).toBeLessThanOrEqual(5000);
  expect(tries).toHaveLength(2);
  expect(tries[1]?.aborted).toBe(true);
  made.tell(NOTICE);
  expect(tries).toHaveLength(2);
});
