/** Proof of a cartridge without a label of ours, by its first block. It is read, never written to. */
import { createHash } from 'node:crypto';
import { CodedError } from '../base/errors.ts';
import type { Drive } from '../device/drive.ts';
import type { ForeignTape } from '../domain/foreign.ts';

/** A READ asks for less than 16 MiB (SSC-4: 24 bits). */
export const BLOCK_BYTES_MAX = 2 ** 24 - 1;

export function fingerprint(block: Buffer): string {
  return createHash('sha256').update(block).digest('hex');
}

/** @throws CodedError MEDIUM_MISMATCH where another cartridge is in the drive */
export async function proveForeign(
  drive: Drive,
  { barcode, foreign }: { readonly barcode: string; readonly foreign: ForeignTape },
  signal: AbortSignal,
): Promise<void> {
  await drive.rewind(signal);
  const buffer = Buffer.alloc(BLOCK_BYTES_MAX);
  const found = await drive.read(buffer, signal);
  if (found.kind === 'block')
    if (fingerprint(buffer.subarray(0, found.lengthBytes)) === foreign.firstBlock) return;
  throw new CodedError(
    'MEDIUM_MISMATCH',
    `the cartridge in ${drive.name} is not ${barcode} as it was imported; nothing was read`,
    { volser: barcode.slice(0, 6), device: drive.name },
  );
}
