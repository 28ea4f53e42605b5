/** A library without a changer: a person puts the cartridges into its drives, and takes them out. */
import { CodedError, usage } from '../base/errors.ts';
import { Drive } from '../device/drive.ts';
import type { DriveState } from '../device/readiness.ts';
import type { Place } from '../domain/place.ts';
import type { Hand } from './devices.ts';
import type { Drives, HeldDrive } from './drives.ts';
import type { Moved } from './places.ts';

/** By a hand that this program has: virtual cartridges. */
export async function loadByHand(hand: Hand, what: Place, drive: number): Promise<Moved> {
  if (what.kind !== 'cartridge') throw usage('without a changer say the barcode of a cartridge');
  const from = await hand.load(what.name, drive);
  return { barcode: what.name, from, to: `drive ${drive}` };
}

/** Keeps a drive with the cartridge that stands in it; undefined where none is threaded. @throws CodedError DRIVE_BUSY */
export async function attachThreaded(
  drives: Drives,
  number: number,
  signal: AbortSignal,
): Promise<HeldDrive | undefined> {
  const device = drives.device(number);
  const hold = await device.hold();
  let state: DriveState;
  try {
    state = await (await Drive.open(hold.port, drives.clock, signal)).state(signal);
  } catch (error) {
    await hold.close();
    throw error;
  }
  if (state === 'ready' || state === 'becoming-ready') return drives.ready(hold, signal);
  await hold.close();
  return undefined;
}

/** The cartridge is in a drive already, or a person has to bring it: its label tells. */
export async function attachByHand(
  drives: Drives,
  barcode: string,
  signal: AbortSignal,
): Promise<HeldDrive> {
  let busy: CodedError | undefined;
  for (const device of drives.devices) {
    try {
      return await drives.ready(await device.hold(), signal);
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

/** Unthreads the cartridge in a drive, for a person to take it. @throws CodedError DRIVE_EMPTY, DRIVE_BUSY */
export async function ejectThreaded(
  drives: Drives,
  number: number,
  signal: AbortSignal,
): Promise<void> {
  const device = drives.device(number);
  const hold = await device.hold();
  try {
    await hold.letGoOfTape();
    if ((await drives.eject(hold, signal)) === 'empty') {
      throw new CodedError('DRIVE_EMPTY', `${device.name} is empty: there is nothing to unload`, {
        device: device.name,
      });
    }
  } finally {
    await hold.close();
  }
}

/** @param what a drive; default: the first */
export async function ejectByHand(
  drives: Drives,
  { what, hand }: { readonly what: Place | undefined; readonly hand: Hand | undefined },
  signal: AbortSignal,
): Promise<Moved> {
  const number = what?.kind === 'drive' ? what.number : 0;
  if (!drives.devices[number] || (what && what.kind !== 'drive'))
    throw usage('without a changer only a drive can be unloaded');
  await ejectThreaded(drives, number, signal);
  const to = (await hand?.unload(number)) ?? 'your hand';
  return { barcode: null, from: `drive ${number}`, to };
}
