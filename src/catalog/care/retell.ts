/**
 * Runs that journals of one medium alone tell, and their entries as they are to be told anew before it is given up
 * (archive/FORMAT.md section 5.6).
 */
import type { Raw } from '../../base/raw.ts';
import type { Catalog } from '../catalog.ts';
import type { Expiry } from '../expiry/expiries.ts';
import { BAD_MEDIUM_STATES } from '../shelf/media.ts';
import { Directories, PLACE_OF_HOSTS } from '../tree/directories.ts';
import { type Inode, type InodeRow, Inodes, inodeColumns } from '../tree/inodes.ts';

export type RetoldEntry = {
  readonly directoryId: number;
  readonly name: Raw;
  readonly path: Raw;
  readonly hostId: number;
  /** Undefined for what was gone with that run. */
  readonly inode: Inode | undefined;
};

/** @param archive column whose archive has a good copy on another medium than `@medium` */
const elsewhere = (
  archive: string,
) => `EXISTS(SELECT 1 FROM archive_copies o CROSS JOIN media m ON m.id = o.medium
  WHERE o.archive = ${archive} AND o.medium <> @medium AND o.state = 'good' AND m.state NOT IN ${BAD_MEDIUM_STATES})`;

/** Archives whose journal is to be read on this medium alone. */
const HERE = `archive_copies k CROSS JOIN archives a ON a.id = k.archive
  WHERE k.medium = @medium AND k.state IN ('good', 'bad') AND a.state = 'good' AND NOT ${elsewhere('k.archive')}`;

const RUNS = `WITH here AS (SELECT a.id, a.job FROM ${HERE}),
  told AS (SELECT job, id FROM here WHERE job IS NOT NULL
    UNION SELECT t.job, t.archive FROM here CROSS JOIN told_runs t ON t.archive = here.id)
  SELECT s.id FROM (SELECT job, max(id) AS last FROM told GROUP BY job) r
    CROSS JOIN snapshots s ON s.job = r.job CROSS JOIN jobs j ON j.number = r.job
  WHERE s.state = 'finished' AND NOT EXISTS(
    SELECT 1 FROM told_runs t CROSS JOIN archives n ON n.id = t.archive
    WHERE t.job = r.job AND t.archive > r.last AND n.state = 'good' AND ${elsewhere('t.archive')})
  ORDER BY j.started_ms, s.id`;

/** Ids of snapshots whose runs no other medium tells whole, the oldest first. */
export function runsToldOn(catalog: Catalog, mediumId: number): number[] {
  return catalog.prepare<[number]>(RUNS).all({ medium: mediumId }).flat();
}

/** Expiries that no other medium tells. */
export function expiriesToldOn(catalog: Catalog, mediumId: number): Expiry[] {
  return catalog
    .prepare<[number, Expiry['kind'], string, string]>(
      `SELECT x.id, x.kind, x.uuid, x.name FROM expiries x WHERE x.archive IN (SELECT a.id FROM ${HERE}) ORDER BY x.id`,
    )
    .all({ medium: mediumId })
    .map(([id, kind, uuid, name]) => ({ id, kind, uuid, name }));
}

/** A run that is not finished and counts on a journal of this medium; undefined where there is none. */
export function unfinishedOn(catalog: Catalog, mediumId: number): number | undefined {
  return catalog
    .prepare<[number]>(
      `SELECT p.job FROM pending p WHERE p.archive IN (SELECT a.id FROM ${HERE})
         AND NOT EXISTS(SELECT 1 FROM snapshots s WHERE s.job = p.job AND s.state = 'finished') LIMIT 1`,
    )
    .get({ medium: mediumId })?.[0];
}

type NamedVersion = {
  readonly directoryId: number;
  readonly name: Raw;
  readonly inode: { readonly inodeId: number };
};

