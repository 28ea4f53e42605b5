/** SEEK_DATA and SEEK_HOLE (lseek(2)) on a content's data ranges, without its bytes. Pure. */

/** linux/fs.h */
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const RANGE_BYTES = 16;

/**
 * The offset asked for, or the name of an errno. The end of the file counts as the beginning of a hole.
 * @param ranges of a sparse file, as SCHEMA.md 6 packs them; null: all is data
 */
export function seekRanges(
  { sizeBytes, ranges }: { readonly sizeBytes: number; readonly ranges: Buffer | null },
  { offset, whence }: { readonly offset: number; readonly whence: number },
): number | 'ENXIO' | 'EINVAL' {
  if (whence !== SEEK_DATA && whence !== SEEK_HOLE) return 'EINVAL';
  if (offset >= sizeBytes) return 'ENXIO';
  if (!ranges) return whence === SEEK_DATA ? offset : sizeBytes;
  for (let at = 0; at < ranges.length; at += RANGE_BYTES) {
    const start = Number(ranges.readBigUInt64BE(at));
    const end = start + Number(ranges.readBigUInt64BE(at + 8));
    if (end <= offset) continue;
    if (whence === SEEK_DATA) return Math.max(offset, start);
    // In a hole already, or in data that ends where the next hole begins.
    return start > offset ? offset : end;
  }
  return whence === SEEK_DATA ? 'ENXIO' : offset;
}
