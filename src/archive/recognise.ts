/** What stands at the start of a medium that is to be labelled, by its first block: the guard before an overwrite. */
import { hasChecksum, TAR_BLOCK_BYTES } from './ustar.ts';

export type Start = 'shelfs' | 'ltfs' | 'tar' | 'zeros' | 'foreign';

/** An LTFS label block is an ANSI VOL1 record of 80 bytes with LTFS as its owner (LTFS format specification, 4.2). */
const VOL1_BYTES = 80;

export function recogniseStart(firstBlock: Buffer): Start {
  if (isZeros(firstBlock)) return 'zeros';
  const start = firstBlock.toString('latin1', 0, Math.min(firstBlock.length, VOL1_BYTES));
  if (start.startsWith('VOL1') && start.includes('LTFS')) return 'ltfs';
  if (firstBlock.length < TAR_BLOCK_BYTES || !hasChecksum(firstBlock.subarray(0, TAR_BLOCK_BYTES)))
    return 'foreign';
  return isOwn(firstBlock) ? 'shelfs' : 'tar';
}

/** A label, or an archive met where a label should be: both are ours to be careful with. */
function isOwn(block: Buffer): boolean {
  return (
    block.toString('latin1', 0, 8) === '.shelfs/' ||
    block.subarray(0, 64 * 1024).includes('"format": "shelfs-', 0, 'latin1')
  );
}

/** How streams of these begin, in hex (each format's own description). */
const COMPRESSED: readonly (readonly [start: string, name: string])[] = [
  ['1f8b', 'gzip'],
  ['425a68', 'bzip2'],
  ['fd377a585a00', 'xz'],
  ['28b52ffd', 'zstd'],
  ['04224d18', 'lz4'],
  ['5d0000', 'lzma'],
  ['1f9d', 'compress'],
];

/** By what a stream is compressed; undefined where it is not, or nobody knows. */
export function compressionOf(firstBlock: Buffer): string | undefined {
  const start = firstBlock.toString('hex', 0, 8);
  return COMPRESSED.find(([bytes]) => start.startsWith(bytes))?.[1];
}

function isZeros(block: Buffer): boolean {
  return block.every((byte) => byte === 0);
}
