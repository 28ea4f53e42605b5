/** Entries of the archive being written as lines of its journal, and where the parts of split files lie by now. */
import { escapeMedium } from '../../archive/journal-field.ts';
import { blockOf, type Place } from '../../archive/place.ts';
import { type Raw, rawOf } from '../../base/raw.ts';
import type { PendingEntry } from '../../catalog/pending/rows.ts';
import { type Extent, HASH_BYTES } from '../../domain/content.ts';
import type { TapeArchive } from '../../storage/tape-archive.ts';
import type { JournalSpool } from './journal-spool.ts';
import type { ArchiveCopy } from './open-archive.ts';
import type { OutgoingEntry } from './outgoing-entry.ts';
import type { OutgoingSpan } from './outgoing-span.ts';
import { lineChange } from './run-journal.ts';
import type { StoredRow } from './stored-lines.ts';

/** What an entry's line tells of its bytes. */
export type LineContent = {
  readonly hash: Buffer | undefined;
  readonly copies: readonly (readonly Place[])[];
};

/** A copy as its places name it. */
type Medium = { readonly medium: Raw; readonly file: number; readonly startBlock: number };

const NO_BYTES: LineContent = { hash: undefined, copies: [] };

export class ArchiveLines {
  readonly #spool: JournalSpool;
  readonly #copies: readonly ArchiveCopy[];
  readonly #media: readonly Medium[];
  readonly #blockBytes: number;
  /** Of large files begun in earlier archives or in this one: where their parts lie, a list a copy. */
  readonly #parts: Map<number, Place[][]>;

