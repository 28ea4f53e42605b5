/** What a look at a library shows: its changer, drives, slots, ports, and the cartridges in them. Nothing moves. */
import { strict as assert } from 'node:assert';
import { CodedError } from '../base/errors.ts';
import type { DriveState } from '../device/readiness.ts';
import type { DriveStatistics } from '../device/virtual/state.ts';
import { parseBarcode } from '../domain/barcode.ts';
import { formatPlace } from '../domain/place.ts';
import type { OpenLibrary } from './carry.ts';
import type { DriveDevice, LibraryDevices } from './devices.ts';
import type { Drives } from './drives.ts';
import { type PlaceStatus, placesOf } from './places.ts';

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

/** Those that a job may count on: a changer may have more drives than were given to us, and one may have failed. */
export function usableDrives({ drives }: Pick<LibraryStatus, 'drives'>): readonly DriveStatus[] {
  return drives.filter(({ device, state }) => device !== null && state !== 'failed');
}

/** What is asked of each drive; those in use by another process are named, not asked. */
type Asked = Omit<DriveStatus, 'number' | 'barcode' | 'from'>;

type Statistics = LibraryDevices['statistics'];

export async function statusOf(
  { changer, drives }: OpenLibrary,
  statistics: Statistics,
  signal: AbortSignal,
): Promise<LibraryStatus> {
  const elements = await changer.elements(signal);
  const places = placesOf(elements);
  const { vendor, product, serial } = changer.identity;
  const found: DriveStatus[] = [];
  for (const place of places.filter(({ kind }) => kind === 'drive')) {
    const element = elements.find(({ address }) => address === place.address);
    const origin = places.find(({ address }) => address === element?.sourceAddress);
    const asked = await ask(drives, { device: drives.at(place, elements), statistics }, signal);
    found.push({
      ...asked,
      number: place.number,
      serial: asked.serial ?? element?.driveSerial ?? null,
      barcode: place.barcode,
      from: place.full && origin ? formatPlace(origin) : null,
    });
  }
  return {
    changer: { model: `${vendor} ${product}`, serial: serial ?? null, device: changer.name },
    drives: found,
    slots: places.filter(({ kind }) => kind === 'slot'),
    ports: places.filter(({ kind }) => kind === 'port'),
    cartridges: places.filter(({ full }) => full).map(cartridgeAt),
  };
}

/** Where a person is the changer. */
export async function statusOfDrives(
  drives: Drives,
  statistics: Statistics,
  signal: AbortSignal,
): Promise<LibraryStatus> {
  const found: DriveStatus[] = [];
  for (const [number, device] of drives.devices.entries()) {
    const asked = await ask(drives, { device, statistics }, signal);
    found.push({ ...asked, number, barcode: null, from: null });
  }
  return { changer: null, drives: found, slots: [], ports: [], cartridges: [] };
}

const UNKNOWN: Asked = {
  device: null,
  serial: null,
  model: null,
  state: 'unknown',
  heldBy: null,
  problem: null,
  statistics: null,
};

async function ask(
  drives: Drives,
  { device, statistics }: { device: DriveDevice | undefined; statistics: Statistics },
  signal: AbortSignal,
): Promise<Asked> {
  if (!device) return UNKNOWN;
  const counted = async () => (await statistics?.())?.[drives.devices.indexOf(device)] ?? null;
  const known = { device: device.name, serial: device.serial ?? null };
  try {
    const answer = await drives.use(
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
    return { ...answer, statistics: await counted() };
  } catch (error) {
    if (!(error instanceof CodedError) || error.code === 'INTERRUPTED') throw error;
    // One drive that cannot be asked must not hide the rest of the library.
    const state = error.code === 'DRIVE_BUSY' ? 'held' : 'failed';
    const heldBy = error.facts.pid ?? null;
    const problem = error.message;
    return { ...known, model: null, state, heldBy, problem, statistics: await counted() };
  }
}

function cartridgeAt(place: PlaceStatus): CartridgeStatus {
  assert(place.full);
  const facts = place.barcode === null ? undefined : parseBarcode(place.barcode);
  const base = { barcode: place.barcode, place: formatPlace(place) };
  if (facts?.kind === 'cleaning') return { ...base, generation: null, kind: 'cleaning' };
  if (facts?.kind !== 'data') return { ...base, generation: null, kind: 'unknown' };
  return { ...base, generation: facts.generation.name, kind: facts.worm ? 'worm' : 'data' };
}
