/** Room that a plan keeps free on each medium for what closes it: the copy of the catalog, and lines of the plan's rest. */
import type { Catalog } from '../../catalog/catalog.ts';
import { databaseBytes, exportBytes } from '../../catalog/file/copy.ts';
import { type Untold, untold } from '../../catalog/run/untold.ts';
import { Directories } from '../../catalog/tree/directories.ts';
import type { Reserve } from '../../pack/limits.ts';
import { hostBytes, untoldLinesMax } from './items.ts';

/** What takes more than this share of an empty medium is left out: journals tell all of it too, over the media together. */
export const CLOSING_SHARE_MAX = 0.1;
/**
 * By how much the catalog grows for each byte of a planned journal line. A line is counted with 740 bytes, 5 for each of its
 * path, 140 for a segment's hash, 72 for a range of a sparse file (items.ts). Its rows of contents, keys, extents and
 * versions take 240, 2.4, 32 and 16 (SCHEMA.md section 6), and twice that where a page of 4096 has room for one row alone.
 * What is read in vain has a line in the job's log instead.
 */
const GROWTH = 0.5;
/** Archives and warnings of a run, and pages that are packed less tightly than they were. */
const SLACK_BYTES = 128 * 2 ** 10;
const SLACK_SHARE = 0.02;
/** ZSTD_COMPRESSBOUND is a 256th, and each frame and block has a header. */
const INCOMPRESSIBLE_SHARE = 1 / 200;

/**
 * @param options.freshRoomBytes of an empty medium of the pool
 * @param options.fixedBytes for other purposes
 */
export function closingReserve(
  catalog: Catalog,
  options: {
    readonly jobNumber: number;
    readonly copies: number;
    readonly freshRoomBytes: number;
    readonly fixedBytes: number;
    readonly found?: Untold | undefined;
  },
): Reserve {
  const mostBytes = options.freshRoomBytes * CLOSING_SHARE_MAX;
  const copyBytes = catalogCopyMax(catalog);
  const untoldBytes = untoldMax(catalog, options);
  const isCopied = copyBytes <= mostBytes;
  return {
    fixedBytes: options.fixedBytes + (isCopied ? copyBytes : 0),
    perMediumJournalByte: 0,
    perRunJournalByte: isCopied ? GROWTH : 0,
    untoldBytes: untoldBytes <= mostBytes ? untoldBytes : 0,
  };
}

/** Upper bound of a copy's members if it were made now. */
export function catalogCopyMax(catalog: Catalog): number {
  const bytes = databaseBytes(catalog) * (1 + SLACK_SHARE) + exportBytes(catalog) + SLACK_BYTES;
  return Math.ceil(bytes * (1 + INCOMPRESSIBLE_SHARE));
}

/** Upper bound of the lines that no journal has yet. @param options.found of the run itself, where it is known */
export function untoldMax(
  catalog: Catalog,
  options: {
    readonly jobNumber: number;
    readonly copies: number;
    readonly found?: Untold | undefined;
  },
): number {
  const hosts = new Directories(catalog).hosts();
  const longest = Math.max(0, ...hosts.map(({ name }) => hostBytes(name)));
  return untoldLinesMax(untold(catalog, options.jobNumber, options.found), {
    copies: options.copies,
    hostBytes: hosts.length > 1 ? longest : 0,
  });
}
