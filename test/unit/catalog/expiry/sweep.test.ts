/** What expired goes, what is held stays as it was: random histories, cut anywhere, with backups beside. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SimClock } from '../../../../src/base/clock.ts';
import { type Random, seededRandom } from '../../../../src/base/random.ts';
import { type Raw, rawOf } from '../../../../src/base/raw.ts';
import { Catalog } from '../../../../src/catalog/catalog.ts';
import { Contents } from '../../../../src/catalog/content/contents.ts';
import { freedBy } from '../../../../src/catalog/expiry/freed.ts';
import { Retention } from '../../../../src/catalog/expiry/retention.ts';
import { needsSweep, type Swept, sweep } from '../../../../src/catalog/expiry/sweep.ts';
import { Jobs } from '../../../../src/catalog/job/jobs.ts';
import { Run } from '../../../../src/catalog/run/run.ts';
import { diff } from '../../../../src/catalog/tree/diff.ts';
import { Nodes } from '../../../../src/catalog/tree/nodes.ts';
import { Snapshots } from '../../../../src/catalog/tree/snapshots.ts';
import { snapshotTotals } from '../../../../src/catalog/tree/totals.ts';
import { Tree } from '../../../../src/catalog/tree/tree.ts';
import { seedCount } from '../../../sim/seeds.ts';
import { backUp, ModelTree, type Shown } from '../model.ts';
import { attributes, content, JOB, storeAll, type World, world } from '../scratch.ts';
import { Crash, crashAt, expected, shownBy } from '../shown.ts';

const count = (catalog: Catalog, sql: string) => catalog.prepare<[number]>(sql).get()?.[0] ?? 0;
const NOW = { jobNumber: 0, clockIsRight: true };

function newJob(catalog: Catalog, verb = 'backup'): number {
  const number = (new Jobs(catalog).list(1)[0]?.number ?? 0) + 1;
  return new Jobs(catalog).add({ ...JOB, verb, uuid: `job-${number}` });
}

function sweepAll(catalog: Catalog, jobNumber: number): Swept {
  const steps = sweep(catalog, jobNumber);
  let next = steps.next();
  while (!next.done) next = steps.next();
  return next.value;
}

/** Only what is held is left, and all that it needs. */
function checkSwept(catalog: Catalog): void {
  const none = (sql: string) => expect(count(catalog, `SELECT count(*) FROM ${sql}`), sql).toBe(0);
  const shown = `EXISTS(SELECT 1 FROM snapshots s WHERE s.expired_by IS NULL AND s.id >= v.since
    AND (v.until IS NULL OR s.id < v.until))`;
  none(`versions v WHERE NOT ${shown}`);
  none(`inodes i WHERE NOT EXISTS(SELECT 1 FROM versions WHERE inode = i.id)
    AND NOT EXISTS(SELECT 1 FROM pending WHERE inode = i.id)
    AND NOT EXISTS(SELECT 1 FROM run_partials WHERE inode = i.id)`);
  none(`versions v WHERE NOT EXISTS(SELECT 1 FROM inodes WHERE id = v.inode)`);
  none(
    `inodes i WHERE content IS NOT NULL AND NOT EXISTS(SELECT 1 FROM contents WHERE id = i.content)`,
  );
  none(`contents c WHERE id > 1 AND NOT EXISTS(SELECT 1 FROM inodes WHERE content = c.id)
    AND NOT EXISTS(SELECT 1 FROM run_partials WHERE content = c.id)`);
  none('extents e WHERE NOT EXISTS(SELECT 1 FROM contents WHERE id = e.content)');
  none('content_keys k WHERE NOT EXISTS(SELECT 1 FROM contents WHERE id = k.content)');
  expect(catalog.prepare('PRAGMA integrity_check').all()).toEqual([['ok']]);
}

type Story = { seed: number; runs: number };

