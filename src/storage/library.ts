/**
 * A tape library as people use it: slots, ports and drives by number, cartridges by barcode.
 *
 * It joins the changer and the drives, which are separate SCSI devices: the changer tells the serial number of the drive
 * in each of its elements. Without a changer there are only drives, and a person moves the cartridges.
 */
import { strict as assert } from 'node:assert';
import type { Clock } from '../base/clock.ts';
import { CodedError } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import { Changer } from '../device/changer.ts';
import { Drive, type DriveState } from '../device/drive.ts';
import type { Element } from '../device/elements.ts';
import type { DriveHold } from '../device/hold.ts';
import type { ScsiPort } from '../device/port.ts';
import type { DriveStatistics } from '../device/virtual/state.ts';
import { parseBarcode } from '../domain/barcode.ts';
import { formatPlace, type Place } from '../domain/place.ts';
import type { HealthKeeper } from './health-watch.ts';

/** Where the devices come from: the kernel's, or a virtual library's. */
export interface LibraryDevices {
  /** Undefined where a person is the changer. */
  readonly openChanger: (() => Promise<ScsiPort>) | undefined;
  readonly drives: readonly DriveDevice[];
  /** Of virtual drives, in order of `drives`. */
  readonly statistics?: () => Promise<readonly DriveStatistics[]>;
  /** Of a person, where the cartridges are virtual and there is no changer. */
  readonly hand?: Hand | undefined;
}

/** Puts cartridges into drives and takes them out, by number of the drive; places as people call them. */
export interface Hand {
  /** @returns where it lay @throws CodedError MEDIUM_OFFLINE; REMOVAL_PREVENTED where the drive has one threaded */
  load(name: string, drive: number): Promise<string>;
  /** Takes out what was ejected. @returns where it went; undefined where there was none */
  unload(drive: number): Promise<string | undefined>;
}

export interface DriveDevice {
  /** `/dev/nst0`, `virtual drive 0`. */
  readonly name: string;
  readonly serial: string | undefined;
  /** @throws CodedError DRIVE_BUSY naming the process that has it */
  hold(): Promise<DriveHold>;
}

export type PlaceStatus = {
  readonly kind: 'slot' | 'port' | 'drive';
  readonly number: number;
  readonly address: number;
  readonly full: boolean;
  readonly barcode: string | null;
};

export type DriveStatus = {
  readonly number: number;
  /** Null for a drive of the changer that no configured device belongs to. */
  readonly device: string | null;
  readonly serial: string | null;
  readonly model: string | null;
  /** `held`: another process uses it; `failed`: see `problem`; `unknown`: no device to ask. */
  readonly state: DriveState | 'held' | 'failed' | 'unknown';
  readonly heldBy: number | null;
  /** Why it cannot be asked, in a sentence. */
  readonly problem: string | null;
  readonly barcode: string | null;
  /** The slot its cartridge came from. */
  readonly from: string | null;
  readonly statistics: DriveStatistics | null;
};

export type CartridgeStatus = {
  /** Null where the sticker cannot be read. */
  readonly barcode: string | null;
  readonly generation: string | null;
  readonly kind: 'data' | 'worm' | 'cleaning' | 'unknown';
  /** `slot 3`. */
  readonly place: string;
};

export type LibraryStatus = {
  readonly changer: {
    readonly model: string;
    readonly serial: string | null;
    readonly device: string;
  } | null;
  readonly drives: readonly DriveStatus[];
  readonly slots: readonly PlaceStatus[];
  readonly ports: readonly PlaceStatus[];
  readonly cartridges: readonly CartridgeStatus[];
};

/** A drive with a cartridge threaded, kept from everybody else until closed. */
export type HeldDrive = { readonly drive: Drive; close(): Promise<void> };

export type Moved = { readonly barcode: string | null; readonly from: string; readonly to: string };

const BUSY_POLL_MS = 100;
/** What two processes see that move cartridges at the same time: it is looked at again before it counts. */
const CROSSED: ReadonlySet<string> = new Set([
  'MEDIUM_OFFLINE',
  'CHANGER_SOURCE_EMPTY',
  'CHANGER_DESTINATION_FULL',
]);
const CROSSED_MAX = 3;
const CROSSED_POLL_MS = 1000;
const BUSY_TIMEOUT_MS = 3000;
/** A long move in a large library. */
const CHANGER_BUSY_MS = 300_000;

