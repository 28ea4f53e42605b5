/**
 * From what runs tell of each path to the spans of snapshots over which an entry stood there.
 *
 * Where the catalog has a snapshot behind one that is told anew (two histories were written after a catalog had been set back), it
 * keeps what it showed: it knew best what it had seen.
 */
import type { Raw } from '../../base/raw.ts';
import type { Catalog } from '../catalog.ts';
import { NULL_NUMBER, Packed } from '../row/packed.ts';
import { type InodeRow, inodeColumns } from '../tree/inodes.ts';

/** A told line of one path: at a snapshot, an entry, or that it is gone. */
type Told = { readonly snapshot: number; readonly kind: number; readonly inode: number | null };
type Span = { since: number; until: number | null; readonly inode: number };

type ToldRow = [
  rowid: number,
  dir: number,
  name: Raw,
  snapshot: number,
  kind: number,
  inode: number | null,
  isEnded: number,
];

const PAGE = 8192;
const GONE = 2;
const PLANNED = 3;
const STRAY = 4;

/** Reads `temp.told` and `temp.rebuilt_runs`. */
export function buildVersions(catalog: Catalog): void {
  catalog
    .prepare(
      `CREATE TEMP TABLE told_in_order AS SELECT t.dir, t.name, r.snapshot, t.kind, t.inode, r.is_ended
       FROM temp.told t CROSS JOIN temp.rebuilt_runs r ON r.run = t.run
       ORDER BY t.dir, t.name, r.snapshot, t.sequence`,
    )
    .run();
  const page = catalog.prepare<ToldRow>(
    `SELECT rowid, dir, name, snapshot, kind, inode, is_ended FROM temp.told_in_order WHERE rowid > ?
     ORDER BY rowid LIMIT ${PAGE}`,
  );
  const builder = new Builder(catalog);
  let after = 0;
  catalog.writeSteps(() => {
    const rows = page.all(after);
    for (const row of rows) builder.add(row);
    after = rows.at(-1)?.[0] ?? after;
    const isMore = rows.length === PAGE;
    if (!isMore) builder.endPath();
    builder.flush();
    return isMore;
  });
  catalog.prepare('DROP TABLE temp.told_in_order').run();
}

class Builder {
  readonly #insert: Packed;
  readonly #known;
  readonly #remove;
  readonly #inode;
  readonly #bygone;
  /** Ids of snapshots that are not told anew, ascending: the catalog's own. */
  readonly #own: readonly number[];
  #dir = -1;
  #name: Raw | undefined;
  #told: Told[] = [];

  constructor(catalog: Catalog) {
    this.#insert = new Packed(catalog, {
      sql: 'INSERT INTO versions SELECT n0, t0, n1, n2, n3',
      numbers: 4,
      texts: 1,
    });
    this.#known = catalog.prepare<[number, number | null, number]>(
      'SELECT since, until, inode FROM versions WHERE dir = ? AND name = ? ORDER BY since',
    );
    this.#remove = catalog.prepare('DELETE FROM versions WHERE dir = ? AND name = ?');
    this.#bygone = catalog.prepare(
      'INSERT OR IGNORE INTO bygones SELECT ?, ?, ?, coalesce(max(number), 0) FROM jobs',
    );
    this.#inode = catalog.prepare<InodeRow>(
      `SELECT ${inodeColumns('i')} FROM inodes i WHERE i.id = ?`,
    );
    this.#own = catalog
      .prepare<[number]>(
        'SELECT id FROM snapshots WHERE id NOT IN (SELECT snapshot FROM temp.rebuilt_runs) ORDER BY id',
      )
      .all()
      .flat();
  }

  /** Rows in order of path, then of snapshot; of one snapshot's the last one counts. */
  add([, dir, name, snapshot, kind, inode, isEnded]: ToldRow): void {
    if (dir !== this.#dir || name !== this.#name) {
      this.endPath();
      this.#dir = dir;
      this.#name = name;
    }
    // A run that has ended told of all it stored: what was planned and is not among it is not there.
    if (kind === PLANNED && isEnded === 1) return;
    const last = this.#told.at(-1);
    if (last?.snapshot === snapshot) {
      if (kind === PLANNED) return;
      this.#told.pop();
    }
    this.#told.push({ snapshot, kind, inode });
  }

  endPath(): void {
    const told = this.#told;
    const name = this.#name;
    this.#told = [];
    if (name === undefined || told.length === 0) return;
    const known = this.#own.length === 0 ? [] : this.#known.all(this.#dir, name);
    if (known.length > 0) this.#remove.run(this.#dir, name);
    for (const { since, until, inode } of this.#spans(known, told))
      this.#insert.add([this.#dir, since, until ?? NULL_NUMBER, inode], name);
  }

  flush(): void {
    this.#insert.flush();
  }

  #spans(
    known: readonly (readonly [since: number, until: number | null, inode: number])[],
    told: readonly Told[],
  ): Span[] {
    const spans: Span[] = [];
    const edges = new Set(
      known.flatMap(([since, until]) => (until === null ? [since] : [since, until])),
    );
    const at = new Map(told.map((one) => [one.snapshot, one]));
    for (const { snapshot, kind } of told) {
      edges.add(snapshot);
      const next = this.#own[this.#ownBehind(snapshot)];
      if (next !== undefined) edges.add(next);
      // By the next snapshot nobody knows any more that it is there.
      if (kind === STRAY) edges.add(snapshot + 1);
    }
    const set = (snapshot: number, inode: number | undefined) => {
      const open = spans.at(-1);
      const now = open?.until === null ? open : undefined;
      if (inode !== undefined && now && this.#isSame(now.inode, inode)) return;
      if (now) now.until = snapshot;
      if (inode !== undefined) spans.push({ since: snapshot, until: null, inode });
    };
    for (const edge of [...edges].sort((a, b) => a - b)) {
      const one = at.get(edge);
      if (!one) {
        const here = known.find(
          ([since, until]) => since <= edge && (until === null || until > edge),
        );
        set(edge, here?.[2]);
      } else if (one.kind === GONE || one.inode === null) {
        // Of what stood there nothing is known any more: that it went is told all the same (SCHEMA.md 9).
        if (spans.at(-1)?.until !== null) this.#bygone.run(edge, this.#dir, this.#name ?? '');
        set(edge, undefined);
      } else if (one.kind !== PLANNED || spans.at(-1)?.until !== null) set(edge, one.inode);
    }
    return spans;
  }

  /** Index of the first of the catalog's own snapshots behind this one. */
  #ownBehind(snapshot: number): number {
    let [low, high] = [0, this.#own.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#own[middle] ?? 0) > snapshot) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Told again with nothing changed, as what was stored anew because its copies were lost: no new version. */
  #isSame(a: number, b: number): boolean {
    if (a === b) return true;
    const [, ...before] = this.#inode.get(a) ?? [];
    const [, ...now] = this.#inode.get(b) ?? [];
    return before.length > 0 && before.every((value, index) => value === now[index]);
  }
}
