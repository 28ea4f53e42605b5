/** Recalls and the media they need: away, wrong, in the drive already, wanted by many. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import type { MediumAsker } from '../../src/recall/asker.ts';
import { watchingAsker } from '../../src/recall/asker.ts';
import { PASSES_MAX } from '../../src/recall/queue.ts';
import { RecallWorld, readAll, type SimProcess } from '../sim/recall-world.ts';
import { randomBytes } from '../sim/rich-tree.ts';

const go = new AbortController().signal;

type Stored = { readonly name: string; readonly id: number; readonly bytes: Buffer };

/** One file on each of the first cartridges: each run avoids those written before. */
async function filesOnMedia(world: RecallWorld, count: number, each = 1): Promise<Stored[][]> {
  const names = Array.from({ length: count }, (_, medium) =>
    Array.from({ length: each }, (__, file) => `medium ${medium} file ${file}`),
  );
  const all: { name: string; bytes: Buffer }[][] = [];
  for (const [medium, files] of names.entries()) {
    const made = files.map((name, index) => {
      const bytes = randomBytes(seededRandom(medium * 100 + index), 50_000);
      writeFileSync(join(world.backup.source, name), bytes);
      return { name, bytes };
    });
    all.push(made);
    const report = await world.backup.backup();
    for (const barcode of report.media) world.fill(barcode);
  }
  return all.map((files) => files.map((file) => ({ ...file, id: world.contentId(file.name) })));
}

async function read(process: SimProcess, { id, bytes }: Stored, pid = 1): Promise<void> {
  const opened = process.recall.open(id, { pid, uid: 0 });
  try {
    expect((await readAll(opened, bytes.length, { pid })).equals(bytes)).toBe(true);
  } finally {
    opened.close();
  }
}

function of<T>(list: readonly T[], index: number): T {
  const found = list[index];
  if (found === undefined) throw new Error(`nothing at ${index}`);
  return found;
}

/** Answers in turn; the last answer again and again. */
function scriptedAsker(
  answers: readonly ((barcode: string) => Promise<'inserted' | 'declined'>)[],
) {
  const asked: string[] = [];
  const asker: MediumAsker = {
    ask: async ({ barcode, attempt }) => {
      asked.push(`${barcode} ${attempt}`);
      return of(answers, Math.min(asked.length, answers.length) - 1)(barcode);
    },
  };
  return { asker, asked };
}

test('a medium that is away is asked for, others are served meanwhile, and it is read when it comes', async () => {
  const world = await RecallWorld.make({ drives: 1 });
  const media = await filesOnMedia(world, 2);
  await world.takeAway('BKP001L8');
  const order: string[] = [];
  const { asker, asked } = scriptedAsker([
    async (barcode) => {
      while (!order.includes('second')) await world.backup.sim.clock.sleepMs(1000, go);
      await world.bringBack(barcode);
      return 'inserted';
    },
  ]);
  const mount = world.start({ asker });
  await Promise.all([
    read(mount, of(of(media, 0), 0)).then(() => order.push('first')),
    read(mount, of(of(media, 1), 0)).then(() => order.push('second')),
  ]);
  expect([order, asked]).toEqual([['second', 'first'], ['BKP001L8 1']]);
});

test('declined, its readers are told; asked again later, the next one may be luckier', async () => {
  const world = await RecallWorld.make({ drives: 1 });
  const media = await filesOnMedia(world, 1);
  const file = of(of(media, 0), 0);
  await world.takeAway('BKP001L8');
  const { asker, asked } = scriptedAsker([
    async () => 'declined',
    async (barcode) => {
      await world.bringBack(barcode);
      return 'inserted';
    },
  ]);
  const mount = world.start({ asker });
  await expect(read(mount, file)).rejects.toMatchObject({
    code: 'MEDIUM_OFFLINE',
    message: expect.stringContaining('BKP001L8'),
  });
  await world.whenIdle();
  await read(mount, file);
  expect(asked).toEqual(['BKP001L8 1', 'BKP001L8 1']);
});

test('said to be there and never there: asked for so often, then its readers are told', async () => {
  const world = await RecallWorld.make({ drives: 1 });
  const file = of(of(await filesOnMedia(world, 1), 0), 0);
  await world.takeAway('BKP001L8');
  const { asker, asked } = scriptedAsker([async () => 'inserted']);
  const mount = world.start({ asker, attemptsMax: 3 });
  await expect(read(mount, file)).rejects.toMatchObject({ code: 'MEDIUM_OFFLINE' });
  expect(asked).toEqual(['BKP001L8 1', 'BKP001L8 2', 'BKP001L8 3']);
});

