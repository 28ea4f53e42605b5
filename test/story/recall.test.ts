/** Reads of what lies on tape: through the stage, joined, ordered, proven. */
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { Contents } from '../../src/catalog/content/contents.ts';
import type { ContentReader } from '../../src/mount/content.ts';
import { CALLER, RecallWorld, readAll, type SimProcess } from '../sim/recall-world.ts';
import { randomBytes } from '../sim/rich-tree.ts';

test('a file is read from tape once, and from the stage from then on', async () => {
  const world = await RecallWorld.make();
  const path = join(world.backup.source, 'letter');
  writeFileSync(path, 'the bytes of a letter');
  await world.backup.backup();
  const mount = world.start();
  // What the mount declares is what recall is.
  const reader: ContentReader = mount.recall;
  const opened = reader.open(world.contentId('letter'), CALLER);
  expect(opened.file).toBeUndefined();
  let told = 0;
  opened.onStaged(() => {
    told += 1;
  });
  expect((await readAll(opened, 21)).toString()).toBe('the bytes of a letter');
  expect([opened.file, told]).toEqual([expect.any(Number), 1]);
  expect(statSync(`/proc/self/fd/${opened.file}`).mode & 0o777).toBe(0o400);
  opened.close();
  const again = mount.recall.open(world.contentId('letter'), CALLER);
  expect(readFileSync(again.file ?? -1, 'utf8')).toBe('the bytes of a letter');
  again.close();
  await mount.close();
  // It survives the process.
  const next = world.start();
  const later = next.recall.open(world.contentId('letter'), CALLER);
  expect(readFileSync(later.file ?? -1, 'utf8')).toBe('the bytes of a letter');
  later.close();
  expect([mount.media, next.media]).toEqual([['BKP001L8'], []]);
});

test('a hundred files, each wanted by two readers, are read in one pass', async () => {
  const world = await RecallWorld.make();
  const random = seededRandom(1);
  const files = Array.from({ length: 100 }, (_, index) => ({
    name: `file ${index}`,
    bytes: randomBytes(random, 1 + random.below(20_000)),
  }));
  for (const { name, bytes } of files) writeFileSync(join(world.backup.source, name), bytes);
  await world.backup.backup();
  const mount = world.start();
  const reads = files.flatMap(({ name, bytes }) =>
    [1, 2].map(async (pid) => {
      const opened = mount.recall.open(world.contentId(name), { pid, uid: 0 });
      expect((await readAll(opened, bytes.length, { pid })).equals(bytes)).toBe(true);
      opened.close();
    }),
  );
  await Promise.all(reads);
  expect(mount.media).toEqual(['BKP001L8']);
});

/** A file of so many bytes, stored on a cartridge of its own for each copy. */
async function stored(
  world: RecallWorld,
  name: string,
  options: { lengthBytes?: number; copies?: number } = {},
): Promise<Buffer> {
  const { lengthBytes = 100_000, copies = 1 } = options;
  const bytes = randomBytes(seededRandom(name.length + lengthBytes), lengthBytes);
  writeFileSync(join(world.backup.source, name), bytes);
  await world.backup.backup({ copies });
  return bytes;
}

async function read(process: SimProcess, contentId: number, lengthBytes: number, pid = 1) {
  const opened = process.recall.open(contentId, { pid, uid: 0 });
  try {
    return await readAll(opened, lengthBytes, { pid });
  } finally {
    opened.close();
  }
}

/** Where a content lies. */
function copiesOf(world: RecallWorld, contentId: number) {
  const [extent] = new Contents(world.backup.catalog).extentsOf(contentId);
  if (!extent) throw new Error('it is stored');
  return { extent, copies: extent.copies };
}

test('a reader that is killed leaves; the other one gets the bytes', async () => {
  const world = await RecallWorld.make();
  const bytes = await stored(world, 'wanted twice');
  const mount = world.start();
  const id = world.contentId('wanted twice');
  const killed = new AbortController();
  const first = mount.recall.open(id, CALLER);
  const second = mount.recall.open(id, CALLER);
  const dying = readAll(first, bytes.length, { signal: killed.signal });
  const living = readAll(second, bytes.length);
  killed.abort(new Error('SIGKILL'));
  await expect(dying).rejects.toThrow('SIGKILL');
  first.close();
  expect((await living).equals(bytes)).toBe(true);
  second.close();
});

