/** BLAKE3 and SHA-256 of an archive's stream, whose bytes come in their order. */
import { createHash, type Hash } from 'node:crypto';
import { Blake3Hasher } from '@napi-rs/blake-hash';

export type Digests = { readonly blake3: Buffer; readonly sha256: Buffer | undefined };

export class StreamDigest {
  readonly #blake3 = new Blake3Hasher();
  #sha256: Hash | undefined;

  begin(options: { readonly sha256: boolean }): void {
    this.#blake3.reset();
    this.#sha256 = options.sha256 ? createHash('sha256') : undefined;
  }

  update({ buffer, byteOffset, byteLength }: Uint8Array): void {
    const bytes = Buffer.from(buffer, byteOffset, byteLength);
    this.#blake3.update(bytes);
    this.#sha256?.update(bytes);
  }

  /** Of all bytes since `begin`; once. */
  end(): Digests {
    const sha256 = this.#sha256?.digest();
    this.#sha256 = undefined;
    return { blake3: this.#blake3.digestBuffer(), sha256 };
  }
}
