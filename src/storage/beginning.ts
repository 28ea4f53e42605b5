/** What stands at the start of a cartridge: a label of ours, nothing, or what somebody else has written. */
import { type Label, parseLabel } from '../archive/label.ts';
import { recogniseStart, type Start } from '../archive/recognise.ts';
import type { ReadResult } from '../device/block-read.ts';
import type { Drive } from '../device/drive.ts';

/** Of a cartridge whose label is not proven yet. */
export type Beginning =
  | { readonly kind: 'blank' }
  | { readonly kind: 'label'; readonly label: Label }
  | { readonly kind: 'foreign'; readonly start: Start };

/** Of most labels' blocks; then larger than any: what is longer was not written by us. */
const FIRST_BLOCK_BYTES = [2 ** 20, 2 ** 23] as const;
/** A label fits into a few blocks; more is somebody else's archive. */
const LABEL_BYTES_MAX = 2 ** 23;

async function readFirst(
  drive: Drive,
  signal: AbortSignal,
): Promise<readonly [buffer: Buffer, result: ReadResult]> {
  const [usual, longest] = FIRST_BLOCK_BYTES;
  await drive.rewind(signal);
  const buffer = Buffer.alloc(usual);
  const result = await drive.read(buffer, signal);
  if (result.kind !== 'longer-block') return [buffer, result];
  await drive.rewind(signal);
  const larger = Buffer.alloc(longest);
  return [larger, await drive.read(larger, signal)];
}

/** Reads what stands at the start of the tape in a drive. The tape stands somewhere behind it afterwards. */
export async function readBeginning(drive: Drive, signal: AbortSignal): Promise<Beginning> {
  const [first, result] = await readFirst(drive, signal);
  if (result.kind === 'end-of-data') return { kind: 'blank' };
  if (result.kind !== 'block') return { kind: 'foreign', start: 'foreign' };
  const block = first.subarray(0, result.lengthBytes);
  const start = recogniseStart(block);
  if (start !== 'shelfs') return { kind: 'foreign', start };
  const parts = [Buffer.from(block)];
  let lengthBytes = block.length;
  for (;;) {
    const next = await drive.read(first, signal);
    if (next.kind === 'filemark' || next.kind === 'end-of-data') break;
    lengthBytes += next.lengthBytes;
    if (next.kind === 'longer-block' || lengthBytes > LABEL_BYTES_MAX) {
      return { kind: 'foreign', start: 'tar' };
    }
    parts.push(Buffer.from(first.subarray(0, next.lengthBytes)));
  }
  return { kind: 'label', label: parseLabel(Buffer.concat(parts)) };
}