test('what nobody waits for any more is not read, and leaves nothing behind', async () => {
  const world = await RecallWorld.make();
  const bytes = await stored(world, 'unloved');
  const mount = world.start();
  const killed = new AbortController();
  const opened = mount.recall.open(world.contentId('unloved'), CALLER);
  const dying = readAll(opened, bytes.length, { signal: killed.signal });
  killed.abort(new Error('SIGINT'));
  await expect(dying).rejects.toThrow('SIGINT');
  opened.close();
  await mount.close();
  expect([mount.media, readdirSync(world.stageDirectory)]).toEqual([[], []]);
});

test('a copy that cannot be read is marked, and another one is used', async () => {
  const world = await RecallWorld.make();
  const bytes = await stored(world, 'on two', { copies: 2 });
  const id = world.contentId('on two');
  const { extent, copies } = copiesOf(world, id);
  const [first] = copies;
  const atBlock =
    (first?.startBlock ?? 0) + Math.floor(extent.extent.archiveOffset / extent.blockBytes);
  world.backup.sim.faults.add({
    note: 'a scratch',
    on: 'read',
    cartridge: first?.barcode ?? '',
    atBlock,
    effect: { kind: 'sense', key: 3, code: 0x1100 },
  });
  const mount = world.start();
  expect((await read(mount, id, bytes.length)).equals(bytes)).toBe(true);
  expect(mount.media).toEqual(copies.map(({ barcode }) => barcode));
  expect(copiesOf(world, id).copies.map(({ isGood }) => isGood)).toEqual([true, false]);
});

test('a bit that was flipped is never handed out: the other copy is read', async () => {
  const world = await RecallWorld.make();
  const bytes = await stored(world, 'flipped', { copies: 2 });
  const id = world.contentId('flipped');
  const { extent, copies } = copiesOf(world, id);
  const [first] = copies;
  const at = extent.extent.archiveOffset;
  world.backup.sim.faults.add({
    note: 'a flipped bit',
    on: 'read',
    cartridge: first?.barcode ?? '',
    atBlock: (first?.startBlock ?? 0) + Math.floor(at / extent.blockBytes),
    effect: { kind: 'bit-flip', byte: at % extent.blockBytes, bit: 3 },
  });
  const mount = world.start();
  expect((await read(mount, id, bytes.length)).equals(bytes)).toBe(true);
  expect(copiesOf(world, id).copies.filter(({ isGood }) => isGood)).toHaveLength(1);
});

test('no copy left: the readers of that file are told, those of others are served', async () => {
  const world = await RecallWorld.make();
  const lost = await stored(world, 'lost');
  const whole = await stored(world, 'whole one');
  const id = world.contentId('lost');
  const { extent, copies } = copiesOf(world, id);
  const atBlock =
    (copies[0]?.startBlock ?? 0) + Math.floor(extent.extent.archiveOffset / extent.blockBytes);
  for (const attempt of [1, 2])
    world.backup.sim.faults.add({
      note: `scratched, attempt ${attempt}`,
      on: 'read',
      atBlock,
      effect: { kind: 'sense', key: 3, code: 0x1100 },
    });
  const mount = world.start();
  const both = await Promise.allSettled([
    read(mount, id, lost.length),
    read(mount, world.contentId('whole one'), whole.length),
  ]);
  expect(both[0]).toMatchObject({ reason: { code: 'MEDIUM_UNREADABLE' } });
  expect(both[1]).toMatchObject({ status: 'fulfilled' });
  // Asked again it is tried again: a drive may have been dirty.
  expect((await read(mount, id, lost.length)).equals(lost)).toBe(true);
});

test('a small stage evicts what was read longest ago, not what is open', async () => {
  const world = await RecallWorld.make();
  const names = ['first', 'second one', 'the third'];
  const lengths = new Map<string, Buffer>();
  for (const name of names) lengths.set(name, await stored(world, name, { lengthBytes: 300_000 }));
  const mount = world.start({ stageBytes: 700_000 });
  const opened = mount.recall.open(world.contentId('first'), CALLER);
  await readAll(opened, 300_000);
  await read(mount, world.contentId('second one'), 300_000);
  const third = await read(mount, world.contentId('the third'), 300_000);
  expect(third.equals(lengths.get('the third') ?? third.subarray(1))).toBe(true);
  expect(readFileSync(opened.file ?? -1).equals(lengths.get('first') ?? third)).toBe(true);
  opened.close();
  await mount.close();
  expect(readdirSync(world.stageDirectory)).toHaveLength(2);
  // What alone is more than the stage may hold is refused by name.
  const small = world.start({ stageBytes: 100_000 });
  await expect(read(small, world.contentId('second one'), 300_000)).rejects.toMatchObject({
    code: 'STAGE_FULL',
  });
});