test('a cartridge with another label under the same barcode is not read', async () => {
  const world = await RecallWorld.make({ drives: 1 });
  const media = await filesOnMedia(world, 2);
  await world.exchangeTapes('BKP001L8', 'BKP002L8');
  const { asker, asked } = scriptedAsker([
    async () => {
      await world.exchangeTapes('BKP001L8', 'BKP002L8');
      return 'inserted';
    },
  ]);
  const mount = world.start({ asker });
  await read(mount, of(of(media, 0), 0));
  expect([asked, mount.media]).toEqual([['BKP001L8 1'], ['BKP001L8']]);
});

test('with nobody to ask it is waited for, and noticed when it turns up', async () => {
  const world = await RecallWorld.make({ drives: 1 });
  const file = of(of(await filesOnMedia(world, 1), 0), 0);
  await world.takeAway('BKP001L8');
  const { clock } = world.backup.sim;
  const library = async () => world.backup.tools.library;
  const asker = watchingAsker({ library, clock, timeoutMs: 3_600_000 });
  const mount = world.start({ asker });
  const reading = read(mount, file);
  await clock.sleepMs(600_000, go);
  await world.bringBack('BKP001L8');
  await reading;
  await world.whenIdle();
  await world.takeAway('BKP001L8');
  await mount.close();
  world.emptyStage();
  const later = world.start({ asker });
  await expect(read(later, file)).rejects.toMatchObject({ code: 'MEDIUM_OFFLINE' });
});

test('each cartridge is loaded once for all who wait, the one in the drive first', async () => {
  const world = await RecallWorld.make({ drives: 1, cartridges: 5 });
  const media = await filesOnMedia(world, 5, 8);
  const mount = world.start();
  await read(mount, of(of(media, 3), 0));
  world.emptyStage();
  mount.media.length = 0;
  const files = Array.from({ length: 8 }, (_, file) => media.map((medium) => of(medium, file)));
  await Promise.all(files.flat().map((file, index) => read(mount, file, index)));
  // It is in the drive still, so it is not attached anew.
  expect(mount.media).toHaveLength(4);
  expect(mount.media).not.toContain('BKP004L8');
  expect(new Set(mount.media).size).toBe(4);
});

test('a cartridge that is read all the time does not starve another', async () => {
  const world = await RecallWorld.make({ drives: 1 });
  const media = await filesOnMedia(world, 2, 40);
  const mount = world.start();
  const popular = of(media, 0);
  let isServed = false;
  let before = 0;
  const other = read(mount, of(of(media, 1), 0)).then(() => {
    isServed = true;
  });
  // One after the other, each asked for when the one before was read: there is always one more for this cartridge.
  for (const file of popular) {
    await read(mount, file);
    if (!isServed) before += 1;
  }
  await other;
  expect(before).toBeLessThanOrEqual(PASSES_MAX + 1);
});

test('several processes: one recalls for all, and when it ends the next takes over', async () => {
  const world = await RecallWorld.make({ drives: 1, cartridges: 3 });
  const media = await filesOnMedia(world, 3, 2);
  const [first, second] = [world.start(), world.start()];
  const reads = media.flatMap((files) => [
    read(first, of(files, 0)),
    read(second, of(files, 1)),
    read(second, of(files, 0)),
  ]);
  await Promise.all(reads);
  // Time runs on while the disk is at work: with both of them looking each second it may seem long to somebody.
  const [served, idle] = [first.media, second.media].toSorted((a, b) => b.length - a.length);
  expect([new Set(served), idle]).toEqual([new Set(['BKP001L8', 'BKP002L8', 'BKP003L8']), []]);
  // The one that recalled is gone; what it was asked for by the other goes on.
  world.emptyStage();
  const [holder, waiter] = first.media.length > 0 ? [first, second] : [second, first];
  const dying = read(holder, of(of(media, 0), 0));
  const living = read(waiter, of(of(media, 2), 1));
  const ended = expect(dying).rejects.toMatchObject({ code: 'INTERRUPTED' });
  await holder.kill();
  await ended;
  await living;
});