/** Expiries and sweeps between the runs, and crashes in all of them. */
function play({ seed, runs }: Story): void {
  const random: Random = seededRandom(seed);
  const { path, catalog: first, hostId, media } = world(new SimClock());
  const model = new ModelTree(random);
  const kept = new Map<number, Map<Raw, Shown>>();
  let catalog = first;
  const check = () => {
    expect([...new Snapshots(catalog).list()].map(({ id }) => id)).toEqual([...kept.keys()]);
    for (const [id, shown] of kept) expect(shownBy(catalog, hostId, id)).toEqual(shown);
  };
  const survive = (work: () => void) => {
    const revive = random.below(2) ? crashAt(catalog, 1 + random.below(60)) : () => {};
    try {
      work();
      revive();
      return true;
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
      revive();
      catalog.close();
      catalog = Catalog.open(path, { mode: 'write', clock: new SimClock() });
      // Its process is no more.
      catalog.prepare("UPDATE jobs SET pid = 0 WHERE state = 'running' AND verb = 'backup'").run();
      return false;
    }
  };
  const expireSome = () => {
    const job = newJob(catalog, 'expire');
    const ids = [...kept.keys()].filter(() => random.below(2) > 0);
    const expired = new Retention(catalog).expire(ids, { ...NOW, jobNumber: job });
    const newest = [...kept.keys()].at(-1);
    expect(expired).toEqual(ids.filter((id) => id !== newest));
    for (const id of expired) kept.delete(id);
    check();
    while (!survive(() => sweepAll(catalog, job))) check();
    new Jobs(catalog).setState(job, 'finished');
    check();
  };
  for (let number = 1; number <= runs; number += 1) {
    model.change(3 + random.below(25));
    const job = newJob(catalog);
    const ended = () =>
      survive(() => {
        const run = new Run(catalog, job);
        if (new Snapshots(catalog).ofJob(job)) return;
        new Jobs(catalog).resume(job, process.pid);
        run.resume();
        backUp({ catalog, run, model, hostId, media, random });
        run.finish({ state: 'finished', timeMs: 1000 });
      });
    const note = () => {
      const id = new Snapshots(catalog).ofJob(job)?.id;
      if (id !== undefined) kept.set(id, expected(model));
    };
    // Cut behind its last transaction it has ended all the same.
    while (!ended()) {
      note();
      if (random.below(3) === 0) expireSome();
    }
    note();
    if (random.below(2)) expireSome();
  }
  const job = newJob(catalog, 'expire');
  expect(sweepAll(catalog, job).disturbedBy).toBeUndefined();
  new Jobs(catalog).setState(job, 'finished');
  check();
  checkSwept(catalog);
  checkLooks(catalog, hostId, kept);
  catalog.close();
}

/** Whoever looks: totals, differences, versions, the mount's views. */
function checkLooks(catalog: Catalog, hostId: number, kept: Map<number, Map<Raw, Shown>>): void {
  const totals = snapshotTotals(catalog);
  const shownFiles = (id: number) =>
    new Map([...(kept.get(id) ?? [])].filter(([, { type }]) => type !== 'directory'));
  let before = 0;
  const tree = new Tree(catalog);
  const nodes = new Nodes(catalog);
  const live = [...kept.keys()].at(-1) ?? 0;
  for (const id of kept.keys()) {
    const [old, now] = [shownFiles(before), shownFiles(id)];
    const found = [...diff(catalog, before, id)];
    const told = totals.get(id);
    expect(told?.files).toBe(now.size);
    expect(told?.added).toBe([...now.keys()].filter((path) => !old.has(path)).length);
    expect(told?.deleted).toBe([...old.keys()].filter((path) => !now.has(path)).length);
    expect(
      new Set(found.filter(({ change }) => change === 'deleted').map(({ path }) => path)),
    ).toEqual(
      new Set(
        [...(kept.get(before) ?? new Map()).keys()].filter((path) => !kept.get(id)?.has(path)),
      ),
    );
    before = id;
  }
  for (const path of new Set([...kept.values()].flatMap((shown) => [...shown.keys()]))) {
    const versions = tree.versions(hostId, path);
    for (const [id, shown] of kept) {
      const own = versions.filter(({ since, until = Infinity }) => since <= id && id < until);
      expect(own.length, path).toBe(shown.has(path) ? 1 : 0);
    }
    for (const { since, until = live } of versions)
      expect([kept.has(since), kept.has(until)]).toEqual([true, true]);
    const place = tree.directories.place(hostId, path);
    if (!place) throw new Error(`${path} has no place`);
    const view = { kind: 'all', snapshotId: live } as const;
    expect(nodes.versions(view, place.directoryId, place.name)).toHaveLength(versions.length);
  }
}

test('held snapshots show what they showed, whatever expires and is swept, with crashes at any transaction', () => {
  fc.assert(
    fc.property(fc.nat(), (seed) => play({ seed, runs: 6 })),
    { numRuns: seedCount({ usual: 3, soak: 200 }) },
  );
});

/** One file a snapshot, each with bytes of its own; the names are `/1`, `/2`, ... */
function filled(at: World, snapshots: number): void {
  for (let number = 1; number <= snapshots; number += 1) {
    const run = at.begin();
    run.add([
      {
        ...run.place(rawOf('/same'), at.hostId),
        change: number === 1 ? 'new' : 'changed',
        attributes: attributes({
          sizeBytes: 1000 + number,
          mtime: { seconds: number, nanoseconds: 0 },
        }),
        sourceInode: { device: 1, inode: number, links: 1 },
      },
    ]);
    storeAll(run, at.media.slice(0, 1), () => content(`bytes ${number}`, 1000 + number));
    run.finish({ state: 'finished', timeMs: number * 1000 });
  }
}

