/** Reads while a backup has the only drive: it lets them in between two archives, and is let alone afterwards. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { RunRoles } from '../../src/catalog/run-db/roles.ts';
import { RunDb } from '../../src/catalog/run-db/run-db.ts';
import type { BackupEvent } from '../../src/job/backup/report.ts';
import { BackupHandover } from '../../src/recall/handover.ts';
import { RecallWorld, readAll, type SimProcess } from '../sim/recall-world.ts';
import { randomBytes } from '../sim/rich-tree.ts';

const go = new AbortController().signal;
const FILES = 24;

type Old = { readonly id: number; readonly bytes: Buffer };

/** Two files on a cartridge that is full, and a tree of many archives that is not stored yet. */
async function worldWithOld(): Promise<{ world: RecallWorld; old: Old[] }> {
  const world = await RecallWorld.make({
    drives: 1,
    config: '[archive]\nsize = "2MB"\nblock = "64KiB"\n',
  });
  const random = seededRandom(2);
  const made = ['old', 'older'].map((name) => ({ name, bytes: randomBytes(random, 50_000) }));
  for (const { name, bytes } of made) writeFileSync(join(world.backup.source, name), bytes);
  for (const barcode of (await world.backup.backup()).media) world.fill(barcode);
  const old = made.map(({ name, bytes }) => ({ id: world.contentId(name), bytes }));
  for (let file = 0; file < FILES; file += 1)
    writeFileSync(join(world.backup.source, `new ${file}`), randomBytes(random, 400_000));
  return { world, old };
}

async function read(process: SimProcess, { id, bytes }: Old): Promise<void> {
  const opened = process.recall.open(id, { pid: 1, uid: 0 });
  expect((await readAll(opened, bytes.length)).equals(bytes)).toBe(true);
  opened.close();
}

function handoverOf(world: RecallWorld): { handover: BackupHandover; end(): void } {
  world.alive.add('backup');
  const db = RunDb.open(world.runDbPath);
  const processes = { own: 'backup', isAlive: (name: string) => world.alive.has(name) };
  const handover = new BackupHandover(new RunRoles(db, processes), world.backup.sim.clock);
  const end = () => {
    handover.end();
    db.close();
  };
  return { handover, end };
}

/** The second file is asked for when the backup has gone on. */
async function backUpAndRead(world: RecallWorld, mount: SimProcess, old: readonly Old[]) {
  const { handover, end } = handoverOf(world);
  const order: string[] = [];
  const waitsMs: number[] = [];
  const reads: Promise<void>[] = [];
  const start = (index: number) => {
    const file = old[index];
    if (file) reads.push(read(mount, file).then(() => void order.push(`read ${index}`)));
  };
  const listen = (event: BackupEvent) => {
    if (event.event === 'waiting') {
      order.push('waits');
      waitsMs.push(world.backup.sim.clock.nowMs());
    }
    if (event.event !== 'archive') return;
    if (order.at(-1) === 'read 0') start(1);
    order.push('archive');
    if (order.length === 1) start(0);
  };
  const report = await world.backup.backup({ handover, listen });
  order.push('backed up');
  end();
  await Promise.all(reads);
  return { order, waitsMs, report };
}

test('between two archives a read is let in, once in half an hour', async () => {
  const { world, old } = await worldWithOld();
  const mount = world.start();
  const { order, waitsMs, report } = await backUpAndRead(world, mount, old);
  expect(report).toMatchObject({ state: 'finished', warnings: [] });
  expect(order.indexOf('read 0')).toBeGreaterThan(order.indexOf('waits'));
  expect(order.indexOf('read 0')).toBeLessThan(order.indexOf('backed up'));
  for (const [index, ms] of waitsMs.entries())
    expect(ms - (waitsMs[index - 1] ?? Number.NEGATIVE_INFINITY)).toBeGreaterThan(30 * 60_000);
  expect(order.indexOf('waits')).toBeLessThan(6);
  expect(order.filter((what) => what === 'archive').length).toBeGreaterThan(5);
  expect((await world.backup.restore()).report.failed).toEqual([]);
});

test('nobody lets go where nobody asks; one that asked and died is not waited for', async () => {
  const { world, old } = await worldWithOld();
  const { handover, end } = handoverOf(world);
  const events: BackupEvent[] = [];
  const mount = world.start();
  const [file] = old;
  let isAsked = false;
  const ended: Promise<void>[] = [];
  const listen = (event: BackupEvent) => {
    if (event.event !== 'archive' || isAsked || !file) return;
    isAsked = true;
    const opened = mount.recall.open(file.id, { pid: 1, uid: 0 });
    const options = { isNonBlocking: false, caller: { pid: 1, uid: 0 }, signal: go };
    const reading = opened.read({ offset: 0, lengthBytes: 1 }, options);
    ended.push(expect(reading).rejects.toMatchObject({ code: 'INTERRUPTED' }), mount.kill());
  };
  const report = await world.backup.backup({ handover, events, listen });
  end();
  await Promise.all(ended);
  expect([report.state, events.filter(({ event }) => event === 'waiting')]).toEqual([
    'finished',
    [],
  ]);
});

test('reads that go on and on give the drive to a backup that waits', async () => {
  const { world, old } = await worldWithOld();
  const { handover, end } = handoverOf(world);
  const mount = world.start();
  const [file] = old;
  let isDone = false;
  const readOn = async () => {
    while (!isDone && file) {
      await read(mount, file);
      world.emptyStage();
      await world.backup.sim.clock.sleepMs(5000, go);
    }
  };
  const reading = readOn();
  while (mount.media.length === 0) await world.backup.sim.clock.sleepMs(1000, go);
  const report = await world.backup.backup({ handover });
  isDone = true;
  end();
  await reading;
  expect(report.state).toBe('finished');
});

test('reads that never pause give the drive to a restore that waits, within half an hour', async () => {
  const { world, old } = await worldWithOld();
  const { clock } = world.backup.sim;
  // As the command does: it has nothing to hand over, but says that it waits.
  const { end } = handoverOf(world);
  const mount = world.start();
  const [file] = old;
  let isDone = false;
  const readOn = async () => {
    while (!isDone && file) {
      await read(mount, file);
      world.emptyStage();
      // Less than the loop waits before it lets go of the drive by itself.
      await clock.sleepMs(1000, go);
    }
  };
  const reading = readOn();
  while (mount.media.length === 0) await clock.sleepMs(1000, go);
  const startMs = clock.monotonicMs();
  expect((await world.backup.restore()).report.failed).toEqual([]);
  expect(clock.monotonicMs() - startMs).toBeLessThan(30 * 60_000);
  isDone = true;
  end();
  await reading;
});
