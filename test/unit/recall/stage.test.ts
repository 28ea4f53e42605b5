import {
  chmodSync,
  closeSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { SimClock } from '../../../src/base/clock.ts';
import { RunDb } from '../../../src/catalog/run-db/run-db.ts';
import { RunStage } from '../../../src/catalog/run-db/stage.ts';
import type { RecallContent } from '../../../src/recall/content.ts';
import { Stage } from '../../../src/recall/stage.ts';
import { scratchDirectory } from '../../sim/scratch.ts';

const PAGE = 4096;

async function world(limitBytes = 100 * PAGE) {
  const directory = await scratchDirectory();
  const clock = new SimClock();
  const alive = new Set<string>();
  const start = (name: string, boot = 'boot1', sight: 'any' | 'certain' = 'any') => {
    const db = RunDb.open(join(directory, 'run.db'));
    onTestFinished(() => db.close());
    alive.add(`${boot}:${name}`);
    const isAlive = (other: string) => alive.has(other);
    const isGone = (other: string) => sight === 'certain' && !isAlive(other);
    const processes = { own: `${boot}:${name}`, isAlive, isGone };
    const rows = new RunStage(db);
    const stage = new Stage({
      directory: join(directory, 'stage'),
      limitBytes,
      rows,
      clock,
      processes,
    });
    return { stage, rows, end: () => alive.delete(`${boot}:${name}`) };
  };
  return { directory: join(directory, 'stage'), clock, start };
}

const content = (byte: number, sizeBytes = PAGE): RecallContent => ({
  contentId: byte,
  hash: Buffer.alloc(32, byte),
  sizeBytes,
  segments: undefined,
  ranges: undefined,
});

async function put(stage: Stage, what: RecallContent, isAhead = false): Promise<void> {
  expect(stage.claim(what, { isAhead })).toBe('mine');
  const file = await stage.create(what);
  await file.write(Buffer.alloc(what.sizeBytes, what.hash[0]));
  await stage.complete([{ hash: what.hash, file }]);
  await file.close();
}

const names = (directory: string) =>
  readdirSync(directory)
    .map((name) => name.slice(0, 2))
    .toSorted();
const found = (stage: Stage, what: RecallContent) => {
  const one = stage.find(what);
  if (typeof one !== 'object') return one;
  closeSync(one.descriptor);
  return 'complete';
};

test('a file is believed as long as it is what it was, on this boot of the machine', async () => {
  const { start, directory } = await world();
  const { stage } = start('a');
  const one = content(1);
  expect(found(stage, one)).toBeUndefined();
  await put(stage, one);
  expect(found(stage, one)).toBe('complete');
  expect(found(start('b').stage, one)).toBe('complete');
  expect(found(start('c', 'boot2').stage, one)).toBe('unproven');
  const path = join(directory, one.hash.toString('hex'));
  utimesSync(path, 1, 1);
  expect(found(stage, one)).toBe('unproven');
  // Proven again, it is believed again.
  const descriptor = stage.openFile(one.hash) ?? -1;
  stage.completeAgain(one.hash, descriptor);
  closeSync(descriptor);
  expect(found(stage, one)).toBe('complete');
});

test('one process fills a content; another takes over when it is gone, and begins anew', async () => {
  const { start, directory } = await world();
  const [a, b] = [start('a'), start('b')];
  const one = content(1);
  expect(a.stage.claim(one, { isAhead: false })).toBe('mine');
  const file = await a.stage.create(one);
  await file.write('half of it, wrong');
  expect([b.stage.claim(one, { isAhead: false }), found(b.stage, one)]).toEqual([
    'theirs',
    'filling',
  ]);
  a.end();
  expect([found(b.stage, one), b.stage.claim(one, { isAhead: false })]).toEqual([
    undefined,
    'mine',
  ]);
  const anew = await b.stage.create(one);
  expect((await anew.stat()).size).toBe(PAGE);
  await b.stage.complete([{ hash: one.hash, file: anew }]);
  // What the old one still writes goes nowhere.
  await file.write('late');
  await a.stage.complete([{ hash: one.hash, file }]);
  expect(readFileSync(join(directory, one.hash.toString('hex')))).toEqual(Buffer.alloc(PAGE));
  await Promise.all([file.close(), anew.close()]);
  expect(b.stage.claim(one, { isAhead: false })).toBe('there');
});

test('who is gone for certain leaves what is proven to the next, in the same file; of others nothing is believed', async () => {
  const { start, directory } = await world();
  const [a, b] = [start('a'), start('b')];
  const one = content(1, 3 * PAGE);
  const parts = Buffer.from([0b101]);
  expect(a.stage.claim(one, { isAhead: false })).toBe('mine');
  const file = await a.stage.create(one);
  a.stage.setProven(one.hash, parts);
  expect(b.stage.takeOver(one)).toBeUndefined();
  a.end();
  // In another pid namespace it may live.
  expect(b.stage.takeOver(one)).toBeUndefined();
  const c = start('c', 'boot1', 'certain');
  await c.stage.sweep();
  expect(c.stage.takeOver(one)).toEqual(parts);
  expect([b.stage.claim(one, { isAhead: false }), c.rows.get(one.hash)?.proven]).toEqual([
    'theirs',
    undefined,
  ]);
  const left = await c.stage.openLeft(one);
  expect(c.stage.isCurrent(one.hash, left?.fd ?? -1)).toBe(true);
  expect((await left?.stat())?.mode).toBe(0o100400);
  await Promise.all([file.close(), left?.close()]);
  // Left in peace, anybody may go on; where room is wanted it goes.
  c.stage.setProven(one.hash, parts);
  c.stage.leave(one.hash);
  const d = start('d', 'boot1', 'certain');
  expect([found(d.stage, one), d.stage.takeOver(one)]).toEqual([undefined, parts]);
  d.stage.setProven(one.hash, parts);
  d.stage.leave(one.hash);
  expect(b.stage.claim(content(2, 98 * PAGE), { isAhead: false })).toBe('mine');
  expect([names(directory), d.rows.get(one.hash)]).toEqual([['go'], undefined]);
});

test('longest unread goes first; what is used here or pinned elsewhere stays', async () => {
  const { start, directory, clock } = await world(4 * PAGE);
  const [a, b] = [start('a'), start('b')];
  for (const byte of [1, 2, 3, 4]) {
    clock.advanceMs(1000);
    await put(a.stage, content(byte));
  }
  a.stage.use(content(1).hash);
  b.stage.use(content(2).hash);
  b.stage.tell();
  await put(a.stage, content(5));
  await a.stage.clean();
  expect(names(directory)).toEqual(['01', '02', '04', '05']);
  b.stage.release(content(2).hash);
  clock.advanceMs(1000);
  b.stage.tell();
  await put(a.stage, content(6));
  await put(a.stage, content(7));
  await a.stage.clean();
  expect(names(directory)).toEqual(['01', '02', '06', '07']);
});

test('what is read ahead takes the place of what was read, never of what still is to be', async () => {
  const { start, directory } = await world(3 * PAGE);
  const { stage } = start('a');
  await put(stage, content(1));
  await put(stage, content(2), true);
  await put(stage, content(3), true);
  await put(stage, content(4), true);
  expect(stage.claim(content(5), { isAhead: true })).toBe('full');
  await stage.clean();
  expect(names(directory)).toEqual(['02', '03', '04']);
  // Whoever waits comes before who may come.
  await put(stage, content(6));
  // And what has been read makes room.
  expect(found(stage, content(4))).toBe('complete');
  stage.tell();
  await put(stage, content(7), true);
  await stage.clean();
  expect(stage.totalBytes).toBe(3 * PAGE);
});

test('holes take no room; what is larger than the stage is refused', async () => {
  const { start } = await world(3 * PAGE);
  const { stage } = start('a');
  const sparse = { ...content(1, 1000 * PAGE), ranges: [{ offset: PAGE, lengthBytes: 10 }] };
  expect(stage.claim(sparse, { isAhead: false })).toBe('mine');
  expect(stage.totalBytes).toBe(PAGE);
  expect(() => stage.claim(content(2, 4 * PAGE), { isAhead: false })).toThrow('set [stage] size');
  expect(stage.totalBytes).toBe(PAGE);
});

test('leftovers are removed, what is not ours is left alone', async () => {
  const { start, directory } = await world();
  const [a, b] = [start('a'), start('b')];
  await put(a.stage, content(1));
  expect(a.stage.claim(content(2), { isAhead: false })).toBe('mine');
  await (await a.stage.create(content(2))).close();
  expect(b.stage.claim(content(3), { isAhead: false })).toBe('mine');
  await (await b.stage.create(content(3))).close();
  for (const name of [`${'9'.repeat(64)}`, `gone-${'8'.repeat(64)}`, 'notes of somebody'])
    writeFileSync(join(directory, name), 'x');
  a.end();
  await b.stage.sweep();
  expect(names(directory)).toEqual(['01', '03', 'no']);
  expect(b.stage.totalBytes).toBe(2 * PAGE);
});

test('a file that vanished is not there', async () => {
  const { start, directory } = await world();
  const { stage } = start('a');
  await put(stage, content(1));
  const { rmSync } = await import('node:fs');
  rmSync(join(directory, content(1).hash.toString('hex')));
  expect(stage.find(content(1))).toBeUndefined();
  await put(stage, content(1));
});

test('what another process fills is read by its own file alone, and given up by its filler alone', async () => {
  const { start } = await world();
  const [a, b, c] = [start('a'), start('b'), start('c')];
  const one = content(1);
  a.stage.claim(one, { isAhead: false });
  const file = await a.stage.create(one);
  expect(b.stage.openFilling(one.hash)).toBeUndefined();
  a.stage.setProven(one.hash, Buffer.from([1]));
  const seen = b.stage.openFilling(one.hash);
  expect(seen?.parts).toEqual(Buffer.from([1]));
  const descriptor = seen?.descriptor ?? -1;
  expect(b.stage.isCurrent(one.hash, descriptor)).toBe(true);
  // Taken for dead, though it is not: neither's bytes pass for the other's.
  a.end();
  expect(c.stage.claim(one, { isAhead: false })).toBe('mine');
  const anew = await c.stage.create(one);
  expect(b.stage.openFilling(one.hash)).toBeUndefined();
  expect([b.stage.isCurrent(one.hash, descriptor), a.stage.isCurrent(one.hash, file.fd)]).toEqual([
    false,
    false,
  ]);
  a.stage.abandon(one.hash);
  a.stage.setProven(one.hash, Buffer.from([1]));
  expect([c.stage.isCurrent(one.hash, anew.fd), b.stage.openFilling(one.hash)]).toEqual([
    true,
    undefined,
  ]);
  const again = a.stage.reopen(file.fd);
  closeSync(again);
  closeSync(descriptor);
  await Promise.all([file.close(), anew.close()]);
});

test('what a process held that was killed is not in the way of one that lives on', async () => {
  const { start, directory } = await world(4 * PAGE);
  const [a, b] = [start('a'), start('b')];
  await b.stage.sweep();
  await put(a.stage, content(1));
  a.stage.use(content(1).hash);
  a.stage.tell();
  expect(a.stage.claim(content(2, 3 * PAGE), { isAhead: false })).toBe('mine');
  await (await a.stage.create(content(2, 3 * PAGE))).close();
  expect(b.stage.claim(content(3, 4 * PAGE), { isAhead: false })).toBe('full');
  a.end();
  await put(b.stage, content(3, 4 * PAGE));
  await b.stage.clean();
  expect([names(directory), b.stage.totalBytes]).toEqual([['03'], 4 * PAGE]);
});

test('however much is open of what was read longest ago, the rest may go', async () => {
  const { start, clock } = await world(100 * PAGE);
  const { stage } = start('a');
  for (let byte = 1; byte <= 100; byte += 1) {
    clock.advanceMs(1000);
    await put(stage, content(byte));
    if (byte <= 80) stage.use(content(byte).hash);
  }
  await put(stage, content(101));
  expect([found(stage, content(1)), found(stage, content(81))]).toEqual(['complete', undefined]);
});

test('where there is no room nothing loses its file in vain', async () => {
  const { start } = await world(4 * PAGE);
  const { stage } = start('a');
  await put(stage, content(1));
  await put(stage, content(2));
  stage.use(content(2).hash);
  expect(stage.claim(content(3, 4 * PAGE), { isAhead: false })).toBe('full');
  expect(stage.has(content(1).hash)).toBe(found(stage, content(1)) === 'complete');
  expect(stage.totalBytes).toBe(PAGE);
});

test('a directory that others may write is no stage', async () => {
  const { directory, start } = await world();
  mkdirSync(directory, { mode: 0o700 });
  chmodSync(directory, 0o777);
  expect(() => start('one')).toThrow(expect.objectContaining({ code: 'STAGE_FAILED' }));
  chmodSync(directory, 0o755);
  expect(start('two').stage.limitBytes).toBeGreaterThan(0);
});

test('a stage that somebody has removed is made again, but nothing above it', async () => {
  const { directory, start } = await world();
  const { stage } = start('a');
  await put(stage, content(1));
  rmSync(directory, { recursive: true });
  await stage.sweep();
  expect(stage.find(content(1))).toBeUndefined();
  await put(stage, content(1));
  expect(statSync(directory).mode & 0o777).toBe(0o700);
  const found = stage.find(content(1));
  expect(found).toMatchObject({ descriptor: expect.any(Number) });
  if (typeof found === 'object') closeSync(found.descriptor);

  renameSync(directory, `${directory}-moved`);
  rmSync(dirname(directory), { recursive: true, force: true });
  expect(stage.claim(content(2), { isAhead: false })).toBe('mine');
  await expect(stage.create(content(2))).rejects.toMatchObject({ code: 'STAGE_FAILED' });
});