/** Finds the snapshot whose run made a version of a name; undefined where it is of none that is finished. */
export function versionFinder(catalog: Catalog): (version: NamedVersion) => number | undefined {
  const find = catalog.prepare<[number]>(
    `SELECT max(v.since) FROM versions v CROSS JOIN snapshots s ON s.id = v.since
     WHERE v.dir = ? AND v.name = ? AND v.inode = ? AND s.state = 'finished' HAVING count(*) > 0`,
  );
  return ({ directoryId, name, inode }) => find.get(directoryId, name, inode.inodeId)?.[0];
}

const PAGE_ROWS = 500;

const PAGE = `SELECT ${inodeColumns('i')}, r.dir, r.name, i.id IS NULL
  FROM temp.retold r LEFT JOIN inodes i ON i.id = r.inode
  WHERE r.snapshot = ? AND (r.dir, r.name) > (?, ?) ORDER BY r.dir, r.name LIMIT ${PAGE_ROWS}`;

type PageRow = [...InodeRow, dir: number, name: Raw, isGone: number];

/** Entries of several runs, found in one pass over all versions. */
export class RetoldEntries {
  readonly #catalog: Catalog;
  readonly #directories: Directories;
  readonly #inodes: Inodes;

  constructor(catalog: Catalog, snapshotIds: readonly number[]) {
    this.#catalog = catalog;
    this.#directories = new Directories(catalog);
    this.#inodes = new Inodes(catalog);
    catalog.read(() => {
      for (const table of [
        'retold_runs(snapshot INTEGER PRIMARY KEY)',
        `retold(snapshot INTEGER, dir INTEGER, name TEXT, inode INTEGER,
          PRIMARY KEY(snapshot, dir, name)) WITHOUT ROWID`,
      ])
        catalog.prepare(`CREATE TEMP TABLE IF NOT EXISTS ${table}`).run();
      catalog.prepare('DELETE FROM temp.retold').run();
      catalog.prepare('DELETE FROM temp.retold_runs').run();
      const add = catalog.prepare('INSERT INTO temp.retold_runs VALUES(?)');
      for (const id of snapshotIds) add.run(id);
      // What a run made is told, where it made something; else what was gone with it.
      for (const [select, inode] of [
        ['versions v CROSS JOIN temp.retold_runs r ON r.snapshot = v.since', 'v.inode'],
        ['versions v CROSS JOIN temp.retold_runs r ON r.snapshot = v.until', 'NULL'],
        ['temp.retold_runs r CROSS JOIN bygones v ON v.snapshot = r.snapshot', 'NULL'],
      ])
        catalog
          .prepare(
            `INSERT OR IGNORE INTO temp.retold SELECT r.snapshot, v.dir, v.name, ${inode} FROM ${select}`,
          )
          .run();
    });
  }

  /** Of all the runs. */
  count(): number {
    return this.#catalog.prepare<[number]>('SELECT count(*) FROM temp.retold').get()?.[0] ?? 0;
  }

  /** In pages: there may be millions. */
  *of(snapshotId: number): Generator<RetoldEntry> {
    const hosts = new Map(
      this.#directories.hosts().map(({ id, directoryId }) => [directoryId, id]),
    );
    const page = this.#catalog.prepare<PageRow>(PAGE);
    // Names of one directory follow each other.
    let directory = -1;
    let root: number | undefined;
    for (let at: [number, Raw] = [-1, '' as Raw]; ; ) {
      const rows = page.all(snapshotId, ...at);
      for (const row of rows) {
        const [directoryId, name] = [row[14], row[15]];
        if (directoryId === PLACE_OF_HOSTS) root = this.#directories.child(directoryId, name);
        else if (directoryId !== directory) root = this.#directories.root(directoryId);
        directory = directoryId;
        yield {
          directoryId,
          name,
          path: this.#directories.entryPath(directoryId, name),
          hostId: hosts.get(root ?? -1) ?? -1,
          inode: row[16] === 1 ? undefined : this.#inodes.fromRow(row),
        };
      }
      const last = rows.at(-1);
      if (!last || rows.length < PAGE_ROWS) return;
      at = [last[14], last[15]];
    }
  }
}
