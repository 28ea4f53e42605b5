/** What of an extent can be proven by itself: the whole content where all of it is there, else its segments; and the proof. */
import { Blake3Hasher } from '@napi-rs/blake-hash';
import type { DamagedRange } from '../../catalog/care/damages.ts';
import type { ExtentToRead } from '../../catalog/care/read-back.ts';
import { HASH_BYTES, SEGMENT_BYTES } from '../../domain/content.ts';
import { unfolding } from '../../recall/unfold.ts';

/** A run of a content's bytes with its own hash. */
type Proven = { readonly offset: number; readonly lengthBytes: number; readonly hash: Buffer };

/** Stored bytes that are read in one go, with what they have to be. */
export type Portion = {
  readonly read: ExtentToRead;
  /** In the archive's stream. */
  readonly range: DamagedRange;
  readonly proofs: readonly Proven[];
  /** First byte of the content that the stored bytes give. */
  readonly from: number;
  /** Some of the bytes are in no proof: only the content as a whole could tell. */
  readonly isUnproven: boolean;
};

const ZEROS = Buffer.alloc(2 ** 20);

/** In the order in which they are stored. A large content is cut at its segments, a sparse extent stays in one piece. */
export function* portionsOf(read: ExtentToRead): Generator<Portion> {
  const { extent } = read;
  const proofs = proofsOf(read);
  const { contentOffset, lengthBytes, archiveOffset, storedBytes } = extent;
  if (extent.form === 'sparse' || proofs.length < 2) {
    const provenBytes = proofs.reduce((sum, proof) => sum + proof.lengthBytes, 0);
    const range = { position: archiveOffset, lengthBytes: storedBytes };
    yield { read, range, proofs, from: contentOffset, isUnproven: provenBytes < lengthBytes };
    return;
  }
  const edges = new Set([contentOffset, contentOffset + lengthBytes]);
  for (const { offset, lengthBytes: length } of proofs) edges.add(offset).add(offset + length);
  const cuts = [...edges].sort((a, b) => a - b);
  for (const [index, from] of cuts.entries()) {
    const to = cuts[index + 1];
    if (to === undefined) return;
    const own = proofs.filter(({ offset }) => offset === from);
    const range = { position: archiveOffset + from - contentOffset, lengthBytes: to - from };
    yield { read, range, proofs: own, from, isUnproven: own.length === 0 };
  }
}

function proofsOf({ sizeBytes, hash, segments, extent }: ExtentToRead): Proven[] {
  const { contentOffset, lengthBytes } = extent;
  const end = contentOffset + lengthBytes;
  if (hash === undefined) return [];
  if (segments === undefined) {
    const isWhole = contentOffset === 0 && lengthBytes === sizeBytes;
    return isWhole ? [{ offset: 0, lengthBytes, hash }] : [];
  }
  const proofs: Proven[] = [];
  const first = Math.ceil(contentOffset / SEGMENT_BYTES);
  for (let index = first; (index + 1) * HASH_BYTES <= segments.length; index += 1) {
    const offset = index * SEGMENT_BYTES;
    const length = Math.min(SEGMENT_BYTES, sizeBytes - offset);
    if (offset + length > end) break;
    const own = segments.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);
    proofs.push({ offset, lengthBytes: length, hash: own });
  }
  return proofs;
}

/** The proof of one portion while its stored bytes pass. */
export class PortionProof {
  readonly #portion: Portion;
  readonly #hasher = new Blake3Hasher();
  readonly #unfolding;
  /** Of the content: all before it was given to a proof. */
  #at: number;
  #index = 0;
  #isWrong = false;

  constructor(portion: Portion) {
    this.#portion = portion;
    this.#at = portion.from;
    this.#unfolding = unfolding(portion.read.extent, portion.from);
  }

  /** @throws CodedError ARCHIVE_INVALID for a broken sparse map */
  take(bytes: Buffer): void {
    for (const { offset, bytes: data } of this.#unfolding.take(bytes)) {
      this.#zeros(offset);
      this.#add(data);
    }
  }

  /** All stored bytes have passed. */
  isRight(): boolean {
    const { extent } = this.#portion.read;
    if (extent.form === 'sparse') this.#zeros(extent.contentOffset + extent.lengthBytes);
    return !this.#isWrong && this.#index === this.#portion.proofs.length;
  }

  #zeros(upTo: number): void {
    while (this.#at < upTo) this.#add(ZEROS.subarray(0, Math.min(ZEROS.length, upTo - this.#at)));
  }

  /** Bytes that no proof covers are passed over. */
  #add(bytes: Buffer): void {
    for (let taken = 0; taken < bytes.length; ) {
      const proof = this.#portion.proofs[this.#index];
      if (!proof) {
        this.#at += bytes.length - taken;
        return;
      }
      const end = proof.offset + proof.lengthBytes;
      if (this.#at < proof.offset) {
        const skipped = Math.min(bytes.length - taken, proof.offset - this.#at);
        this.#at += skipped;
        taken += skipped;
        continue;
      }
      const part = bytes.subarray(taken, taken + end - this.#at);
      this.#hasher.update(part);
      this.#at += part.length;
      taken += part.length;
      if (this.#at < end) continue;
      this.#isWrong ||= !this.#hasher.digestBuffer().equals(proof.hash);
      this.#hasher.reset();
      this.#index += 1;
    }
  }
}