export class Library {
  readonly #devices: LibraryDevices;
  readonly #clock: Clock;
  /** Of the changer, while it is used: when it is free again. */
  #turn: Promise<void> = Promise.resolve();
  /** Told of the health of cartridges and drives that are used. */
  readonly keeper: HealthKeeper | undefined;

  constructor(devices: LibraryDevices, clock: Clock, keeper?: HealthKeeper) {
    this.#devices = devices;
    this.#clock = clock;
    this.keeper = keeper;
  }

  /** Looks at everything; nothing moves. Drives in use by another process are named, not asked. */
  async status(signal: AbortSignal): Promise<LibraryStatus> {
    if (!this.#devices.openChanger) return this.#statusOfDrives(signal);
    return this.#withChanger((changer) => this.#statusOf(changer, signal), signal);
  }

  /** Lets the changer look at every element again, then reports. */
  async inventory(signal: AbortSignal): Promise<LibraryStatus> {
    return this.#withChanger(async (changer) => {
      await changer.initializeElementStatus(signal);
      return this.#statusOf(changer, signal);
    }, signal);
  }

  /**
   * Brings a cartridge into a drive and waits until it is ready.
   * @param drive number of the drive; default: the first empty one
   */
  async load(what: Place, drive: number | undefined, signal: AbortSignal): Promise<Moved> {
    const { hand } = this.#devices;
    if (this.isByHand && hand) return loadByHand(hand, what, drive ?? 0);
    const { done, hold } = await this.#withChanger(async (changer) => {
      const elements = await changer.elements(signal);
      const places = placesOf(elements);
      const source = find(places, what);
      if (source.kind === 'drive') {
        throw usage(`${nameOf(source)} is in ${formatPlace(source)} already`);
      }
      const target =
        drive === undefined
          ? places.find((place) => place.kind === 'drive' && !place.full)
          : find(places, { kind: 'drive', number: drive });
      if (!target) {
        throw new CodedError(
          'CHANGER_DESTINATION_FULL',
          'every drive has a cartridge; unload one first',
        );
      }
      const holds = await this.#hold([target], elements, signal);
      try {
        await carry(changer, source, target, signal);
      } catch (error) {
        await closeAll(holds);
        throw error;
      }
      return { done: moved(source, target), hold: holds[0] };
    }, signal);
    // A first load may take hours: the changer is free for others meanwhile.
    try {
      await hold?.takeTape();
      if (hold) await (await Drive.open(hold.port, this.#clock, signal)).waitReady(signal);
      return done;
    } finally {
      await hold?.close();
    }
  }

  /**
   * Brings a cartridge into a drive for a job, and keeps that drive: the one it is in already, else an empty one, else
   * one whose cartridge nobody uses, which goes back to its slot first.
   * @throws CodedError MEDIUM_OFFLINE when the library does not hold it, DRIVE_BUSY when every drive is in use
   */
  async attach(barcode: string, signal: AbortSignal): Promise<HeldDrive> {
    if (!this.#devices.openChanger) return this.#attachByHand(barcode, signal);
    for (let attempt = 1; ; attempt += 1) {
      try {
        const bring = (changer: Changer) => this.#bring(changer, barcode, signal);
        const hold = await this.#withChanger(bring, signal);
        // A first load may take hours: the changer is free for others meanwhile.
        return await this.#ready(hold, signal);
      } catch (error) {
        const isCrossed = error instanceof CodedError && CROSSED.has(error.code);
        if (!isCrossed || attempt === CROSSED_MAX) throw error;
        await this.#clock.sleepMs(CROSSED_POLL_MS, signal);
      }
    }
  }

  /** The drive that has the cartridge now, held; its tape node closed where it has just been put there. */
  async #bring(changer: Changer, barcode: string, signal: AbortSignal): Promise<DriveHold> {
    const elements = await changer.elements(signal);
    const places = placesOf(elements);
    if (places.filter((place) => place.barcode === barcode).length > 1) {
      const sentence = `${barcode} is seen in two places: it is being moved, or two cartridges have the same sticker`;
      throw new CodedError('CHANGER_SOURCE_EMPTY', sentence, { volser: barcode.slice(0, 6) });
    }
    const source = find(places, { kind: 'cartridge', name: barcode });
    if (source.kind !== 'drive') {
      const free = await this.#freeDrive(changer, elements, signal);
      try {
        await carry(changer, source, free.place, signal);
        return free.hold;
      } catch (error) {
        await free.hold.close();
        throw error;
      }
    }
    const element = elements.find(({ address }) => address === source.address);
    const device = this.#deviceOf(element, source.number);
    const where = `${barcode} is in ${formatPlace(source)}`;
    const facts = { volser: barcode.slice(0, 6) };
    if (!device) {
      const sentence = `${where}, for which no device is configured`;
      throw new CodedError('MEDIUM_OFFLINE', sentence, facts);
    }
    const hold = await this.#holdPatiently(device, signal);
    try {
      const now = (await changer.elements(signal)).find(
        ({ address }) => address === source.address,
      );
      if (now?.barcode === source.barcode) return hold;
      throw new CodedError('CHANGER_SOURCE_EMPTY', `${where} no more: it was exchanged`, facts);
    } catch (error) {
      await hold.close();
      throw error;
    }
  }

  /** A person is the changer. */
  get isByHand(): boolean {
    return !this.#devices.openChanger;
  }

  /** Names of the drives, by number where a person is the changer. */
  get driveNames(): readonly string[] {
    return this.#devices.drives.map(({ name }) => name);
  }

  /**
   * Keeps a drive with the cartridge that a person has put in.
   * @param number as in `driveNames`
   * @returns undefined where none is threaded; one that was ejected and still stands in the mouth is not
   * @throws CodedError DRIVE_BUSY
   */
  async attachDrive(number: number, signal: AbortSignal): Promise<HeldDrive | undefined> {
    const device = this.#devices.drives[number];
    assert(device, `no drive ${number}`);
    const hold = await device.hold();
    let state: DriveState;
    try {
      state = await (await Drive.open(hold.port, this.#clock, signal)).state(signal);
    } catch (error) {
      await hold.close();
      throw error;
    }
    if (state === 'ready' || state === 'becoming-ready') return this.#ready(hold, signal);
    await hold.close();
    return undefined;
  }

  /** Without a changer the cartridge is in a drive already, or a person has to bring it: its label tells. */
  async #attachByHand(barcode: string, signal: AbortSignal): Promise<HeldDrive> {
    let busy: CodedError | undefined;
    for (const device of this.#devices.drives) {
      try {
        return await this.#ready(await device.hold(), signal);
      } catch (error) {
        const isOther = error instanceof CodedError && error.code !== 'DRIVE_EMPTY';
        if (!(error instanceof CodedError) || (isOther && error.code !== 'DRIVE_BUSY')) throw error;
        if (isOther) busy = error;
      }
    }
    if (busy) throw busy;
    throw new CodedError('MEDIUM_OFFLINE', `put cartridge ${barcode} into the drive`, {
      volser: barcode.slice(0, 6),
    });
  }

  async #ready(hold: DriveHold, signal: AbortSignal): Promise<HeldDrive> {
    try {
      await hold.takeTape();
      const drive = await Drive.open(hold.port, this.#clock, signal);
      await drive.waitReady(signal);
      return { drive, close: () => hold.close() };
    } catch (error) {
      await hold.close();
      throw error;
    }
  }

  /** An empty drive that nobody uses, held, its tape node closed; made empty where need be. */
  async #freeDrive(
    changer: Changer,
    elements: readonly Element[],
    signal: AbortSignal,
  ): Promise<{ place: PlaceStatus; hold: DriveHold }> {
    const places = placesOf(elements);
    const drives = places
      .filter(({ kind }) => kind === 'drive')
      .toSorted((a, b) => Number(a.full) - Number(b.full));
    let busy: CodedError | undefined;
    for (const place of drives) {
      const element = elements.find(({ address }) => address === place.address);
      const device = this.#deviceOf(element, place.number);
      if (!device) continue;
      try {
        const hold = await device.hold();
        try {
          await hold.letGoOfTape();
          // Whoever had it until now may have exchanged what is in it.
          const now = await changer.elements(signal);
          const at = placesOf(now).find(({ address }) => address === place.address) ?? place;
          if (at.full) {
            const origin = now.find(({ address }) => address === at.address)?.sourceAddress;
            const target = freeSlot(placesOf(now), origin);
            await this.#eject(hold, signal);
            await carry(changer, at, target, signal);
          }
          return { place: at, hold };
        } catch (error) {
          await hold.close();
          throw error;
        }
      } catch (error) {
        if (!(error instanceof CodedError) || error.code !== 'DRIVE_BUSY') throw error;
        busy = error;
      }
    }
    throw busy ?? new CodedError('DEVICE_MISSING', 'no drive of this library is configured');
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
    if (!this.#devices.openChanger) return this.#ejectByHand(what, signal);
    return this.#withChanger(async (changer) => {
      const elements = await changer.elements(signal);
      const places = placesOf(elements);
      const source = what ? find(places, what) : onlyLoadedDrive(places);
      if (source.kind !== 'drive')
        throw usage(
          `${formatPlace(source)} is not a drive; \`library transfer\` moves between slots`,
        );
      if (!source.full) {
        throw new CodedError(
          'CHANGER_SOURCE_EMPTY',
          `${formatPlace(source)} is empty: there is nothing to unload`,
        );
      }
      const home = elements.find(({ address }) => address === source.address)?.sourceAddress;
      const target = to ? find(places, to) : freeSlot(places, home);
      if (target.full) {
        throw new CodedError(
          'CHANGER_DESTINATION_FULL',
          `${formatPlace(target)} is full; nothing moved; choose another place`,
        );
      }
      const holds = await this.#hold([source, target], elements, signal);
      try {
        const [hold] = holds;
        if (hold) await this.#eject(hold, signal);
        await carry(changer, source, target, signal);
      } finally {
        await closeAll(holds);
      }
      return moved(source, target);
    }, signal);
  }

  /** Moves a cartridge from any place to any other, as it is: a drive that is not in use is not unloaded for it. */
  async transfer(from: Place, to: Place, signal: AbortSignal): Promise<Moved> {
    return this.#withChanger(async (changer) => {
      const elements = await changer.elements(signal);
      const places = placesOf(elements);
      const source = find(places, from);
      const target = find(places, to);
      await this.#carryHeld(changer, elements, { source, target }, signal);
      return moved(source, target);
    }, signal);
  }

  /** Brings a cartridge to an import/export port, where a person can take it. */
  async export(what: Place, port: number | undefined, signal: AbortSignal): Promise<Moved> {
    return this.#withChanger(async (changer) => {
      const elements = await changer.elements(signal);
      const places = placesOf(elements);
      const source = find(places, what);
      if (source.kind === 'port')
        throw usage(
          `${printable(source.barcode ?? 'that cartridge')} is in ${formatPlace(source)} already`,
        );
      const ports = places.filter(({ kind }) => kind === 'port');
      if (ports.length === 0)
        throw usage('this library has no import/export port; open its door instead');
      const target =
        port === undefined
          ? ports.find(({ full }) => !full)
          : find(places, { kind: 'port', number: port });
      if (!target)
        throw new CodedError(
          'CHANGER_DESTINATION_FULL',
          'every port is full; take the cartridges out first',
        );
      await this.#carryHeld(changer, elements, { source, target }, signal);
      return moved(source, target);
    }, signal);
  }

  async #statusOf(changer: Changer, signal: AbortSignal): Promise<LibraryStatus> {
    const elements = await changer.elements(signal);
    const places = placesOf(elements);
    const { vendor, product, serial } = changer.identity;
    const drives: DriveStatus[] = [];
    for (const place of places.filter(({ kind }) => kind === 'drive')) {
      const element = elements.find(({ address }) => address === place.address);
      const origin = places.find(({ address }) => address === element?.sourceAddress);
      const asked = await this.#ask(this.#deviceOf(element, place.number), signal);
      drives.push({
        ...asked,
        number: place.number,
        serial: asked.serial ?? element?.driveSerial ?? null,
        barcode: place.barcode,
        from: place.full && origin ? formatPlace(origin) : null,
      });
    }
    return {
      changer: { model: `${vendor} ${product}`, serial: serial ?? null, device: changer.name },
      drives,
      slots: places.filter(({ kind }) => kind === 'slot'),
      ports: places.filter(({ kind }) => kind === 'port'),
      cartridges: places.filter(({ full }) => full).map(cartridgeAt),
    };
  }

  async #statusOfDrives(signal: AbortSignal): Promise<LibraryStatus> {
    const drives: DriveStatus[] = [];
    for (const [number, device] of this.#devices.drives.entries()) {
      drives.push({ ...(await this.#ask(device, signal)), number, barcode: null, from: null });
    }
    return { changer: null, drives, slots: [], ports: [], cartridges: [] };
  }

  async #ask(
    device: DriveDevice | undefined,
    signal: AbortSignal,
  ): Promise<Omit<DriveStatus, 'number' | 'barcode' | 'from'>> {
    if (!device) {
      return {
        device: null,
        serial: null,
        model: null,
        state: 'unknown',
        heldBy: null,
        problem: null,
        statistics: null,
      };
    }
    const statistics = async () => {
      const all = await this.#devices.statistics?.();
      return all?.[this.#devices.drives.indexOf(device)] ?? null;
    };
    const known = { device: device.name, serial: device.serial ?? null };
    try {
      const answer = await this.#withDrive(
        device,
        async (drive) => ({
          ...known,
          serial: drive.identity.serial ?? known.serial,
          model: `${drive.identity.vendor} ${drive.identity.product}`,
          state: await drive.state(signal),
          heldBy: null,
          problem: null,
        }),
        signal,
      );
      return { ...answer, statistics: await statistics() };
    } catch (error) {
      if (!(error instanceof CodedError) || error.code === 'INTERRUPTED') throw error;
      // One drive that cannot be asked must not hide the rest of the library.
      const state = error.code === 'DRIVE_BUSY' ? 'held' : 'failed';
      const heldBy = error.facts.pid ?? null;
      const problem = error.message;
      return { ...known, model: null, state, heldBy, problem, statistics: await statistics() };
    }
  }

  /**
   * Brings a cartridge into a drive, lets it work there and brings it back, with the drive kept from everybody all the while.
   * What is in the drive goes to its slot first, and stays there.
   * @throws CodedError USAGE, MEDIUM_OFFLINE, DRIVE_BUSY; the changer's failures
   */
  async visit<T>(
    { what, drive }: { readonly what: Place; readonly drive: number },
    work: (drive: Drive) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const { hold, home, target } = await this.#withChanger(async (changer) => {
      const elements = await changer.elements(signal);
      const places = placesOf(elements);
      const source = find(places, what);
      const at = find(places, { kind: 'drive', number: drive });
      const [held] = await this.#hold([at], elements, signal);
      if (!held) throw usage(`no device is configured for ${formatPlace(at)}`);
      try {
        if (at.full) {
          const origin = elements.find(({ address }) => address === at.address)?.sourceAddress;
          const slot = freeSlot(places, origin);
          await this.#eject(held, signal);
          await carry(changer, at, slot, signal);
        }
        await carry(changer, source, at, signal);
        return { hold: held, home: source, target: { ...at, barcode: source.barcode } };
      } catch (error) {
        await held.close();
        throw error;
      }
    }, signal);
    // Also when it was stopped: it would be in the way of everything else.
    const never = new AbortController().signal;
    try {
      return await work(await Drive.open(hold.port, this.#clock, signal));
    } finally {
      try {
        await this.#eject(hold, never);
        await this.#patiently(
          () => this.#withChanger((changer) => carry(changer, target, home, never), never),
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

  /**
   * Unthreads the cartridge in a drive, for a person to take it.
   * @param number as in `driveNames` @throws CodedError DRIVE_EMPTY, DRIVE_BUSY
   */
  async ejectDrive(number: number, signal: AbortSignal): Promise<void> {
    const device = this.#devices.drives[number];
    assert(device, `no drive ${number}`);
    const hold = await device.hold();
    try {
      await hold.letGoOfTape();
      if ((await this.#eject(hold, signal)) === 'empty') {
        throw new CodedError('DRIVE_EMPTY', `${device.name} is empty: there is nothing to unload`, {
          device: device.name,
        });
      }
    } finally {
      await hold.close();
    }
  }

  async #ejectByHand(what: Place | undefined, signal: AbortSignal): Promise<Moved> {
    const number = what?.kind === 'drive' ? what.number : 0;
    const device = this.#devices.drives[number];
    if (!device || (what && what.kind !== 'drive'))
      throw usage('without a changer only a drive can be unloaded');
    await this.ejectDrive(number, signal);
    const to = (await this.#devices.hand?.unload(number)) ?? 'your hand';
    return { barcode: null, from: `drive ${number}`, to };
  }

  /** Unthreads what is in a held drive, its tape node closed; returns the state in which it was. */
  async #eject(hold: DriveHold, signal: AbortSignal): Promise<DriveState> {
    const drive = await Drive.open(hold.port, this.#clock, signal);
    const state = await drive.state(signal);
    if (state !== 'empty' && state !== 'unloaded') await drive.unload(signal);
    return state;
  }

  /** A drive between the places is held for the move: nobody writes to a tape that the picker is taking away. */
  async #carryHeld(
    changer: Changer,
    elements: readonly Element[],
    { source, target }: { source: PlaceStatus; target: PlaceStatus },
    signal: AbortSignal,
  ): Promise<void> {
    const holds = await this.#hold([source, target], elements, signal);
    try {
      await carry(changer, source, target, signal);
    } finally {
      await closeAll(holds);
    }
  }

  /** Somebody's look at a drive takes a moment; a job takes longer than we wait. @throws CodedError DRIVE_BUSY */
  async #holdPatiently(device: DriveDevice, signal: AbortSignal): Promise<DriveHold> {
    const startMs = this.#clock.monotonicMs();
    for (;;) {
      try {
        return await device.hold();
      } catch (error) {
        const isBusy = error instanceof CodedError && error.code === 'DRIVE_BUSY';
        if (!isBusy || this.#clock.monotonicMs() - startMs > BUSY_TIMEOUT_MS) throw error;
        await this.#clock.sleepMs(BUSY_POLL_MS, signal);
      }
    }
  }

  /** Holds those of the places that are drives with a device, their tape nodes closed. @throws CodedError DRIVE_BUSY */
  async #hold(
    places: readonly PlaceStatus[],
    elements: readonly Element[],
    signal: AbortSignal,
  ): Promise<DriveHold[]> {
    const holds: DriveHold[] = [];
    try {
      for (const place of places.filter(({ kind }) => kind === 'drive')) {
        const element = elements.find(({ address }) => address === place.address);
        const device = this.#deviceOf(element, place.number);
        const hold = device && (await this.#holdPatiently(device, signal));
        if (!hold) continue;
        holds.push(hold);
        await hold.letGoOfTape();
      }
      return holds;
    } catch (error) {
      await closeAll(holds);
      throw error;
    }
  }

  async #withDrive<T>(
    device: DriveDevice,
    use: (drive: Drive) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const hold = await device.hold();
    try {
      return await use(await Drive.open(hold.port, this.#clock, signal));
    } finally {
      await hold.close();
    }
  }

  /** One after the other: a drive that one look holds for a moment is not busy for another of this process. */
  async #withChanger<T>(use: (changer: Changer) => Promise<T>, signal: AbortSignal): Promise<T> {
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
        return await use(await Changer.open(port, this.#clock, signal));
      } finally {
        await port.close();
      }
    } finally {
      resolve();
    }
  }

  /** By serial number; a changer that does not tell it leaves only the order in which the drives were configured. */
  #deviceOf(element: Element | undefined, number: number): DriveDevice | undefined {
    const serial = element?.driveSerial;
    if (serial === undefined) return this.#devices.drives[number];
    return this.#devices.drives.find((device) => device.serial === serial);
  }
}

async function loadByHand(hand: Hand, what: Place, drive: number): Promise<Moved> {
  if (what.kind !== 'cartridge') throw usage('without a changer say the barcode of a cartridge');
  const from = await hand.load(what.name, drive);
  return { barcode: what.name, from, to: `drive ${drive}` };
}

/** Slots and ports are numbered from 1, drives from 0, each by address. */
function placesOf(elements: readonly Element[]): PlaceStatus[] {
  const next = { slot: 1, port: 1, drive: 0 };
  const places: PlaceStatus[] = [];
  for (const { type, address, full, barcode } of elements.toSorted(
    (a, b) => a.address - b.address,
  )) {
    if (type === 'picker') continue;
    places.push({ kind: type, number: next[type], address, full, barcode: barcode ?? null });
    next[type] += 1;
  }
  return places;
}

function find(places: readonly PlaceStatus[], wanted: Place): PlaceStatus {
  if (wanted.kind !== 'cartridge') {
    const place = places.find(
      ({ kind, number }) => kind === wanted.kind && number === wanted.number,
    );
    if (place) return place;
    const count = places.filter(({ kind }) => kind === wanted.kind).length;
    throw usage(
      `there is no ${formatPlace(wanted)}: the library has ${count} ${wanted.kind}${count === 1 ? '' : 's'}`,
    );
  }
  const found = places.filter(
    ({ barcode }) => barcode === wanted.name || barcode?.slice(0, 6) === wanted.name,
  );
  const [place, other] = found;
  if (place && !other) return place;
  if (place)
    throw usage(
      `${wanted.name} is the name of several cartridges; give all eight characters or the place`,
    );
  throw new CodedError(
    'MEDIUM_OFFLINE',
    `cartridge ${wanted.name} is not in the library; put it into a port or slot, then run \`library inventory\``,
    {
      volser: wanted.name,
    },
  );
}

function onlyLoadedDrive(places: readonly PlaceStatus[]): PlaceStatus {
  const loaded = places.filter(({ kind, full }) => kind === 'drive' && full);
  const [drive, other] = loaded;
  if (!drive)
    throw new CodedError(
      'CHANGER_SOURCE_EMPTY',
      'no drive has a cartridge: there is nothing to unload',
    );
  if (other)
    throw usage('several drives have a cartridge; say which, for instance `library unload drive0`');
  return drive;
}

function freeSlot(places: readonly PlaceStatus[], home: number | undefined): PlaceStatus {
  const free = places.filter(({ kind, full }) => kind === 'slot' && !full);
  const slot = free.find(({ address }) => address === home) ?? free[0];
  if (!slot)
    throw new CodedError(
      'CHANGER_DESTINATION_FULL',
      'every slot is full; export a cartridge first',
    );
  return slot;
}

function cartridgeAt(place: PlaceStatus): CartridgeStatus {
  assert(place.full);
  const facts = place.barcode === null ? undefined : parseBarcode(place.barcode);
  const base = { barcode: place.barcode, place: formatPlace(place) };
  if (facts?.kind === 'cleaning') return { ...base, generation: null, kind: 'cleaning' };
  if (facts?.kind !== 'data') return { ...base, generation: null, kind: 'unknown' };
  return { ...base, generation: facts.generation.name, kind: facts.worm ? 'worm' : 'data' };
}

/** Moves, and looks that it was the cartridge that was meant: a person may have exchanged two of them. */
async function carry(
  changer: Changer,
  from: PlaceStatus,
  to: PlaceStatus,
  signal: AbortSignal,
): Promise<void> {
  const doing = `moving ${nameOf(from)} from ${formatPlace(from)} to ${formatPlace(to)}`;
  await changer.move(from.address, to.address, signal, doing);
  const arrived = (await changer.elements(signal)).find(({ address }) => address === to.address);
  if (from.barcode === null || arrived?.barcode === undefined) return;
  if (arrived.barcode === from.barcode) return;
  const found = printable(arrived.barcode);
  throw new CodedError(
    'MEDIUM_MISMATCH',
    `${formatPlace(to)} now holds ${found} instead of ${nameOf(from)}: cartridges were exchanged by hand; run \`library inventory\``,
    { volser: arrived.barcode.slice(0, 6) },
  );
}

async function closeAll(holds: readonly DriveHold[]): Promise<void> {
  for (const hold of holds) await hold.close();
}

function nameOf(place: PlaceStatus): string {
  return place.barcode === null ? 'a cartridge' : printable(place.barcode);
}

function moved(source: PlaceStatus, target: PlaceStatus): Moved {
  return { barcode: source.barcode, from: formatPlace(source), to: formatPlace(target) };
}

function usage(sentence: string): CodedError {
  return new CodedError('USAGE', sentence);
}
