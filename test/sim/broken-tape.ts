/** Makes bytes of virtual cartridges unreadable for what they were, without the cartridge noticing. */
import { closeSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Catalog } from '../../src/catalog/catalog.ts';

/** Where each block of a cartridge's file begins: records of SIMH, as test/sim/check-archives.ts reads them. */
function offsets(bytes: Buffer): number[] {
  const found: number[] = [];
  for (let at = 0; at + 4 <= bytes.length; ) {
    found.push(at + 4);
    const lengthBytes = bytes.readUInt32LE(at);
    at += lengthBytes === 0 ? 4 : 8 + lengthBytes + (lengthBytes % 2);
  }
  return found;
}

/** Bytes of a tape file's stream become something else. */
export function spoil(
  directory: string,
  place: {
    readonly barcode: string;
    readonly startBlock: number;
    readonly blockBytes: number;
    readonly position: number;
    readonly lengthBytes: number;
  },
): void {
  const path = join(directory, `${place.barcode}.tap`);
  const blocks = offsets(readFileSync(path));
  const file = openSync(path, 'r+');
  try {
    for (let at = 0; at < place.lengthBytes; at += 1) {
      const position = place.position + at;
      const block = blocks[place.startBlock + Math.floor(position / place.blockBytes)];
      if (block === undefined) throw new Error(`no byte ${position} on ${place.barcode}`);
      const offset = block + (position % place.blockBytes);
      const byte = Buffer.alloc(1);
      readSync(file, byte, 0, 1, offset);
      byte.writeUInt8(byte.readUInt8() ^ 0xff);
      writeSync(file, byte, 0, 1, offset);
    }
  } finally {
    closeSync(file);
  }
}

/** No copy of the catalog can be unpacked any more. @returns how many there were */
export function spoilCopies(catalog: Catalog, directory: string): number {
  const copies = catalog
    .prepare<[string, number, number, number]>(
      `SELECT m.barcode, k.start_block, a.block_bytes, c.position FROM catalog_copies c
         JOIN archives a ON a.id = c.archive JOIN archive_copies k ON k.archive = a.id JOIN media m ON m.id = k.medium
       WHERE (k.state = 'good' OR m.state = 'scratch') AND NOT EXISTS(
         SELECT 1 FROM archive_copies n WHERE n.medium = k.medium AND n.archive > k.archive AND n.start_block <= k.start_block)`,
    )
    .all();
  for (const [barcode, startBlock, blockBytes, position] of copies)
    spoil(directory, { barcode, startBlock, blockBytes, position, lengthBytes: 16 });
  return copies.length;
}
