/**
 * How the blocks of an archive go to its drives: at once, or, where the sources are too slow to keep a tape moving, by way of a
 * disk. What was measured in one archive holds for the next.
 */
import type { Clock } from '../../base/clock.ts';
import { CodedError } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';
import { parseGeneration, slowestStreamingBytes } from '../../domain/generation.ts';
import { BlockSpool } from './block-spool.ts';
import { Pace } from './pace.ts';
import { Staging } from './staging.ts';

export interface StreamWay {
  /** An archive begins. */
  begin(): void;
  /** Waits for the drives. */
  held(wait: Promise<void>): Promise<void>;
  /** So many bytes have come. @returns whether they and all behind them gather on the disk */
  came(bytes: number): boolean;
  /** Where they gather; undefined where that is not to be had. */
  stage(write: (block: Buffer) => Promise<void>): Promise<Staging | undefined>;
}

export const DIRECT: StreamWay = {
  begin: () => {},
  held: (wait) => wait,
  came: () => false,
  stage: async () => undefined,
};

export type StagingTools = {
  readonly mode: 'auto' | 'always' | 'never';
  readonly directory: string;
  /** Of the disk at most. */
  readonly bytesMax: number;
  readonly clock: Clock;
  readonly random: Random;
  /** How far before its end a medium may be warned of, for no plan goes there. */
  spareBytes(mediumId: number): number;
  warn(message: string): void;
};

/** A drive takes the distance as megabytes in two bytes (SSC-4, device configuration extension page). */
const WARN_BYTES_MAX = 65_535e6;
/** With fewer blocks there is no burst worth its name. */
const BLOCKS_MIN = 8;

export class StagingArea {
  readonly #tools: StagingTools;
  readonly #pace: Pace;
  #isSwept = false;
  #isBroken = false;

  constructor(tools: StagingTools) {
    this.#tools = tools;
    this.#pace = new Pace(tools.clock);
  }

  /** So many bytes may lie between an archive and these media, whose drives have to warn as much earlier; 0: none. */
  bytesFor(mediumIds: readonly number[], blockBytes: number): number {
    const { mode, bytesMax, spareBytes } = this.#tools;
    if (mode === 'never' || this.#isBroken) return 0;
    const spare = mediumIds.map((mediumId) => spareBytes(mediumId));
    const bytes = Math.min(bytesMax, WARN_BYTES_MAX, ...spare);
    return bytes < BLOCKS_MIN * blockBytes ? 0 : bytes;
  }

  /** @param archive.bytesMax of `bytesFor`; all its drives warn so much earlier */
  wayOf(archive: {
    readonly bytesMax: number;
    readonly blockBytes: number;
    readonly generations: readonly string[];
  }): StreamWay {
    const { bytesMax, blockBytes, generations } = archive;
    if (bytesMax === 0) return DIRECT;
    const isAlways = this.#tools.mode === 'always';
    const slowestBytes = Math.max(
      ...generations.map((name) => {
        const generation = parseGeneration(name);
        return generation ? slowestStreamingBytes(generation.name) : 0;
      }),
    );
    return {
      begin: () => this.#pace.begin(),
      held: (wait) => this.#pace.held(wait),
      came: (bytes) => {
        this.#pace.came(bytes, slowestBytes);
        return isAlways || this.#pace.isSlow;
      },
      stage: (write) => this.#open({ blockBytes, bytesMax }, write),
    };
  }

  async #open(
    ring: { readonly blockBytes: number; readonly bytesMax: number },
    write: (block: Buffer) => Promise<void>,
  ): Promise<Staging | undefined> {
    if (this.#isBroken) return undefined;
    const { directory, random } = this.#tools;
    try {
      if (!this.#isSwept) await BlockSpool.sweep(directory);
      this.#isSwept = true;
      const place = { directory, uuid: random.uuid() };
      const spool = await BlockSpool.open(place, { ...ring, blocksMin: BLOCKS_MIN });
      if (!spool) throw new CodedError('FAILED', `no room for staging in ${directory}`);
      const { blockBytes } = ring;
      return new Staging(spool, { blockBytes, write, onFull: (error) => this.#break(error) });
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      this.#break(error);
      return undefined;
    }
  }

  /** The rest of the run does without. */
  #break(error: CodedError): void {
    this.#isBroken = true;
    this.#tools.warn(
      `${error.message}: the tape is written without it, as fast as the sources are`,
    );
  }
}
