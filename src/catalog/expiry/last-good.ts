/**
 * The last good copy: where every version of a path that stays has lost its bytes, an older one that can be read is not given up,
 * however old it is. Nothing is asked per file while all archives are well.
 */
import type { Raw } from '../../base/raw.ts';
import type { Catalog } from '../catalog.ts';
import { Contents } from '../content/contents.ts';
import { BAD_MEDIUM_STATES } from '../shelf/media.ts';

/** Archives that no good medium holds, or whose copies are damaged somewhere. */
const DOUBTFUL = `SELECT a.id FROM archives a WHERE a.state = 'good' AND (NOT EXISTS(
    SELECT 1 FROM archive_copies k JOIN media m ON m.id = k.medium
    WHERE k.archive = a.id AND k.state = 'good' AND m.state NOT IN ${BAD_MEDIUM_STATES})
  OR EXISTS(SELECT 1 FROM damages d WHERE d.archive = a.id))`;

const shownBy = (table: 'staying' | 'going') => `EXISTS(SELECT 1 FROM temp.${table} s
  WHERE s.id >= v.since AND (v.until IS NULL OR s.id < v.until))`;

/**
 * Of the snapshots that are to go, those that alone show a good version of some path: the newest such one of each.
 * @param going none of them has expired yet
 */
export function lastGoodIn(catalog: Catalog, going: readonly number[]): number[] {
  if (going.length === 0 || !catalog.prepare(`${DOUBTFUL} LIMIT 1`).get()) return [];
  return catalog.read(() => {
    fill(catalog, going);
    try {
      return rescued(catalog);
    } finally {
      for (const table of ['staying', 'going', 'broken'])
        catalog.prepare(`DROP TABLE IF EXISTS temp.${table}`).run();
    }
  });
}

function fill(catalog: Catalog, going: readonly number[]): void {
  for (const table of ['staying', 'going', 'broken']) {
    catalog.prepare(`DROP TABLE IF EXISTS temp.${table}`).run();
    catalog.prepare(`CREATE TEMP TABLE ${table}(id INTEGER PRIMARY KEY)`).run();
  }
  const add = catalog.prepare('INSERT INTO temp.going VALUES(?)');
  for (const id of going) add.run(id);
  catalog
    .prepare(
      `INSERT INTO temp.staying SELECT id FROM snapshots
       WHERE expired_by IS NULL AND id NOT IN (SELECT id FROM temp.going)`,
    )
    .run();
  const contents = new Contents(catalog);
  const doubtful = catalog
    .prepare<[number]>(
      `SELECT DISTINCT content FROM extents WHERE archive IN (${DOUBTFUL}) ORDER BY content`,
    )
    .all();
  const addBroken = catalog.prepare('INSERT INTO temp.broken VALUES(?)');
  for (const [content] of doubtful) if (contents.goodCopies(content) === 0) addBroken.run(content);
}

function rescued(catalog: Catalog): number[] {
  const lost = catalog
    .prepare<[dir: number, name: Raw]>(
      `SELECT DISTINCT v.dir, v.name FROM versions v CROSS JOIN inodes i ON i.id = v.inode
       WHERE i.content IN (SELECT id FROM temp.broken) AND ${shownBy('staying')}`,
    )
    .all();
  const versions = catalog.prepare<[last: number | null, isStaying: number, isBroken: number]>(
    `SELECT (SELECT max(g.id) FROM temp.going g WHERE g.id >= v.since AND (v.until IS NULL OR g.id < v.until)),
       ${shownBy('staying')}, i.content IN (SELECT id FROM temp.broken)
     FROM versions v CROSS JOIN inodes i ON i.id = v.inode
     WHERE v.dir = ? AND v.name = ? AND i.content IS NOT NULL ORDER BY v.since DESC`,
  );
  const found = new Set<number>();
  for (const [dir, name] of lost) {
    const readable = versions.all(dir, name).filter(([, , isBroken]) => isBroken === 0);
    if (readable.some(([, isStaying]) => isStaying === 1)) continue;
    const last = readable.find(([id]) => id !== null)?.[0];
    if (last !== undefined && last !== null) found.add(last);
  }
  return [...found].sort((a, b) => a - b);
}
