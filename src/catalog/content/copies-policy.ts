/**
 * Which contents have fewer copies than their pool asks for, and which archives would mend that if they were copied.
 *
 * A copy counts as SCHEMA.md section 7 says and, where the policy asks, only when it was written or read back lately. It goes
 * through all extents once, some seconds for ten million; while every archive has its copies, through none.
 */
import type { Catalog } from '../catalog.ts';
import { EMPTY_CONTENT } from '../schema.ts';
import { BAD_MEDIUM_STATES } from '../shelf/media.ts';
import { Contents } from './contents.ts';

export type CopiesPolicy = {
  readonly poolId: number;
  /** On media of the pool, each counted once. */
  readonly copies: number;
  /** Of them, so many at locations that are off site. */
  readonly offsite: number;
  /** In ms; undefined: for ever. */
  readonly readBackMs: number | undefined;
};

/** As people write it: by the pool's name. */
export type PoolPolicy = Omit<CopiesPolicy, 'poolId'> & { readonly pool: string };

export type Shortage = {
  readonly contents: number;
  readonly bytes: number;
  /** Of them, those that only lack a copy off site, or a look at one: no copy more would help. */
  readonly onlyElsewhere: number;
};

/** An archive whose contents lack copies, on one of the media where it is good. */
export type ScarceArchive = {
  readonly archiveId: number;
  readonly mediumId: number;
  readonly fileNumber: number;
  readonly startBlock: number;
  readonly lengthBlocks: number;
  readonly blockBytes: number;
  /** Bytes of its stream that its hash covers are all but the last: those of the digest and zeros behind. */
  readonly lengthBytes: number;
  readonly blake3: Buffer;
  /** Something of it there is known to be bad. */
  readonly isDamaged: boolean;
  /** Media that have it, whether these copies count or not. */
  readonly holders: readonly number[];
};

/** A copy on each medium of the pool where the archive counts. */
const COUNTING = `INSERT INTO temp.counting SELECT k.archive, k.medium, coalesce(l.is_offsite, 0),
    max(coalesce(k.verified_ms, 0), coalesce(k.written_ms, 0)) >= @sinceMs
  FROM archive_copies k CROSS JOIN archives a ON a.id = k.archive CROSS JOIN media m ON m.id = k.medium
    LEFT JOIN locations l ON l.id = m.location
  WHERE a.state = 'good' AND k.state = 'good' AND m.pool = @pool AND m.state NOT IN ${BAD_MEDIUM_STATES}`;

/** Archives that hold something of the pool and lack a copy themselves; contents may have others. */
const IS_ANY_SCARCE = `SELECT 1 FROM archives a CROSS JOIN archive_copies k ON k.archive = a.id
    CROSS JOIN media m ON m.id = k.medium
  WHERE a.state = 'good' AND k.state <> 'lost' AND m.pool = @pool AND a.dead_bytes < a.length_bytes AND (
    (SELECT count(*) FROM temp.counting c WHERE c.archive = a.id AND c.is_fresh) < @copies
    OR (SELECT count(*) FROM temp.counting c WHERE c.archive = a.id AND c.is_fresh AND c.is_offsite) < @offsite)
  UNION ALL SELECT 1 FROM damages LIMIT 1`;

/** Whether something is wrong with what a medium of `counting` has of an extent. */
const IS_DAMAGED = `EXISTS(SELECT 1 FROM damages d CROSS JOIN contents y ON y.id = e.content
  WHERE d.archive = e.archive AND d.medium = c.medium
    AND d.position < e.position + coalesce(e.stored, e.length, y.size - e.content_offset)
    AND d.position + d.length > e.position)`;

const COUNTS = `count(DISTINCT c.medium) AS written, count(DISTINCT iif(c.is_fresh, c.medium, NULL)) AS fresh,
  count(DISTINCT iif(c.is_fresh AND c.is_offsite, c.medium, NULL)) AS offsite`;

const IS_SHORT = 'fresh < @copies OR offsite < @offsite';

/** Whole contents on too few media, and all that are cut somewhere: of these more has to be asked. */
const SUSPECTS = `INSERT INTO temp.suspects SELECT content, is_cut, written, fresh, offsite FROM (
    SELECT e.content AS content, max(e.content_offset > 0 OR e.length IS NOT NULL) AS is_cut, ${COUNTS}
    FROM extents e LEFT JOIN temp.counting c ON c.archive = e.archive AND NOT ${IS_DAMAGED}
    WHERE e.content IN (SELECT o.content FROM extents o CROSS JOIN temp.pool_archives p ON p.archive = o.archive
      WHERE o.content = e.content)
    GROUP BY e.content)
  WHERE (is_cut OR ${IS_SHORT}) AND content <> ${EMPTY_CONTENT}
    AND (SELECT hash FROM contents WHERE id = content) IS NOT NULL`;

