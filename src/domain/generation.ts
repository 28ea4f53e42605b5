/** LTO generations: what fits on a cartridge, and which drive reads or writes which cartridge. */

export const GENERATION_NAMES = [
  'LTO-5',
  'LTO-6',
  'LTO-7',
  'M8',
  'LTO-8',
  'LTO-9',
  'LTO-10',
] as const;

/** A format on tape. M8 is an LTO-7 cartridge that an LTO-8 drive has formatted for 9 TB. */
export type GenerationName = (typeof GENERATION_NAMES)[number];

export type Generation = {
  readonly name: GenerationName;
  /** Media identifier: the last two characters of the barcode (LTO Ultrium cartridge label specification). */
  readonly suffix: string;
  /** The same for write-once cartridges; undefined where none were made or the identifier is not published. */
  readonly wormSuffix: string | undefined;
  /** Native capacity as the makers state it, uncompressed. */
  readonly nativeBytes: number;
  /** Up to where we plan to fill: what a used cartridge of this generation still holds after rewrites. */
  readonly targetFillBytes: number;
  /** Density code of the mode parameter block descriptor. */
  readonly densityCode: number;
};

/**
 * Native capacity and target fill as TapeHoard tabulates them; M8, which it leaves out, is filled to 95 % like its
 * neighbours. Density codes from the drives' SCSI references; that of LTO-10 continues their series.
 */
export const GENERATIONS: Readonly<Record<GenerationName, Generation>> = {
  'LTO-5': lto('LTO-5', 'L5', 'LV', 1.5e12, 1.42e12, 0x58),
  'LTO-6': lto('LTO-6', 'L6', 'LW', 2.5e12, 2.37e12, 0x5a),
  'LTO-7': lto('LTO-7', 'L7', 'LX', 6e12, 5.7e12, 0x5c),
  M8: lto('M8', 'M8', undefined, 9e12, 8.55e12, 0x5d),
  'LTO-8': lto('LTO-8', 'L8', 'LY', 12e12, 11.4e12, 0x5e),
  'LTO-9': lto('LTO-9', 'L9', 'LZ', 18e12, 17.1e12, 0x60),
  'LTO-10': lto('LTO-10', 'LA', undefined, 30e12, 28.5e12, 0x62),
};

/** A drive of one generation; there is no M8 drive. */
export type DriveGeneration = Exclude<GenerationName, 'M8'>;

type Reach = {
  readonly reads: readonly GenerationName[];
  readonly writes: readonly GenerationName[];
};

/** Two generations back for reading and one for writing up to LTO-7; one back for LTO-8 and LTO-9; none for LTO-10. */
const REACH: Readonly<Record<DriveGeneration, Reach>> = {
  'LTO-5': { reads: ['LTO-5'], writes: ['LTO-5'] },
  'LTO-6': { reads: ['LTO-5', 'LTO-6'], writes: ['LTO-5', 'LTO-6'] },
  'LTO-7': { reads: ['LTO-5', 'LTO-6', 'LTO-7'], writes: ['LTO-6', 'LTO-7'] },
  'LTO-8': { reads: ['LTO-7', 'M8', 'LTO-8'], writes: ['LTO-7', 'M8', 'LTO-8'] },
  'LTO-9': { reads: ['LTO-8', 'LTO-9'], writes: ['LTO-8', 'LTO-9'] },
  'LTO-10': { reads: ['LTO-10'], writes: ['LTO-10'] },
};

export function canRead(drive: DriveGeneration, medium: GenerationName): boolean {
  return REACH[drive].reads.includes(medium);
}

export function canWrite(drive: DriveGeneration, medium: GenerationName): boolean {
  return REACH[drive].writes.includes(medium);
}

/** Finds a generation by what people type: `LTO-9`, `lto9`, `LTO 9`, `L9`, `M8`. */
export function parseGeneration(text: string): Generation | undefined {
  const wanted = text.toUpperCase().replace(/[\s_-]/g, '');
  return Object.values(GENERATIONS).find(
    ({ name, suffix }) => wanted === name.replace('-', '') || wanted === suffix,
  );
}

/**
 * Bytes a second below which a drive stops and goes back when it writes such a cartridge: slowest speed of its data rate
 * matching, native, by the makers' data sheets; of LTO-10, which has none yet, as of LTO-9.
 */
const SLOWEST_STREAMING_BYTES: Readonly<Record<GenerationName, number>> = {
  'LTO-5': 40e6,
  'LTO-6': 40e6,
  'LTO-7': 112e6,
  M8: 112e6,
  'LTO-8': 112e6,
  'LTO-9': 177e6,
  'LTO-10': 177e6,
};

export function slowestStreamingBytes(medium: GenerationName): number {
  return SLOWEST_STREAMING_BYTES[medium];
}

/** Native MB/s of full-height drives on their own media, from the makers' data sheets; M8 is written by LTO-8 drives. */
const RATES_MBS: Readonly<Record<GenerationName, number>> = {
  'LTO-5': 140,
  'LTO-6': 160,
  'LTO-7': 300,
  M8: 300,
  'LTO-8': 360,
  'LTO-9': 400,
  'LTO-10': 400,
};

/** Bytes a second at which a full-height drive writes such a cartridge, native. */
export function streamingBytes(medium: GenerationName): number {
  return RATES_MBS[medium] * 1e6;
}

export function isDriveGeneration(name: GenerationName): name is DriveGeneration {
  return name !== 'M8';
}

/** The generation of a density code, as MODE SENSE reports it for the cartridge in the drive. */
export function generationOfDensity(densityCode: number): Generation | undefined {
  return Object.values(GENERATIONS).find((generation) => generation.densityCode === densityCode);
}

function lto(
  name: GenerationName,
  suffix: string,
  wormSuffix: string | undefined,
  nativeBytes: number,
  targetFillBytes: number,
  densityCode: number,
): Generation {
  return { name, suffix, wormSuffix, nativeBytes, targetFillBytes, densityCode };
}
