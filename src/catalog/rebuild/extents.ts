/**
 * Contents and where they lie, as journals tell it, while a catalog is rebuilt.
 *
 * A place counts when the archive's own journal tells of it, or that of a later archive of its job: then those bytes were its
 * members. What another journal says of
 * an archive is believed only where that archive has no journal of its own to ask, and where its cartridge has not been
 * labelled since. So a cartridge that was written over, or a journal that lies, never makes bytes count as stored that are
 * not; and what is believed wrongly is found out by its hash when it is read.
 */
import { strict as assert } from 'node:assert';
import { HASH_BYTES, SEGMENT_BYTES, segmentCount } from '../../domain/content.ts';
import type { Catalog } from '../catalog.ts';
import { type ContentKey, ContentKeys } from '../content/keys.ts';
import { NULL_NUMBER, Packed } from '../row/packed.ts';
import { UnseenArchives } from './unseen.ts';

/** One extent as a journal says it; the archive's block size makes a place in its stream of it. */
export type ToldPlace = {
  readonly barcode: string;
  readonly file: number;
  readonly block: number;
  readonly skipBytes: number;
  readonly storedBytes: number;
  readonly contentOffset: number;
  readonly lengthBytes: number;
  readonly isSparse: boolean;
};

/** The journal that speaks. */
export type Teller = {
  /** Its archive, the torn one that this completes, and those of its job that were written before. */
  readonly own: ReadonlySet<number>;
  readonly createdMs: number;
  readonly blockBytes: number;
};

type Shelved = {
  readonly archiveId: number;
  readonly startBlock: number;
  readonly blockBytes: number;
  readonly lengthBlocks: number | undefined;
};

type Doubt = [
  content: number,
  offset: number,
  length: number,
  barcode: string,
  file: number,
  block: number,
  skip: number,
  stored: number,
  form: number,
  archive: number | null,
  position: number,
  blockBytes: number,
  createdMs: number,
];

const PAGE = 4096;