/** Contents with the same bytes serve each other (SCHEMA.md section 6). */
const TWINS = `INSERT OR IGNORE INTO temp.ways SELECT a.content, b.content
  FROM (SELECT size, key FROM content_keys GROUP BY size, key HAVING count(*) > 1) t
    CROSS JOIN content_keys a ON a.size = t.size AND a.key = t.key
    CROSS JOIN temp.suspects s ON s.content = a.content
    CROSS JOIN content_keys b ON b.size = t.size AND b.key = t.key
    CROSS JOIN contents x ON x.id = a.content CROSS JOIN contents y ON y.id = b.content
  WHERE x.hash = y.hash`;

const CUT =
  'INSERT OR IGNORE INTO temp.ways SELECT content, content FROM temp.suspects WHERE is_cut';

const PLAIN = `INSERT INTO temp.short SELECT content, written, fresh, offsite FROM temp.suspects
  WHERE NOT is_cut AND content NOT IN (SELECT content FROM temp.ways)`;

/** Copies may be cut at different places: between two edges of any of them nothing changes. */
const EDGES = `INSERT OR IGNORE INTO temp.edges SELECT content, 0 FROM temp.ways
  UNION ALL SELECT w.content, e.content_offset FROM temp.ways w CROSS JOIN extents e ON e.content = w.other
  UNION ALL SELECT w.content, e.content_offset + e.length FROM temp.ways w
    CROSS JOIN extents e ON e.content = w.other CROSS JOIN contents x ON x.id = w.other
    WHERE e.length IS NOT NULL AND e.content_offset + e.length < x.size`;

/** The bytes with the fewest media decide, whichever copies these belong to. */
const CLOSER = `INSERT INTO temp.short SELECT content, min(written), min(fresh), min(offsite) FROM (
    SELECT g.content AS content, ${COUNTS}
    FROM temp.edges g CROSS JOIN temp.ways w ON w.content = g.content CROSS JOIN contents x ON x.id = w.other
      LEFT JOIN extents e ON e.content = w.other AND e.content_offset <= g.position
        AND e.content_offset + coalesce(e.length, x.size - e.content_offset) > g.position
      LEFT JOIN temp.counting c ON c.archive = e.archive AND NOT ${IS_DAMAGED}
    GROUP BY g.content, g.position)
  GROUP BY content HAVING min(fresh) < @copies OR min(offsite) < @offsite`;

const TABLES = [
  'counting(archive INTEGER, medium INTEGER, is_offsite INTEGER, is_fresh INTEGER, PRIMARY KEY(archive, medium)) WITHOUT ROWID',
  'pool_archives(archive INTEGER PRIMARY KEY)',
  'suspects(content INTEGER PRIMARY KEY, is_cut INTEGER, written INTEGER, fresh INTEGER, offsite INTEGER)',
  'ways(content INTEGER, other INTEGER, PRIMARY KEY(content, other)) WITHOUT ROWID',
  'edges(content INTEGER, position INTEGER, PRIMARY KEY(content, position)) WITHOUT ROWID',
  'short(content INTEGER PRIMARY KEY, written INTEGER, fresh INTEGER, offsite INTEGER)',
];

/** Looks anew, and leaves what it found for `scarceArchives`. */
export function shortageOf(catalog: Catalog, policy: CopiesPolicy): Shortage {
  const none = { contents: 0, bytes: 0, onlyElsewhere: 0 };
  return catalog.read(() => {
    prepare(catalog, policy);
    const { poolId: pool, copies, offsite } = policy;
    if (!catalog.prepare(IS_ANY_SCARCE).get({ pool, copies, offsite })) return none;
    catalog.prepare(SUSPECTS).run({ copies, offsite });
    for (const step of [TWINS, CUT, PLAIN, EDGES]) catalog.prepare(step).run();
    catalog.prepare(CLOSER).run({ copies, offsite });
    const row = catalog
      .prepare<[number, number, number]>(
        `SELECT count(*), total(c.size), total(s.written >= ?) FROM temp.short s CROSS JOIN contents c ON c.id = s.content`,
      )
      .get(copies);
    return row ? { contents: row[0], bytes: row[1], onlyElsewhere: row[2] } : none;
  });
}

function prepare(catalog: Catalog, { poolId, readBackMs }: CopiesPolicy): void {
  for (const table of TABLES) {
    catalog.prepare(`CREATE TEMP TABLE IF NOT EXISTS ${table}`).run();
    catalog.prepare(`DELETE FROM temp.${table.slice(0, table.indexOf('('))}`).run();
  }
  const sinceMs = readBackMs === undefined ? 0 : Math.floor(catalog.clock.nowMs() - readBackMs);
  catalog.prepare(COUNTING).run({ pool: poolId, sinceMs });
  catalog
    .prepare(
      `INSERT OR IGNORE INTO temp.pool_archives SELECT k.archive FROM archive_copies k
         CROSS JOIN media m ON m.id = k.medium WHERE m.pool = ? AND k.state <> 'lost'`,
    )
    .run(poolId);
}

/** One that is mostly dead is not worth copying. */
const LIVE_SHARE_MIN = 0.5;