test('what becomes free is told before, by medium, and is what goes', () => {
  const at = world(new SimClock());
  filled(at, 4);
  expect(freedBy(at.catalog, [])).toEqual({ contents: 0, bytes: 0, media: [] });
  const freed = freedBy(at.catalog, [1, 3]);
  expect(freed).toEqual({
    contents: 2,
    bytes: 2004,
    media: [{ barcode: 'AAA001L9', bytes: 2004 }],
  });
  const job = newJob(at.catalog, 'expire');
  expect(new Retention(at.catalog).expire([1, 3], { ...NOW, jobNumber: job })).toEqual([1, 3]);
  expect(needsSweep(at.catalog)).toBe(true);
  expect(sweepAll(at.catalog, job)).toMatchObject({ versions: 2, inodes: 2, contents: 2 });
  expect(needsSweep(at.catalog)).toBe(false);
  checkSwept(at.catalog);
});

test('a content that a held version of another path has is not freed', () => {
  const at = world(new SimClock());
  filled(at, 1);
  const run = at.begin();
  const contents = new Contents(at.catalog);
  const { hash } = content('bytes 1', 1001);
  run.add([
    {
      ...run.place(rawOf('/copy'), at.hostId),
      change: 'duplicate',
      contentId: contents.find(1001, hash),
      attributes: attributes({ sizeBytes: 1001 }),
      sourceInode: { device: 1, inode: 99, links: 1 },
    },
  ]);
  const { directoryId, name } = run.place(rawOf('/same'), at.hostId);
  run.gone(directoryId, name);
  run.finish({ state: 'finished', timeMs: 9000 });
  expect(freedBy(at.catalog, [1])).toMatchObject({ contents: 0 });
  const job = newJob(at.catalog, 'expire');
  new Retention(at.catalog).expire([1], { ...NOW, jobNumber: job });
  expect(sweepAll(at.catalog, job)).toMatchObject({ versions: 1, inodes: 1, contents: 0 });
  expect(contents.find(1001, hash)).toBeDefined();
});

test('while another job writes only versions go; the next sweep takes the rest', () => {
  const at = world(new SimClock());
  filled(at, 3);
  const expire = newJob(at.catalog, 'expire');
  new Retention(at.catalog).expire([1], { ...NOW, jobNumber: expire });
  const run = at.begin();
  expect(sweepAll(at.catalog, expire)).toMatchObject({
    versions: 1,
    inodes: 0,
    contents: 0,
    disturbedBy: run.jobNumber,
  });
  // What the run finds stored, and names only later, is there still.
  const { hash } = content('bytes 1', 1001);
  const found = run.candidates.findContent(1001, hash, { copies: 1 });
  expect(found?.goodCopies).toBe(1);
  run.add([
    {
      ...run.place(rawOf('/again'), at.hostId),
      change: 'duplicate',
      contentId: found?.contentId,
      attributes: attributes({ sizeBytes: 1001 }),
      sourceInode: { device: 1, inode: 77, links: 1 },
    },
  ]);
  run.finish({ state: 'finished', timeMs: 9000 });
  expect(needsSweep(at.catalog)).toBe(true);
  expect(sweepAll(at.catalog, expire)).toMatchObject({ inodes: 1, contents: 0 });
  expect(new Contents(at.catalog).goodCopies(found?.contentId ?? 0)).toBe(1);
});

test('a job that goes on after a crash, and ends between any two steps, finds nothing that goes a moment later', () => {
  let stopped = 0;
  for (let at = 0, steps = 1; at < steps; at += 1) {
    const here = world(new SimClock());
    filled(here, 2);
    const { catalog } = here;
    const resumed = newJob(catalog);
    catalog.write(() => catalog.prepare('UPDATE jobs SET pid = 0 WHERE number = ?').run(resumed));
    const expire = newJob(catalog, 'expire');
    new Retention(catalog).expire([1], { ...NOW, jobNumber: expire });
    const running = sweep(catalog, expire);
    let next = running.next();
    for (steps = 0; !next.done; steps += 1) {
      if (steps === at) nameAgain(here, resumed);
      next = running.next();
    }
    if (next.value.disturbedBy !== undefined) stopped += 1;
    const dangling = `inodes i WHERE content IS NOT NULL AND NOT EXISTS(
      SELECT 1 FROM contents WHERE id = i.content)`;
    expect(count(catalog, `SELECT count(*) FROM ${dangling}`), `step ${at}`).toBe(0);
    catalog.close();
  }
  expect(stopped).toBeGreaterThan(0);
});

/** Names what snapshot 1 alone has shown, where it is found, and ends. */
function nameAgain({ catalog, hostId }: World, job: number): void {
  new Jobs(catalog).resume(job, process.pid);
  const run = new Run(catalog, job);
  const found = run.candidates.findContent(1001, content('bytes 1', 1001).hash, { copies: 1 });
  if (found)
    run.add([
      {
        ...run.place(rawOf('/again'), hostId),
        change: 'duplicate',
        contentId: found.contentId,
        attributes: attributes({ sizeBytes: 1001 }),
        sourceInode: { device: 1, inode: 77, links: 1 },
      },
    ]);
  run.finish({ state: 'finished', timeMs: 9000 });
}
