/**
 * Where the data of sparse contents lie: journals do not tell it, the maps in front of the stored bytes do (FORMAT.md 5.2). The
 * contents to be looked at, in tape order, and what was found of each.
 */
import type { DataRange } from '../../domain/entry.ts';
import type { Catalog } from '../catalog.ts';
import { encodeRanges } from '../content/ranges.ts';
import { BAD_MEDIUM_STATES } from '../shelf/media.ts';

/** A stored map of a content, or of a part of it. */
export type SparseExtent = {
  readonly barcode: string;
  readonly startBlock: number;
  /** Of the map in the archive's stream. */
  readonly position: number;
  readonly storedBytes: number;
  readonly contentId: number;
  readonly contentOffset: number;
  readonly lengthBytes: number;
};

const PAGE = 1024;

export class RebuiltHoles {
  readonly #catalog: Catalog;
  readonly #page;
  readonly #addRun;
  readonly #addRead;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
    catalog
      .prepare(
        'CREATE TEMP TABLE sparse_runs(content, offset, length, PRIMARY KEY(content, offset)) WITHOUT ROWID',
      )
      .run();
    catalog
      .prepare(
        'CREATE TEMP TABLE sparse_read(content, offset, PRIMARY KEY(content, offset)) WITHOUT ROWID',
      )
      .run();
    catalog
      .prepare(
        `CREATE TEMP TABLE sparse_wanted AS SELECT m.barcode, k.start_block, e.position,
           coalesce(e.stored, e.length, c.size - e.content_offset) AS stored, c.id AS content, e.content_offset,
           coalesce(e.length, c.size - e.content_offset) AS length
         FROM extents e CROSS JOIN contents c ON c.id = e.content CROSS JOIN archives a ON a.id = e.archive
           CROSS JOIN archive_copies k ON k.archive = a.id CROSS JOIN media m ON m.id = k.medium
         WHERE e.form = 1 AND c.hash IS NOT NULL AND c.holes IS NULL AND a.state = 'good' AND k.state = 'good'
           AND m.uuid IS NOT NULL AND m.state NOT IN ${BAD_MEDIUM_STATES}
         GROUP BY c.id, e.content_offset ORDER BY m.barcode, k.start_block, e.position`,
      )
      .run();
    this.#page = catalog.prepare<[number, string, number, number, number, number, number, number]>(
      `SELECT rowid, * FROM temp.sparse_wanted WHERE rowid > ? ORDER BY rowid LIMIT ${PAGE}`,
    );
    this.#addRun = catalog.prepare('INSERT OR REPLACE INTO temp.sparse_runs VALUES(?, ?, ?)');
    this.#addRead = catalog.prepare('INSERT OR REPLACE INTO temp.sparse_read VALUES(?, ?)');
  }

  /** By cartridge, forward on each. */
  *wanted(): Generator<SparseExtent> {
    for (let after = 0; ; ) {
      const rows = this.#page.all(after);
      for (const row of rows) {
        const [
          rowid,
          barcode,
          startBlock,
          position,
          storedBytes,
          contentId,
          contentOffset,
          lengthBytes,
        ] = row;
        after = rowid;
        yield {
          ...{ barcode, startBlock, position, storedBytes, contentId, contentOffset, lengthBytes },
        };
      }
      if (rows.length < PAGE) return;
    }
  }

  /** @param ranges counted from the extent's first byte */
  found({ contentId, contentOffset }: SparseExtent, ranges: readonly DataRange[]): void {
    this.#catalog.write(() => {
      for (const { offset, lengthBytes } of ranges)
        if (lengthBytes > 0) this.#addRun.run(contentId, contentOffset + offset, lengthBytes);
      this.#addRead.run(contentId, contentOffset);
    });
  }

  /** Contents of which all maps were found have their holes. */
  finish(): void {
    const catalog = this.#catalog;
    // Parts without holes are data from end to end.
    catalog
      .prepare(
        `INSERT OR IGNORE INTO temp.sparse_runs SELECT e.content, e.content_offset,
           coalesce(e.length, c.size - e.content_offset) FROM extents e CROSS JOIN contents c ON c.id = e.content
         WHERE e.form = 0 AND e.content IN (SELECT content FROM temp.sparse_read)`,
      )
      .run();
    const contents = catalog.prepare<[number]>(
      `SELECT DISTINCT r.content FROM temp.sparse_read r WHERE r.content > ? AND NOT EXISTS(
         SELECT 1 FROM extents e WHERE e.content = r.content AND e.form = 1 AND NOT EXISTS(
           SELECT 1 FROM temp.sparse_read o WHERE o.content = e.content AND o.offset = e.content_offset))
       ORDER BY r.content LIMIT ${PAGE}`,
    );
    const runs = catalog.prepare<[number, number]>(
      'SELECT offset, length FROM temp.sparse_runs WHERE content = ? ORDER BY offset',
    );
    const set = catalog.prepare('UPDATE contents SET holes = ? WHERE id = ?');
    let after = 0;
    catalog.writeSteps(() => {
      const ids = contents.all(after).flat();
      for (const id of ids) set.run(encodeRanges(joined(runs.all(id))), id);
      after = ids.at(-1) ?? after;
      return ids.length === PAGE;
    });
    for (const table of ['sparse_runs', 'sparse_read', 'sparse_wanted'])
      catalog.prepare(`DROP TABLE temp.${table}`).run();
  }
}

/** Runs that touch where two parts meet are one. */
function joined(runs: readonly (readonly [offset: number, length: number])[]): DataRange[] {
  const ranges: DataRange[] = [];
  for (const [offset, lengthBytes] of runs) {
    const last = ranges.at(-1);
    if (last && last.offset + last.lengthBytes >= offset)
      ranges[ranges.length - 1] = {
        offset: last.offset,
        lengthBytes: Math.max(last.lengthBytes, offset + lengthBytes - last.offset),
      };
    else ranges.push({ offset, lengthBytes });
  }
  return ranges;
}
