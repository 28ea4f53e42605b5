/** The drives of a library by number: kept from everybody else while they are used, asked how they are, emptied. */
import { strict as assert } from 'node:assert';
import type { Clock } from '../base/clock.ts';
import { CodedError } from '../base/errors.ts';
import { Drive } from '../device/drive.ts';
import type { Element } from '../device/elements.ts';
import type { DriveHold } from '../device/hold.ts';
import type { DriveState } from '../device/readiness.ts';
import type { DriveDevice } from './devices.ts';
import type { PlaceStatus } from './places.ts';

/** A drive with a cartridge threaded, kept from everybody else until closed. */
export type HeldDrive = { readonly drive: Drive; close(): Promise<void> };

const BUSY_POLL_MS = 100;
const BUSY_TIMEOUT_MS = 3000;

export class Drives {
  readonly devices: readonly DriveDevice[];
  readonly clock: Clock;

  constructor(devices: readonly DriveDevice[], clock: Clock) {
    this.devices = devices;
    this.clock = clock;
  }

  /** @param number as configured; there must be one */
  device(number: number): DriveDevice {
    const device = this.devices[number];
    assert(device, `no drive ${number}`);
    return device;
  }

  /** By serial number; a changer that does not tell it leaves only the order in which the drives were configured. */
  at(place: PlaceStatus, elements: readonly Element[]): DriveDevice | undefined {
    const serial = elements.find(({ address }) => address === place.address)?.driveSerial;
    if (serial === undefined) return this.devices[place.number];
    return this.devices.find((device) => device.serial === serial);
  }

  /** Somebody's look at a drive takes a moment; a job takes longer than we wait. @throws CodedError DRIVE_BUSY */
  async hold(device: DriveDevice, signal: AbortSignal): Promise<DriveHold> {
    const startMs = this.clock.monotonicMs();
    for (;;) {
      try {
        return await device.hold();
      } catch (error) {
        const isBusy = error instanceof CodedError && error.code === 'DRIVE_BUSY';
        if (!isBusy || this.clock.monotonicMs() - startMs > BUSY_TIMEOUT_MS) throw error;
        await this.clock.sleepMs(BUSY_POLL_MS, signal);
      }
    }
  }

  /** Holds those of the places that are drives with a device, their tape nodes closed. @throws CodedError DRIVE_BUSY */
  async holdAll(
    places: readonly PlaceStatus[],
    elements: readonly Element[],
    signal: AbortSignal,
  ): Promise<DriveHold[]> {
    const holds: DriveHold[] = [];
    try {
      for (const place of places.filter(({ kind }) => kind === 'drive')) {
        const device = this.at(place, elements);
        const hold = device && (await this.hold(device, signal));
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

  /** A drive as it is, for a question or two. @throws CodedError DRIVE_BUSY at once */
  async use<T>(
    device: DriveDevice,
    work: (drive: Drive) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const hold = await device.hold();
    try {
      return await work(await Drive.open(hold.port, this.clock, signal));
    } finally {
      await hold.close();
    }
  }

  /** Waits until the cartridge is threaded, which may take hours the first time; let go of where it fails. */
  async ready(hold: DriveHold, signal: AbortSignal): Promise<HeldDrive> {
    try {
      await hold.takeTape();
      const drive = await Drive.open(hold.port, this.clock, signal);
      await drive.waitReady(signal);
      return { drive, close: () => hold.close() };
    } catch (error) {
      await hold.close();
      throw error;
    }
  }

  /** Unthreads what is in a held drive, its tape node closed; returns the state in which it was. */
  async eject(hold: DriveHold, signal: AbortSignal): Promise<DriveState> {
    const drive = await Drive.open(hold.port, this.clock, signal);
    const state = await drive.state(signal);
    if (state !== 'empty' && state !== 'unloaded') await drive.unload(signal);
    return state;
  }
}

export async function closeAll(holds: readonly DriveHold[]): Promise<void> {
  for (const hold of holds) await hold.close();
}
