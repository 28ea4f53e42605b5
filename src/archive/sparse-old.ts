/** The older ways in which GNU tar stored sparse files: `S` headers, and pax 0.0 and 0.1. We read them, never write them. */
import type { DataRange } from '../domain/entry.ts';
import type { Overrides } from './overrides.ts';
import { SPARSE_RANGES_MAX } from './sparse.ts';
import { count, invalid, TAR_BLOCK_BYTES } from './ustar.ts';

/** Offsets in the header (GNU tar manual, "Storing Sparse Files"): 4 runs of 24 bytes, a flag, the real size. */
const HEADER = { runsAt: 386, runs: 4, moreAt: 482, sizeAt: 483 } as const;
/** A block that continues them. */
const NEXT = { runsAt: 0, runs: 21, moreAt: 504 } as const;
const RUN_BYTES = 24;
const NUMBER_BYTES = 12;

/** Runs and length of an `S` member; its continuation blocks are read. @throws CodedError ARCHIVE_INVALID */
export async function oldGnuSparse(
  header: Buffer,
  read: (lengthBytes: number) => Promise<Buffer>,
): Promise<Overrides> {
  const sparseBytes = count(header, HEADER.sizeAt, NUMBER_BYTES);
  const sparseRuns = readRuns(header, HEADER);
  let isMore = header[HEADER.moreAt] !== 0;
  while (isMore) {
    if (sparseRuns.length > SPARSE_RANGES_MAX) throw invalid('a sparse map of too many runs');
    const block = await read(TAR_BLOCK_BYTES);
    sparseRuns.push(...readRuns(block, NEXT));
    isMore = block[NEXT.moreAt] !== 0;
  }
  return { sparseBytes, sparseRuns };
}

function readRuns(block: Buffer, layout: { readonly runsAt: number; readonly runs: number }) {
  const runs: DataRange[] = [];
  for (let index = 0; index < layout.runs; index += 1) {
    const at = layout.runsAt + index * RUN_BYTES;
    if (block[at] === 0 && block[at + NUMBER_BYTES] === 0) break;
    runs.push({
      offset: count(block, at, NUMBER_BYTES),
      lengthBytes: count(block, at + NUMBER_BYTES, NUMBER_BYTES),
    });
  }
  return runs;
}
