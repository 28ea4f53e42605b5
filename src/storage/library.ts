/**
 * A tape library as people use it: slots, ports and drives by number, cartridges by barcode.
 *
 * It joins the changer and the drives, which are separate SCSI devices: the changer tells the serial number of the drive
 * in each of its elements. Without a changer there are only drives, and a person moves the cartridges.
 */
import type { Clock } from '../base/clock.ts';
import { CodedError, usage } from '../base/errors.ts';
import { Changer } from '../device/changer.ts';
import { Drive } from '../device/drive.ts';
import type { DriveHold } from '../device/hold.ts';
import { formatPlace, type Place } from '../domain/place.ts';
import { bring, emptied } from './bring.ts';
import { attachByHand, attachThreaded, ejectByHand, ejectThreaded, loadByHand } from './by-hand.ts';
import { carry, type OpenLibrary } from './carry.ts';
import type { LibraryDevices } from './devices.ts';
import { Drives, type HeldDrive } from './drives.ts';
import { type HealthKeeper, HealthWatch } from './health-watch.ts';
import { type LibraryStatus, statusOf, statusOfDrives } from './library-status.ts';
import { exportCartridge, load, transfer, unload } from './moves.ts';
import { findPlace, type Moved, type PlaceStatus, placesOf } from './places.ts';

/** What two processes see that move cartridges at the same time: it is looked at again before it counts. */
const CROSSED: ReadonlySet<string> = new Set([
  'MEDIUM_OFFLINE',
  'CHANGER_SOURCE_EMPTY',
  'CHANGER_DESTINATION_FULL',
]);
const CROSSED_MAX = 3;
const CROSSED_POLL_MS = 1000;
/** A long move in a large library. */
const CHANGER_BUSY_MS = 300_000;

export class Library {
  readonly #devices: LibraryDevices;
  readonly #drives: Drives;
  readonly #clock: Clock;
  /** Of the changer, while it is used: when it is free again. */
  #turn: Promise<void> = Promise.resolve();
  /** Told of the health of cartridges and drives that are used. */
  readonly keeper: HealthKeeper | undefined;

  constructor(devices: LibraryDevices, clock: Clock, keeper?: HealthKeeper) {
    this.#devices = devices;
    this.#drives = new Drives(devices.drives, clock);
    this.#clock = clock;
    this.keeper = keeper;
  }

  /** A person is the changer. */
  get isByHand(): boolean {
    return !this.#devices.openChanger;
  }

  /** Names of the drives, by number where a person is the changer. */
  get driveNames(): readonly string[] {
    return this.#devices.drives.map(({ name }) => name);
  }

  /** Looks at everything; nothing moves. Drives in use by another process are named, not asked. */
  async status(signal: AbortSignal): Promise<LibraryStatus> {
    const { statistics } = this.#devices;
    if (this.isByHand) return statusOfDrives(this.#drives, statistics, signal);
    return this.#withChanger((library) => statusOf(library, statistics, signal), signal);
  }

  /** Lets the changer look at every element again, then reports. */
  async inventory(signal: AbortSignal): Promise<LibraryStatus> {
    return this.#withChanger(async (library) => {
      await library.changer.initializeElementStatus(signal);
      return statusOf(library, this.#devices.statistics, signal);
    }, signal);
  }

