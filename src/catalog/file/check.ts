/** Whether a catalog is whole: as a file, as a schema, and in what its rows say of each other (SCHEMA.md). */
import { strict as assert } from 'node:assert';
import { existsSync } from 'node:fs';
import Database from 'better-sqlite3';
import { CodedError } from '../../base/errors.ts';
import type { Catalog } from '../catalog.ts';
import { checkMark } from '../migrate.ts';
import { MIGRATIONS } from '../schema.ts';
import { named } from '../sqlite-error.ts';

export type CatalogFinding = {
  readonly check: string;
  /** How many rows are not as they should be. */
  readonly count: number;
  readonly sentence: string;
};

/**
 * A file from a medium, before it is opened for writing: whole, ours, and with the tables and triggers of its revision only.
 * @throws CodedError CATALOG_DAMAGED, CATALOG_NEWER
 */
export async function proveCopy(path: string): Promise<void> {
  if (!existsSync(path)) throw damaged(path, 'is not there');
  try {
    const db = new Database(path, { readonly: true, fileMustExist: true });
    try {
      db.pragma('trusted_schema = OFF');
      const revision = checkMark(db, path);
      if (revision === 0) throw damaged(path, 'is empty');
      const [finding] = db.prepare<[], string>('PRAGMA integrity_check(1)').pluck().all();
      if (finding !== 'ok') throw damaged(path, `is damaged (${finding ?? 'unreadable'})`);
      if (schemaOf(db) !== expectedSchema(revision))
        throw damaged(path, 'has other tables than a catalog has');
      for (const check of NEEDED) {
        const [, sentence, sql] = CHECKS.find(([name]) => name === check) ?? [];
        assert(sentence !== undefined && sql !== undefined);
        if (Number(db.prepare(sql).pluck().get()) > 0) throw damaged(path, `has ${sentence}`);
      }
    } finally {
      db.close();
    }
  } catch (error) {
    throw named(error, path);
  }
}

/** Whoever goes on with a copy relies on these, and would crash where they are not so. */
const NEEDED = ['counters', 'empty', 'parents', 'directories', 'owners', 'xattrs', 'ids'] as const;

/** Of tables, indexes and triggers; never of the tables of statistics that SQLite keeps. */
function schemaOf(db: Database.Database): string {
  return db
    .prepare<[], string>(
      `SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema
       WHERE NOT (type = 'table' AND name IN ('sqlite_stat1', 'sqlite_stat4')) ORDER BY type, name`,
    )
    .pluck()
    .all()
    .join('\n');
}

function expectedSchema(revision: number): string {
  const db = new Database(':memory:');
  try {
    for (const sql of MIGRATIONS.slice(0, revision)) db.exec(sql);
    return schemaOf(db);
  } finally {
    db.close();
  }
}

