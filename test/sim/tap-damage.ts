/** Damage to virtual cartridges on the shelf: bytes that read otherwise, blocks that no longer read. */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { TapImage } from './check-archives.ts';

/** One byte of a block reads otherwise. @param xor 1 to 255 */
export function flipOnTape(
  directory: string,
  barcode: string,
  { block, at, xor = 1 }: { readonly block: number; readonly at: number; readonly xor?: number },
): void {
  const offset = TapImage.read(directory, barcode).before(block).length + 4 + at;
  change(join(directory, `${barcode}.tap`), [offset], xor);
}

/** The drive gives these blocks up, each time. */
export function breakOnTape(directory: string, barcode: string, blocks: readonly number[]): void {
  const image = TapImage.read(directory, barcode);
  // The length before the bytes: the record is no longer where it was written.
  const offsets = blocks.map((block) => image.before(block).length);
  change(join(directory, `${barcode}.tap`), offsets, 0x55);
}

function change(path: string, offsets: readonly number[], xor: number): void {
  const file = openSync(path, 'r+');
  try {
    const byte = Buffer.alloc(1);
    for (const offset of offsets) {
      readSync(file, byte, 0, 1, offset);
      byte[0] = (byte[0] ?? 0) ^ xor;
      writeSync(file, byte, 0, 1, offset);
    }
  } finally {
    closeSync(file);
  }
}
