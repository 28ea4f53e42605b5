/**
 * What going from one place of a tape to another costs, and the order that costs least. Pure.
 *
 * The tape is a serpentine: it is written there and back in wraps, so bytes far apart in order may lie side by side. A
 * locate costs the way along the tape, wherever the bytes stand in order. Read in order of block, few and scattered extents
 * make the drive run the length of the tape again and again; with the nearest first it takes up to half the time (CERN, on
 * LTO). Many that lie close are read in order of block: there is nothing to gain, and who comes later can join ahead.
 */
import type { GenerationName } from '../domain/generation.ts';

export type TapeShape = {
  /** Passes over the length of the tape, there and back in turn. */
  readonly wraps: number;
  /** On all wraps together, full or not. */
  readonly capacityBytes: number;
  readonly endToEndSeconds: number;
  /** Native streaming rate, bytes per second. */
  readonly rateBytes: number;
};

/** A run of bytes to be read: from where to where on the tape, in bytes of data before it. */
export type Span = { readonly startByte: number; readonly endByte: number };

/** Wraps and rates are the formats' own (LTO Program); end to end of LTO-9 was measured, the others are data-sheet figures. */
const SHAPES: Readonly<Record<GenerationName, Omit<TapeShape, 'capacityBytes'>>> = {
  'LTO-5': { wraps: 80, endToEndSeconds: 80, rateBytes: 140e6 },
  'LTO-6': { wraps: 136, endToEndSeconds: 80, rateBytes: 160e6 },
  'LTO-7': { wraps: 112, endToEndSeconds: 80, rateBytes: 300e6 },
  M8: { wraps: 168, endToEndSeconds: 80, rateBytes: 300e6 },
  'LTO-8': { wraps: 208, endToEndSeconds: 80, rateBytes: 360e6 },
  'LTO-9': { wraps: 280, endToEndSeconds: 62, rateBytes: 400e6 },
  'LTO-10': { wraps: 472, endToEndSeconds: 62, rateBytes: 400e6 },
};

/** Coming up to speed and stopping at the other end of a locate; moving the head to another wrap. A drive's usual figures. */
const START_STOP_SECONDS = 2;
const WRAP_CHANGE_SECONDS = 1;

/** Of a wrap: passed in less time than stopping and locating take. 250 MB of LTO-9. */
const NEAR_SHARE = 1 / 256;

/** Finding the nearest of so many for each of them takes some milliseconds. */
export const ORDERED_MAX = 256;

export function tapeShape(generation: GenerationName, capacityBytes: number): TapeShape {
  return { ...SHAPES[generation], capacityBytes };
}

/** The tape runs on over so much to what is wanted behind it. */
export function nearBytes({ capacityBytes, wraps }: TapeShape): number {
  return (capacityBytes / wraps) * NEAR_SHARE;
}

/** Seconds from one byte to another; nothing where the tape stands there already. */
export function locateSeconds(shape: TapeShape, fromByte: number, toByte: number): number {
  if (fromByte === toByte) return 0;
  const from = placeOf(shape, fromByte);
  const to = placeOf(shape, toByte);
  const wrapChange = from.wrap === to.wrap ? 0 : WRAP_CHANGE_SECONDS;
  const travel = Math.abs(from.along - to.along) * (shape.endToEndSeconds - START_STOP_SECONDS);
  return wrapChange + START_STOP_SECONDS + travel;
}

/** Seconds from one place ahead to another: reading through where that is faster than stopping and locating. */
export function goSeconds(shape: TapeShape, fromByte: number, toByte: number): number {
  const locate = locateSeconds(shape, fromByte, toByte);
  if (toByte < fromByte) return locate;
  return Math.min(locate, (toByte - fromByte) / shape.rateBytes);
}

/** Seconds to read all of them in this order, the head standing at `headByte`. */
export function passSeconds(shape: TapeShape, headByte: number, spans: readonly Span[]): number {
  let seconds = 0;
  let at = headByte;
  for (const { startByte, endByte } of spans) {
    seconds += goSeconds(shape, at, startByte) + (endByte - startByte) / shape.rateBytes;
    at = endByte;
  }
  return seconds;
}

/** The order to read them in: as they lie on the tape, or the nearest first where that takes less. */
export function bestOrder<S extends Span>(
  shape: TapeShape,
  headByte: number,
  spans: readonly S[],
): readonly S[] {
  const ascending = spans.toSorted((a, b) => a.startByte - b.startByte);
  if (spans.length > ORDERED_MAX) return ascending;
  const nearest = nearestFirst(shape, headByte, ascending);
  const gain = passSeconds(shape, headByte, ascending) - passSeconds(shape, headByte, nearest);
  return gain > 0 ? nearest : ascending;
}

function nearestFirst<S extends Span>(
  shape: TapeShape,
  headByte: number,
  spans: readonly S[],
): S[] {
  const left = new Set(spans);
  const ordered: S[] = [];
  for (let at = headByte; left.size > 0; ) {
    let best: S | undefined;
    let bestSeconds = Number.POSITIVE_INFINITY;
    for (const span of left) {
      const seconds = goSeconds(shape, at, span.startByte);
      if (seconds < bestSeconds) [best, bestSeconds] = [span, seconds];
    }
    if (!best) break;
    left.delete(best);
    ordered.push(best);
    at = best.endByte;
  }
  return ordered;
}

/** The wrap, and how far along the tape, 0 to 1. */
function placeOf({ wraps, capacityBytes }: TapeShape, byte: number) {
  const wrapBytes = capacityBytes / wraps;
  const wrap = Math.min(wraps - 1, Math.floor(byte / wrapBytes));
  const share = Math.min(1, (byte - wrap * wrapBytes) / wrapBytes);
  return { wrap, along: wrap % 2 === 0 ? share : 1 - share };
}
