/** How much no archive's journal tells of yet: what the journal that closes a cartridge or a run may have to. */
import type { Catalog } from '../catalog.ts';
import { Expiries } from '../expiry/expiries.ts';
import { CHANGES } from '../pending/change.ts';
import { JOBS_WITH_ROWS } from '../pending/rows.ts';
import { Directories, PLACE_OF_HOSTS } from '../tree/directories.ts';

/** Upper bounds. */
export type Untold = {
  readonly rows: number;
  /** Characters of paths, old paths, link targets, users and groups, and of what has expired. */
  readonly nameBytes: number;
  /** Of extended attributes, names and values. */
  readonly xattrBytes: number;
  /** Extents of contents that rows without bytes of their own may name. */
  readonly extents: number;
};

const PAGE_DIRECTORIES = 1000;
/** A line of an expiry: words, a UUID of 36, a time of 20 or a barcode. */
const EXPIRY_BYTES = 128;

/**
 * Of a run and of all finished ones whose rows no journal carries. Goes from directory to directory, not from row to row.
 * @param found of the run itself, where it is known, without names of owners
 */
export function untold(catalog: Catalog, jobNumber: number, found?: Untold): Untold {
  const jobs = catalog
    .prepare<[number]>(
      `SELECT ? UNION SELECT job FROM snapshots WHERE state = 'finished' AND job IN ${JOBS_WITH_ROWS}`,
    )
    .all(jobNumber)
    .flat();
  const nameBytes = new Expiries(catalog).countUntold() * EXPIRY_BYTES;
  const expiries = { rows: 0, nameBytes, xattrBytes: 0, extents: 0 };
  const known = found && { ...found, nameBytes: found.nameBytes + found.rows * ownerMax(catalog) };
  return jobs
    .map((job) => (known && job === jobNumber ? known : untoldOf(catalog, job)))
    .reduce(sum, expiries);
}

/** Of the longest names of a user and its group. */
function ownerMax(catalog: Catalog): number {
  const owner = catalog
    .prepare<[number | null]>('SELECT max(length(user) + length(group_name)) FROM owners')
    .get();
  return owner?.[0] ?? 0;
}

function untoldOf(catalog: Catalog, job: number): Untold {
  const directories = new Directories(catalog);
  let rows = 0;
  let nameBytes = 0;
  let firstInode = Number.POSITIVE_INFINITY;
  for (const [dir, count, bytes, first] of perDirectory(catalog, job)) {
    const pathBytes = dir === PLACE_OF_HOSTS ? 1 : directories.path(dir).length + 1;
    rows += count;
    nameBytes += bytes + count * pathBytes;
    firstInode = Math.min(firstInode, first ?? firstInode);
  }
  if (!Number.isFinite(firstInode)) return { rows, nameBytes, xattrBytes: 0, extents: 0 };
  const [targetBytes, xattrBytes] = ofInodes(catalog, firstInode);
  nameBytes += targetBytes + rows * ownerMax(catalog);
  return { rows, nameBytes, xattrBytes, extents: extentsOf(catalog, job) };
}

type DirectoryRow = [dir: number, rows: number, nameBytes: number, firstInode: number | null];

/** In pages: there may be millions. */
function* perDirectory(catalog: Catalog, job: number): Generator<DirectoryRow> {
  const page = catalog.prepare<DirectoryRow>(
    `SELECT dir, count(*), sum(length(name) + coalesce(length(moved_from), 0)), min(inode) FROM pending
     WHERE job = ? AND dir > ? AND archive IS NULL GROUP BY dir ORDER BY dir LIMIT ${PAGE_DIRECTORIES}`,
  );
  for (let after = -1; ; ) {
    const found = page.all(job, after);
    yield* found;
    const last = found.at(-1);
    if (!last || found.length < PAGE_DIRECTORIES) return;
    after = last[0];
  }
}

/** Those of the run are the newest there are; one that is only named again is older, and brings others into the bound. */
function ofInodes(catalog: Catalog, firstInode: number): [targetBytes: number, xattrBytes: number] {
  const row = catalog
    .prepare<[number | null, number | null]>(
      `SELECT sum(length(target)), sum(CASE WHEN xattrs IS NULL THEN 0 ELSE
         (SELECT length(x.value) FROM xattrs x WHERE x.id = i.xattrs) END) FROM inodes i WHERE id >= ?`,
    )
    .get(firstInode);
  return [row?.[0] ?? 0, row?.[1] ?? 0];
}

/** Beyond the one that every row is counted with, of rows whose bytes are stored already. */
function extentsOf(catalog: Catalog, job: number): number {
  const row = catalog
    .prepare<[number]>(
      `SELECT count(*) FROM pending p CROSS JOIN inodes i ON i.id = p.inode
         CROSS JOIN extents e ON e.content = i.content
       WHERE p.job = ? AND p.archive IS NULL AND p.change NOT IN (${CHANGES.new}, ${CHANGES.changed})
         AND e.content_offset > 0`,
    )
    .get(job);
  return row?.[0] ?? 0;
}

function sum(a: Untold, b: Untold): Untold {
  return {
    rows: a.rows + b.rows,
    nameBytes: a.nameBytes + b.nameBytes,
    xattrBytes: a.xattrBytes + b.xattrBytes,
    extents: a.extents + b.extents,
  };
}