test('what another process has staged between the look of a reader and that of the loop is not waited for', async () => {
  const world = await RecallWorld.make({ drives: 1 });
  const file = of(of(await filesOnMedia(world, 1), 0), 0);
  const [first, second] = [world.start(), world.start()];
  await read(first, file);
  await first.close();
  const runDb = new Database(world.runDbPath);
  world.alive.add(first.name);
  runDb.prepare("UPDATE stage SET state = 'filling'").run();
  // The look of the reader is over when this returns, what follows it is not.
  const waiting = read(second, file);
  runDb.prepare("UPDATE stage SET state = 'complete'").run();
  runDb.close();
  world.alive.delete(first.name);
  await waiting;
  expect(second.media).toEqual([]);
});

test('a failure found by one process is told to the readers of another', async () => {
  const world = await RecallWorld.make({ drives: 1 });
  const file = of(of(await filesOnMedia(world, 1), 0), 0);
  await world.takeAway('BKP001L8');
  const slow: MediumAsker = {
    ask: async (_, signal) => {
      await world.backup.sim.clock.sleepMs(10_000, signal);
      return 'declined';
    },
  };
  const [first, second] = [world.start({ asker: slow }), world.start({ asker: slow })];
  const both = await Promise.allSettled([read(first, file), read(second, file)]);
  for (const one of both) expect(one).toMatchObject({ reason: { code: 'MEDIUM_OFFLINE' } });
});

test('while others have the drive it is waited for, and they are asked for it', async () => {
  const world = await RecallWorld.make({ drives: 1 });
  const file = of(of(await filesOnMedia(world, 1), 0), 0);
  const hold = await world.backup.tools.library.attach('BKP003L8', go);
  const mount = world.start();
  const reading = read(mount, file);
  await world.backup.sim.clock.sleepMs(120_000, go);
  expect(mount.media).toEqual([]);
  await hold.close();
  await reading;
  expect(mount.warnings).toEqual([]);
});

test('a drive that is reset in the middle is asked again', async () => {
  const world = await RecallWorld.make({ drives: 1 });
  const file = of(of(await filesOnMedia(world, 1), 0), 0);
  for (const atCount of [2, 4])
    world.backup.sim.faults.add({
      note: `reset ${atCount}`,
      on: 'read',
      atCount,
      effect: { kind: 'reset', swallowed: false },
    });
  const mount = world.start();
  await read(mount, file);
  expect(mount.warnings.length).toBeGreaterThan(0);
});

/** 4h 44h/00h: internal target failure. */
const HARDWARE_ERROR = { kind: 'sense', key: 4, code: 0x4400 } as const;

function breakRewinds(world: RecallWorld, times: number) {
  for (let atCount = 1; atCount <= times; atCount += 1)
    world.backup.sim.faults.add({
      ...{ note: `broken ${atCount}`, on: 'rewind', atCount, cartridge: 'BKP001L8' },
      effect: HARDWARE_ERROR,
    });
}

test.each(['retry', 'bad', 'abort'] as const)(
  'a drive that gave up, and a person says %s',
  async (answer) => {
    const world = await RecallWorld.make({ drives: 1 });
    const [[file] = []] = await filesOnMedia(world, 1);
    if (!file) return expect.fail('a file');
    // It is asked three times more before a person is.
    breakRewinds(world, 4);
    const asked: string[] = [];
    const asker: MediumAsker = {
      ask: () => expect.fail('it is there'),
      decide: async ({ barcode, error }) => {
        asked.push(`${barcode} ${error.code}`);
        return answer;
      },
    };
    const reading = read(world.start({ asker }), file);
    if (answer === 'retry') await reading;
    else await expect(reading).rejects.toMatchObject({ code: 'DRIVE_FAILED' });
    expect(asked).toEqual(['BKP001L8 DRIVE_FAILED']);
  },
);

test('nobody decides about a drive that gave up before others are served; another copy needs no decision', async () => {
  const world = await RecallWorld.make({ drives: 1 });
  const [[lone] = [], [other] = []] = await filesOnMedia(world, 2);
  if (!lone || !other) return expect.fail('two files');
  breakRewinds(world, 4);
  const order: string[] = [];
  const asker: MediumAsker = {
    ask: () => expect.fail('it is there'),
    decide: async () => {
      while (!order.includes('other')) await world.backup.sim.clock.sleepMs(1000, go);
      return 'retry';
    },
  };
  const mount = world.start({ asker });
  const first = read(mount, lone).then(() => order.push('lone'));
  await Promise.all([first, read(mount, other).then(() => order.push('other'))]);
  expect(order).toEqual(['other', 'lone']);
});
