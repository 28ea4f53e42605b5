/** Random histories with crashes: every snapshot, at every time, shows what the naive model kept of it. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SimClock } from '../../../../src/base/clock.ts';
import { type Random, seededRandom } from '../../../../src/base/random.ts';
import type { Raw } from '../../../../src/base/raw.ts';
import { Catalog } from '../../../../src/catalog/catalog.ts';
import { Jobs } from '../../../../src/catalog/job/jobs.ts';
import { sweepRuns } from '../../../../src/catalog/run/finish.ts';
import { Run } from '../../../../src/catalog/run/run.ts';
import { diff } from '../../../../src/catalog/tree/diff.ts';
import { Snapshots } from '../../../../src/catalog/tree/snapshots.ts';
import { backUp, ModelTree, type Shown } from '../model.ts';
import { JOB, world } from '../scratch.ts';
import { Crash, crashAt, expected, inPathOrder, shownBy } from '../shown.ts';

type Story = { seed: number; runs: number; crashes: boolean };

function play({ seed, runs, crashes }: Story): void {
  const random: Random = seededRandom(seed);
  const { path, catalog: first, hostId, media } = world(new SimClock());
  const model = new ModelTree(random);
  const kept = new Map<number, Map<Raw, Shown>>();
  let catalog = first;
  for (let number = 1; number <= runs; number += 1) {
    model.change(3 + random.below(25));
    const job = new Jobs(catalog).add({ ...JOB, uuid: `job-${number}` });
    for (;;) {
      const isDoomed = crashes && random.below(3) > 0;
      const revive = isDoomed ? crashAt(catalog, 1 + random.below(120)) : () => {};
      try {
        const run = new Run(catalog, job);
        if (!new Snapshots(catalog).ofJob(job)) {
          run.resume();
          backUp({ catalog, run, model, hostId, media, random });
          run.finish({ state: 'finished', timeMs: 1000 });
        }
        revive();
        break;
      } catch (error) {
        if (!(error instanceof Crash)) throw error;
        revive();
        catalog.close();
        catalog = Catalog.open(path, { mode: 'write', clock: new SimClock() });
        checkAll(catalog, hostId, kept);
      }
    }
    const snapshot = new Snapshots(catalog).ofJob(job);
    kept.set(snapshot?.id ?? 0, expected(model));
    expect(new Jobs(catalog).get(job)?.state).toBe('finished');
    checkAll(catalog, hostId, kept);
  }
  checkDiffs(catalog, kept);
  sweepRuns(catalog);
  checkClean(catalog);
  catalog.close();
}

/** Also in the middle of a run, with another one's rows half applied. */
function checkAll(catalog: Catalog, hostId: number, kept: Map<number, Map<Raw, Shown>>): void {
  const live = new Snapshots(catalog).live()?.id ?? 0;
  for (const [id, shown] of kept) {
    const found = shownBy(catalog, hostId, id);
    expect(found).toEqual(shown);
    expect([...found.keys()]).toEqual(inPathOrder([...found.keys()]));
  }
  expect(live).toBeGreaterThanOrEqual(Math.max(0, ...kept.keys()));
}

/** Every pair of snapshots, both ways. */
function checkDiffs(catalog: Catalog, kept: Map<number, Map<Raw, Shown>>): void {
  for (const [from, before] of kept)
    for (const [to, after] of kept) {
      const found = new Map([...diff(catalog, from, to)].map(({ path, change }) => [path, change]));
      expect([...found.keys()]).toEqual(inPathOrder([...found.keys()]));
      for (const path of new Set([...before.keys(), ...after.keys()])) {
        const [old, now] = [before.get(path), after.get(path)];
        const isModified = old?.text !== now?.text || old?.type !== now?.type;
        if (!old) expect(found.get(path)).toBe('added');
        else if (!now) expect(found.get(path)).toBe('deleted');
        else if (isModified) expect(found.get(path)).toBe('modified');
        else if (old.mode !== now.mode) expect(found.get(path)).toBe('attributes');
        else expect(found.get(path) ?? 'attributes').toBe('attributes');
        found.delete(path);
      }
      expect(found.size).toBe(0);
    }
}

function checkClean(catalog: Catalog): void {
  const count = (sql: string) => catalog.prepare<[number]>(sql).get()?.[0];
  expect(count('SELECT count(*) FROM run_hashes')).toBe(0);
  expect(count('SELECT count(*) FROM run_links')).toBe(0);
  expect(count('SELECT count(*) FROM pending WHERE archive IS NOT NULL')).toBe(0);
  expect(
    count(
      'SELECT count(*) FROM versions v WHERE NOT EXISTS(SELECT 1 FROM inodes WHERE id = v.inode)',
    ),
  ).toBe(0);
  expect(catalog.prepare('PRAGMA integrity_check').all()).toEqual([['ok']]);
  expect(catalog.prepare('PRAGMA foreign_key_check').all()).toEqual([]);
}

test('snapshots are as the model keeps them', () => {
  fc.assert(
    fc.property(fc.nat(), (seed) => play({ seed, runs: 5, crashes: false })),
    { numRuns: 12 },
  );
});

test('snapshots are as the model keeps them, with crashes at any transaction', () => {
  fc.assert(
    fc.property(fc.nat(), (seed) => play({ seed, runs: 4, crashes: true })),
    { numRuns: 15 },
  );
});
