/**
 * Recommended access order of a virtual drive (SSC-5: GENERATE and RECEIVE RECOMMENDED ACCESS ORDER), by its own model of
 * motion. As with IBM's drives, full-height LTO-9 and later have it.
 */
import { readUInt64 } from '../../base/bytes.ts';
import type { DriveGeneration } from '../../domain/generation.ts';
import type { ScsiCommand } from '../port.ts';
import { type Answer, GOOD, INVALID_FIELD, INVALID_PARAMETER } from './answer.ts';
import type { Deck } from './deck.ts';
import { MECHANICS } from './mechanics.ts';
import { Motion } from './motion.ts';

export const ACCESS_ORDER = 0x1d;
/** What IBM's LTO-9 drives take (LTO SCSI Reference). */
const SEGMENTS_MAX = 2730;
const HEAD_BYTES = 8;
const SEGMENT_BYTES = 32;
/** RAO PROCESS: only estimated, or put into order. */
const ESTIMATE = 1;
const REORDER = 2;
const GENERATED = 1;

export function hasAccessOrder(generation: DriveGeneration): boolean {
  return generation === 'LTO-9' || generation === 'LTO-10';
}

/** A segment as the host sent it. */
type Segment = {
  readonly first: number;
  readonly last: number;
  readonly descriptor: Buffer;
};

/** Makes the list that the next RECEIVE gets. */
export function generateOrder(
  { deck, generation }: { readonly deck: Deck; readonly generation: DriveGeneration },
  command: ScsiCommand,
  cdb: Buffer,
): Answer {
  const process = cdb.readUInt8(2) & 7;
  const isKnown = (cdb.readUInt8(1) & 0x1f) === ACCESS_ORDER && (cdb.readUInt8(3) & 7) === 0;
  if (!isKnown || (process !== ESTIMATE && process !== REORDER)) return INVALID_FIELD;
  const list = Buffer.from(command.dataOut ?? []).subarray(0, cdb.readUInt32BE(6));
  if (list.length === 0) {
    deck.accessOrder = undefined;
    return GOOD;
  }
  const segments = segmentsOf(list, deck);
  if (!segments) return INVALID_PARAMETER;
  const ordered = process === REORDER ? inOrder(segments, { deck, generation }) : segments;
  deck.accessOrder = Buffer.concat([
    Buffer.from([process, GENERATED, 0, 0, 0, 0, 0, 0]),
    ...ordered.map(({ descriptor }) => descriptor),
  ]);
  deck.accessOrder.writeUInt32BE(deck.accessOrder.length - HEAD_BYTES, 4);
  return GOOD;
}

/** The list made last for this cartridge, or how many segments one may have. */
export function receiveOrder(deck: Deck, cdb: Buffer): Answer {
  if ((cdb.readUInt8(10) & 7) !== 0) return INVALID_FIELD;
  const allocation = cdb.readUInt32BE(6);
  if ((cdb.readUInt8(1) & 0x80) !== 0) {
    const limits = Buffer.alloc(4);
    limits.writeUInt16BE(SEGMENTS_MAX, 0);
    limits.writeUInt16BE(SEGMENT_BYTES, 2);
    return { data: limits.subarray(0, allocation) };
  }
  const list = deck.accessOrder ?? Buffer.alloc(HEAD_BYTES);
  const offset = cdb.readUInt32BE(2);
  if (offset > list.length || offset % 4 !== 0) return INVALID_FIELD;
  return { data: list.subarray(offset, offset + allocation) };
}

function segmentsOf(list: Buffer, deck: Deck): Segment[] | undefined {
  if (list.length < HEAD_BYTES || list.readUInt32BE(4) !== list.length - HEAD_BYTES)
    return undefined;
  const segments: Segment[] = [];
  for (let at = HEAD_BYTES; at < list.length; at += SEGMENT_BYTES) {
    const descriptor = list.subarray(at, at + SEGMENT_BYTES);
    if (descriptor.length < SEGMENT_BYTES || descriptor.readUInt16BE(0) !== SEGMENT_BYTES - 2)
      return undefined;
    const [first, last] = [readUInt64(descriptor, 16), readUInt64(descriptor, 24)];
    const isThere = first <= last && last < deck.cartridge.tape.end.block;
    if (!isThere || descriptor.readUInt8(15) !== 0) return undefined;
    segments.push({ first, last, descriptor });
  }
  return segments.length <= SEGMENTS_MAX ? segments : undefined;
}

/** The nearest first, but for single objects at the list's ends, which bind its beginning and its end. */
function inOrder(
  segments: readonly Segment[],
  { deck, generation }: { readonly deck: Deck; readonly generation: DriveGeneration },
): readonly Segment[] {
  const { tape, record } = deck.cartridge;
  const motion = new Motion(MECHANICS[generation], record.capacityBytes);
  const isBinding = (segment: Segment | undefined) => segment?.first === segment?.last;
  const begins = isBinding(segments[0]) ? segments.slice(0, 1) : [];
  const rest = segments.slice(begins.length);
  const ends = rest.length > 0 && isBinding(rest.at(-1)) ? rest.slice(-1) : [];
  const places = rest.slice(0, rest.length - ends.length).map((segment) => ({
    segment,
    fromBytes: tape.placeOf(segment.first).bytes,
    toBytes: tape.placeOf(segment.last + 1).bytes,
  }));
  const begun = begins[0];
  const start = begun ? tape.placeOf(begun.last + 1).bytes : deck.bytesBefore;
  const middle = nearestFirst(places, start, motion).map(({ segment }) => segment);
  return [...begins, ...middle, ...ends];
}

/** Runs of bytes, the one to which the tape comes soonest first. */
export function nearestFirst<R extends { readonly fromBytes: number; readonly toBytes: number }>(
  runs: readonly R[],
  startBytes: number,
  motion: Motion,
): R[] {
  const left = new Set(runs.toSorted((a, b) => a.fromBytes - b.fromBytes));
  const ordered: R[] = [];
  for (let at = startBytes; left.size > 0; ) {
    let [best, bestSeconds]: [R | undefined, number] = [undefined, Number.POSITIVE_INFINITY];
    for (const run of left) {
      const seconds = motion.reach(at, run.fromBytes);
      if (seconds < bestSeconds) [best, bestSeconds] = [run, seconds];
    }
    if (!best) break;
    left.delete(best);
    ordered.push(best);
    at = best.toBytes;
  }
  return ordered;
}
