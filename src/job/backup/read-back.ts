/** What a run has written to each medium and is to be read back before the medium leaves its drive. */
import type { Archives } from '../../catalog/shelf/archives.ts';
import type { Media } from '../../catalog/shelf/media.ts';
import type { CopyTarget } from './open-archive.ts';
import { type ArchiveProof, verifyArchive } from './verify.ts';

export type ReadBackTools = {
  readonly archives: Archives;
  readonly media: Media;
  /** A copy did not read back. */
  onDamage(): void;
  warn(message: string): void;
};

export class ReadBack {
  readonly #tools: ReadBackTools;
  /** By medium, in the order they were written. */
  readonly #left = new Map<number, ArchiveProof[]>();

  constructor(tools: ReadBackTools) {
    this.#tools = tools;
  }

  add(mediumId: number, added: readonly ArchiveProof[]): void {
    const left = this.#left.get(mediumId);
    if (left) left.push(...added);
    else this.#left.set(mediumId, [...added]);
  }

  /** Until nothing is left of this medium. What a failure of the drive has kept from being read is left. @throws CodedError */
  async of({ mediumId, tape }: CopyTarget, signal: AbortSignal): Promise<void> {
    const left = this.#left.get(mediumId) ?? [];
    const { archives, media, warn, onDamage } = this.#tools;
    for (let proof = left[0]; proof; proof = left[0]) {
      const reason = await verifyArchive(tape, proof, signal);
      archives.markCopy(proof.archiveId, mediumId, reason === undefined ? 'good' : 'bad');
      left.shift();
      if (reason === undefined) continue;
      media.worsen(mediumId, 'suspect');
      warn(
        `${tape.barcode}: archive at block ${proof.startBlock}: ${reason}; the next backup stores its files again`,
      );
      onDamage();
    }
  }
}
