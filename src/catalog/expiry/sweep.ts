/**
 * The sweep: takes out of the catalog what no snapshot shows any more. Media are not touched.
 *
 * Passes, each in steps of about 50 ms: versions that are not held, inodes that nothing names, contents that nothing has,
 * with keys and extents, and what is kept for archives that are gone (sweep-rest.ts). After each step the catalog is right, so it may be cut anywhere; the next sweep finds what is left. What
 * is in use is remembered as a bit an id, for a range of ids at a time: memory does not grow with the catalog.
 *
 * Versions may go while a backup runs: none that it needs is without a snapshot. Inodes and contents go only while no other
 * job writes, because a run finds a content first and names it a moment later.
 */
import type { Raw } from '../../base/raw.ts';
import type { Catalog } from '../catalog.ts';
import { ContentKeys } from '../content/keys.ts';
import { OtherJobs } from '../job/other-jobs.ts';
import { EMPTY_CONTENT } from '../schema.ts';
import { heldSql } from '../tree/held.ts';
import { sweepBygones, sweepExtents } from './sweep-rest.ts';

export type Swept = {
  versions: number;
  inodes: number;
  contents: number;
  /** The job that writes, or has written meanwhile: the rest is for another sweep. Undefined: nothing is left. */
  disturbedBy: number | undefined;
};

/** Steps grow and shrink so that each takes about this long. */
const STEP_MS = 40;
const ROWS_MIN = 64;
const ROWS_MAX = 65_536;
/** Rows read between two turns of the caller. */
const READ_ROWS = 16_384;
/** Ids whose use is known at a time: 8 MiB of bits. */
const WINDOW_IDS = 2 ** 26;
/** Ids that go together, as far as they follow each other: few enough for one step. */
const RUN_IDS = 1024;
/** Between two looks at the clock, and pieces of one step at most. */
const STEP_ITEMS = 16_384;
/** As many keys as are written together (content/keys.ts). */
const UNUSED_MAX = 262_144;

/**
 * @param jobNumber of the job that sweeps
 * @returns when all is done or somebody else writes; yields after each step with what is gone so far
 */
export function* sweep(catalog: Catalog, jobNumber: number): Generator<Swept, Swept> {
  const swept: Swept = { versions: 0, inodes: 0, contents: 0, disturbedBy: undefined };
  const expired = countExpired(catalog);
  if (needsSweep(catalog)) yield* sweepVersions(catalog, swept);
  const others = new OtherJobs(catalog, jobNumber);
  // Keys of a process that ended badly are in no row yet, and would be written when their contents are gone.
  if (others.writing() === undefined) catalog.part(ContentKeys).flush();
  const tools = { catalog, others, swept };
  for (const pass of [sweepInodes, sweepContents, sweepRest]) {
    yield* pass(tools);
    if (swept.disturbedBy !== undefined) return swept;
  }
  catalog.write(() =>
    catalog.prepare("UPDATE counters SET next = ? WHERE name = 'swept'").run(expired),
  );
  return swept;
}

/** Whether a snapshot has expired since the last sweep that came to its end. */
export function needsSweep(catalog: Catalog): boolean {
  const row = catalog.prepare<[number]>("SELECT next FROM counters WHERE name = 'swept'").get();
  return countExpired(catalog) !== (row?.[0] ?? 0);
}

function countExpired(catalog: Catalog): number {
  const row = catalog
    .prepare<[number]>('SELECT count(*) FROM snapshots WHERE expired_by IS NOT NULL')
    .get();
  return row?.[0] ?? 0;
}

type Tools = { readonly catalog: Catalog; readonly others: OtherJobs; readonly swept: Swept };

type Place = readonly [dir: number, name: Raw];
const BEFORE_ALL: Place = [-1, '' as Raw];

function* sweepVersions(catalog: Catalog, swept: Swept): Generator<Swept, void> {
  const range = '(v.dir, v.name) > (?, ?) AND (v.dir, v.name) <= (?, ?)';
  const dead = `${range} AND v.until IS NOT NULL AND NOT ${heldSql('v')}`;
  const any = catalog.prepare(`SELECT 1 FROM versions v WHERE ${dead} LIMIT 1`);
  const remove = catalog.prepare(`DELETE FROM versions AS v WHERE ${dead}`);
  const pageEnd = placesOf(catalog, 'versions', '1');
  let rows = 4096;
  for (let at = BEFORE_ALL; ; ) {
    const startMs = catalog.clock.monotonicMs();
    const end = pageEnd(at, rows);
    if (!end) return;
    if (any.get(...at, ...end)) {
      swept.versions += catalog.write(() => remove.run(...at, ...end).changes);
    }
    at = end;
    const tookMs = Math.max(catalog.clock.monotonicMs() - startMs, 1);
    const factor = Math.min(2, Math.max(0.5, STEP_MS / tookMs));
    rows = Math.floor(Math.min(ROWS_MAX, Math.max(ROWS_MIN, rows * factor)));
    yield swept;
  }
}

