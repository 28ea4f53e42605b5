/**
 * The write generation of a cartridge: a count on its memory chip that grows with every archive.
 *
 * It is the second witness beside the position of end of data: a catalog that was set back to last week is found out even
 * where the tape happens to be as long as it was. It stands in VOLUME COHERENCY INFORMATION (MAM 080Ch, SPC-4 7.4.2.3.8):
 * a reference of the drive's own, the count, a set identifier, and bytes for the application.
 */
import { CodedError } from '../base/errors.ts';
import { type Attribute, MAM } from '../device/attribute.ts';
import type { LogicalUnit } from '../device/logical-unit.ts';
import { readMemory, writeMemory } from '../device/memory.ts';

const APPLICATION = Buffer.from('SHELFS\0');

export type CartridgeMemory = {
  /** Undefined where the cartridge or the drive keeps none. */
  readonly writeGeneration: number | undefined;
  readonly remainingMib: number | undefined;
  readonly maximumMib: number | undefined;
  readonly serialNumber: string | undefined;
};

/** What the chip says; a drive that has no access to it answers with nothing. */
export async function readCartridgeMemory(
  unit: LogicalUnit,
  signal: AbortSignal,
): Promise<CartridgeMemory> {
  const attributes = await readPatiently(unit, signal);
  const count = (id: number) => {
    const value = attributes.get(id)?.value;
    return value?.length === 8 ? Number(value.readBigUInt64BE()) : undefined;
  };
  return {
    writeGeneration: parseGeneration(attributes.get(MAM.volumeCoherency)?.value),
    remainingMib: count(MAM.remainingCapacityMib),
    maximumMib: count(MAM.maximumCapacityMib),
    serialNumber: attributes.get(MAM.serialNumber)?.value.toString('latin1').trim(),
  };
}

export async function writeGeneration(
  unit: LogicalUnit,
  options: { readonly generation: number; readonly mediumUuid: string },
  signal: AbortSignal,
): Promise<void> {
  const reference = (await readPatiently(unit, signal)).get(MAM.volumeChangeReference)?.value;
  const value = formatGeneration({ ...options, reference: reference ?? Buffer.alloc(4) });
  await writePatiently(unit, [{ id: MAM.volumeCoherency, format: 'binary', value }], signal);
}

/** Who wrote the cartridge and what it is called, for other programs and for people with `sg_read_attr`. */
export async function writeHostAttributes(
  unit: LogicalUnit,
  label: { readonly barcode: string; readonly pool: string; readonly program: string },
  signal: AbortSignal,
): Promise<void> {
  const ascii = (id: number, text: string, lengthBytes: number): Attribute => ({
    id,
    format: 'ascii',
    value: Buffer.from(text.slice(0, lengthBytes).padEnd(lengthBytes), 'latin1'),
  });
  const text = (id: number, content: string, lengthBytes: number): Attribute => ({
    id,
    format: 'text',
    value: Buffer.alloc(
      lengthBytes,
      Buffer.from(content, 'utf8').subarray(0, lengthBytes - 1),
      'utf8',
    ),
  });
  // Lengths as SPC-4 table 446 fixes them.
  const attributes = [
    ascii(MAM.applicationVendor, 'SHELFS', 8),
    ascii(MAM.applicationName, 'shelfs', 32),
    ascii(MAM.applicationVersion, label.program, 8),
    ascii(MAM.barcode, label.barcode, 32),
    text(MAM.mediaPool, padded(label.pool, 160), 160),
    text(MAM.userText, padded(`shelfs ${label.barcode}`, 160), 160),
  ];
  await writePatiently(unit, attributes, signal);
}

/** @internal exported for its table of vectors */
export function formatGeneration(options: {
  readonly generation: number;
  readonly mediumUuid: string;
  readonly reference: Buffer;
}): Buffer {
  const { generation, mediumUuid, reference } = options;
  const count = Buffer.alloc(16);
  count.writeBigUInt64BE(BigInt(generation), 0);
  count.writeBigUInt64BE(1n, 8);
  const application = Buffer.concat([APPLICATION, Buffer.from(mediumUuid, 'latin1')]);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(application.length);
  return Buffer.concat([Buffer.from([reference.length]), reference, count, length, application]);
}

/** @internal exported for its table of vectors */
export function parseGeneration(value: Buffer | undefined): number | undefined {
  if (value === undefined || value.length < 1) return undefined;
  const at = 1 + value.readUInt8(0);
  if (value.length < at + 18 + APPLICATION.length) return undefined;
  if (!value.subarray(at + 18, at + 18 + APPLICATION.length).equals(APPLICATION)) return undefined;
  const generation = Number(value.readBigUInt64BE(at));
  return Number.isSafeInteger(generation) ? generation : undefined;
}

function padded(text: string, lengthBytes: number): string {
  return text.padEnd(lengthBytes, '\0');
}

/** A unit attention may stand before the answer; the second asking has it. */
async function readPatiently(
  unit: LogicalUnit,
  signal: AbortSignal,
): Promise<ReadonlyMap<number, Attribute>> {
  return patiently(() => readMemory(unit, signal), new Map<number, Attribute>());
}

async function writePatiently(
  unit: LogicalUnit,
  attributes: readonly Attribute[],
  signal: AbortSignal,
): Promise<void> {
  await patiently(() => writeMemory(unit, attributes, signal), undefined);
}

async function patiently<T>(attempt: () => Promise<T>, none: T): Promise<T> {
  try {
    return await attempt();
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    if (error.code === 'DRIVE_RESET') return attempt();
    // Drives and adapters without access to the chip refuse the command: the tape itself is the first witness.
    if (error.code === 'DRIVE_FAILED') return none;
    throw error;
  }
}
