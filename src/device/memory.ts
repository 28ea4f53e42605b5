/** The cartridge's memory chip through the drive: READ ATTRIBUTE and WRITE ATTRIBUTE (SPC-4 6.17, 6.42). */
import { strict as assert } from 'node:assert';
import { CodedError } from '../base/errors.ts';
import { type Attribute, encodeAttributes, parseAttributes } from './attribute.ts';
import { isDone, type LogicalUnit } from './logical-unit.ts';
import { describeSense, SENSE_KEY } from './sense.ts';

/** All attributes of an LTO chip fit: the chip has 4 to 32 KiB. */
const ALLOCATION_BYTES = 64 * 1024;

/**
 * Every attribute of the cartridge in the drive, by identifier.
 * @throws CodedError DRIVE_EMPTY; DRIVE_RESET when a unit attention was pending; DRIVE_FAILED
 */
export async function readMemory(
  unit: LogicalUnit,
  signal: AbortSignal,
): Promise<Map<number, Attribute>> {
  const cdb = Buffer.alloc(16);
  cdb.writeUInt8(0x8c, 0);
  cdb.writeUInt32BE(ALLOCATION_BYTES, 10);
  const { sense, data } = await unit.send(
    { cdb: [...cdb], dataIn: Buffer.alloc(ALLOCATION_BYTES) },
    signal,
  );
  if (isDone(sense)) return parseAttributes(data);
  throw failure(unit, 'reading the memory chip', sense);
}

/**
 * Writes host attributes (0800h to 0FFFh); an empty value deletes one. They are on the chip when this resolves.
 * @throws CodedError as readMemory; MEDIUM_PROTECTED
 */
export async function writeMemory(
  unit: LogicalUnit,
  attributes: readonly Attribute[],
  signal: AbortSignal,
): Promise<void> {
  assert(
    attributes.every(({ id }) => id >= 0x0800 && id <= 0x0fff),
    'only host attributes can be written',
  );
  const dataOut = encodeAttributes(attributes);
  const cdb = Buffer.alloc(16);
  cdb.writeUInt8(0x8d, 0);
  cdb.writeUInt8(0x01, 1); // WTC: through to the chip, not to a cache of the drive
  cdb.writeUInt32BE(dataOut.length, 10);
  const { sense } = await unit.send({ cdb: [...cdb], dataOut }, signal);
  if (!isDone(sense)) throw failure(unit, 'writing the memory chip', sense);
}

function failure(
  unit: LogicalUnit,
  doing: string,
  sense: Parameters<typeof isDone>[0],
): CodedError {
  const sentence = `${unit.name}: ${doing}: ${sense ? describeSense(sense) : 'no answer'}`;
  const facts = { device: unit.name };
  if (sense?.key === SENSE_KEY.notReady && sense.asc === 0x3a) {
    return new CodedError('DRIVE_EMPTY', `${unit.name} is empty: load a cartridge first`, facts);
  }
  if (sense?.key === SENSE_KEY.unitAttention) return new CodedError('DRIVE_RESET', sentence, facts);
  if (sense?.key === SENSE_KEY.dataProtect)
    return new CodedError('MEDIUM_PROTECTED', sentence, facts);
  return new CodedError('DRIVE_FAILED', sentence, facts);
}
