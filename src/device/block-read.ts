/** Reads one block from a drive. What is normal on tape is a result. */
import type { Head } from './head.ts';
import { isDone, type Send } from './logical-unit.ts';
import { driveFailure, isEndOfData } from './refusal.ts';
import { SENSE_KEY } from './sense.ts';

export type ReadResult =
  | { readonly kind: 'block'; readonly lengthBytes: number }
  /** The block is longer than the buffer; what fits was read, and the tape is past the block. */
  | { readonly kind: 'longer-block'; readonly lengthBytes: number }
  | { readonly kind: 'filemark' }
  | { readonly kind: 'end-of-data' };

export async function readBlock(
  head: Head,
  { send, buffer }: { readonly send: Send; readonly buffer: Uint8Array },
  signal: AbortSignal,
): Promise<ReadResult> {
  const { unit, position: before } = head;
  const cdb = Buffer.from([0x08, 0, 0, 0, 0, 0]);
  cdb.writeUIntBE(buffer.byteLength, 2, 3);
  head.lose();
  const { sense, data } = await send({ cdb: [...cdb], dataIn: buffer }, signal);
  if (sense?.key === SENSE_KEY.blankCheck && isEndOfData(sense)) {
    head.stay({ position: before });
    return { kind: 'end-of-data' };
  }
  if (!isDone(sense)) throw driveFailure(unit, sense, 'reading', 'MEDIUM_UNREADABLE');
  if (sense?.filemark) {
    head.pass(before, 'filemark');
    return { kind: 'filemark' };
  }
  // INFORMATION is what was asked for less what the block has (SSC-4 7.4).
  const missing = sense?.incorrectLength ? sense.information : 0;
  const lengthBytes = missing === undefined ? 0 : buffer.byteLength - missing;
  if (lengthBytes <= 0 || data.length < Math.min(lengthBytes, buffer.byteLength)) {
    throw unit.fail('it read a block and does not say how long it is');
  }
  head.pass(before, 'block');
  return { kind: lengthBytes > buffer.byteLength ? 'longer-block' : 'block', lengthBytes };
}