  /**
   * Brings a cartridge into a drive and waits until it is ready.
   * @param drive number of the drive; default: the first empty one
   */
  async load(what: Place, drive: number | undefined, signal: AbortSignal): Promise<Moved> {
    const { hand } = this.#devices;
    if (this.isByHand && hand) return loadByHand(hand, what, drive ?? 0);
    const { done, hold } = await this.#withChanger(
      (library) => load(library, { what, drive }, signal),
      signal,
    );
    // A first load may take hours: the changer is free for others meanwhile.
    if (!hold) return done;
    const held = await this.#drives.ready(hold, signal);
    try {
      if (done.barcode !== null) await this.#recordStay(held, done.barcode, signal);
    } finally {
      await held.close();
    }
    return done;
  }

  /** Its stay in the drive has just begun: what chip and drive say of it by now. */
  async #recordStay({ drive }: HeldDrive, barcode: string, signal: AbortSignal): Promise<void> {
    const { keeper } = this;
    const health = keeper && (await HealthWatch.begin(drive, { barcode, keeper }, signal));
    await health?.end();
  }

  /**
   * Takes the cartridge out of a drive, back to its slot or to the first empty one.
   * @param what a drive or the cartridge in it; default: the only loaded drive
   */
  async unload(
    what: Place | undefined,
    to: Place | undefined,
    signal: AbortSignal,
  ): Promise<Moved> {
    const { hand } = this.#devices;
    if (this.isByHand) return ejectByHand(this.#drives, { what, hand }, signal);
    return this.#withChanger((library) => unload(library, { what, to }, signal), signal);
  }

  /** Moves a cartridge from any place to any other, as it is: a drive that is not in use is not unloaded for it. */
  async transfer(from: Place, to: Place, signal: AbortSignal): Promise<Moved> {
    return this.#withChanger((library) => transfer(library, { from, to }, signal), signal);
  }

  /** Brings a cartridge to an import/export port, where a person can take it. */
  async export(what: Place, port: number | undefined, signal: AbortSignal): Promise<Moved> {
    return this.#withChanger((library) => exportCartridge(library, { what, port }, signal), signal);
  }

  /**
   * Brings a cartridge into a drive for a job, and keeps that drive: the one it is in already, else an empty one, else
   * one whose cartridge nobody uses, which goes back to its slot first.
   * @throws CodedError MEDIUM_OFFLINE when the library does not hold it, DRIVE_BUSY when every drive is in use
   */
  async attach(barcode: string, signal: AbortSignal): Promise<HeldDrive> {
    if (this.isByHand) return attachByHand(this.#drives, barcode, signal);
    for (let attempt = 1; ; attempt += 1) {
      try {
        const hold = await this.#withChanger((library) => bring(library, barcode, signal), signal);
        // A first load may take hours: the changer is free for others meanwhile.
        return await this.#drives.ready(hold, signal);
      } catch (error) {
        const isCrossed = error instanceof CodedError && CROSSED.has(error.code);
        if (!isCrossed || attempt === CROSSED_MAX) throw error;
        await this.#clock.sleepMs(CROSSED_POLL_MS, signal);
      }
    }
  }

  /**
   * Keeps a drive with the cartridge that a person has put in.
   * @param number as in `driveNames`
   * @returns undefined where none is threaded; one that was ejected and still stands in the mouth is not
   * @throws CodedError DRIVE_BUSY
   */
  attachDrive(number: number, signal: AbortSignal): Promise<HeldDrive | undefined> {
    return attachThreaded(this.#drives, number, signal);
  }

  /**
   * Unthreads the cartridge in a drive, for a person to take it.
   * @param number as in `driveNames` @throws CodedError DRIVE_EMPTY, DRIVE_BUSY
   */
  ejectDrive(number: number, signal: AbortSignal): Promise<void> {
    return ejectThreaded(this.#drives, number, signal);
  }

  /**
   * Brings a cartridge into a drive, lets it work there and brings it back, with the drive kept from everybody all the while.
   * What is in the drive goes to its slot first, and stays there.
   * @throws CodedError USAGE, MEDIUM_OFFLINE, DRIVE_BUSY; the changer's failures
   */
  async visit<T>(
    way: { readonly what: Place; readonly drive: number },
    work: (drive: Drive) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const { hold, home, target } = await this.#withChanger(
      (library) => bringForVisit(library, way, signal),
      signal,
    );
    // Also when it was stopped: it would be in the way of everything else.
    const never = new AbortController().signal;
    try {
      return await work(await Drive.open(hold.port, this.#clock, signal));
    } finally {
      try {
        await this.#drives.eject(hold, never);
        await this.#patiently(
          () => this.#withChanger(({ changer }) => carry(changer, target, home, never), never),
          never,
        );
      } finally {
        await hold.close();
      }
    }
  }

  /** Others have the changer for a moment, rarely for longer. */
  async #patiently(step: () => Promise<void>, signal: AbortSignal): Promise<void> {
    const startMs = this.#clock.monotonicMs();
    for (;;) {
      try {
        return await step();
      } catch (error) {
        const isBusy = error instanceof CodedError && error.failure.retry === 'later';
        if (!isBusy || this.#clock.monotonicMs() - startMs > CHANGER_BUSY_MS) throw error;
        await this.#clock.sleepMs(CROSSED_POLL_MS, signal);
      }
    }
  }

  /** One after the other: a drive that one look holds for a moment is not busy for another of this process. */
  async #withChanger<T>(
    use: (library: OpenLibrary) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    if (!this.#devices.openChanger) {
      throw usage('this library has no changer: put the cartridge into the drive by hand');
    }
    const before = this.#turn;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#turn = promise;
    await before;
    try {
      const port = await this.#devices.openChanger();
      try {
        const changer = await Changer.open(port, this.#clock, signal);
        return await use({ changer, drives: this.#drives });
      } finally {
        await port.close();
      }
    } finally {
      resolve();
    }
  }
}

async function bringForVisit(
  library: OpenLibrary,
  { what, drive }: { readonly what: Place; readonly drive: number },
  signal: AbortSignal,
): Promise<{
  readonly hold: DriveHold;
  readonly home: PlaceStatus;
  readonly target: PlaceStatus;
}> {
  const { changer, drives } = library;
  const elements = await changer.elements(signal);
  const places = placesOf(elements);
  const source = findPlace(places, what);
  const place = findPlace(places, { kind: 'drive', number: drive });
  const [hold] = await drives.holdAll([place], elements, signal);
  if (!hold) throw usage(`no device is configured for ${formatPlace(place)}`);
  try {
    await emptied(library, { place, hold }, signal);
    await carry(changer, source, place, signal);
    return { hold, home: source, target: { ...place, barcode: source.barcode } };
  } catch (error) {
    await hold.close();
    throw error;
  }
}
