/** READ POSITION, long form (SSC-4 7.7, service action 06h): where the drive says it stands. */
import { readUInt64 } from '../base/bytes.ts';

export type ReportedPosition = {
  /** Logical object number in partition 0: blocks and filemarks before this point. */
  readonly block: number;
  /** Filemarks before this point. */
  readonly file: number;
  readonly partition: number;
  readonly atBeginning: boolean;
  /** Between early warning and the end of the partition. */
  readonly pastEarlyWarning: boolean;
};

export const READ_POSITION_LONG_BYTES = 32;

/** Undefined where the drive itself says it does not know, counts beyond any tape, or the answer is short. */
export function parsePosition(bytes: Buffer): ReportedPosition | undefined {
  if (bytes.length < READ_POSITION_LONG_BYTES) return undefined;
  const flags = bytes.readUInt8(0);
  // 08h mark position unknown, 04h logical object number unknown
  if ((flags & 0x0c) !== 0) return undefined;
  const block = readUInt64(bytes, 8);
  const file = readUInt64(bytes, 16);
  if (!Number.isSafeInteger(block) || !Number.isSafeInteger(file)) return undefined;
  // An answer of zeros is what a buffer holds that nobody filled: block 0 counts with its flag (BOP) alone.
  const atBeginning = (flags & 0x80) !== 0;
  if (atBeginning !== (block === 0)) return undefined;
  return {
    atBeginning,
    pastEarlyWarning: (flags & 0x40) !== 0,
    partition: bytes.readUInt32BE(4),
    block,
    file,
  };
}
