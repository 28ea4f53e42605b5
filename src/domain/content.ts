/** Contents: bytes by their hash, wherever copies of them lie. */

/** BLAKE3 of all bytes, holes read as zeros; equal to what `b3sum` prints. */
export const HASH_BYTES = 32;

/** A reader may hand on this much once its own hash is right, while the tape still runs. */
export const SEGMENT_BYTES = 64 * 2 ** 20;

export type Content = {
  readonly hash: Buffer;
  readonly sizeBytes: number;
  /**
   * BLAKE3 of each segment of SEGMENT_BYTES (the last may be shorter), HASH_BYTES each, one behind the other; undefined
   * up to SEGMENT_BYTES, where the hash of the whole does it.
   */
  readonly segments: Buffer | undefined;
};

export function segmentCount(sizeBytes: number): number {
  return sizeBytes <= SEGMENT_BYTES ? 1 : Math.ceil(sizeBytes / SEGMENT_BYTES);
}

/** Where a run of a content's bytes lies in an archive's stream. */
export type Extent = {
  /** First byte within the content. */
  readonly contentOffset: number;
  /** Bytes of the content, holes included. */
  readonly lengthBytes: number;
  /** First byte of the data in the archive's stream, behind all headers. */
  readonly archiveOffset: number;
  /** Bytes in the archive's stream: fewer than `lengthBytes` where holes were left out (plus their map). */
  readonly storedBytes: number;
  /** `sparse`: the data begin with a GNU 1.0 sparse map. */
  readonly form: 'plain' | 'sparse';
};
