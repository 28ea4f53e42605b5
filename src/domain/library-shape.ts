/** What a virtual library is to look like: how many of what, and how large. */
import type { Barcode } from './barcode.ts';
import type { DriveGeneration } from './generation.ts';

export type LibraryShape = {
  readonly generation: DriveGeneration;
  /** What one cartridge holds; default: the generation's native capacity. At least CAPACITY_BYTES_MIN. */
  readonly capacityBytes?: number;
  readonly drives: number;
  readonly slots: number;
  readonly ports: number;
  /** At most as many as there are slots. */
  readonly barcodes: readonly Barcode[];
};

/** Early warning takes 2 MiB; a label, an archive and its journal need some room before it. */
export const CAPACITY_BYTES_MIN = 8 * 2 ** 20;
