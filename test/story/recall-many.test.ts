/** Mounts, a backup, a restore and a recall as processes of their own share one drive: all finish, nobody starves. A failure is a seed. */
import { createCipheriv } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Random, seededRandom } from '../../src/base/random.ts';
import { rawOf } from '../../src/base/raw.ts';
import { RunRoles } from '../../src/catalog/run-db/roles.ts';
import { RunDb } from '../../src/catalog/run-db/run-db.ts';
import { Tree } from '../../src/catalog/tree/tree.ts';
import { recallPaths } from '../../src/job/recall.ts';
import { BackupHandover } from '../../src/recall/handover.ts';
import { HOST } from '../sim/backup-world.ts';
import { RecallWorld, readAll, type SimProcess } from '../sim/recall-world.ts';
import { seedCount } from '../sim/seeds.ts';

const go = new AbortController().signal;
const SEEDS = Array.from({ length: seedCount({ usual: 4, soak: 1000 }) }, (_, seed) => seed);
const MEDIA = 3;
const FILES = 12;
const READERS = 30;
/** An hour of the model's time. */
const HOUR_MS = 3_600_000;

/** As chance would have them, and a hundred times sooner. */
function randomBytes(random: Random, lengthBytes: number): Buffer {
  const key = Buffer.alloc(32);
  for (let at = 0; at < key.length; at += 1) key[at] = random.below(256);
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(lengthBytes));
}

type Stored = { readonly id: number; readonly bytes: Buffer };

async function worldWithFiles(random: Random) {
  const world = await RecallWorld.make({
    drives: 1,
    cartridges: MEDIA + 1,
    config: '[archive]\nsize = "2MB"\nblock = "64KiB"\n',
  });
  const made: { name: string; bytes: Buffer }[] = [];
  for (let medium = 0; medium < MEDIA; medium += 1) {
    for (let file = 0; file < FILES; file += 1) {
      const name = `${medium} ${file}`;
      const bytes = randomBytes(random, 1 + random.below(60_000));
      writeFileSync(join(world.backup.source, name), bytes);
      made.push({ name, bytes });
    }
    for (const barcode of (await world.backup.backup()).media) world.fill(barcode);
  }
  return { world, files: made.map(({ name, bytes }) => ({ id: world.contentId(name), bytes })) };
}

/** Reads at some moment of the hour; one in ten gives up. */
async function reader(
  { world, process }: { world: RecallWorld; process: SimProcess },
  { id, bytes }: Stored,
  random: Random,
): Promise<void> {
  const { clock } = world.backup.sim;
  const pid = 1 + random.below(5);
  await clock.sleepMs(random.below(HOUR_MS), go);
  const stop = new AbortController();
  const isImpatient = random.below(10) === 0;
  const patienceMs = random.below(60_000);
  const opened = process.recall.open(id, { pid, uid: 0 });
  const reading = readAll(opened, bytes.length, { pid, signal: stop.signal });
  const giveUp = async () => {
    await clock.sleepMs(patienceMs, go);
    stop.abort(new Error('killed'));
  };
  const left = isImpatient ? giveUp() : undefined;
  try {
    expect((await reading).equals(bytes)).toBe(true);
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    opened.close();
  }
  await left;
}

test.each(SEEDS)('seed %i', async (seed) => {
  const random = seededRandom(seed);
  const { world, files } = await worldWithFiles(random);
  const { clock } = world.backup.sim;
  const stageBytes = 200_000 + random.below(2_000_000);
  const mounts = [world.start({ stageBytes }), world.start({ stageBytes })];
  const single = world.start({ stageBytes });
  const reads = Array.from({ length: READERS }, (_, index) => {
    const file = files[random.below(files.length)];
    const process = mounts[index % mounts.length];
    if (!file || !process) throw new Error('there are some');
    return reader({ world, process }, file, seededRandom(seed * 1000 + index));
  });

  const backUp = async () => {
    for (let file = 0; file < 8; file += 1)
      writeFileSync(join(world.backup.source, `new ${file}`), randomBytes(random, 400_000));
    await clock.sleepMs(random.below(HOUR_MS / 2), go);
    world.alive.add('backup');
    const db = RunDb.open(world.runDbPath);
    const processes = { own: 'backup', isAlive: (name: string) => world.alive.has(name) };
    const handover = new BackupHandover(new RunRoles(db, processes), clock);
    expect((await world.backup.backup({ handover })).state).toBe('finished');
    handover.end();
    db.close();
  };
  const restore = async () => {
    await clock.sleepMs(random.below(HOUR_MS), go);
    expect((await world.backup.restore({ at: '1' })).report.failed).toEqual([]);
  };
  const recall = async () => {
    await clock.sleepMs(random.below(HOUR_MS), go);
    const { catalog, source } = world.backup;
    const tree = new Tree(catalog);
    const request = {
      paths: [rawOf(join(source, '0 1')), rawOf(join(source, '2 3'))],
      hostId: tree.directories.ensureHost(HOST).id,
      snapshot: tree.resolveSnapshot(String(MEDIA)),
    };
    const caller = { pid: 99, uid: 0 };
    const tools = { catalog, recall: single.recall, caller };
    expect((await recallPaths(request, tools, () => {}, go)).failed).toEqual([]);
  };
  await Promise.all([...reads, backUp(), restore(), recall()]);
  for (const { warnings } of [...mounts, single]) expect(warnings).toEqual([]);
});
