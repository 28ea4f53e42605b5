/**
 * What each generation's drive and tape can do, for the clock model of the virtual drive.
 *
 * Wraps, length and rates are the formats' own figures (LTO Program; makers' data sheets, full-height drives). Load,
 * unload and end-to-end times of LTO-9 were measured; those of the others are data-sheet figures, rounded to seconds.
 */
import type { DriveGeneration } from '../../domain/generation.ts';

export type Mechanics = {
  /** Passes over the length of the tape, there and back in turn. */
  readonly wraps: number;
  readonly tapeMetres: number;
  /** Native streaming rate, MB/s (10^6). */
  readonly rateMbs: number;
  /** The slowest rate at which the drive still streams by matching its speed. Below it, it stops and repositions. */
  readonly slowestRateMbs: number;
  /** From insertion to ready. */
  readonly loadSeconds: number;
  /** Unthreading, from the beginning of the tape. */
  readonly unloadSeconds: number;
  /** From one end of the tape to the other, rewinding or locating. */
  readonly endToEndSeconds: number;
  readonly bufferBytes: number;
};

export const MECHANICS: Readonly<Record<DriveGeneration, Mechanics>> = {
  'LTO-5': {
    wraps: 80,
    tapeMetres: 846,
    rateMbs: 140,
    slowestRateMbs: 40,
    loadSeconds: 12,
    unloadSeconds: 17,
    endToEndSeconds: 80,
    bufferBytes: 256 * 2 ** 20,
  },
  'LTO-6': {
    wraps: 136,
    tapeMetres: 846,
    rateMbs: 160,
    slowestRateMbs: 40,
    loadSeconds: 12,
    unloadSeconds: 17,
    endToEndSeconds: 80,
    bufferBytes: 512 * 2 ** 20,
  },
  'LTO-7': {
    wraps: 112,
    tapeMetres: 960,
    rateMbs: 300,
    slowestRateMbs: 112,
    loadSeconds: 15,
    unloadSeconds: 20,
    endToEndSeconds: 80,
    bufferBytes: 2 ** 30,
  },
  'LTO-8': {
    wraps: 208,
    tapeMetres: 960,
    rateMbs: 360,
    slowestRateMbs: 112,
    loadSeconds: 15,
    unloadSeconds: 20,
    endToEndSeconds: 80,
    bufferBytes: 2 ** 30,
  },
  'LTO-9': {
    wraps: 280,
    tapeMetres: 1035,
    rateMbs: 400,
    slowestRateMbs: 177,
    loadSeconds: 16,
    unloadSeconds: 56,
    endToEndSeconds: 62,
    bufferBytes: 2 ** 30,
  },
  'LTO-10': {
    wraps: 472,
    tapeMetres: 1035,
    rateMbs: 400,
    slowestRateMbs: 177,
    loadSeconds: 16,
    unloadSeconds: 56,
    endToEndSeconds: 62,
    bufferBytes: 2 ** 30,
  },
};

/** Stop, go back, wait for data, come up to speed: the cost of starving a drive once. A drive's usual two to three seconds. */
export const BACKHITCH_SECONDS = 2.5;
/** Coming up to speed and stopping at the other end of a locate. */
export const START_STOP_SECONDS = 2;
/** Moving the head to another wrap and finding its servo track. */
export const WRAP_CHANGE_SECONDS = 1;
/** Fetching a cartridge from a slot and bringing it to a drive, as small libraries state it. */
export const MOVE_SECONDS = 10;
