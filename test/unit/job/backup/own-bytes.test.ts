import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { seededRandom } from '../../../../src/base/random.ts';
import { writeOwn } from '../../../../src/job/backup/own-bytes.ts';

/** Keeps what it is given until it is told otherwise, as a digest that lags behind does. */
class SlowStream {
  readonly #held: { readonly bytes: Buffer; readonly onDone: () => void }[] = [];
  readonly taken: Buffer[] = [];
  heldMax = 0;

  async write(bytes: Buffer, onDone: () => void): Promise<void> {
    this.#held.push({ bytes, onDone });
    this.heldMax = Math.max(this.heldMax, this.#held.length);
  }

  /** Looks at the bytes as late as it may. @returns whether there were some */
  letGo(): boolean {
    const held = this.#held.shift();
    if (!held) return false;
    this.taken.push(Buffer.from(held.bytes));
    held.onDone();
    return true;
  }
}

test('portions of any length arrive as they are, and few of them wait at once', async () => {
  const random = seededRandom(7);
  const lengths = Array.from({ length: 40 }, () => random.below(600_000));
  const portions = [0, 1, ...lengths, 2 ** 18, 2 ** 18 + 1].map((length) =>
    Buffer.alloc(length, random.below(256)),
  );
  const reused = Buffer.alloc(2 ** 20);
  function* read() {
    // As a file is read: what was given before is overwritten.
    for (const portion of portions) {
      portion.copy(reused);
      yield reused.subarray(0, portion.length);
    }
  }
  const stream = new SlowStream();
  let isDone = false;
  const writing = writeOwn(stream, read()).then(() => {
    isDone = true;
  });
  while (stream.letGo() || !isDone) await turn();
  await writing;
  expect(Buffer.concat(stream.taken).equals(Buffer.concat(portions))).toBe(true);
  expect(stream.heldMax).toBe(4);
});