function* sweepInodes(tools: Tools): Generator<Swept, void> {
  const { catalog, swept } = tools;
  const removeRange = catalog.prepare('DELETE FROM inodes WHERE id BETWEEN ? AND ?');
  yield* sweepTable(tools, {
    table: 'inodes',
    *used() {
      yield* inodesOf(catalog, { table: 'versions', where: '1' });
      const jobs = catalog.prepare<[number]>('SELECT DISTINCT job FROM pending').all().flat();
      for (const job of jobs)
        yield* inodesOf(catalog, { table: 'pending', where: `job = ${job} AND inode IS NOT NULL` });
      yield catalog.prepare<[number]>('SELECT inode FROM run_partials').all();
    },
    remove: (first, last) => {
      swept.inodes += removeRange.run(first, last).changes;
    },
  });
}

function* sweepContents(tools: Tools): Generator<Swept, void> {
  const { catalog, swept } = tools;
  // Before their contents: what an archive has of them is counted by content (SCHEMA.md section 9).
  const removeExtents = catalog.prepare('DELETE FROM extents WHERE content BETWEEN ? AND ?');
  const removeRange = catalog.prepare('DELETE FROM contents WHERE id BETWEEN ? AND ?');
  yield* sweepTable(tools, {
    table: 'contents',
    *used() {
      yield [[EMPTY_CONTENT]];
      const page = catalog.prepare<[number, number | null]>(
        `SELECT id, content FROM inodes WHERE id > ? ORDER BY id LIMIT ${READ_ROWS}`,
      );
      for (let after = 0; ; ) {
        const rows = page.all(after);
        yield rows.map(([, content]) => [content ?? EMPTY_CONTENT]);
        after = rows.at(-1)?.[0] ?? after;
        if (rows.length < READ_ROWS) break;
      }
      yield catalog.prepare<[number]>('SELECT content FROM run_partials').all();
    },
    before: (ids) => removeKeys(catalog, ids),
    remove: (first, last) => {
      removeExtents.run(first, last);
      swept.contents += removeRange.run(first, last).changes;
    },
  });
}

function* sweepRest(tools: Tools): Generator<Swept, void> {
  const { catalog, swept } = tools;
  for (const _ of sweepExtents(catalog, stillQuiet(tools))) yield swept;
  if (swept.disturbedBy !== undefined) return;
  for (const _ of sweepBygones(catalog)) yield swept;
}

/**
 * Keys come in no order of contents: many at a time, in their own order, so that a page is written once for all that stand on
 * it. A content without its key is not found again, and that is all.
 */
function removeKeys(catalog: Catalog, ids: readonly number[]): (() => void)[] {
  const find = catalog.prepare<[number, Buffer | null]>(
    'SELECT size, hash FROM contents WHERE id = ?',
  );
  const remove = catalog.prepare(
    'DELETE FROM content_keys WHERE size = ? AND key = ? AND content = ?',
  );
  return ids
    .flatMap((id) => {
      const [size = 0, hash] = find.get(id) ?? [];
      return hash ? [{ size, key: hash.readUIntBE(0, 6), id }] : [];
    })
    .sort((a, b) => a.size - b.size || a.key - b.key)
    .map(
      ({ size, key, id }) =>
        () =>
          remove.run(size, key, id),
    );
}

type Pass = {
  readonly table: 'inodes' | 'contents';
  /** Ids in use, perhaps more than once, in portions. */
  used(): Generator<readonly (readonly [id: number])[]>;
  /** What is to be done before these rows go. */
  before?(ids: readonly number[]): (() => void)[];
  /** All rows from the first id to the last, within a transaction. */
  remove(first: number, last: number): void;
};

/** @returns whether no other job writes, or has written since now; says who does */
function stillQuiet({ others, swept }: Pick<Tools, 'others' | 'swept'>): () => boolean {
  const stamp = others.stamp();
  return () => {
    const job = others.writing();
    swept.disturbedBy = job ?? (others.stamp() === stamp ? undefined : others.newest());
    return swept.disturbedBy === undefined;
  };
}

