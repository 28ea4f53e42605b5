/** Labelling: the only time that something at the start of a tape is written, or written over. */
import { strict as assert } from 'node:assert';
import { Blake3Hasher } from '@napi-rs/blake-hash';
import { buildLabel, type Label } from '../archive/label.ts';
import { CodedError } from '../base/errors.ts';
import { type Beginning, readBeginning } from './beginning.ts';
import { HealthWatch } from './health-watch.ts';
import type { Library } from './library.ts';
import { proven, type TapePoint } from './tape-position.ts';
import { readCartridgeMemory, writeGeneration, writeHostAttributes } from './write-generation.ts';
import { WRITING_MODE } from './writing-mode.ts';

export type Labelled = {
  /** Where the first archive will begin. */
  readonly end: TapePoint;
  /** From the memory chip; undefined where there is none. */
  readonly maximumBytes: number | undefined;
  readonly serialNumber: string | undefined;
  /** What was written, padding included. */
  readonly labelBytes: number;
  readonly labelBlake3: Buffer;
};

/**
 * Writes a label onto a blank cartridge, or over one that `permits` what stands on it.
 * @param permits sees what is there and throws where it must not be written over; never called for a blank cartridge
 */
export async function labelTape(
  library: Library,
  label: Label,
  permits: (found: Exclude<Beginning, { kind: 'blank' }>) => void,
  signal: AbortSignal,
): Promise<Labelled> {
  const { barcode } = label;
  const { drive, close } = await library.attach(barcode, signal);
  const { keeper } = library;
  let health: HealthWatch | undefined;
  try {
    health = keeper && (await HealthWatch.begin(drive, { barcode, keeper }, signal));
    const memory = await readCartridgeMemory(drive.unit, signal);
    const found = await readBeginning(drive, signal);
    if (found.kind !== 'blank') permits(found);
    await drive.setMode(WRITING_MODE, signal);
    if (found.kind === 'blank') await drive.spaceToEndOfData(signal);
    else await drive.rewind(signal);
    if (proven(drive).block !== 0) {
      throw new CodedError(
        'POSITION_LOST',
        `${drive.name}: ${label.barcode} was blank a moment ago and is not now; nothing was written`,
        { device: drive.name },
      );
    }
    const bytes = buildLabel(label);
    assert(bytes.length % label.blockBytes === 0);
    if (found.kind !== 'blank') await drive.allowOverwrite(signal);
    for (let at = 0; at < bytes.length; at += label.blockBytes) {
      await drive.write(bytes.subarray(at, at + label.blockBytes), signal);
    }
    await drive.writeFilemarks(1, { immediate: false }, signal);
    await drive.checkPosition(signal);
    const end = proven(drive);
    const { pool, program, uuid } = label;
    await writeHostAttributes(drive.unit, { barcode, pool, program }, signal);
    await writeGeneration(drive.unit, { generation: 1, mediumUuid: uuid }, signal);
    const { maximumMib, serialNumber } = memory;
    return {
      end,
      maximumBytes: maximumMib === undefined ? undefined : maximumMib * 2 ** 20,
      serialNumber,
      labelBytes: bytes.length,
      labelBlake3: new Blake3Hasher().update(bytes).digestBuffer(),
    };
  } finally {
    try {
      await health?.end();
    } finally {
      await close();
    }
  }
}
