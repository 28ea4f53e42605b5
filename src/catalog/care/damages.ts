/** Damage of single copies, and the files it is in: by what names and when they were so, and where they lie well. */
import type { Raw } from '../../base/raw.ts';
import type { Catalog } from '../catalog.ts';
import { Contents } from '../content/contents.ts';
import { Media } from '../shelf/media.ts';
import { Directories } from '../tree/directories.ts';
import { paged } from '../tree/order.ts';
import { snapshotName } from '../tree/snapshots.ts';

/** One copy of an archive. */
export type CopyKey = { readonly archiveId: number; readonly mediumId: number };

/** Of an archive's stream. */
export type DamagedRange = { readonly position: number; readonly lengthBytes: number };

/** A content that is not whole on a medium, under one of its names. */
export type DamagedFile = {
  readonly barcode: string;
  readonly contentId: number;
  readonly sizeBytes: number;
  readonly path: Raw;
  readonly host: string;
  /** The first snapshot that shows it so, and the last one. */
  readonly first: string;
  readonly last: string;
  /** The newest snapshot shows it so. */
  readonly isLive: boolean;
  /** Barcodes of media that have good copies of it, and where those are. */
  readonly elsewhere: readonly { readonly barcode: string; readonly location: string | null }[];
  /** All of it lies well on other media. */
  readonly isSafe: boolean;
};

type NameRow = [
  content: number,
  size: number,
  dir: number,
  name: Raw,
  first: number,
  last: number,
  id: number,
];

const NAMES_TABLE =
  'hurt_names(id INTEGER PRIMARY KEY, content INTEGER, size INTEGER, dir INTEGER, name TEXT, first INTEGER, last INTEGER)';
const PAGE_ROWS = 256;

const NAMES = `
INSERT INTO temp.hurt_names(content, size, dir, name, first, last) SELECT h.content, i.size, v.dir, v.name, min(s.id), max(s.id)
FROM versions v CROSS JOIN inodes i ON i.id = v.inode CROSS JOIN temp.hurt h ON h.content = i.content
  CROSS JOIN snapshots s ON s.state = 'finished' AND s.expired_by IS NULL
    AND s.id >= v.since AND (v.until IS NULL OR s.id < v.until)
GROUP BY h.content, v.dir, v.name ORDER BY v.dir, v.name, h.content`;

const HURT = `
INSERT OR IGNORE INTO temp.hurt SELECT e.content FROM extents e CROSS JOIN contents c ON c.id = e.content
WHERE e.archive IN (SELECT archive FROM archive_copies WHERE medium = @medium AND state IN ('good', 'bad'))
  AND (e.archive IN (SELECT k.archive FROM archive_copies k CROSS JOIN archives a ON a.id = k.archive
      WHERE k.medium = @medium AND k.state = 'bad' AND a.state = 'good' AND k.written_ms IS NOT NULL)
    OR EXISTS(SELECT 1 FROM damages d WHERE d.archive = e.archive AND d.medium = @medium
      AND d.position < e.position + coalesce(e.stored, e.length, c.size - e.content_offset)
      AND d.position + d.length > e.position))`;

export class Damages {
  readonly #catalog: Catalog;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  of({ archiveId, mediumId }: CopyKey): DamagedRange[] {
    return this.#catalog
      .prepare<[number, number]>(
        'SELECT position, length FROM damages WHERE archive = ? AND medium = ? ORDER BY position',
      )
      .all(archiveId, mediumId)
      .map(([position, lengthBytes]) => ({ position, lengthBytes }));
  }

  /** All of the copy was read: this is what is wrong with it now, and nothing else. */
  replace({ archiveId, mediumId }: CopyKey, ranges: readonly DamagedRange[]): void {
    this.#catalog.write(() => {
      this.#catalog
        .prepare('DELETE FROM damages WHERE archive = ? AND medium = ?')
        .run(archiveId, mediumId);
      const insert = this.#catalog.prepare(
        `INSERT INTO damages VALUES(?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET length = max(length, excluded.length)`,
      );
      for (const { position, lengthBytes } of ranges)
        insert.run(archiveId, mediumId, position, lengthBytes);
    });
  }

  /** Whether any of it is known. */
  isAny(mediumId: number): boolean {
    const row = this.#catalog
      .prepare(
        `SELECT 1 FROM damages WHERE medium = @medium
         UNION ALL SELECT 1 FROM archive_copies WHERE medium = @medium AND state = 'bad' LIMIT 1`,
      )
      .get({ medium: mediumId });
    return row !== undefined;
  }

  /**
   * The files that a snapshot shows and that are not whole on this medium, by path. Goes through extents, inodes and versions
   * once each: seconds for ten million.
   */
  *filesOn(mediumId: number): Generator<DamagedFile> {
    const catalog = this.#catalog;
    catalog.read(() => {
      for (const table of ['hurt(content INTEGER PRIMARY KEY)', NAMES_TABLE]) {
        catalog.prepare(`CREATE TEMP TABLE IF NOT EXISTS ${table}`).run();
        catalog.prepare(`DELETE FROM temp.${table.split('(', 1)}`).run();
      }
      catalog.prepare(HURT).run({ medium: mediumId });
      catalog.prepare(NAMES).run();
    });
    const describe = this.#describer(mediumId);
    const page = catalog.prepare<NameRow>(
      `SELECT content, size, dir, name, first, last, id FROM temp.hurt_names WHERE id > ? ORDER BY id LIMIT ${PAGE_ROWS}`,
    );
    for (const row of paged((last: NameRow | undefined) => page.all(last?.[6] ?? 0), PAGE_ROWS))
      yield describe(row);
  }

  #describer(mediumId: number): (row: NameRow) => DamagedFile {
    const catalog = this.#catalog;
    const directories = new Directories(catalog);
    const contents = new Contents(catalog);
    const media = new Media(catalog);
    const { barcode } = media.get(mediumId);
    const hosts = new Map(directories.hosts().map((host) => [host.directoryId, host.name]));
    const seconds = catalog.prepare<[number]>('SELECT seconds FROM snapshots WHERE id = ?');
    const nameOf = (id: number) => snapshotName({ seconds: seconds.get(id)?.[0] ?? 0 });
    const live = catalog
      .prepare<[number]>("SELECT max(id) FROM snapshots WHERE state = 'finished'")
      .get()?.[0];
    return ([contentId, sizeBytes, dir, name, first, last]) => {
      const others = new Set<string>();
      for (const { copies } of contents.extentsOf(contentId))
        for (const copy of copies)
          if (copy.isGood && copy.mediumId !== mediumId) others.add(copy.barcode);
      return {
        barcode,
        contentId,
        sizeBytes,
        path: directories.entryPath(dir, name),
        host: hosts.get(directories.root(dir)) ?? '',
        first: nameOf(first),
        last: nameOf(last),
        isLive: last === live,
        elsewhere: [...others].sort().map((other) => ({
          barcode: other,
          location: media.find(other)?.location ?? null,
        })),
        isSafe: contents.goodCopiesWithout(contentId, mediumId) > 0,
      };
    };
  }
}
