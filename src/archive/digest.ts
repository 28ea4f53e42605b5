/** The last member of an archive: hashes of all before it, and where its journal lies (FORMAT.md section 3.2). */
import { strict as assert } from 'node:assert';
import { CodedError } from '../base/errors.ts';
import { ownPath } from './own-member.ts';
import { hasChecksum, TAR_BLOCK_BYTES, writeHeader } from './ustar.ts';

/** Header and text; always the same, so that room for it can be kept. */
export const DIGEST_MEMBER_BYTES = 1024;

/** Two blocks of 512 zeros: where tar stops. */
const END_BYTES = 2 * TAR_BLOCK_BYTES;
const NUMBER_PLACES = 16;

export type Digest = {
  readonly uuid: string;
  /** 32 bytes each, over the stream's first `lengthBytes` bytes: all before this member's header. */
  readonly blake3: Buffer;
  /** Undefined where the machine that wrote it could not keep up with making one. */
  readonly sha256: Buffer | undefined;
  readonly lengthBytes: number;
  /** The journal's text in the stream. */
  readonly journal: { readonly offset: number; readonly lengthBytes: number };
};

export function encodeDigest(digest: Digest): Buffer {
  const text = formatDigest(digest);
  const member = Buffer.alloc(DIGEST_MEMBER_BYTES);
  writeHeader(member, 0, {
    name: ownPath(digest.uuid, 'digest'),
    mode: 0o644,
    uid: 0,
    gid: 0,
    sizeBytes: text.length,
    mtimeSeconds: 0,
    type: '0',
    link: '',
    user: 'root',
    group: 'root',
    major: 0,
    minor: 0,
  });
  member.write(text, TAR_BLOCK_BYTES, 'latin1');
  return member;
}

export function formatDigest(digest: Omit<Digest, 'uuid'>): string {
  const { blake3, sha256, lengthBytes, journal } = digest;
  assert(blake3.length === 32 && (sha256 === undefined || sha256.length === 32));
  return (
    `blake3 ${blake3.toString('hex')} ${place(lengthBytes)}\n` +
    `sha256 ${sha256?.toString('hex') ?? '-'.repeat(64)} ${place(lengthBytes)}\n` +
    `journal ${place(journal.offset)} ${place(journal.lengthBytes)}\n`
  );
}

/** The text of a digest. @throws CodedError ARCHIVE_INVALID */
export function parseDigest(text: string): Omit<Digest, 'uuid'> {
  const digest = readDigest(text);
  if (digest === undefined)
    throw new CodedError('ARCHIVE_INVALID', 'the digest of this archive is not as it should be');
  return digest;
}

function readDigest(text: string): Omit<Digest, 'uuid'> | undefined {
  const match =
    /^blake3 ([0-9a-f]{64}) +(\d{1,16})\nsha256 ([0-9a-f]{64}|-{64}) +(\d{1,16})\njournal +(\d{1,16}) +(\d{1,16})\n$/.exec(
      text,
    );
  const [, blake3 = '', length, sha256 = '', again, offset, journalLength] = match ?? [];
  const lengthBytes = Number(length);
  const journal = { offset: Number(offset), lengthBytes: Number(journalLength) };
  if (
    match === null ||
    length !== again ||
    !Number.isSafeInteger(lengthBytes) ||
    journal.offset + journal.lengthBytes > lengthBytes
  )
    return undefined;
  return {
    blake3: Buffer.from(blake3, 'hex'),
    sha256: sha256.startsWith('-') ? undefined : Buffer.from(sha256, 'hex'),
    lengthBytes,
    journal,
  };
}

/**
 * Looks for the digest in the last blocks of a tape file: `tail` are its last bytes, at least two blocks or all there is.
 * Undefined where there is none: the archive is torn. `streamBytes` is the length of the whole, for proof.
 */
export function findDigest(tail: Buffer, streamBytes: number): Digest | undefined {
  assert(streamBytes >= tail.length);
  for (let at = tail.length - DIGEST_MEMBER_BYTES; at >= 0; at -= TAR_BLOCK_BYTES) {
    const header = tail.subarray(at, at + TAR_BLOCK_BYTES);
    const name = /^\.shelfs\/archives\/([0-9a-f-]{36})\/digest\0/.exec(
      header.toString('latin1', 0, 100),
    );
    if (name?.[1] === undefined || !hasChecksum(header)) continue;
    const data = tail.subarray(at + TAR_BLOCK_BYTES, at + DIGEST_MEMBER_BYTES);
    const digest = readDigest(data.toString('latin1', 0, data.indexOf(0)));
    const position = streamBytes - tail.length + at;
    // A digest somewhere else is a backup of an archive's file, not this archive's end.
    if (digest?.lengthBytes === position) return { uuid: name[1], ...digest };
  }
  return undefined;
}

/** Zeros that follow a stream of `lengthBytes`, its digest included: tar's end, then to the end of the block. */
export function archiveTail(lengthBytes: number, blockBytes: number): number {
  const end = lengthBytes + END_BYTES;
  return Math.ceil(end / blockBytes) * blockBytes - lengthBytes;
}

function place(value: number): string {
  assert(Number.isSafeInteger(value) && value >= 0);
  return String(value).padStart(NUMBER_PLACES, ' ');
}
