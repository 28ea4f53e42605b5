/**
 * Makes a library of cartridges that somebody copied into a directory, as out of a library that is lost: files `NAME.tap`, with
 * their chips (`NAME.json`) or without. What is on the tapes stays as it is.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError, errnoOf } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';
import { type BarcodeFacts, parseBarcode } from '../../domain/barcode.ts';
import {
  canRead,
  type DriveGeneration,
  GENERATION_NAMES,
  isDriveGeneration,
} from '../../domain/generation.ts';
import { createCartridge, VirtualLibrary } from './library.ts';

const TAPE_ENDING = '.tap';

type Named = Extract<BarcodeFacts, { readonly kind: 'data' }>;
type Tape = Named & { readonly sizeBytes: number };

/**
 * Cut anywhere it may be called again: the library itself comes last.
 * @returns whether there is any cartridge
 * @throws CodedError FAILED where the directory cannot be read or written
 */
export async function adoptCartridges(directory: string, random: Random): Promise<boolean> {
  const names = await readdir(directory).catch((cause: unknown): string[] => {
    const why = errnoOf(cause) ?? 'unknown';
    if (why === 'ENOENT' || why === 'ENOTDIR') return [];
    throw new CodedError('FAILED', `${directory} cannot be read (${why})`, { cause });
  });
  const tapes: Tape[] = [];
  for (const tape of names.flatMap(tapeOf)) {
    const file = await stat(join(directory, `${tape.barcode}${TAPE_ENDING}`));
    if (file.isFile()) tapes.push({ ...tape, sizeBytes: file.size });
  }
  if (tapes.length === 0) return false;
  for (const { barcode, generation, sizeBytes } of tapes) {
    if (names.includes(`${barcode}.json`)) continue;
    const capacityBytes = Math.max(sizeBytes, generation.nativeBytes);
    await createCartridge(
      directory,
      barcode,
      { generation: driveFor(tapes), capacityBytes },
      random,
    );
  }
  const barcodes = tapes.map(({ barcode }) => barcode).toSorted();
  const generation = driveFor(tapes);
  const shape = { generation, drives: 1, slots: barcodes.length + 1, ports: 0, barcodes };
  await VirtualLibrary.furnish(directory, shape, random);
  return true;
}

function tapeOf(name: string): Named[] {
  if (!name.endsWith(TAPE_ENDING)) return [];
  const barcode = name.slice(0, -TAPE_ENDING.length);
  const facts = parseBarcode(barcode);
  return facts.kind === 'data' && facts.barcode === barcode ? [facts] : [];
}

/** One that reads most of them: no drive reads all that there ever were. */
function driveFor(tapes: readonly Tape[]): DriveGeneration {
  const read = (drive: DriveGeneration) =>
    tapes.filter(({ generation }) => canRead(drive, generation.name)).length;
  return GENERATION_NAMES.filter(isDriveGeneration).reduce((best, drive) =>
    read(drive) > read(best) ? drive : best,
  );
}
