/** Samples of a run's large files, in a temporary table on disk: which of them may be the same as another. */
import type { Catalog } from '../catalog.ts';

export class Samples {
  readonly #add;
  readonly #isShared;
  readonly #anyShared;

  /** Begins with none. */
  constructor(catalog: Catalog) {
    catalog
      .prepare(
        'CREATE TEMP TABLE IF NOT EXISTS samples(inode INTEGER PRIMARY KEY, size INTEGER, hash BLOB)',
      )
      .run();
    catalog.prepare('CREATE INDEX IF NOT EXISTS temp.samples_by_size ON samples(size, hash)').run();
    catalog.prepare('DELETE FROM temp.samples').run();
    this.#add = catalog.prepare('INSERT OR REPLACE INTO temp.samples VALUES(?, ?, ?)');
    this.#isShared = catalog.prepare(
      `SELECT 1 FROM temp.samples a CROSS JOIN temp.samples b ON b.size = a.size AND b.hash = a.hash
       WHERE a.inode = ? AND b.inode <> a.inode LIMIT 1`,
    );
    this.#anyShared = catalog.prepare(
      'SELECT 1 FROM temp.samples GROUP BY size, hash HAVING count(*) > 1 LIMIT 1',
    );
  }

  /** @param hash of equal samples the same */
  add(inodeId: number, sizeBytes: number, hash: Buffer): void {
    this.#add.run(inodeId, sizeBytes, hash);
  }

  haveShared(): boolean {
    return this.#anyShared.get() !== undefined;
  }

  /** Whether another inode has the same size and sample. */
  isShared(inodeId: number): boolean {
    return this.#isShared.get(inodeId) !== undefined;
  }
}
