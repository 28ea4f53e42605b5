/**
 * What the catalog keeps for archives that stand on no medium any more, and that goes when nothing asks for it: their extents, where
 * a content is whole without them, and the ends of names of which no journal can tell any more (SCHEMA.md section 9).
 */
import type { Raw } from '../../base/raw.ts';
import type { Catalog } from '../catalog.ts';
import { Contents } from '../content/contents.ts';
import { IS_EMPTY, IS_OURS } from '../shelf/capacity.ts';

/** Rows looked at between two turns of the caller. */
const PAGE_ROWS = 16_384;
/** Contents whose extents go in one transaction: a few milliseconds. */
const STEP_CONTENTS = 512;

const GONE = `INSERT INTO temp.gone_archives SELECT a.id FROM archives a
  WHERE a.state = 'good' AND ${IS_OURS} AND NOT ${IS_EMPTY}
    AND NOT EXISTS(SELECT 1 FROM archive_copies k WHERE k.archive = a.id AND k.state <> 'lost')`;

/**
 * @param isStill whether what was found out still holds, for nobody else writes; asked within each transaction
 * @returns when all is done or somebody else writes; yields after each step
 */
export function* sweepExtents(catalog: Catalog, isStill: () => boolean): Generator<void, void> {
  if (!isStill() || !findGone(catalog)) return;
  const contents = new Contents(catalog);
  const pageEnd = catalog.prepare<[number]>(
    `SELECT content FROM extents WHERE content > ? ORDER BY content LIMIT 1 OFFSET ${PAGE_ROWS - 1}`,
  );
  const page = catalog.prepare<[content: number, archive: number]>(
    `SELECT e.content, e.archive FROM extents e WHERE e.content > ? AND e.content <= ?
       AND e.archive IN (SELECT archive FROM temp.gone_archives)`,
  );
  const used = new Set<number>();
  for (let after = 0; after < Number.MAX_SAFE_INTEGER; ) {
    const end = pageEnd.get(after)?.[0] ?? Number.MAX_SAFE_INTEGER;
    const whole: number[] = [];
    for (const [content, of] of Map.groupBy(page.all(after, end), ([content]) => content))
      if (contents.isWholeAlone(content)) whole.push(content);
      else for (const [, archive] of of) used.add(archive);
    for (let at = 0; at < whole.length; at += STEP_CONTENTS) {
      if (!remove(catalog, whole.slice(at, at + STEP_CONTENTS), isStill)) return;
      yield;
    }
    after = end;
    yield;
  }
  markEmpty(catalog, used, isStill);
}

/** @returns whether there are any */
function findGone(catalog: Catalog): boolean {
  return catalog.read(() => {
    catalog
      .prepare('CREATE TEMP TABLE IF NOT EXISTS gone_archives(archive INTEGER PRIMARY KEY)')
      .run();
    catalog.prepare('DELETE FROM temp.gone_archives').run();
    return catalog.prepare(GONE).run().changes > 0;
  });
}

function remove(catalog: Catalog, ids: readonly number[], isStill: () => boolean): boolean {
  const one = catalog.prepare(
    'DELETE FROM extents WHERE content = ? AND archive IN (SELECT archive FROM temp.gone_archives)',
  );
  return catalog.write(() => {
    if (!isStill()) return false;
    for (const id of ids) one.run(id);
    return true;
  });
}

/** Where nothing is left of an archive, all of it is dead. */
function markEmpty(catalog: Catalog, used: ReadonlySet<number>, isStill: () => boolean): void {
  catalog.write(() => {
    if (!isStill()) return;
    const still = catalog.prepare('DELETE FROM temp.gone_archives WHERE archive = ?');
    for (const archive of used) still.run(archive);
    catalog
      .prepare(
        'UPDATE archives SET dead_bytes = length_bytes WHERE id IN (SELECT archive FROM temp.gone_archives)',
      )
      .run();
  });
}

/**
 * The job since which no archive is told by a cartridge that may have known of what a sweep took: archives of all jobs before stand
 * on none any more, and what lay on a cartridge does so until it is labelled anew.
 */
const FLOOR = `SELECT coalesce(min(coalesce(a.job, 0)), ${Number.MAX_SAFE_INTEGER})
  FROM archive_copies k CROSS JOIN archives a ON a.id = k.archive`;

type Place = readonly [snapshot: number, dir: number, name: Raw];

/** Yields after each step. */
export function* sweepBygones(catalog: Catalog): Generator<void, void> {
  const [floor = 0] = catalog.prepare<[number]>(FLOOR).get() ?? [];
  const pageEnd = catalog.prepare<[number, number, Raw]>(
    `SELECT snapshot, dir, name FROM bygones WHERE (snapshot, dir, name) > (?, ?, ?)
     ORDER BY snapshot, dir, name LIMIT 1 OFFSET ${PAGE_ROWS - 1}`,
  );
  const last = catalog.prepare<[number, number, Raw]>(
    'SELECT snapshot, dir, name FROM bygones ORDER BY snapshot DESC, dir DESC, name DESC LIMIT 1',
  );
  const range =
    '(snapshot, dir, name) > (?, ?, ?) AND (snapshot, dir, name) <= (?, ?, ?) AND job < ?';
  const any = catalog.prepare(`SELECT 1 FROM bygones WHERE ${range} LIMIT 1`);
  const clear = catalog.prepare(`DELETE FROM bygones WHERE ${range}`);
  const final = last.get();
  if (!final) return;
  for (let after: Place = [-1, -1, '' as Raw], isMore = true; isMore; ) {
    const next = pageEnd.get(...after);
    const end = next ?? final;
    isMore = next !== undefined;
    if (any.get(...after, ...end, floor)) catalog.write(() => clear.run(...after, ...end, floor));
    after = end;
    yield;
  }
}
