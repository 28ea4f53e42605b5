/**
 * Looks at virtual cartridges with no code of the product but its hash: what the catalog calls good must stand there, and
 * what stood there must stand there still.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Blake3Hasher } from '@napi-rs/blake-hash';
import { expect } from 'vitest';
import { findDigest } from '../../src/archive/digest.ts';
import { parseOpening } from '../../src/archive/opening.ts';
import type { Catalog } from '../../src/catalog/catalog.ts';

/** A cartridge's file: records of SIMH, each 4 bytes of length, the data padded to even, the length again; 0: a filemark. */
export class TapImage {
  readonly #bytes: Buffer;
  /** Where each block or filemark begins, and at last the end. */
  readonly #offsets: number[] = [0];

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    for (let at = 0; at + 4 <= bytes.length; ) {
      const lengthBytes = bytes.readUInt32LE(at);
      const next = at + (lengthBytes === 0 ? 4 : 8 + lengthBytes + (lengthBytes % 2));
      if (next > bytes.length) break;
      this.#offsets.push(next);
      at = next;
    }
  }

  static read(libraryDirectory: string, barcode: string): TapImage {
    const path = join(libraryDirectory, `${barcode}.tap`);
    try {
      return new TapImage(readFileSync(path));
    } catch (error) {
      // Never loaded.
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
        return new TapImage(Buffer.alloc(0));
      throw error;
    }
  }

  /** Blocks and filemarks that are whole. */
  get lengthBlocks(): number {
    return this.#offsets.length - 1;
  }

  /** Everything before block `end`; less where there is less. */
  before(end: number): Buffer {
    return this.#bytes.subarray(0, this.#offsets[Math.min(end, this.lengthBlocks)]);
  }

  /** The data of a block; empty: a filemark. */
  block(block: number): Buffer {
    const [from, to] = [this.#offsets[block], this.#offsets[block + 1]];
    if (from === undefined || to === undefined) throw new Error(`no block ${block}`);
    return this.#bytes.subarray(from + 4, from + 4 + this.#bytes.readUInt32LE(from));
  }
}

export type TapePrefix = { readonly barcode: string; readonly bytes: Buffer };

/** What lies on each tape before the end of data that the catalog knows. */
export function knownPrefixes(catalog: Catalog, libraryDirectory: string): TapePrefix[] {
  return catalog
    .prepare<[string, number]>('SELECT barcode, next_block FROM media ORDER BY barcode')
    .all()
    .map(([barcode, nextBlock]) => {
      const image = TapImage.read(libraryDirectory, barcode);
      expect(image.lengthBlocks, `${barcode} ends before the catalog's end`).toBeGreaterThanOrEqual(
        nextBlock,
      );
      return { barcode, bytes: Buffer.from(image.before(nextBlock)) };
    });
}

export function expectUnchanged(prefixes: readonly TapePrefix[], libraryDirectory: string): void {
  for (const { barcode, bytes } of prefixes) {
    if (bytes.length === 0) continue;
    const now = readFileSync(join(libraryDirectory, `${barcode}.tap`));
    expect(
      now.subarray(0, bytes.length).equals(bytes),
      `${barcode}: the first ${bytes.length} bytes are as they were`,
    ).toBe(true);
  }
}

type CopyRow = [
  uuid: string,
  blake3: Buffer,
  lengthBytes: number,
  lengthBlocks: number,
  startBlock: number,
  barcode: string,
  file: number,
  completedBy: string | null,
];

/**
 * Every good copy of every good archive: its blocks stand where the catalog says, a filemark behind them, and their bytes
 * have the hash that both the catalog and the archive's own digest name. @returns how many copies there were
 */
export function checkArchives(catalog: Catalog, libraryDirectory: string): number {
  const rows = catalog
    .prepare<CopyRow>(
      `SELECT a.uuid, a.blake3, a.length_bytes, a.length_blocks, c.start_block, m.barcode, c.file_number, n.uuid
       FROM archives a JOIN archive_copies c ON c.archive = a.id JOIN media m ON m.id = c.medium
       LEFT JOIN archives n ON n.id = a.completed_by
       WHERE a.state = 'good' AND c.state = 'good' ORDER BY m.barcode, c.start_block`,
    )
    .all();
  const images = new Map<string, TapImage>();
  let expected = { barcode: '', block: 0 };
  for (const row of rows) {
    const [uuid, blake3, lengthBytes, lengthBlocks, startBlock, barcode, file, completedBy] = row;
    const what = `archive ${uuid} on ${barcode}`;
    const image = images.get(barcode) ?? TapImage.read(libraryDirectory, barcode);
    images.set(barcode, image);
    if (expected.barcode === barcode)
      expect(startBlock, `${what} overlaps`).toBeGreaterThanOrEqual(expected.block);
    const end = startBlock + lengthBlocks;
    const blocks = Array.from({ length: lengthBlocks }, (_, at) => image.block(startBlock + at));
    expect(image.block(end).length, `${what}: a filemark behind it`).toBe(0);
    if (startBlock > 0) expect(image.block(startBlock - 1).length, `${what}: before it`).toBe(0);
    expect(filemarksBefore(image, startBlock), `${what}: its file number`).toBe(file);
    const bytes = Buffer.concat(blocks);
    const digest = findDigest(bytes, bytes.length);
    if (completedBy === null) {
      expect(bytes.length, `${what}: its length`).toBe(lengthBytes);
      expect(digest?.uuid, `${what}: its digest`).toBe(uuid);
      expect(digest?.blake3.equals(blake3), `${what}: the digest's BLAKE3`).toBe(true);
    } else {
      expect(digest, `${what}: it is torn`).toBeUndefined();
      expect(bytes.length, `${what}: its length`).toBeGreaterThan(lengthBytes);
      const { uuid: next, completes } = parseOpening(image.block(end + 1));
      expect({ next, completes: completes?.uuid }).toEqual({ next: completedBy, completes: uuid });
      expect(completes?.wholeBytes, `${what}: what is whole`).toBeLessThan(lengthBytes);
    }
    const hashed = bytes.subarray(0, digest?.lengthBytes ?? lengthBytes);
    const found = new Blake3Hasher().update(hashed).digestBuffer();
    expect(found.equals(blake3), `${what}: its BLAKE3`).toBe(true);
    expected = { barcode, block: end + 1 };
  }
  return rows.length;
}

function filemarksBefore(image: TapImage, end: number): number {
  let marks = 0;
  for (let block = 0; block < end; block += 1) if (image.block(block).length === 0) marks += 1;
  return marks;
}
