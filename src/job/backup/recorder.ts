/**
 * Tells the catalog what an archive holds while it is written: many entries at a time, for each commit waits for the disk.
 * They count when the archive is committed.
 */
import { strict as assert } from 'node:assert';
import type { Catalog } from '../../catalog/catalog.ts';
import { Contents, type CopyPolicy } from '../../catalog/content/contents.ts';
import { type ContentColumns, keyAt } from '../../catalog/content/keys.ts';
import type { Run } from '../../catalog/run/run.ts';
import {
  type HashPlace,
  type PlainRow,
  type StoredEntry,
  StoredRows,
} from '../../catalog/run/stored-rows.ts';
import { HASH_BYTES } from '../../domain/content.ts';
import { type Located, locateContent } from './locate.ts';
import type { OutgoingEntry } from './outgoing-entry.ts';

export type RecorderTools = {
  readonly catalog: Catalog;
  readonly run: Run;
  /** What counts as stored. */
  readonly policy: CopyPolicy;
};

/** A file that was read whole before it was found to be stored already. */
export type Duplicate = { readonly entry: OutgoingEntry; readonly hash: Buffer };

/** Entries recorded in one transaction. */
const BATCH = 4096;

export class Recorder {
  readonly #tools: RecorderTools;
  readonly #archiveId: number;
  readonly #contents: Contents;
  #stored = new StoredRows();
  #duplicates: Duplicate[] = [];
  /** Inodes whose contents are among them. */
  readonly #unrecorded = new Set<number>();
  readonly #fresh = new FreshHashes();

  constructor(tools: RecorderTools, archiveId: number) {
    this.#tools = tools;
    this.#archiveId = archiveId;
    this.#contents = new Contents(tools.catalog);
  }

  /** So many wait that a commit is worth its time. */
  get isFull(): boolean {
    return this.#stored.count + this.#duplicates.length >= BATCH;
  }

  add(stored: StoredEntry): void {
    this.#stored.add(stored);
    if (stored.content) this.#unrecorded.add(stored.inodeId);
  }

  /** A file of one name, so that nobody asks for it before it is recorded. */
  addPlain(row: PlainRow, hash: HashPlace): void {
    this.#stored.addPlain(row, hash);
  }

  addDuplicate(duplicate: Duplicate): void {
    this.#duplicates.push(duplicate);
    this.#unrecorded.add(duplicate.entry.inode.inodeId);
  }

  /** The file has failed: its parts are of no use, in this archive and in those before. */
  forgetParts(inodeId: number): void {
    this.#stored = this.#stored.without(inodeId);
    this.#tools.run.forgetParts(inodeId);
  }

  /**
   * Which small contents need not be stored, by their place: enough good copies are there, or this archive has them, or one
   * before in the list is the same. The others are taken to be stored from then on.
   */
  findStored(contents: ContentColumns): number[] {
    const { run, policy } = this.#tools;
    const { count, hashes } = contents;
    if (count === 0) return [];
    const stored = run.archives.areStored(contents, { policy, archiveId: this.#archiveId });
    const found: number[] = [];
    for (let index = 0; index < count; index += 1)
      if (stored.has(index) || !this.#fresh.add(hashes, index)) found.push(index);
    return found;
  }

  /** Whether `flush` has to come before `located` knows of this inode. */
  isUnrecorded(inodeId: number): boolean {
    return this.#unrecorded.has(inodeId);
  }

  /** Hash and places of what an inode holds, in this archive or before; undefined where it is not stored. */
  located(inodeId: number): Located | undefined {
    return locateContent(this.#contents, this.#tools.run.candidates.contentOf(inodeId));
  }

  /** Records what has come by now. @returns the duplicates among it: the catalog knows by now what they are duplicates of */
  flush(): readonly Duplicate[] {
    this.#recordStored();
    const duplicates = this.#duplicates;
    this.#duplicates = [];
    if (duplicates.length > 0) this.#setDuplicates(duplicates);
    this.#unrecorded.clear();
    return duplicates;
  }

  #recordStored(): void {
    this.#tools.run.archives.store(this.#archiveId, this.#stored);
    this.#stored.clear();
    this.#fresh.clear();
  }

  #setDuplicates(duplicates: readonly Duplicate[]): void {
    const { catalog, run } = this.#tools;
    catalog.write(() => {
      for (const { entry, hash } of duplicates) {
        const { row, inode } = entry;
        const contentId = this.#contents.find(inode.sizeBytes, hash);
        assert(contentId !== undefined, 'what a duplicate is of has been recorded');
        run.candidates.setContent(inode.inodeId, contentId);
        run.candidates.settle(row, { change: 'duplicate' });
      }
    });
    run.archives.store(
      this.#archiveId,
      duplicates.map(({ entry: { row, inode } }) => ({
        directoryId: row.directoryId,
        name: row.name,
        inodeId: inode.inodeId,
      })),
    );
  }
}

/** Hashes of small contents that wait to be recorded, by key. Of two with one key the last: the other would be stored once more. */
class FreshHashes {
  readonly #places = new Map<number, number>();
  #hashes = Buffer.alloc(BATCH * HASH_BYTES);
  #bytes = 0;

  /** @returns false where it is there already */
  add(hashes: Buffer, index: number): boolean {
    const from = index * HASH_BYTES;
    const key = keyAt(hashes, from);
    const known = this.#places.get(key);
    const isKnown =
      known !== undefined &&
      this.#hashes.compare(hashes, from, from + HASH_BYTES, known, known + HASH_BYTES) === 0;
    if (isKnown) return false;
    if (this.#bytes === this.#hashes.length)
      this.#hashes = Buffer.concat([this.#hashes], 2 * this.#bytes);
    hashes.copy(this.#hashes, this.#bytes, from, from + HASH_BYTES);
    this.#places.set(key, this.#bytes);
    this.#bytes += HASH_BYTES;
    return true;
  }

  clear(): void {
    this.#places.clear();
    this.#bytes = 0;
  }
}