export class RebuiltExtents {
  readonly #catalog: Catalog;
  readonly #keys: ContentKeys;
  readonly #newContents;
  readonly #newExtents;
  readonly #hasExtent;
  readonly #notePart;
  readonly #doubt;
  readonly #segments;
  readonly #setSegments;
  readonly #shelved = new Map<string, Shelved>();
  /** Archives whose own journals are read. */
  readonly #speaking = new Set<number>();

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
    this.#keys = catalog.part(ContentKeys);
    catalog
      .prepare(
        'CREATE TEMP TABLE rebuilt_parts(archive, position, PRIMARY KEY(archive, position)) WITHOUT ROWID',
      )
      .run();
    catalog
      .prepare(
        `CREATE TEMP TABLE doubts(content, content_offset, length, barcode, file, block, skip, stored, form, archive,
           position, block_bytes, created_ms)`,
      )
      .run();
    this.#newContents = new Packed(catalog, {
      sql: 'INSERT INTO contents SELECT n0, n1, b0, NULL, NULL',
      numbers: 2,
      hashes: 1,
    });
    this.#newExtents = new Packed(catalog, {
      sql: 'INSERT OR IGNORE INTO extents SELECT n0, n1, n2, n3, n4, n5, n6',
      numbers: 7,
    });
    this.#hasExtent = catalog.prepare(
      'SELECT 1 FROM extents WHERE content = ? AND content_offset = ? AND archive = ?',
    );
    this.#notePart = catalog.prepare('INSERT OR IGNORE INTO temp.rebuilt_parts VALUES(?, ?)');
    this.#doubt = catalog.prepare(
      `INSERT INTO temp.doubts VALUES(${Array.from({ length: 13 }, () => '?').join()})`,
    );
    this.#segments = catalog.prepare<[number, Buffer | null]>(
      'SELECT size, segments FROM contents WHERE id = ?',
    );
    this.#setSegments = catalog.prepare('UPDATE contents SET segments = ? WHERE id = ?');
  }

  /** Call it when all archives are on the shelf, and before the first place is told. */
  readShelf(): void {
    const rows = this.#catalog
      .prepare<[string, number, number, number, number, number | null]>(
        `SELECT m.barcode, k.file_number, a.id, k.start_block, a.block_bytes, a.length_blocks
         FROM archive_copies k JOIN archives a ON a.id = k.archive JOIN media m ON m.id = k.medium
         WHERE k.state <> 'lost'`,
      )
      .all();
    for (const [barcode, file, archiveId, startBlock, blockBytes, lengthBlocks] of rows)
      this.#shelved.set(`${file}:${barcode}`, {
        archiveId,
        startBlock,
        blockBytes,
        lengthBlocks: lengthBlocks ?? undefined,
      });
  }

  speaks(archiveId: number): void {
    this.#speaking.add(archiveId);
  }

  /** The content of each of these bytes, made where it is not known. Part of the caller's `write`, which flushes rows. */
  contents(asked: readonly ContentKey[]): number[] {
    const found = this.#keys.findEach(asked);
    if (found.every(([id]) => id !== undefined)) return found.map(([id]) => id ?? 0);
    const base = this.#catalog.nextIds('contents', asked.length);
    this.#keys.beginRange(base, base + asked.length - 1);
    const added: ContentKey[] = [];
    return asked.map((key, index) => {
      const id = base + added.length;
      const known =
        found[index]?.[0] ??
        this.#keys.add(id, key, (other) => added[other - base]?.hash.equals(key.hash));
      if (known !== undefined) return known;
      added.push(key);
      this.#newContents.add([id, key.sizeBytes], undefined, key.hash);
      return id;
    });
  }

  /** Outside of a transaction; call it now and then. */
  flushIfFull(): void {
    if (this.#keys.isFull) this.flush();
  }

  flush(): void {
    this.#keys.flush();
  }

  /** What was added in this transaction is in its tables. */
  flushRows(): void {
    this.#newContents.flush();
    this.#newExtents.flush();
  }

  /** One copy of a content, whole. */
  add(
    of: { readonly content: number; readonly sizeBytes: number },
    place: ToldPlace,
    teller: Teller,
  ): void {
    const { content, sizeBytes } = of;
    const { barcode, file, block, skipBytes, contentOffset, lengthBytes, storedBytes } = place;
    const shelved = this.#shelved.get(`${file}:${barcode}`);
    const position = shelved && positionIn(shelved, place);
    const archive = position === undefined ? undefined : shelved?.archiveId;
    if (archive !== undefined && position !== undefined) {
      if (teller.own.has(archive)) {
        this.#insertSized({ content, sizeBytes, archive, position }, place);
        return;
      }
      // What waits to be written is of this journal's own archives.
      if (this.#hasExtent.get(content, contentOffset, archive)) return;
    }
    this.#doubt.run(
      content,
      contentOffset,
      lengthBytes,
      barcode,
      file,
      block,
      skipBytes,
      storedBytes,
      place.isSparse ? 1 : 0,
      archive ?? null,
      position ?? 0,
      teller.blockBytes,
      teller.createdMs,
    );
  }

  /** A part of a file that is not complete yet: a later journal tells of all its parts at once. */
  addPart(place: ToldPlace, teller: Teller): void {
    const shelved = this.#shelved.get(`${place.file}:${place.barcode}`);
    const position = shelved && positionIn(shelved, place);
    if (shelved && position !== undefined && teller.own.has(shelved.archiveId))
      this.#notePart.run(shelved.archiveId, position);
  }

  /** Hashes of a large content's segments, those before given already. */
  addSegments(content: number, first: number, hashes: Buffer): void {
    const row = this.#segments.get(content);
    if (!row) return;
    const [sizeBytes, before] = row;
    const known = before ?? Buffer.alloc(0);
    const count = sizeBytes > SEGMENT_BYTES ? segmentCount(sizeBytes) : 0;
    const fits = known.length === first * HASH_BYTES;
    if (!fits || known.length + hashes.length > count * HASH_BYTES) return;
    this.#setSegments.run(Buffer.concat([known, hashes]), content);
  }

  /**
   * When all is told: doubtful places count, or what lies there alone is known to be out of reach.
   * @returns places refused, and the cartridges that hold what no other is known to
   */
  settle(): { readonly refused: number; readonly missing: readonly string[] } {
    const page = this.#catalog.prepare<[number, ...Doubt]>(
      `SELECT d.rowid, d.* FROM temp.doubts d WHERE d.rowid > ? ORDER BY d.rowid LIMIT ${PAGE}`,
    );
    let refused = 0;
    const eachPage = (each: (doubt: Doubt) => void) => {
      let after = 0;
      this.#catalog.writeSteps(() => {
        const rows = page.all(after);
        for (const [rowid, ...doubt] of rows) {
          after = rowid;
          each(doubt);
        }
        return rows.length === PAGE;
      });
    };
    eachPage((doubt) => {
      if (this.#isProven(doubt)) this.#accept(doubt);
      else if (doubt[9] !== null && !this.#isVoid(doubt)) refused += 1;
    });
    // Only now is it known of which contents nothing else is left.
    const unseen = new UnseenArchives(this.#catalog);
    eachPage((doubt) => this.#remember(doubt, unseen));
    this.#catalog.prepare('DROP TABLE temp.doubts').run();
    this.#catalog.prepare('DROP TABLE temp.rebuilt_parts').run();
    this.#dropUnfinishedSegments();
    return { refused, missing: unseen.missing };
  }

  #insert(content: number, archive: number, position: number, place: ToldPlace): void {
    const sizeBytes = this.#segments.get(content)?.[0];
    assert(sizeBytes !== undefined);
    this.#insertSized({ content, sizeBytes, archive, position }, place);
  }

  #insertSized(
    of: {
      readonly content: number;
      readonly sizeBytes: number;
      readonly archive: number;
      readonly position: number;
    },
    { contentOffset, lengthBytes, storedBytes, isSparse }: ToldPlace,
  ): void {
    const isToEnd = contentOffset + lengthBytes === of.sizeBytes;
    this.#newExtents.add([
      of.content,
      contentOffset,
      of.archive,
      of.position,
      isToEnd ? NULL_NUMBER : lengthBytes,
      storedBytes === lengthBytes ? NULL_NUMBER : storedBytes,
      isSparse ? 1 : 0,
    ]);
  }

  #accept([content, contentOffset, lengthBytes, barcode, file, block, skip, ...rest]: Doubt): void {
    const [storedBytes, form, archive, position] = rest;
    if (archive === null) return;
    this.#insert(content, archive, position, {
      ...{ barcode, file, block, skipBytes: skip, storedBytes, contentOffset, lengthBytes },
      isSparse: form === 1,
    });
    this.#newExtents.flush();
  }

  #isProven(doubt: Doubt): boolean {
    const [content, offset] = doubt;
    const [archive, position, , createdMs] = [doubt[9], doubt[10], doubt[11], doubt[12]];
    if (archive === null) return false;
    const told = this.#catalog
      .prepare('SELECT 1 FROM temp.rebuilt_parts WHERE archive = ? AND position = ?')
      .get(archive, position);
    if (told || this.#hasExtent.get(content, offset, archive)) return true;
    if (this.#speaking.has(archive)) return false;
    const row = this.#catalog
      .prepare<[number]>("SELECT created_ms FROM archives WHERE id = ? AND state = 'good'")
      .get(archive);
    return row !== undefined && row[0] <= createdMs;
  }

  /** What lies there now is younger than the journal that names the place: the cartridge has been written anew since. */
  #isVoid(doubt: Doubt): boolean {
    const [archive, createdMs] = [doubt[9], doubt[12]];
    const row = this.#catalog
      .prepare<[number]>('SELECT created_ms FROM archives WHERE id = ?')
      .get(archive);
    return row !== undefined && row[0] > createdMs;
  }

  /** Bytes that lie nowhere else get a place all the same: on a cartridge that is lost until somebody brings it. */
  #remember(doubt: Doubt, unseen: UnseenArchives): void {
    const [content, contentOffset, lengthBytes, barcode, file, block, skip, stored, form] = doubt;
    const isElsewhere = this.#catalog
      .prepare('SELECT 1 FROM extents WHERE content = ? AND content_offset = ?')
      .get(content, contentOffset);
    if (isElsewhere) return;
    const blockBytes = doubt[11];
    const archive = unseen.at({ barcode, file, blockBytes, createdMs: doubt[12] });
    this.#insert(content, archive, block * blockBytes + skip, {
      ...{ barcode, file, block, skipBytes: skip, storedBytes: stored, contentOffset, lengthBytes },
      isSparse: form === 1,
    });
    this.#newExtents.flush();
  }

  /** Some of the hashes are none: the hash of the whole does it then. */
  #dropUnfinishedSegments(): void {
    this.#catalog.write(() =>
      this.#catalog
        .prepare(
          `UPDATE contents SET segments = NULL WHERE segments IS NOT NULL AND hash IS NOT NULL
             AND length(segments) <> ${HASH_BYTES} * ((size + ${SEGMENT_BYTES - 1}) / ${SEGMENT_BYTES})`,
        )
        .run(),
    );
  }
}

/** Undefined where the archive does not reach so far. */
function positionIn(shelved: Shelved, place: ToldPlace): number | undefined {
  const { startBlock, blockBytes, lengthBlocks } = shelved;
  if (place.skipBytes >= blockBytes || place.block < startBlock) return undefined;
  const position = (place.block - startBlock) * blockBytes + place.skipBytes;
  if (!Number.isSafeInteger(position + place.storedBytes)) return undefined;
  const isWithin =
    lengthBlocks === undefined || position + place.storedBytes <= lengthBlocks * blockBytes;
  return isWithin ? position : undefined;
}
