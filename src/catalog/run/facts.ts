/** What a backup found of each source, as numbers, kept to be compared with; and what of it the run's own rows tell. */
import type { Raw } from '../../base/raw.ts';
import type { SourceFacts } from '../../domain/anomaly.ts';
import { isOrdinarySuffix } from '../../domain/plausible.ts';
import type { Catalog } from '../catalog.ts';
import { CHANGES } from '../pending/change.ts';
import { PLACE_OF_HOSTS } from '../tree/directories.ts';
import { isFileSql } from '../tree/mode.ts';

/** Runs that are looked back upon. */
const RUNS_MAX = 30;
/** Files gone whose successors are looked for; beyond them one of 16. */
const LOOKED_FOR_MAX = 20_000;
const SPARSELY = 16;
/** Directories whose source is remembered. */
const KNOWN_MAX = 100_000;

export type RowFacts = Pick<
  SourceFacts,
  | 'created'
  | 'createdBytes'
  | 'changed'
  | 'gone'
  | 'goneBytes'
  | 'renamed'
  | 'suffix'
  | 'tops'
  | 'topsTouched'
>;

/** Facts by name of source. */
export type RunFactsOf = Readonly<Record<string, SourceFacts>>;

export class RunFacts {
  readonly #catalog: Catalog;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  /** Replaces what was said of the job before. */
  set(jobNumber: number, facts: RunFactsOf): void {
    this.#catalog.write(() =>
      this.#catalog
        .prepare('INSERT OR REPLACE INTO run_facts VALUES(?, ?)')
        .run(jobNumber, JSON.stringify(facts)),
    );
  }

  /** Of runs before, newest first, back to that of the last alarm, which is told as if nothing had happened in it. */
  before(jobNumber: number): RunFactsOf[] {
    return this.#catalog
      .prepare<[string, number]>(
        `SELECT facts, EXISTS(SELECT 1 FROM alarms a WHERE a.job = run_facts.job) FROM run_facts WHERE job < @job AND job >= (
           SELECT coalesce(max(a.job), 0) FROM alarms a WHERE a.job < @job)
         ORDER BY job DESC LIMIT ${RUNS_MAX}`,
      )
      .all({ job: jobNumber })
      .map(([facts, isAlarm]) => {
        const told: RunFactsOf = JSON.parse(facts);
        return isAlarm === 0 ? told : quiet(told);
      });
  }
}

/** What a person has looked at is no measure of what is usual, nor the beginning of anything. */
function quiet(told: RunFactsOf): RunFactsOf {
  const none = { changed: 0, renamed: 0, gone: 0, goneBytes: 0, sampled: 0, odd: 0 };
  return Object.fromEntries(
    Object.entries(told).map(([source, facts]) => [source, { ...facts, ...none }]),
  );
}

type Tally = { -readonly [Key in keyof RowFacts]: RowFacts[Key] } & {
  readonly suffixes: Map<string, number>;
  readonly touched: Set<Raw>;
};

/** A source's directory in the catalog. */
export type SourceRoot = { readonly name: string; readonly directoryId: number };

/**
 * By name of source, from the rows of a run that is not finished yet. Looks at what is gone, changed or new, and at nothing else.
 * @param snapshotId the run's base
 */
export function rowFacts(
  catalog: Catalog,
  { jobNumber, snapshotId }: { readonly jobNumber: number; readonly snapshotId: number },
  roots: readonly SourceRoot[],
): ReadonlyMap<string, RowFacts> {
  const places = new Places(catalog, roots);
  const tallies = new Map(roots.map(({ name }) => [name, emptyTally()]));
  const of = (dir: number) => {
    const place = places.of(dir);
    const tally = place && tallies.get(place.source);
    return place && tally && { ...place, tally };
  };
  const kinds = catalog
    .prepare<[dir: number, change: number, files: number, bytes: number]>(
      `SELECT p.dir, p.change, count(*), total(i.size) FROM pending p CROSS JOIN inodes i ON i.id = p.inode
       WHERE p.job = ? AND p.change <> ${CHANGES.attributes} AND ${isFileSql('i')} GROUP BY p.dir, p.change`,
    )
    .all(jobNumber);
  for (const [dir, change, files, bytes] of kinds) {
    const found = of(dir);
    if (!found) continue;
    if (change === CHANGES.changed) found.tally.changed += files;
    else if (change !== CHANGES.again) {
      found.tally.created += files;
      found.tally.createdBytes += bytes;
    }
  }
  const successors = new Successors(catalog, jobNumber);
  for (const [dir, name, size] of goneFiles(catalog, jobNumber, snapshotId)) {
    const found = of(dir);
    if (!found) continue;
    const { tally, top } = found;
    tally.gone += 1;
    tally.goneBytes += size;
    if (top !== undefined) tally.touched.add(top);
    const suffix = successors.suffixOf(dir, name);
    if (suffix)
      tally.suffixes.set(suffix.text, (tally.suffixes.get(suffix.text) ?? 0) + suffix.weight);
  }
  for (const { name, directoryId } of roots) {
    const tally = tallies.get(name);
    if (tally) settle(tally, topsOf(catalog, directoryId, snapshotId));
  }
  return tallies;
}

