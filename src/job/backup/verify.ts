/** `--verify`: what a run wrote is read back before its cartridge leaves the drive, against the digest it was given. */
import { Blake3Hasher } from '@napi-rs/blake-hash';
import { CodedError } from '../../base/errors.ts';
import type { Tape } from '../../storage/tape.ts';

/** An archive on one cartridge, and what its stream has to hash to. */
export type ArchiveProof = {
  readonly archiveId: number;
  readonly startBlock: number;
  /** Bytes of the stream that the digest covers. */
  readonly lengthBytes: number;
  readonly blake3: Buffer;
};

/** @returns why the copy is not good; undefined where it is */
export async function verifyArchive(
  tape: Tape,
  { startBlock, lengthBytes, blake3 }: ArchiveProof,
  signal: AbortSignal,
): Promise<string | undefined> {
  const hasher = new Blake3Hasher();
  const buffer = Buffer.alloc(tape.blockBytes);
  let at = 0;
  try {
    for await (const block of tape.blocks(startBlock, buffer, signal)) {
      const covered = block.subarray(0, Math.max(0, Math.min(block.length, lengthBytes - at)));
      if (covered.length > 0) hasher.update(covered);
      at += block.length;
      signal.throwIfAborted();
    }
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== 'MEDIUM_UNREADABLE') throw error;
    return error.message;
  }
  if (at < lengthBytes) return `only ${at} of ${lengthBytes} bytes are there`;
  return hasher.digestBuffer().equals(blake3)
    ? undefined
    : 'it reads back other bytes than were written';
}