/**
 * Whole archives that would mend the shortage found last, once for each medium where they count, in the order of their tapes.
 * Left out are those that are mostly dead, and torn ones with those that complete them: what is live in them is stored anew.
 */
export function scarceArchives(catalog: Catalog, { copies }: CopiesPolicy): ScarceArchive[] {
  const rows = catalog
    .prepare<CopyRow>(
      `SELECT ${COPY_COLUMNS}
       FROM archives a CROSS JOIN temp.counting c ON c.archive = a.id
         CROSS JOIN archive_copies k ON k.archive = a.id AND k.medium = c.medium
       WHERE a.completed_by IS NULL AND NOT EXISTS(SELECT 1 FROM archives t WHERE t.completed_by = a.id)
         AND a.dead_bytes <= a.length_bytes * ${1 - LIVE_SHARE_MIN}
         AND a.id IN (SELECT e.archive FROM temp.short s CROSS JOIN extents e ON e.content = s.content
           WHERE s.written < @copies AND @copies > (
             SELECT count(*) FROM temp.counting c WHERE c.archive = e.archive AND NOT ${IS_DAMAGED}))
       ORDER BY k.medium, k.file_number`,
    )
    .all({ copies });
  return rows.map(copyReader(catalog));
}

/** Of an archive `a` and its copy `k`. */
export const COPY_COLUMNS = `a.id, k.medium, k.file_number, k.start_block, a.length_blocks, a.block_bytes, a.length_bytes,
  a.blake3, EXISTS(SELECT 1 FROM damages d WHERE d.archive = a.id AND d.medium = k.medium)`;

export type CopyRow = [
  archiveId: number,
  mediumId: number,
  fileNumber: number,
  startBlock: number,
  lengthBlocks: number,
  blockBytes: number,
  lengthBytes: number,
  blake3: Buffer,
  isDamaged: number,
];

/** From the columns of COPY_COLUMNS to what they say. */
export function copyReader(catalog: Catalog): (row: CopyRow) => ScarceArchive {
  const holders = catalog.prepare<[number]>(
    "SELECT medium FROM archive_copies WHERE archive = ? AND state IN ('good', 'writing')",
  );
  return (row) => ({
    archiveId: row[0],
    mediumId: row[1],
    fileNumber: row[2],
    startBlock: row[3],
    lengthBlocks: row[4],
    blockBytes: row[5],
    lengthBytes: row[6],
    blake3: row[7],
    isDamaged: row[8] === 1,
    holders: holders.all(row[0]).flat(),
  });
}

type HeldRow = [start: number, end: number, medium: number | null, isOffsite: number, size: number];

/** How many copies of one content count, by the policy: of its bytes those on the fewest media decide. */
export function copiesOf(
  catalog: Catalog,
  contentId: number,
  { poolId, readBackMs }: CopiesPolicy,
): { readonly copies: number; readonly offsite: number } {
  const sinceMs = readBackMs === undefined ? 0 : Math.floor(catalog.clock.nowMs() - readBackMs);
  const held = catalog.prepare<HeldRow>(HELD);
  const rows = new Contents(catalog)
    .withSameBytes(contentId)
    .flatMap((id) => held.all({ contentId: id, poolId, sinceMs }));
  const least = { copies: Number.POSITIVE_INFINITY, offsite: Number.POSITIVE_INFINITY };
  const edges = new Set([0, ...rows.map(([start]) => start), ...rows.map(([, end]) => end)]);
  for (const edge of edges) {
    if (edge > 0 && edge === rows[0]?.[4]) continue;
    const here = rows.filter(([start, end]) => start <= edge && edge < end);
    const offsite = here.filter(([, , , isOffsite]) => isOffsite === 1);
    least.copies = Math.min(least.copies, mediaOf(here).size);
    least.offsite = Math.min(least.offsite, mediaOf(offsite).size);
  }
  return least;
}

function mediaOf(rows: readonly HeldRow[]): Set<number> {
  return new Set(rows.flatMap(([, , medium]) => medium ?? []));
}

const HELD = `SELECT e.content_offset, e.content_offset + coalesce(e.length, x.size - e.content_offset), m.id, l.is_offsite, x.size
  FROM extents e CROSS JOIN contents x ON x.id = e.content CROSS JOIN archives a ON a.id = e.archive
    LEFT JOIN archive_copies k ON k.archive = a.id AND k.state = 'good' AND a.state = 'good'
      AND max(coalesce(k.verified_ms, 0), coalesce(k.written_ms, 0)) >= @sinceMs
      AND NOT EXISTS(SELECT 1 FROM damages d WHERE d.archive = a.id AND d.medium = k.medium
        AND d.position < e.position + coalesce(e.stored, e.length, x.size - e.content_offset)
        AND d.position + d.length > e.position)
    LEFT JOIN media m ON m.id = k.medium AND m.pool = @poolId AND m.state NOT IN ${BAD_MEDIUM_STATES}
    LEFT JOIN locations l ON l.id = m.location
  WHERE e.content = @contentId`;