/** Pages of a run's files that are gone, with their sizes as of its base. */
function* goneFiles(
  catalog: Catalog,
  job: number,
  snapshotId: number,
): Generator<[dir: number, name: Raw, size: number]> {
  const page = catalog.prepare<[number, Raw, number]>(
    `SELECT p.dir, p.name, i.size FROM pending p
       CROSS JOIN versions v ON v.dir = p.dir AND v.name = p.name AND v.since <= @base
         AND (v.until IS NULL OR v.until > @base)
       CROSS JOIN inodes i ON i.id = v.inode
     WHERE p.job = @job AND (p.dir, p.name) > (@dir, @name) AND p.change = ${CHANGES.gone}
       AND ${isFileSql('i')} ORDER BY p.dir, p.name LIMIT 1000`,
  );
  for (let [dir, name]: [number, Raw] = [-1, '' as Raw]; ; ) {
    const rows = page.all({ job, base: snapshotId, dir, name });
    yield* rows;
    const last = rows.at(-1);
    if (!last || rows.length < 1000) return;
    [dir, name] = last;
  }
}

/** Finds what came in a file's place under a suffix that no ordinary program gives. */
class Successors {
  readonly #job: number;
  readonly #next;
  #asked = 0;

  constructor(catalog: Catalog, job: number) {
    this.#job = job;
    // What begins with the name and a dot: '/' is the character behind '.'.
    this.#next = catalog.prepare<[Raw]>(
      `SELECT name FROM pending WHERE job = ? AND dir = ? AND name > ? AND name < ? AND change <> ${CHANGES.gone} LIMIT 1`,
    );
  }

  suffixOf(dir: number, name: Raw): { readonly text: string; readonly weight: number } | undefined {
    this.#asked += 1;
    const isSparse = this.#asked > LOOKED_FOR_MAX;
    if (isSparse && this.#asked % SPARSELY !== 0) return undefined;
    const dot = name.lastIndexOf('.');
    for (const stem of dot > 0 ? [name, name.slice(0, dot)] : [name]) {
      const found = this.#next.get(this.#job, dir, `${stem}.`, `${stem}/`)?.[0];
      const text = found?.slice(stem.length + 1);
      if (text !== undefined && !text.includes('.') && !isOrdinarySuffix(text))
        return { text, weight: isSparse ? SPARSELY : 1 };
    }
    return undefined;
  }
}

/** Which source a directory belongs to, and which directory directly below it. */
class Places {
  readonly #parent;
  readonly #roots: ReadonlyMap<number, string>;
  readonly #known = new Map<number, Place | undefined>();

  constructor(catalog: Catalog, roots: readonly SourceRoot[]) {
    this.#roots = new Map(roots.map(({ name, directoryId }) => [directoryId, name]));
    this.#parent = catalog.prepare<[number, Raw]>(
      'SELECT parent, name FROM directories WHERE id = ?',
    );
  }

  of(dir: number): Place | undefined {
    const source = this.#roots.get(dir);
    if (source !== undefined) return { source, top: undefined };
    if (dir === PLACE_OF_HOSTS) return undefined;
    if (this.#known.has(dir)) return this.#known.get(dir);
    const place = this.#climb(dir);
    if (this.#known.size >= KNOWN_MAX) this.#known.clear();
    this.#known.set(dir, place);
    return place;
  }

  #climb(dir: number): Place | undefined {
    for (let id = dir; ; ) {
      const [parent, name] = this.#parent.get(id) ?? [PLACE_OF_HOSTS, '' as Raw];
      const source = this.#roots.get(parent);
      if (source !== undefined) return { source, top: name };
      if (parent === PLACE_OF_HOSTS) return undefined;
      if (this.#known.has(parent)) return this.#known.get(parent);
      id = parent;
    }
  }
}

type Place = { readonly source: string; readonly top: Raw | undefined };

function topsOf(catalog: Catalog, directoryId: number, snapshotId: number): number {
  const row = catalog
    .prepare<[number]>(
      `SELECT count(*) FROM versions v CROSS JOIN inodes i ON i.id = v.inode
       WHERE v.dir = @dir AND v.since <= @base AND (v.until IS NULL OR v.until > @base)
         AND i.mode & 61440 = 16384`,
    )
    .get({ dir: directoryId, base: snapshotId });
  return row?.[0] ?? 0;
}

/** All files of one run that were renamed get the same suffix. */
function settle(tally: Tally, tops: number): void {
  const [most] = [...tally.suffixes].sort(([, a], [, b]) => b - a);
  tally.suffix = most?.[0];
  tally.renamed = most?.[1] ?? 0;
  tally.tops = tops;
  tally.topsTouched = tally.touched.size;
}

function emptyTally(): Tally {
  const none = { created: 0, createdBytes: 0, changed: 0, gone: 0, goneBytes: 0, renamed: 0 };
  const sets = { suffixes: new Map<string, number>(), touched: new Set<Raw>() };
  return { ...none, suffix: undefined, tops: 0, topsTouched: 0, ...sets };
}
