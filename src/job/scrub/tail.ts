/**
 * How a tape file ends, byte by byte: digest and zeros, which no hash covers. All of it follows from what the catalog knows
 * but the digest's place, and that is where the bytes differ least: so one byte more or less is told, not guessed.
 */
import { strict as assert } from 'node:assert';
import { DIGEST_MEMBER_BYTES, encodeDigest, findDigest } from '../../archive/digest.ts';
import { padTo512 } from '../../archive/ustar.ts';
import type { CopyToRead } from '../../catalog/care/read-back.ts';

/** Two blocks of 512 zeros end a tar (FORMAT.md section 3). */
const END_BYTES = 1024;
const GRAIN_BYTES = 512;

export type Tail = {
  /** Bytes of the stream that the hash covers. */
  readonly hashedBytes: number;
  /** What they have to hash to: by the catalog, or where that does not know by the digest itself. */
  readonly blake3: Buffer | undefined;
  /** Where the journal's text lies, as far as that is known. */
  readonly journal: { readonly offset: number; readonly lengthBytes: number } | undefined;
  /** Of the digest's member. */
  readonly isDigestRight: boolean;
  /** What is behind the digest, or behind a tear. */
  readonly areZerosRight: boolean;
};

/**
 * @param tail the last bytes of the stream, two blocks or all there is
 */
export function tailOf(copy: CopyToRead, tail: Buffer, streamBytes: number): Tail {
  if (copy.isTorn) {
    const hashedBytes = copy.lengthBytes ?? streamBytes;
    const zeros = tail.subarray(Math.max(0, hashedBytes - (streamBytes - tail.length)));
    const areZerosRight = isZero(zeros);
    const { blake3 } = copy;
    return { hashedBytes, blake3, journal: undefined, isDigestRight: true, areZerosRight };
  }
  const found = findDigest(tail, streamBytes);
  if (!found) return nearest(copy, tail, streamBytes);
  const known = {
    ...copy,
    blake3: copy.blake3 ?? found.blake3,
    sha256: copy.blake3 ? copy.sha256 : found.sha256,
    journalBytes: copy.journalBytes ?? found.journal.lengthBytes,
  };
  const { lengthBytes: hashedBytes, journal } = found;
  if (!isExact(known, hashedBytes, { tail, streamBytes })) return nearest(known, tail, streamBytes);
  const { blake3 } = known;
  return { hashedBytes, blake3, journal, isDigestRight: true, areZerosRight: true };
}

function isExact(
  copy: CopyToRead,
  hashedBytes: number,
  { tail, streamBytes }: { readonly tail: Buffer; readonly streamBytes: number },
): boolean {
  const at = hashedBytes - (streamBytes - tail.length);
  const digest = expectedDigest(copy, hashedBytes);
  return (
    digest !== undefined &&
    tail.subarray(at, at + DIGEST_MEMBER_BYTES).equals(digest) &&
    isZero(tail.subarray(at + DIGEST_MEMBER_BYTES))
  );
}

/** The place at which a digest and the zeros behind it would differ least from what is there. */
function nearest(copy: CopyToRead, tail: Buffer, streamBytes: number): Tail {
  const before = streamBytes - tail.length;
  const last = streamBytes - END_BYTES - DIGEST_MEMBER_BYTES;
  const first = Math.max(before, last - copy.blockBytes + GRAIN_BYTES);
  let best: { at: number; wrong: number } | undefined;
  for (let at = last; at >= first; at -= GRAIN_BYTES) {
    const digest = expectedDigest(copy, at);
    if (!digest) break;
    const there = tail.subarray(at - before, at - before + DIGEST_MEMBER_BYTES);
    const wrong = wrongBytes(there, digest, best?.wrong ?? Number.POSITIVE_INFINITY);
    if (!best || wrong < best.wrong) best = { at, wrong };
  }
  const hashedBytes = best?.at ?? Math.max(0, streamBytes);
  return {
    hashedBytes,
    blake3: copy.blake3,
    journal: journalOf(copy, hashedBytes),
    isDigestRight: best?.wrong === 0,
    areZerosRight: isZero(tail.subarray(hashedBytes - before + DIGEST_MEMBER_BYTES)),
  };
}

function expectedDigest(copy: CopyToRead, hashedBytes: number): Buffer | undefined {
  const { uuid, blake3, sha256 } = copy;
  const journal = journalOf(copy, hashedBytes);
  if (!blake3 || !journal) return undefined;
  return encodeDigest({ uuid, blake3, sha256, lengthBytes: hashedBytes, journal });
}

/** It ends, padded, where the digest begins. */
function journalOf({ journalBytes }: CopyToRead, hashedBytes: number) {
  if (journalBytes === undefined || padTo512(journalBytes) > hashedBytes) return undefined;
  return { offset: hashedBytes - padTo512(journalBytes), lengthBytes: journalBytes };
}

/** Counted up to `enough`. */
function wrongBytes(a: Buffer, b: Buffer, enough: number): number {
  assert(b.length === DIGEST_MEMBER_BYTES);
  if (a.equals(b)) return 0;
  let wrong = 0;
  for (let at = 0; at < b.length && wrong < enough; at += 1) if (a[at] !== b[at]) wrong += 1;
  return wrong;
}

export function isZero(bytes: Buffer): boolean {
  return bytes.length === 0 || (bytes[0] === 0 && bytes.subarray(1).equals(bytes.subarray(0, -1)));
}