/** Rows whose ids are not in use go, as long as what is in use cannot have changed. */
function* sweepTable({ catalog, others, swept }: Tools, pass: Pass): Generator<Swept, void> {
  const [lastId = 0] =
    catalog.prepare<[number]>(`SELECT coalesce(max(id), 0) FROM ${pass.table}`).get() ?? [];
  for (let first = 1; first <= lastId; first += WINDOW_IDS) {
    const isStill = stillQuiet({ others, swept });
    if (!isStill()) return;
    const used = new IdSet(first, Math.min(first + WINDOW_IDS - 1, lastId));
    for (const ids of pass.used()) {
      for (const [id] of ids) used.add(id);
      yield swept;
    }
    for (const unused of unusedOf(catalog, pass.table, used)) {
      const removals = runsOf(unused).map(
        ([from, to]) =>
          () =>
            pass.remove(from, to),
      );
      for (const work of [pass.before?.(unused) ?? [], removals])
        for (let done = 0; done < work.length && isStill(); yield swept)
          done = catalog.write(() => (isStill() ? step(catalog, work, done) : done));
      if (swept.disturbedBy !== undefined) return;
      yield swept;
    }
  }
}

/** Does as much of it as a step takes. @returns how many are done then */
function step(catalog: Catalog, work: readonly (() => void)[], from: number): number {
  const endMs = catalog.clock.monotonicMs() + STEP_MS;
  let done = from;
  for (; done < work.length && done - from < STEP_ITEMS; done += 1) {
    work[done]?.();
    if (catalog.clock.monotonicMs() > endMs) return done + 1;
  }
  return done;
}

/** Ids of a window, as bits. */
class IdSet {
  readonly first: number;
  readonly last: number;
  readonly #bits: Uint8Array;

  constructor(first: number, last: number) {
    this.first = first;
    this.last = last;
    this.#bits = new Uint8Array(((last - first) >>> 3) + 1);
  }

  /** Ids outside the window are passed over. */
  add(id: number): void {
    if (id < this.first || id > this.last) return;
    const at = id - this.first;
    this.#bits[at >>> 3] = (this.#bits[at >>> 3] ?? 0) | (1 << (at & 7));
  }

  has(id: number): boolean {
    const at = id - this.first;
    return (((this.#bits[at >>> 3] ?? 0) >> (at & 7)) & 1) === 1;
  }
}

/** Ids of the table's rows that are not in the set, within its window, ascending; many at a time. */
function* unusedOf(catalog: Catalog, table: Pass['table'], used: IdSet): Generator<number[]> {
  const page = catalog.prepare<[number]>(
    `SELECT id FROM ${table} WHERE id > ? AND id <= ? ORDER BY id LIMIT ${READ_ROWS}`,
  );
  let unused: number[] = [];
  for (let after = used.first - 1; ; ) {
    const rows = page.all(after, used.last);
    for (const [id] of rows) if (!used.has(id)) unused.push(id);
    after = rows.at(-1)?.[0] ?? after;
    const isEnd = rows.length < READ_ROWS;
    if (isEnd || unused.length >= UNUSED_MAX) {
      yield unused;
      unused = [];
    }
    if (isEnd) return;
  }
}

/** Ids that follow each other without a gap, so many at most. */
function runsOf(ids: readonly number[]): [first: number, last: number][] {
  const runs: [number, number][] = [];
  for (const id of ids) {
    const run = runs.at(-1);
    if (run && id === run[1] + 1 && id - run[0] < RUN_IDS) run[1] = id;
    else runs.push([id, id]);
  }
  return runs;
}

/** The inodes of a table of entries, in portions. */
function* inodesOf(
  catalog: Catalog,
  { table, where }: { readonly table: 'versions' | 'pending'; readonly where: string },
): Generator<[number][]> {
  const pageEnd = placesOf(catalog, table, where);
  const page = catalog.prepare<[number]>(
    `SELECT inode FROM ${table} WHERE ${where} AND (dir, name) > (?, ?) AND (dir, name) <= (?, ?)`,
  );
  for (let at = BEFORE_ALL; ; ) {
    const end = pageEnd(at, READ_ROWS);
    if (!end) return;
    yield page.all(...at, ...end);
    at = end;
  }
}

/** Finds the last place of the next so many rows, in order; undefined where there is none. */
function placesOf(catalog: Catalog, table: 'versions' | 'pending', where: string) {
  const from = `SELECT dir, name FROM ${table} WHERE ${where} AND (dir, name) > (?, ?)`;
  const full = catalog.prepare<[number, Raw]>(`${from} ORDER BY dir, name LIMIT 1 OFFSET ?`);
  const last = catalog.prepare<[number, Raw]>(`${from} ORDER BY dir DESC, name DESC LIMIT 1`);
  return (after: Place, rows: number): Place | undefined =>
    full.get(...after, rows - 1) ?? last.get(...after);
}
