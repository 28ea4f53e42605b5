/** The sizes a plan keeps to, what they default to, and whether configured ones can be kept at all. */
import { strict as assert } from 'node:assert';
import { formatSize } from '../base/bytes.ts';
import { CodedError } from '../base/errors.ts';
import { SEGMENT_BYTES } from '../domain/content.ts';

/** Between two synchronous filemarks: what CERN's tape archive flushes at; 80 s of an LTO-9 drive. */
export const ARCHIVE_BYTES = 32e9;

/** A crash costs at most so many files written again, and a journal of some 300 MB. */
export const ENTRIES_MAX = 1_000_000;

/** A whole number of segments, 0.4 % of an LTO-9 cartridge: so little is left over where a part does not fit. */
export const PART_BYTES = 64 * 2 ** 30;

/** Of a small cartridge: where a file must be split, an eighth is the most that is left over. */
const PARTS_A_MEDIUM_MIN = 8;

/** Kept free before the end that the drive reports: the smaller of 50 GB and 3 %, unless the pool says otherwise. */
export const MARGIN_BYTES_MAX = 50e9;
export const MARGIN_SHARE = 0.03;

/** Files waiting for the next medium while smaller ones behind them fill this one. Bounds memory, not the plan's length. */
export const LOOK_AHEAD_ITEMS = 1_000;

/** What a stream needs besides members and journal lines, as upper bounds. */
export type FormatBounds = {
  /** Every stream is padded to it. */
  readonly blockBytes: number;
  /** The label at the start of a scratch medium, padding included. */
  readonly labelBytes: number;
  /** Of an archive: opening member, headers of journal and digest, the digest, the end of the tar. */
  readonly archiveBytes: number;
};

/** Upper bounds that hold for every archive we write; LTFS and we use 512 KiB blocks. */
export const FORMAT_BOUNDS: FormatBounds = {
  blockBytes: 512 * 2 ** 10,
  labelBytes: 2 ** 20,
  archiveBytes: 64 * 2 ** 10,
};

/** Kept free on each medium for what is written besides this plan: the catalog copies, the rest of the plan. */
export type Reserve = {
  readonly fixedBytes: number;
  /** For each byte of journal planned for this medium: catalog copies made between archives. */
  readonly perMediumJournalByte: number;
  /** For each byte of journal planned in the run: by so much the closing catalog copy may grow. */
  readonly perRunJournalByte: number;
  /** Lines that tell, at the end of a medium, what is still to be stored; less with every item that is placed. */
  readonly untoldBytes?: number;
};

export const NO_RESERVE: Reserve = {
  fixedBytes: 0,
  perMediumJournalByte: 0,
  perRunJournalByte: 0,
};

export type PlanLimits = {
  /** An archive ends before the member that would carry it beyond; a larger member has an archive to itself. */
  readonly archiveBytes: number;
  readonly entriesMax: number;
  /** Content bytes of each part of a split file, but for the last. */
  readonly partBytes: number;
  /** A file of which more than this is stored is always split. */
  readonly wholeBytesMax: number;
  /** Of an empty medium of the pool, without its label: files that fit there are not split. */
  readonly freshBytes: number;
  readonly bounds: FormatBounds;
  readonly reserve: Reserve;
};

export type ConfiguredLimits = {
  readonly archiveBytes?: number;
  readonly entriesMax?: number;
  readonly partBytes?: number;
};

/**
 * What the plan keeps to on media of which an empty one has so much room (`roomBytes`, label not yet written).
 * @throws CodedError CONFIG_INVALID when a configured size cannot fit such a medium
 */
export function planLimits(options: {
  readonly freshRoomBytes: number;
  readonly configured: ConfiguredLimits;
  readonly bounds: FormatBounds;
  readonly reserve: Reserve;
}): PlanLimits {
  const { freshRoomBytes, configured, bounds, reserve } = options;
  const freshBytes = freshRoomBytes - bounds.labelBytes;
  const usableBytes = Math.max(0, roundDown(freshBytes - reserve.fixedBytes, bounds.blockBytes));
  const memberBytes = Math.max(0, usableBytes - bounds.archiveBytes);
  const { archiveBytes, partBytes, entriesMax = ENTRIES_MAX } = configured;
  for (const [what, bytes, mostBytes] of [
    ['an archive', archiveBytes, usableBytes],
    ['a part', partBytes, memberBytes],
  ] as const) {
    if (bytes === undefined || (bytes >= bounds.blockBytes && bytes <= mostBytes)) continue;
    const room = `an empty medium of the pool has room for ${formatSize(mostBytes)}`;
    const least = `a block has ${formatSize(bounds.blockBytes)}`;
    const advice = `${bytes > mostBytes ? `${room}; give less` : `${least}; give more`}, or leave it out`;
    throw new CodedError('CONFIG_INVALID', `${what} of ${formatSize(bytes)} cannot be: ${advice}`);
  }
  if (!Number.isSafeInteger(entriesMax) || entriesMax < 1)
    throw new CodedError('CONFIG_INVALID', `an archive has at least one entry, not ${entriesMax}`);
  return Object.freeze({
    archiveBytes: archiveBytes ?? Math.min(ARCHIVE_BYTES, usableBytes),
    entriesMax,
    partBytes: partBytes ?? defaultPartBytes(memberBytes),
    wholeBytesMax: partBytes ?? PART_BYTES,
    freshBytes,
    bounds,
    reserve,
  });
}

/** Whole segments where they are small enough, so that a reader verifies each without the next part's medium. */
function defaultPartBytes(memberBytes: number): number {
  const bytes = Math.min(PART_BYTES, Math.floor(memberBytes / PARTS_A_MEDIUM_MIN));
  const grain = bytes >= SEGMENT_BYTES ? SEGMENT_BYTES : 4096;
  return Math.max(grain, roundDown(bytes, grain));
}

/**
 * How much may be written to a medium.
 * @param options.remainingBytes by its memory chip (MAM 0000); undefined where there is none: the fill alone counts
 */
export function roomBytes(options: {
  readonly targetFillBytes: number;
  readonly writtenBytes: number;
  readonly remainingBytes: number | undefined;
  readonly marginBytes: number;
}): number {
  const { targetFillBytes, writtenBytes, remainingBytes, marginBytes } = options;
  const byFill = targetFillBytes - writtenBytes;
  const byChip = (remainingBytes ?? Number.POSITIVE_INFINITY) - marginBytes;
  return Math.max(0, Math.floor(Math.min(byFill, byChip)));
}

/** @param capacityBytes as the medium states it (MAM 0001) */
export function defaultMarginBytes(capacityBytes: number): number {
  return Math.min(MARGIN_BYTES_MAX, Math.ceil(capacityBytes * MARGIN_SHARE));
}

/** Headers and data of a tar stand in records of this size (POSIX pax, ustar interchange format). */
export const TAR_BYTES = 512;

export function roundUp(bytes: number, grain: number): number {
  return Math.ceil(bytes / grain) * grain;
}

function roundDown(bytes: number, grain: number): number {
  assert(grain >= 1);
  return Math.floor(bytes / grain) * grain;
}
