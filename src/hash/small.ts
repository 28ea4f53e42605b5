/** The hash of a content that is in memory as a whole. */
import { strict as assert } from 'node:assert';
import { blake3UrlSafeBase64 } from '@napi-rs/blake-hash';
import { HASH_BYTES } from '../domain/content.ts';

/**
 * Puts the BLAKE3 of `bytes` into `hashes` at `offset`. Of small contents a hasher with its resets and a Buffer for each
 * digest costs as much again as the hashing (measured with 1 to 16 KiB: 11 us, this way 7); longer than a segment they
 * need a ContentHasher.
 */
export function hashInto(hashes: Buffer, offset: number, bytes: Buffer): void {
  const written = hashes.write(blake3UrlSafeBase64(bytes), offset, 'base64url');
  assert(written === HASH_BYTES, 'room for a hash');
}
