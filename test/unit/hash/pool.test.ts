import {
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { blake3 } from '@napi-rs/blake-hash';
import { describe, expect, onTestFinished, test } from 'vitest';
import { rawOf } from '../../../src/base/raw.ts';
import { HashPool } from '../../../src/hash/pool.ts';
import { scratchDirectory } from '../../sim/scratch.ts';

const go = new AbortController().signal;

function makePool(workers: number): HashPool {
  const pool = new HashPool({ workers });
  onTestFinished(() => pool.close());
  return pool;
}

/** Requests for `count` files of different bytes. */
async function makeFiles(count: number) {
  const directory = await scratchDirectory();
  return Array.from({ length: count }, (_, index) => {
    const text = `${index} `.repeat(1 + (index % 500));
    const path = join(directory, String(index));
    writeFileSync(path, text);
    return { path: rawOf(path), text };
  });
}

const openFiles = () => readdirSync('/proc/self/fd').length;

describe.each([[0], [1], [2]])('with %i threads', (workers) => {
  test('results come in the order of the requests', async () => {
    const files = await makeFiles(1_000);
    const results = await makePool(workers).hash(files, go);
    expect(results).toHaveLength(1_000);
    for (const [index, { text }] of files.entries()) {
      expect(results[index]).toEqual({
        hash: blake3(text),
        sizeBytes: text.length,
        segments: undefined,
        changed: false,
      });
    }
  });

  test('what cannot be read stands among the others', async () => {
    const [first, last] = await makeFiles(2);
    const directory = await scratchDirectory();
    mkdirSync(join(directory, 'directory'));
    symlinkSync('x', join(directory, 'symlink'));
    const at = (name: string) => ({ path: rawOf(join(directory, name)) });
    if (!first || !last) throw new Error('no files');
    const requests = [first, at('nothing'), at('directory'), at('symlink'), last];
    expect(await makePool(workers).hash(requests, go)).toMatchObject([
      { hash: blake3(first.text) },
      { errno: 'ENOENT' },
      { errno: 'EISDIR' },
      { errno: 'ELOOP' },
      { hash: blake3(last.text) },
    ]);
  });

  test('a file of several segments brings their hashes', async () => {
    const [file] = await makeFiles(1);
    if (!file) throw new Error('no file');
    const sizeBytes = 64 * 2 ** 20 + 5;
    truncateSync(file.path, sizeBytes);
    const bytes = Buffer.alloc(sizeBytes);
    bytes.write(file.text);
    const segments = [bytes.subarray(0, 64 * 2 ** 20), bytes.subarray(64 * 2 ** 20)].map(blake3);
    expect(await makePool(workers).hash([file, file], go)).toEqual(
      Array(2).fill({
        hash: blake3(bytes),
        sizeBytes,
        segments: Buffer.concat(segments),
        changed: false,
      }),
    );
  });

  test('requests are taken as results are', async () => {
    const files = await makeFiles(50);
    let taken = 0;
    const endless = function* () {
      for (;;) {
        for (const file of files) {
          taken += 1;
          yield file;
        }
      }
    };
    let seen = 0;
    for await (const { request } of makePool(workers).hashAll(endless(), go)) {
      expect(request).toBe(files[seen % 50]);
      seen += 1;
      if (seen === 5_000) break;
    }
    // 128 a batch, at most four batches a thread in flight and one being put together
    expect(taken).toBeLessThanOrEqual(5_000 + (Math.max(1, workers * 4) + 1) * 128);
  });

  test('large files travel alone', async () => {
    const [file] = await makeFiles(1);
    if (!file) throw new Error('no file');
    const moment = { seconds: 0, nanoseconds: 0 };
    const expected = { sizeBytes: 2 ** 30, mtime: moment, ctime: moment, inode: 0 };
    let taken = 0;
    const endless = function* () {
      for (;;) {
        taken += 1;
        yield { path: file.path, expected };
      }
    };
    for await (const { result } of makePool(workers).hashAll(endless(), go)) {
      expect(result).toMatchObject({ hash: blake3(file.text), changed: true });
      break;
    }
    expect(taken).toBeLessThanOrEqual(Math.max(1, workers * 4) + 1);
  });

  test('abort ends it in the middle of a file that would take hours', async () => {
    const path = join(await scratchDirectory(), 'endless');
    writeFileSync(path, '');
    truncateSync(path, 2 ** 43);
    const before = openFiles();
    const reason = new Error('enough');
    const control = new AbortController();
    const requests = [{ path: rawOf(path) }, { path: rawOf(path) }];
    const hashed = makePool(workers).hash(requests, control.signal);
    const rejected = expect(hashed).rejects.toBe(reason);
    await new Promise((resolve) => setTimeout(resolve, 100));
    control.abort(reason);
    await rejected;
    if (workers === 0) expect(openFiles()).toBe(before);
    await expect(makePool(workers).hash(requests, control.signal)).rejects.toBe(reason);
  });

  test('two may use it at once', async () => {
    const files = await makeFiles(300);
    const pool = makePool(workers);
    const [one, two] = await Promise.all([pool.hash(files, go), pool.hash(files.toReversed(), go)]);
    expect(two.toReversed()).toEqual(one);
  });

  test('a failing source of requests ends it with that failure', async () => {
    const files = await makeFiles(200);
    const failing = function* () {
      yield* files;
      throw new Error('the scan failed');
    };
    await expect(async () => {
      for await (const { request } of makePool(workers).hashAll(failing(), go)) {
        expect(files).toContain(request);
      }
    }).rejects.toThrow('the scan failed');
  });

  test('nothing to do', async () => expect(await makePool(workers).hash([], go)).toEqual([]));
});

test('a bug in a thread reaches the caller', async () => {
  const [file] = await makeFiles(1);
  if (!file) throw new Error('no file');
  const broken = { path: rawOf(`${file.path}\0`) };
  for (const workers of [0, 1])
    await expect(makePool(workers).hash([broken], go)).rejects.toThrow('null bytes');
});

test('threads are started for more than a little only', async () => {
  const threads = () =>
    readdirSync('/proc/self/task').filter((thread) =>
      readFileSync(`/proc/self/task/${thread}/comm`, 'utf8').startsWith('WorkerThread'),
    ).length;
  const files = (await makeFiles(400)).map(({ path }) => {
    const { size: sizeBytes, mtime, ctime, ino: inode } = statSync(path);
    const moment = (time: Date) => ({ seconds: Math.floor(time.getTime() / 1000), nanoseconds: 0 });
    return { path, expected: { sizeBytes, mtime: moment(mtime), ctime: moment(ctime), inode } };
  });
  const pool = makePool(2);
  const before = threads();
  expect(await pool.hash(files.slice(0, 60), go)).toHaveLength(60);
  expect(threads()).toBe(before);
  expect(await pool.hash(files, go)).toHaveLength(400);
  expect(threads()).toBeGreaterThan(before);
});
