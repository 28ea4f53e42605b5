/** What a virtual drive has done and how long it took: charges each command to the clock model and the counters. */
import type { Clock } from '../../base/clock.ts';
import type { Mechanics } from './mechanics.ts';
import { Motion } from './motion.ts';
import type { DriveStatistics } from './state.ts';

/** `model` only adds up the seconds; `real` also waits for them; `instant` knows none. */
export type Speed = 'instant' | 'model' | 'real';

/** A command that has been carried out, as far as the tape noticed. */
export type Carried = {
  readonly operation: 'read' | 'write' | 'filemark' | 'locate' | 'space' | 'rewind' | 'position';
  /** Data bytes before the head, before and after. */
  readonly fromBytes: number;
  readonly toBytes: number;
  /** Bytes read, or bytes of the block written. */
  readonly movedBytes: number;
  readonly filemarks: number;
  readonly immediate: boolean;
  /** How long the drive had waited for this command. */
  readonly lateSeconds: number;
};

export class Usage {
  readonly statistics: DriveStatistics;
  readonly #clock: Clock;
  readonly #speed: Speed;
  #motion: Motion | undefined;

  constructor(statistics: DriveStatistics, clock: Clock, speed: Speed) {
    this.statistics = { ...statistics };
    this.#clock = clock;
    this.#speed = speed;
  }

  /** A tape is threaded, or was and still stands where it stood. */
  begin(mechanics: Mechanics, capacityBytes: number): void {
    this.#motion = new Motion(mechanics, capacityBytes);
  }

  async load(): Promise<void> {
    this.statistics.loads += 1;
    await this.#pass(this.#motion?.load() ?? 0);
  }

  async unload(fromBytes: number): Promise<void> {
    this.statistics.unloads += 1;
    await this.#pass(this.#motion?.unload(fromBytes) ?? 0);
    this.#motion = undefined;
  }

  async charge(carried: Carried): Promise<void> {
    const { operation, fromBytes, toBytes, movedBytes, filemarks, immediate, lateSeconds } =
      carried;
    const motion = this.#motion;
    if (!motion) return;
    const { statistics } = this;
    switch (operation) {
      case 'write': {
        if (toBytes <= fromBytes) return;
        statistics.blocksWritten += 1;
        statistics.bytesWritten += movedBytes;
        return this.#stream(motion.write(movedBytes, lateSeconds));
      }
      case 'read': {
        if (movedBytes === 0) return;
        statistics.blocksRead += 1;
        statistics.bytesRead += movedBytes;
        return this.#stream(motion.read(movedBytes, lateSeconds));
      }
      case 'filemark':
        statistics.filemarks += filemarks;
        return immediate ? undefined : this.#pass(motion.flush());
      case 'rewind':
        statistics.rewinds += 1;
        return this.#pass(motion.rewind(fromBytes));
      case 'locate':
      case 'space':
        statistics.locates += 1;
        return this.#pass(motion.locate(fromBytes, toBytes));
      case 'position':
        return;
    }
  }

  async #stream(spent: { seconds: number; backhitches: number }): Promise<void> {
    this.statistics.backhitches += spent.backhitches;
    await this.#pass(spent.seconds);
  }

  async #pass(seconds: number): Promise<void> {
    if (this.#speed === 'instant') return;
    this.statistics.modelSeconds += seconds;
    if (this.#speed === 'real' && seconds > 0) {
      await this.#clock.sleepMs(seconds * 1000, new AbortController().signal);
    }
  }
}