test('where all of the stage is in use, room is waited for; not for ever', async () => {
  const world = await RecallWorld.make();
  await stored(world, 'first', { lengthBytes: 300_000 });
  const second = await stored(world, 'second one', { lengthBytes: 300_000 });
  const mount = world.start({ stageBytes: 400_000 });
  const opened = mount.recall.open(world.contentId('first'), CALLER);
  await readAll(opened, 300_000);
  await expect(read(mount, world.contentId('second one'), 300_000)).rejects.toMatchObject({
    code: 'STAGE_FULL',
  });
  const waiting = read(mount, world.contentId('second one'), 300_000);
  opened.close();
  expect((await waiting).equals(second)).toBe(true);
});

test('sparse files keep their holes in the stage', async () => {
  const world = await RecallWorld.make();
  const path = join(world.backup.source, 'sparse');
  writeFileSync(path, '');
  const { openSync, writeSync, ftruncateSync, closeSync } = await import('node:fs');
  const file = openSync(path, 'r+');
  const length = 100 * 2 ** 20;
  ftruncateSync(file, length);
  const data = randomBytes(seededRandom(3), 70_000);
  for (const at of [4096 * 10, 65 * 2 ** 20]) writeSync(file, data, 0, data.length, at);
  closeSync(file);
  await world.backup.backup();
  const mount = world.start();
  const opened = mount.recall.open(world.contentId('sparse'), CALLER);
  const bytes = await readAll(opened, length, { stepBytes: 2 ** 24 });
  expect(bytes.equals(readFileSync(path))).toBe(true);
  const [name = ''] = readdirSync(world.stageDirectory);
  expect(statSync(join(world.stageDirectory, name)).blocks * 512).toBeLessThan(400_000);
  opened.close();
});

test('a large file is read segment by segment while the tape still runs', async () => {
  const world = await RecallWorld.make({ capacityBytes: 600 * 2 ** 20 });
  const bytes = await stored(world, 'film', { lengthBytes: 150 * 2 ** 20 + 17 });
  const mount = world.start();
  const opened = mount.recall.open(world.contentId('film'), CALLER);
  let filesSeen: boolean[] = [];
  const range = { offset: 5, lengthBytes: 10 };
  const descriptor = await opened.read(range, {
    isNonBlocking: false,
    caller: CALLER,
    signal: new AbortController().signal,
  });
  filesSeen = [descriptor > 0, opened.file === undefined];
  expect(filesSeen).toEqual([true, true]);
  expect((await readAll(opened, bytes.length)).equals(bytes)).toBe(true);
  opened.close();
});

test('who must not move a tape, or will not wait, is refused at once', async () => {
  const world = await RecallWorld.make();
  const bytes = await stored(world, 'picture');
  const id = world.contentId('picture');
  const programs = new Map([
    [66, 'tumblerd'],
    [67, 'tracker-extract'],
  ]);
  const mount = world.start({ programs, budgetBytes: 150_000 });
  const refused = { code: 'RECALL_REFUSED' };
  for (const pid of [66, 67])
    await expect(read(mount, id, bytes.length, pid)).rejects.toMatchObject(refused);
  expect(mount.warnings.join()).toContain('tumblerd (66)');
  const opened = mount.recall.open(id, CALLER);
  const nonBlocking = opened.read(
    { offset: 0, lengthBytes: 1 },
    { isNonBlocking: true, caller: CALLER, signal: new AbortController().signal },
  );
  await expect(nonBlocking).rejects.toMatchObject(refused);
  opened.close();
  const failing = world.start({ policy: 'fail' });
  await expect(read(failing, id, bytes.length)).rejects.toMatchObject(refused);
  expect([mount.media, failing.media]).toEqual([[], []]);
  // What is staged anybody may read.
  await read(mount, id, bytes.length);
  await read(mount, id, bytes.length, 66);
  const other = await stored(world, 'another picture');
  await expect(read(mount, world.contentId('another picture'), other.length)).rejects.toMatchObject(
    refused,
  );
});