/** Each as SQL that counts what is wrong, and the sentence for it. */
const CHECKS: readonly (readonly [check: string, sentence: string, sql: string])[] = [
  [
    'versions',
    'versions that end before they begin',
    'SELECT count(*) FROM versions WHERE until <= since',
  ],
  [
    'overlaps',
    'versions of one path that overlap',
    `SELECT count(*) FROM (SELECT since, until,
       lead(since) OVER (PARTITION BY dir, name ORDER BY since) AS next FROM versions)
     WHERE next IS NOT NULL AND (until IS NULL OR until > next)`,
  ],
  [
    'inodes',
    'versions without an inode',
    'SELECT count(*) FROM versions v WHERE NOT EXISTS(SELECT 1 FROM inodes i WHERE i.id = v.inode)',
  ],
  [
    'directories',
    'versions in a directory that is none',
    `SELECT count(*) FROM (SELECT DISTINCT dir FROM versions WHERE dir <> 0) v
     WHERE NOT EXISTS(SELECT 1 FROM directories d WHERE d.id = v.dir)`,
  ],
  [
    'parents',
    'directories in a directory that is none',
    `SELECT count(*) FROM directories d WHERE d.parent <> 0
       AND NOT EXISTS(SELECT 1 FROM directories p WHERE p.id = d.parent)`,
  ],
  [
    'owners',
    'inodes without an owner',
    'SELECT count(*) FROM inodes i WHERE NOT EXISTS(SELECT 1 FROM owners o WHERE o.id = i.owner)',
  ],
  [
    'xattrs',
    'inodes without their extended attributes',
    `SELECT count(*) FROM inodes i WHERE i.xattrs IS NOT NULL
       AND NOT EXISTS(SELECT 1 FROM xattrs x WHERE x.id = i.xattrs)`,
  ],
  [
    'contents',
    'inodes without their content',
    `SELECT count(*) FROM inodes i WHERE i.content IS NOT NULL
       AND NOT EXISTS(SELECT 1 FROM contents c WHERE c.id = i.content)`,
  ],
  [
    'sizes',
    'files whose content has another size',
    `SELECT count(*) FROM inodes i CROSS JOIN contents c ON c.id = i.content
     WHERE c.size <> i.size AND (i.mode & 61440) = 32768`,
  ],
  [
    'extents',
    'contents without an extent, or with a gap between their extents',
    `SELECT count(*) FROM contents c WHERE c.hash IS NOT NULL AND c.size > 0
       AND c.id IN (SELECT content FROM inodes WHERE content IS NOT NULL)
       AND (NOT EXISTS(SELECT 1 FROM extents e WHERE e.content = c.id AND e.content_offset = 0)
         OR c.size > (SELECT max(coalesce(e.content_offset + e.length, c.size)) FROM extents e WHERE e.content = c.id))`,
  ],
  [
    'archives',
    'extents in an archive that is none',
    `SELECT count(*) FROM (SELECT DISTINCT archive FROM extents) e
     WHERE NOT EXISTS(SELECT 1 FROM archives a WHERE a.id = e.archive)`,
  ],
  [
    'keys',
    'contents that are not found by their hash',
    `SELECT count(*) FROM contents c WHERE c.hash IS NOT NULL
       AND NOT EXISTS(SELECT 1 FROM content_keys k WHERE k.size = c.size AND k.content = c.id)
       AND NOT EXISTS(SELECT 1 FROM unkeyed u WHERE c.id BETWEEN u.first AND u.last)`,
  ],
  [
    'segments',
    'contents whose segments are not as many as their size asks for',
    `SELECT count(*) FROM contents WHERE hash IS NOT NULL AND segments IS NOT NULL
       AND length(segments) <> 32 * ((size + 67108863) / 67108864)`,
  ],
  [
    'snapshots',
    'snapshots whose times do not ascend',
    `SELECT count(*) FROM (SELECT seconds, lag(seconds) OVER (ORDER BY id) AS before FROM snapshots)
     WHERE before IS NOT NULL AND seconds <= before`,
  ],
  [
    'counters',
    'no counters of its ids',
    `SELECT 3 - count(*) FROM counters WHERE name IN ('directories', 'inodes', 'contents') AND next > 0`,
  ],
  [
    'empty',
    'no row for what has no bytes',
    'SELECT NOT EXISTS(SELECT 1 FROM contents WHERE id = 1 AND size = 0 AND hash IS NOT NULL)',
  ],
  [
    'ids',
    'ids that may be given a second time',
    `SELECT (SELECT coalesce(max(id), 0) FROM inodes) >= (SELECT next FROM counters WHERE name = 'inodes')
       OR (SELECT coalesce(max(id), 0) FROM contents) >= (SELECT next FROM counters WHERE name = 'contents')
       OR (SELECT coalesce(max(id), 0) FROM directories) >= (SELECT next FROM counters WHERE name = 'directories')`,
  ],
  [
    'sums',
    'archives of which more is said to be dead than they hold',
    'SELECT count(*) FROM archives WHERE dead_bytes < 0 OR dead_bytes > coalesce(length_bytes, dead_bytes)',
  ],
];

/**
 * Looks at everything, one view each; takes minutes with tens of millions of files. Yields what is not as it should be.
 * @param onCheck told before each
 */
export function* checkCatalog(
  catalog: Catalog,
  onCheck: (check: string) => void = () => {},
): Generator<CatalogFinding> {
  onCheck('file');
  const damages = catalog.prepare<[string]>('PRAGMA integrity_check(100)').all().flat();
  const broken = damages.filter((text) => text !== 'ok');
  if (broken.length > 0)
    yield { check: 'file', count: broken.length, sentence: `the file is damaged: ${broken[0]}` };
  onCheck('references');
  const references = catalog.prepare('PRAGMA foreign_key_check').all().length;
  if (references > 0)
    yield {
      check: 'references',
      count: references,
      sentence: 'rows that name others there are not',
    };
  for (const [check, sentence, sql] of CHECKS) {
    onCheck(check);
    const count = catalog.prepare<[number]>(sql).get()?.[0] ?? 0;
    if (count > 0) yield { check, count, sentence };
  }
}

function damaged(path: string, what: string): CodedError {
  return new CodedError('CATALOG_DAMAGED', `${path} ${what}`, { path });
}
