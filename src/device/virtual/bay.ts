/**
 * The mouth of a virtual drive: what stands in it, threaded or not, and remembering that for the next process.
 *
 * A process that ends cleanly leaves the position behind. One that is killed leaves the cartridge marked as threaded, or
 * locked in: the next process finds a drive that has lost its power, with the tape at its beginning.
 */
import { strict as assert } from 'node:assert';
import type { Clock } from '../../base/clock.ts';
import { CodedError } from '../../base/errors.ts';
import type { DriveGeneration } from '../../domain/generation.ts';
import { VirtualCartridge } from './cartridge.ts';
import { Deck } from './deck.ts';
import { MECHANICS } from './mechanics.ts';
import { type DriveRecord, driveElement, emptyStatistics, type LibraryState } from './state.ts';
import { type Speed, Usage } from './usage.ts';

export type BayOptions = {
  /** Of the drive, counted from 0. */
  readonly index: number;
  readonly generation: DriveGeneration;
  readonly directory: string;
  readonly state: LibraryState;
  readonly clock: Clock;
  readonly speed: Speed;
  readonly bootId: string;
};

/** What became of the tape: `loaded` afresh, `resumed` where the process before had left it, or nothing happened. */
export type Arrival = 'loaded' | 'resumed' | 'none';

export class Bay {
  readonly #options: BayOptions;
  #usage: Usage;
  #deck: Deck | undefined;
  #present: string | undefined;

  constructor(options: BayOptions) {
    this.#options = options;
    this.#usage = new Usage(emptyStatistics(), options.clock, options.speed);
  }

  /** The threaded tape. */
  get deck(): Deck | undefined {
    return this.#deck;
  }

  /** Name of the cartridge in the drive's element, threaded or not. */
  get present(): string | undefined {
    return this.#present;
  }

  get usage(): Usage {
    return this.#usage;
  }

  /** Takes up what stands in the drive. `lostPower`: the process before was killed, or the machine went down. */
  async powerOn(): Promise<{ arrival: Arrival; lostPower: boolean }> {
    try {
      return await this.#takeUp();
    } catch (error) {
      await this.#deck?.cartridge.drop();
      this.#deck = undefined;
      throw error;
    }
  }

  async #takeUp(): Promise<{ arrival: Arrival; lostPower: boolean }> {
    const { state, index, clock, speed } = this.#options;
    const library = await state.read();
    const record = await this.#record();
    this.#usage = new Usage(record.statistics, clock, speed);
    this.#present = driveElement(library.elements, index).cartridge;
    let arrival: Arrival = 'none';
    let lostPower = record.prevented;
    if (this.#present && !record.unloaded) {
      const isSame = record.threaded?.cartridge === this.#present;
      const stood = isSame ? record.threaded?.position : undefined;
      arrival = await this.#threadOrLeave(this.#present, stood);
      if (isSame && this.#deck?.cartridge.wasLeftThreaded) lostPower = true;
    }
    if (lostPower) {
      if (this.#deck) this.#deck.position = 0;
      await this.#save({ prevented: false });
    }
    return { arrival, lostPower };
  }

  /** Keeps position and counters for the next process. */
  async powerOff(): Promise<void> {
    const deck = this.#deck;
    const threaded = deck && { cartridge: deck.cartridge.name, position: deck.position };
    try {
      await this.#letGo();
    } finally {
      await this.#save({ ...(threaded && { threaded }), prevented: false });
    }
  }

  /** Takes notice of what the picker, of any process, has put here or taken away. */
  async notice(): Promise<Arrival> {
    const { state, index } = this.#options;
    const { cartridge } = driveElement((await state.read()).elements, index);
    if (cartridge === this.#present) return 'none';
    this.#present = cartridge;
    await this.#letGo();
    return cartridge ? this.#thread(cartridge, undefined) : 'none';
  }

  /** Threads the cartridge that stands here. */
  async load(): Promise<Arrival> {
    assert(this.#present && !this.#deck, 'there is a cartridge, and it is not threaded');
    return this.#thread(this.#present, undefined);
  }

  async unload(): Promise<void> {
    if (!this.#deck) return;
    await this.#usage.unload(this.#deck.bytesBefore);
    try {
      await this.#letGo();
    } finally {
      await this.#save({ threaded: undefined, unloaded: true });
    }
  }

  /** The tape is out of the drive and its files are closed, also when this rejects for what could not be confirmed. */
  async #letGo(): Promise<void> {
    const deck = this.#deck;
    this.#deck = undefined;
    await deck?.cartridge.close();
  }

  async isLocked(): Promise<boolean> {
    return (await this.#record()).prevented;
  }

  async lock(prevented: boolean): Promise<void> {
    await this.#save({ prevented });
  }

  /** The power goes and comes back. What was not confirmed is gone from some record on; `survivors` made it to the tape. */
  async losePower(survivors: number): Promise<void> {
    const deck = this.#deck;
    if (!deck) return;
    const { tape, name } = deck.cartridge;
    try {
      if (!tape.failure) {
        await tape.truncate(Math.min(tape.end.block, tape.syncedBlock + survivors));
      }
    } finally {
      await this.#letGo();
    }
    await this.#thread(name, undefined);
  }

  /** A drive is powered whatever tape stands in it: one that cannot be threaded says so when it is loaded, and the picker may take it. */
  async #threadOrLeave(name: string, stood: number | undefined): Promise<Arrival> {
    try {
      return await this.#thread(name, stood);
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== 'MEDIUM_UNREADABLE') throw error;
      await this.#save({ threaded: undefined, unloaded: true });
      return 'none';
    }
  }

  /** @param stood where the head stood; undefined when the cartridge has yet to be loaded */
  async #thread(name: string, stood: number | undefined): Promise<Arrival> {
    const { directory, bootId, generation } = this.#options;
    const cartridge = await VirtualCartridge.open(directory, name, bootId);
    this.#deck = new Deck(cartridge, stood ?? 0);
    this.#usage.begin(MECHANICS[generation], cartridge.record.capacityBytes);
    if (stood !== undefined) return 'resumed';
    await this.#usage.load();
    await cartridge.save({ loads: cartridge.record.loads + 1 });
    await this.#save({ threaded: { cartridge: name, position: 0 }, unloaded: false });
    return 'loaded';
  }

  async #record(): Promise<DriveRecord> {
    const record = (await this.#options.state.read()).drives[this.#options.index];
    assert(record, `no drive ${this.#options.index}`);
    return record;
  }

  async #save(
    change: Partial<Pick<DriveRecord, 'unloaded' | 'prevented'>> & {
      threaded?: DriveRecord['threaded'] | undefined;
    },
  ): Promise<void> {
    await this.#options.state.update((library) => {
      const record = library.drives[this.#options.index];
      assert(record);
      Object.assign(record, change, { statistics: { ...this.#usage.statistics } });
    });
  }
}
