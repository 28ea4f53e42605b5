/** Where the data of a sparse file lie. */
import type { DataRange } from '../domain/entry.ts';
import type { ScannedEntry } from './directory.ts';
import { type Answer, errnoName, type FsDoor } from './door.ts';

/**
 * More runs than this are not told apart: what lies behind counts as one run. A file can have a hole in every second
 * block; its map would take more memory than the file system has.
 */
const RANGES_MAX = 65_536;

/**
 * The runs of data of an open file, or undefined where it has no holes worth the name. Moves the file's position.
 * @param entry what stat said of the file; a file without fewer blocks than bytes is not searched
 * @returns an errno below zero where the kernel refused
 */
export function dataRangesOf(
  door: FsDoor,
  file: number,
  entry: Pick<ScannedEntry, 'sizeBytes' | 'blocks512'>,
): readonly DataRange[] | undefined | Answer {
  const { sizeBytes, blocks512 } = entry;
  if (blocks512 * 512 >= sizeBytes) return undefined;
  const found = door.dataRanges(file, 0, RANGES_MAX + 1);
  if (typeof found === 'number') {
    // A file system without SEEK_HOLE: the file is read as it is.
    return errnoName(found) === 'EINVAL' ? undefined : found;
  }
  const ranges: DataRange[] = [];
  for (let index = 0; index + 1 < found.length; index += 2) {
    const offset = found[index] ?? 0;
    // Grown meanwhile: what is behind the size that stat saw is not part of this version.
    if (offset >= sizeBytes) break;
    const isLast = ranges.length === RANGES_MAX - 1;
    const end = isLast ? sizeBytes : offset + (found[index + 1] ?? 0);
    ranges.push({ offset, lengthBytes: Math.min(end, sizeBytes) - offset });
    if (isLast) break;
  }
  const isWhole = ranges.length === 1 && ranges[0]?.lengthBytes === sizeBytes;
  return isWhole ? undefined : ranges;
}
