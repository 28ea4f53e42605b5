/** Slots, ports and drives as people call them, found by what is said of them. */
import { CodedError, usage } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import type { Element } from '../device/elements.ts';
import { formatPlace, type Place } from '../domain/place.ts';

export type PlaceStatus = {
  readonly kind: 'slot' | 'port' | 'drive';
  readonly number: number;
  readonly address: number;
  readonly full: boolean;
  readonly barcode: string | null;
};

export type Moved = { readonly barcode: string | null; readonly from: string; readonly to: string };

/** Slots and ports are numbered from 1, drives from 0, each by address. */
export function placesOf(elements: readonly Element[]): PlaceStatus[] {
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

/** @throws CodedError USAGE; MEDIUM_OFFLINE where no place has the cartridge */
export function findPlace(places: readonly PlaceStatus[], wanted: Place): PlaceStatus {
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

/** @throws CodedError CHANGER_SOURCE_EMPTY; USAGE where there are several */
export function onlyLoadedDrive(places: readonly PlaceStatus[]): PlaceStatus {
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

/** @param home address of the slot it came from: that one, if it is empty still @throws CodedError CHANGER_DESTINATION_FULL */
export function freeSlot(places: readonly PlaceStatus[], home: number | undefined): PlaceStatus {
  const free = places.filter(({ kind, full }) => kind === 'slot' && !full);
  const slot = free.find(({ address }) => address === home) ?? free[0];
  if (!slot)
    throw new CodedError(
      'CHANGER_DESTINATION_FULL',
      'every slot is full; export a cartridge first',
    );
  return slot;
}

/** What lies there, for people. */
export function contentsOf(place: PlaceStatus): string {
  return place.barcode === null ? 'a cartridge' : printable(place.barcode);
}

export function moved(source: PlaceStatus, target: PlaceStatus): Moved {
  return { barcode: source.barcode, from: formatPlace(source), to: formatPlace(target) };
}
