/** Grooming from drive to drive: one reads while the other writes; what the spool does not take whole goes in pieces. */
import { randomBytes as bytesOf } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, expect, test, vi } from 'vitest';
import type { Clock } from '../../src/base/clock.ts';
import { seededRandom } from '../../src/base/random.ts';
import { Drive } from '../../src/device/drive.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { restoreByScript } from '../sim/by-script.ts';
import { makeBytes } from '../sim/changed-tree.ts';
import { checkArchives } from '../sim/check-archives.ts';
import { flipBlock, groomMedia } from '../sim/groom-world.ts';
import { differences, randomBytes } from '../sim/rich-tree.ts';

const go = new AbortController().signal;
const ONE = 'BKP001L8';
const MIB = 2 ** 20;

afterEach(() => vi.restoreAllMocks());

/** As SimClock; but time goes on only when whoever works has had many turns of the event loop: two at once do not overtake each other. */
class PatientClock implements Clock {
  #nowMs = Date.UTC(2026, 0, 1);
  #sleepers: { readonly wakeMs: number; readonly wake: () => void }[] = [];
  #isRunning = false;

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  async sleepMs(durationMs: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#sleepers.push({ wakeMs: this.#nowMs + Math.max(0, durationMs), wake: resolve });
    void this.#run();
    await promise;
    signal.throwIfAborted();
  }

  async #run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    while (this.#sleepers.length > 0) {
      for (let count = 0; count < TURNS; count += 1) await turn();
      const [next] = this.#sleepers.toSorted((a, b) => a.wakeMs - b.wakeMs);
      if (!next) break;
      this.#sleepers = this.#sleepers.filter((other) => other !== next);
      this.#nowMs = Math.max(this.#nowMs, next.wakeMs);
      next.wake();
    }
    this.#isRunning = false;
  }
}

const TURNS = 100;

/** Each block takes a second of the model's time, as a drive takes its time for gigabytes. */
function slowDrives({ sim }: BackupWorld): { readonly read: number; readonly written: number } {
  const counted = { read: 0, written: 0 };
  const { read, write } = Drive.prototype;
  vi.spyOn(Drive.prototype, 'read').mockImplementation(async function (this: Drive, ...given) {
    await sim.clock.sleepMs(1000, given[1]);
    counted.read += 1;
    return read.apply(this, given);
  });
  vi.spyOn(Drive.prototype, 'write').mockImplementation(async function (this: Drive, ...given) {
    await sim.clock.sleepMs(1000, given[1]);
    counted.written += 1;
    return write.apply(this, given);
  });
  return counted;
}

test.each([
  ['what is needed', [ONE], 0],
  ['copies by policy', [], 2],
])('%s: two drives take little more time than the slower of them', async (_, barcodes, copies) => {
  const world = await BackupWorld.make({
    drives: 2,
    clock: new PatientClock(),
    config: '[archive]\nblock = "64KiB"\nsize = "1MB"\n',
  });
  const random = seededRandom(7);
  for (let index = 0; index < 30; index += 1)
    writeFileSync(join(world.source, `file ${index}`), randomBytes(random, 300_000));
  await world.backup();
  const counted = slowDrives(world);
  const startMs = world.sim.clock.monotonicMs();
  const policies = [{ pool: 'main', copies, offsite: 0, readBackMs: undefined }];
  const report = await groomMedia(world, barcodes, { spoolBytes: 3e6, tools: { policies } });
  expect(report.state).toBe('finished');
  const seconds = (world.sim.clock.monotonicMs() - startMs) / 1000;
  // All that is written is read back behind it.
  const { read, written } = counted;
  expect(written).toBeGreaterThan(140);
  const least = Math.max(read - written, written) + written;
  expect(seconds / least, `${seconds} s, ${read} blocks read, ${written} written`).toBeLessThan(
    1.25,
  );
  expect(seconds).toBeLessThan(0.9 * (read + written));
});

/** Three segments and a bit, of which a good part is holes, one of them over an edge. */
function makeSparse(path: string): void {
  const fd = openSync(path, 'w');
  ftruncateSync(fd, 3 * 64 * MIB + 12_345);
  for (const [at, size] of [
    [0, 1000],
    [3 * MIB, 20 * MIB],
    [60 * MIB, 10 * MIB],
    [100 * MIB, 40 * MIB],
    [190 * MIB, 2 * MIB + 12_345],
  ] as const)
    writeSync(fd, bytesOf(size), 0, size, at);
  closeSync(fd);
}

test('with one drive a file larger than the spool is moved in pieces', async () => {
  const world = await BackupWorld.make({ drives: 1, cartridges: 3, capacityBytes: 300 * MIB });
  writeFileSync(join(world.source, 'small'), 'of a directory with a large one');
  makeBytes(join(world.source, 'large'), 70 * MIB + 1);
  await world.backup();
  await world.sim.clock.sleepMs(60_000, go);
  const report = await groomMedia(world, [ONE], { spoolBytes: 66 * MIB });
  expect(report).toMatchObject({ lost: [], media: [{ state: 'scratch', contents: 2 }] });
  expect(partsOf(world)).toBe(1);
  checkArchives(world.catalog, world.sim.directory);
  rmSync(join(world.sim.directory, `${ONE}.tap`));
  const target = await restoreByScript(world, 'BKP002L8');
  expect(differences(world.source, join(target, world.source))).toBe('');
});

test('with two drives, holes in it; what one copy gives back wrong is taken from another', async () => {
  const world = await BackupWorld.make({ cartridges: 4, capacityBytes: 300 * MIB });
  makeSparse(join(world.source, 'large'));
  await world.backup({ copies: 2 });
  // In the second segment of the one, in the first of the other.
  flipBlock(world, ONE, 100);
  flipBlock(world, 'BKP002L8', 30);
  const options = { spoolBytes: 130 * MIB, copies: 2 };
  const report = await groomMedia(world, [ONE], options);
  expect(report).toMatchObject({ lost: [], media: [{ state: 'scratch', contents: 1 }] });
  expect(partsOf(world)).toBe(3);
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
});

function partsOf({ catalog }: BackupWorld): number | undefined {
  const parts = 'SELECT count(*) FROM extents WHERE content_offset > 0';
  return catalog.prepare<[number]>(parts).get()?.[0];
}