  /** @param options.parts is kept up to date */
  constructor(
    spool: JournalSpool,
    options: {
      readonly copies: readonly ArchiveCopy[];
      readonly blockBytes: number;
      readonly parts: Map<number, Place[][]>;
    },
  ) {
    this.#spool = spool;
    this.#copies = options.copies;
    this.#blockBytes = options.blockBytes;
    this.#parts = options.parts;
    this.#media = options.copies.map(({ tape, archive: { fileNumber, startBlock } }) => ({
      medium: rawOf(tape.barcode),
      file: fileNumber,
      startBlock,
    }));
    const copies = this.#media.map(({ medium, file, startBlock }) => ({
      name: `${escapeMedium(medium)}:${file}:`,
      startBlock,
    }));
    spool.begin({ copies, blockBytes: options.blockBytes });
  }

  /** An entry without bytes of its own. */
  addEmpty(entry: OutgoingEntry): void {
    this.#add(entry, this.#changeOf(entry.row), NO_BYTES);
  }

  /** An entry whose bytes end with this extent. */
  addStored(
    entry: OutgoingEntry,
    extent: Extent,
    content: { readonly hash: Buffer; readonly isChangedWhileRead: boolean },
  ): void {
    const { inodeId } = entry.inode;
    if (!content.isChangedWhileRead && this.#addWhole(entry, extent, content.hash)) return;
    const copies = this.#placesWith(inodeId, extent);
    this.#parts.delete(inodeId);
    const { hash, isChangedWhileRead } = content;
    this.#add(entry, this.#changeOf(entry.row), { hash, copies }, isChangedWhileRead);
  }

  /** A row of a span that is whole in this archive. */
  addRow(span: OutgoingSpan, row: number, stored: StoredRow): void {
    if (this.#spool.addRow(span, row, stored)) return;
    const { archiveOffset, hashes, index } = stored;
    const entry = span.item(row).key;
    const bytes = { lengthBytes: entry.inode.sizeBytes, storedBytes: entry.inode.sizeBytes };
    const extent = { contentOffset: 0, ...bytes, archiveOffset, form: 'plain' } as const;
    const hash = hashes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);
    this.addStored(entry, extent, { hash, isChangedWhileRead: false });
  }

  /** @returns whether the line is of the kind that most are */
  #addWhole({ row, inode, host }: OutgoingEntry, extent: Extent, hash: Buffer): boolean {
    const { contentOffset, lengthBytes, storedBytes, form, archiveOffset } = extent;
    const isWhole =
      contentOffset === 0 &&
      form === 'plain' &&
      storedBytes === lengthBytes &&
      lengthBytes === inode.sizeBytes;
    if (!isWhole || host !== undefined || row.movedFrom !== undefined) return false;
    if (this.#parts.size > 0 && this.#parts.has(inode.inodeId)) return false;
    return this.#spool.addStored({
      change: this.#changeOf(row),
      path: row.path,
      attributes: inode,
      inode: inode.sourceInode,
      hash,
      archiveOffset,
    });
  }

  /** A part of a file, more of which follow. */
  addPart(entry: OutgoingEntry, extent: Extent, isChangedWhileRead: boolean): void {
    const copies = this.#placesWith(entry.inode.inodeId, extent);
    this.#parts.set(entry.inode.inodeId, copies);
    const content = { hash: undefined, copies };
    this.#add(entry, this.#changeOf(entry.row), content, isChangedWhileRead);
  }

  /** A further name of bytes that are told of elsewhere. */
  addName(entry: OutgoingEntry, content: LineContent | undefined): void {
    this.#add(entry, lineChange(entry.row), content ?? NO_BYTES);
  }

  addDuplicate(entry: OutgoingEntry, content: LineContent | undefined): void {
    this.#add(entry, 'duplicate', content ?? NO_BYTES);
  }

  /** Parts of a file that failed are nowhere. */
  forgetParts(inodeId: number): void {
    this.#parts.delete(inodeId);
  }

  /** Whether the parts by now reach to this offset: what is behind a gap is no content. */
  reach(inodeId: number, offset: number): boolean {
    const [places = []] = this.#parts.get(inodeId) ?? [];
    return places.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0) === offset;
  }

  /** Parts on a medium that failed in this archive are nowhere. */
  forgetFailed(good: readonly { readonly archive: TapeArchive }[]): void {
    const lost = this.#media.filter((_, index) =>
      good.every(({ archive }) => archive !== this.#copies[index]?.archive),
    );
    if (lost.length === 0) return;
    const isLost = ({ medium, file }: Place) =>
      lost.some((copy) => copy.medium === medium && copy.file === file);
    for (const [inodeId, copies] of this.#parts) {
      this.#parts.set(
        inodeId,
        copies.filter((places) => !places.some(isLost)),
      );
    }
  }

  /** Bytes whose copies were lost, written again: for a reader of journals they lie elsewhere now. */
  #changeOf({ change }: PendingEntry): Exclude<PendingEntry['change'], 'again'> {
    return change === 'again' ? 'changed' : change;
  }

  #add(
    { row, inode, host }: OutgoingEntry,
    change: Exclude<PendingEntry['change'], 'again'>,
    { hash, copies }: LineContent,
    isChangedWhileRead = false,
  ): void {
    this.#spool.addEntry({
      change,
      path: row.path,
      attributes: inode,
      hash,
      copies,
      inode: inode.sourceInode,
      group: inode.sourceInode.links > 1 ? inode.inodeId : undefined,
      from: row.movedFrom,
      host: host === undefined ? undefined : rawOf(host),
      isChangedWhileRead: isChangedWhileRead || undefined,
    });
  }

  /** Where the content lies with this extent: a list of places for each copy. */
  #placesWith(inodeId: number, extent: Extent): Place[][] {
    const { storedBytes, contentOffset, lengthBytes, form } = extent;
    const before = contentOffset === 0 ? undefined : this.#parts.get(inodeId);
    // A copy that failed keeps its column until the archive ends, so that no list mixes one copy's places with another's.
    return this.#media.map(({ medium, file, startBlock }, index) => {
      const at = blockOf({ startBlock, blockBytes: this.#blockBytes }, extent.archiveOffset);
      const { block, skipBytes } = at;
      const place = {
        medium,
        file,
        block,
        skipBytes,
        storedBytes,
        contentOffset,
        lengthBytes,
        form,
      };
      return before ? [...(before[index] ?? before[0] ?? []), place] : [place];
    });
  }
}
