/**
 * Files of a run that may be what is stored already: by their size first, then by their hash; and what they turned out to be.
 */
import type { Raw } from '../../base/raw.ts';
import type { Catalog } from '../catalog.ts';
import { Contents, type CopyPolicy, type FoundContent } from '../content/contents.ts';
import { ContentKeys } from '../content/keys.ts';
import { CHANGES } from '../pending/change.ts';
import type { PendingEntry, PendingRows } from '../pending/rows.ts';
import type { Found } from './found.ts';

export class Candidates {
  readonly #catalog: Catalog;
  readonly #job: number;
  readonly #rows: PendingRows;
  readonly #found: Found;
  readonly #contents: Contents;
  readonly #keys: ContentKeys;
  readonly #setContent;
  readonly #setHash;
  readonly #findHash;
  readonly #settle;
  readonly #contentOf;

  constructor(
    catalog: Catalog,
    of: { readonly job: number; readonly rows: PendingRows; readonly found: Found },
  ) {
    this.#catalog = catalog;
    this.#job = of.job;
    this.#rows = of.rows;
    this.#found = of.found;
    this.#contents = new Contents(catalog);
    this.#keys = catalog.part(ContentKeys);
    // Older snapshots may show an inode that has content: it stays theirs.
    this.#setContent = catalog.prepare(
      'UPDATE inodes SET content = ? WHERE id = ? AND content IS NULL',
    );
    this.#settle = catalog.prepare(
      `UPDATE pending SET change = ?, moved_from = ? WHERE job = ? AND dir = ? AND name = ?
         AND change <> ${CHANGES.again}`,
    );
    this.#setHash = catalog.prepare('INSERT OR REPLACE INTO run_hashes VALUES(?, ?, ?)');
    this.#findHash = catalog.prepare('SELECT 1 FROM run_hashes WHERE job = ? AND hash = ? LIMIT 1');
    this.#contentOf = catalog.prepare<[number | null]>('SELECT content FROM inodes WHERE id = ?');
  }

  /**
   * Waiting files whose size another content has, stored or waiting: to be hashed before they are written.
   * @param sharedFromBytes of smaller files only those whose size a stored content has
   */
  bySize(sharedFromBytes = 0): Generator<PendingEntry> {
    // What a process that ended badly has stored is to be found by its size too.
    this.#keys.flush();
    const largestBytes = this.#found.largestBytes ?? Number.POSITIVE_INFINITY;
    this.#rows.countSizes(sharedFromBytes, largestBytes);
    return this.#rows.candidates(sharedFromBytes);
  }

  findContent(sizeBytes: number, hash: Buffer, policy: CopyPolicy): FoundContent | undefined {
    return this.#contents.findStored({ sizeBytes, hash }, policy);
  }

  /** The inode's bytes are this content: all its names become ready. */
  setContent(inodeId: number, contentId: number): void {
    this.#found.lose();
    this.#catalog.write(() => this.#setContent.run(contentId, inodeId));
  }

  /**
   * What a row turned out to be, once its bytes were known: a move, or a duplicate of what is stored. A row that stores
   * unchanged bytes again stays that: its inode is an older snapshot's.
   */
  settle(
    row: { readonly directoryId: number; readonly name: Raw },
    found: { readonly change: 'moved' | 'duplicate'; readonly movedFrom?: Raw | undefined },
  ): void {
    this.#found.lose();
    const { directoryId, name } = row;
    const change = CHANGES[found.change];
    this.#catalog.write(() =>
      this.#settle.run(change, found.movedFrom ?? null, this.#job, directoryId, name),
    );
  }

  /** The content of an inode by now; undefined while it waits for one, and for what has none. */
  contentOf(inodeId: number): number | undefined {
    const row = this.#contentOf.get(inodeId);
    return row?.[0] ?? undefined;
  }

  /** Remembers the hash of a waiting inode, so that one of several with the same bytes is written. */
  setHash(inodeId: number, hash: Buffer): void {
    this.#catalog.write(() => this.#setHash.run(this.#job, inodeId, hash));
  }

  /** Whether a waiting inode has this hash: it will be written, and others with the same bytes take its content. */
  hasHash(hash: Buffer): boolean {
    return this.#findHash.get(this.#job, hash) !== undefined;
  }

  /** Others with the same bytes no longer wait for this one: it could not be read. */
  forgetHash(inodeId: number): void {
    this.#catalog.write(() =>
      this.#catalog
        .prepare('DELETE FROM run_hashes WHERE job = ? AND inode = ?')
        .run(this.#job, inodeId),
    );
  }
}
