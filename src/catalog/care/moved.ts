/** Extents of contents that are written a second time, and names under which they then lie in archives. */
import type { Raw } from '../../base/raw.ts';
import type { Extent } from '../../domain/content.ts';
import type { Catalog } from '../catalog.ts';
import { TemporaryTable } from '../row/temporary.ts';

export type MovedExtent = {
  readonly contentId: number;
  readonly sizeBytes: number;
  readonly extent: Extent;
};

type EntryName = { readonly directoryId: number; readonly name: Raw };

/** What an archive being written holds: it counts with the archive's commit. */
export class MovedExtents {
  readonly #catalog: Catalog;
  readonly #insert;
  readonly #members: TemporaryTable;
  readonly #isMember;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
    this.#insert = catalog.prepare('INSERT OR REPLACE INTO extents VALUES(?, ?, ?, ?, ?, ?, ?)');
    const columns = '(content INTEGER, dir INTEGER, name TEXT)';
    this.#members = new TemporaryTable(catalog, 'moved_members', columns);
    catalog
      .prepare('CREATE INDEX IF NOT EXISTS temp.moved_by_content ON moved_members(content)')
      .run();
    this.#isMember = catalog.prepare(
      'SELECT 1 FROM temp.moved_members WHERE content = ? AND dir = ? AND name = ?',
    );
  }

  add(archiveId: number, extents: readonly MovedExtent[]): void {
    this.#catalog.writeEach(extents, ({ contentId, sizeBytes, extent }) => {
      const { contentOffset, lengthBytes, storedBytes, archiveOffset, form } = extent;
      this.#insert.run(
        contentId,
        contentOffset,
        archiveId,
        archiveOffset,
        contentOffset + lengthBytes === sizeBytes ? null : lengthBytes,
        storedBytes === lengthBytes ? null : storedBytes,
        form === 'sparse' ? 1 : 0,
      );
    });
  }

  /** The whole content lies under this name now. */
  note(contentId: number, { directoryId, name }: EntryName): void {
    this.#members.add(contentId, directoryId, name);
  }

  isMember(contentId: number, { directoryId, name }: EntryName): boolean {
    this.#members.flush();
    return this.#isMember.get(contentId, directoryId, name) !== undefined;
  }
}
