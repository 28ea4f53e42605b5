/** BLAKE3 and SHA-256 of an archive's stream, one archive after the other. */
import { createHash, type Hash } from 'node:crypto';
import { Blake3Hasher } from '@napi-rs/blake-hash';

export type Digests = { readonly blake3: Buffer; readonly sha256: Buffer | undefined };

export class StreamDigest {
  readonly #blake3 = new Blake3Hasher();
  #sha256: Hash | undefined;

  begin({ sha256 }: { readonly sha256: boolean }): void {
    this.#blake3.reset();
    this.#sha256 = sha256 ? createHash('sha256') : undefined;
  }

  update({ buffer, byteOffset, byteLength }: Uint8Array): void {
    const bytes = Buffer.from(buffer, byteOffset, byteLength);
    this.#blake3.update(bytes);
    this.#sha256?.update(bytes);
  }

  /** Of all bytes since `begin`. */
  end(): Digests {
    const digests = { blake3: this.#blake3.digestBuffer(), sha256: this.#sha256?.digest() };
    this.#sha256 = undefined;
    return digests;
  }
}
