/** Open files: who reads by itself, who waits, who is interrupted. */
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { CodedError } from '../../../src/base/errors.ts';
import type { ContentReader, ReadRange } from '../../../src/mount/content.ts';
import { OPEN_FLAGS } from '../../../src/mount/protocol/opcodes.ts';
import { BackupWorld } from '../../sim/backup-world.ts';
import { type MountOptions, mountInMemory } from '../../sim/mount-world.ts';

const BYTES = 'bytes that lie on tape';

/** Contents that the test stages by hand. */
class Shelf implements ContentReader {
  readonly waiting: {
    range: ReadRange;
    isNonBlocking: boolean;
    arrive(error?: CodedError): void;
  }[] = [];
  open_ = 0;
  #staged: number | undefined;
  readonly #path: string;
  readonly #listeners: (() => void)[] = [];

  constructor(directory: string) {
    this.#path = join(directory, 'staged');
    writeFileSync(this.#path, BYTES);
  }

  stage(): void {
    const file = openSync(this.#path, 'r');
    this.#staged = file;
    onTestFinished(() => closeSync(file));
    for (const listener of this.#listeners) listener();
  }

  listed(): void {}

  open(): ReturnType<ContentReader['open']> {
    this.open_ += 1;
    const shelf = this;
    return {
      get file() {
        return shelf.#staged;
      },
      onStaged: (listener) => {
        this.#listeners.push(listener);
      },
      read: (range, { isNonBlocking, signal }) =>
        new Promise((resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason), { once: true });
          const arrive = (error?: CodedError) => {
            if (error) reject(error);
            else if (shelf.#staged !== undefined) resolve(shelf.#staged);
          };
          this.waiting.push({ range, isNonBlocking, arrive });
        }),
      close: () => {
        this.open_ -= 1;
      },
    };
  }
}

async function mounted(options: MountOptions = {}) {
  const world = await BackupWorld.make();
  writeFileSync(join(world.source, 'file'), BYTES);
  writeFileSync(join(world.source, 'empty'), '');
  await world.backup();
  const shelf = new Shelf(world.state);
  const kernel = await mountInMemory(world, { contents: shelf, ...options });
  const { nodeId } = await kernel.walk(join(world.source, 'file'));
  return { kernel, shelf, nodeId, source: world.source };
}

const range = (handle: number) => ({ handle, offset: 6, lengthBytes: 1000 });

test('a read of an offline file waits, and gets what was asked for of what arrives', async () => {
  const { kernel, shelf, nodeId } = await mounted();
  const { handle, flags } = await kernel.open(nodeId);
  expect(flags).toBe(OPEN_FLAGS.DIRECT_IO);
  const { answer } = kernel.read(nodeId, range(handle));
  expect(shelf.waiting[0]).toMatchObject({
    range: { offset: 6, lengthBytes: BYTES.length - 6 },
    isNonBlocking: false,
  });
  shelf.stage();
  shelf.waiting[0]?.arrive();
  expect((await answer).body.toString()).toBe('that lie on tape');
  expect(kernel.served.has(handle)).toBe(true);
  await kernel.release(nodeId, handle);
  await expect.poll(() => shelf.open_).toBe(0);
  expect(kernel.served.size).toBe(0);
});

test('an interrupt ends the read it means and no other; of one not known yet the kernel asks again', async () => {
  const { kernel, shelf, nodeId } = await mounted();
  const [first, second] = [await kernel.open(nodeId), await kernel.open(nodeId)];
  const one = kernel.read(nodeId, range(first.handle));
  const other = kernel.read(nodeId, range(second.handle));
  void kernel.send(36, 0, uniqueOf(one.unique));
  expect((await one.answer).errno).toBe('EINTR');
  expect((await kernel.interrupt(one.unique)).errno).toBe('EAGAIN');
  expect((await kernel.interrupt(999_999)).errno).toBe('EAGAIN');
  shelf.stage();
  shelf.waiting[1]?.arrive();
  expect((await other.answer).errno).toBe(undefined);
});

test('what failed is told by its errno, and logged with who asked; a reader that does not wait says so', async () => {
  const failures: string[] = [];
  const { kernel, shelf, nodeId } = await mounted({
    onReadFailure: ({ pid, error }) => failures.push(`${pid} ${error.code}`),
  });
  const { handle } = await kernel.open(nodeId);
  const O_NONBLOCK = 0o4000;
  const { answer } = kernel.read(nodeId, { ...range(handle), flags: O_NONBLOCK });
  expect(shelf.waiting[0]?.isNonBlocking).toBe(true);
  shelf.waiting[0]?.arrive(new CodedError('MEDIUM_OFFLINE', 'it is at the bank'));
  expect((await answer).errno).toBe('ENOMEDIUM');
  expect(failures).toEqual([`${process.pid} MEDIUM_OFFLINE`]);
});

test('programs that say O_NONBLOCK lest a FIFO hold them up wait like all others', async () => {
  const { kernel, shelf, nodeId } = await mounted({ processName: () => 'tar' });
  const { handle } = await kernel.open(nodeId);
  kernel.read(nodeId, { ...range(handle), flags: 0o4000 });
  expect(shelf.waiting[0]?.isNonBlocking).toBe(false);
});

test('one failure that comes again and again is told once', async () => {
  const failures: number[] = [];
  const { kernel, shelf, nodeId } = await mounted({
    onReadFailure: ({ pid }) => failures.push(pid),
  });
  const { handle } = await kernel.open(nodeId);
  for (const index of [0, 1, 2]) {
    const { answer } = kernel.read(nodeId, range(handle));
    shelf.waiting[index]?.arrive(new CodedError('RECALL_REFUSED', 'not by you'));
    expect((await answer).errno).toBe('EAGAIN');
  }
  expect(failures).toEqual([process.pid]);
});

test('staged files are read by the kernel itself, by one backing file an inode, closed with the last handle', async () => {
  const { kernel, shelf, nodeId } = await mounted({ hasPassthrough: true });
  shelf.stage();
  const [first, second] = [await kernel.open(nodeId), await kernel.open(nodeId)];
  expect(first).toMatchObject({ flags: OPEN_FLAGS.PASSTHROUGH, backingId: 1 });
  expect(second).toMatchObject({ flags: OPEN_FLAGS.PASSTHROUGH, backingId: 1 });
  await kernel.release(nodeId, first.handle);
  expect(kernel.backings[0]).not.toBe(undefined);
  await kernel.release(nodeId, second.handle);
  expect(kernel.backings[0]).toBe(undefined);
  expect(await kernel.open(nodeId)).toMatchObject({ backingId: 2 });
});

test('while somebody waits for an inode, others who find it staged are served beside him', async () => {
  const { kernel, shelf, nodeId } = await mounted({ hasPassthrough: true });
  const waiting = await kernel.open(nodeId);
  shelf.stage();
  const later = await kernel.open(nodeId);
  expect(later).toMatchObject({ flags: OPEN_FLAGS.DIRECT_IO, backingId: 0 });
  expect([...kernel.served.keys()].toSorted()).toEqual([waiting.handle, later.handle]);
  await kernel.release(nodeId, waiting.handle);
  await kernel.release(nodeId, later.handle);
  expect(await kernel.open(nodeId)).toMatchObject({ flags: OPEN_FLAGS.PASSTHROUGH });
});

test('an empty file is read without asking anybody', async () => {
  const { kernel, shelf, source } = await mounted();
  const { nodeId } = await kernel.walk(join(source, 'empty'));
  const { handle } = await kernel.open(nodeId);
  expect(
    (await kernel.read(nodeId, { handle, offset: 0, lengthBytes: 10 }).answer).body.length,
  ).toBe(0);
  await kernel.release(nodeId, handle);
  expect(shelf.open_).toBe(0);
});

function uniqueOf(unique: number): Buffer {
  const body = Buffer.alloc(8);
  body.writeBigUInt64LE(BigInt(unique));
  return body;
}
