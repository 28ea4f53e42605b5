/** A cartridge brought into a drive for a job: where it is already, else into an empty one, else into one that is made empty. */
import { CodedError } from '../base/errors.ts';
import type { Element } from '../device/elements.ts';
import type { DriveHold } from '../device/hold.ts';
import { formatPlace } from '../domain/place.ts';
import { carry, type OpenLibrary } from './carry.ts';
import { contentsOf, findPlace, freeSlot, type PlaceStatus, placesOf } from './places.ts';

/**
 * The drive that has the cartridge now, held; its tape node closed where it has just been put there.
 * @throws CodedError MEDIUM_OFFLINE, DRIVE_BUSY; CHANGER_SOURCE_EMPTY, CHANGER_DESTINATION_FULL also where others moved it meanwhile
 */
export async function bring(
  library: OpenLibrary,
  barcode: string,
  signal: AbortSignal,
): Promise<DriveHold> {
  const { changer } = library;
  const elements = await changer.elements(signal);
  const places = placesOf(elements);
  if (places.filter((place) => place.barcode === barcode).length > 1) {
    const sentence = `${barcode} is seen in two places: it is being moved, or two cartridges have the same sticker`;
    throw new CodedError('CHANGER_SOURCE_EMPTY', sentence, { volser: barcode.slice(0, 6) });
  }
  const source = findPlace(places, { kind: 'cartridge', name: barcode });
  if (source.kind === 'drive') return holdWhereItIs(library, { elements, source }, signal);
  const free = await freeDrive(library, elements, signal);
  try {
    await carry(changer, source, free.place, signal);
    return free.hold;
  } catch (error) {
    await free.hold.close();
    throw error;
  }
}

async function holdWhereItIs(
  { changer, drives }: OpenLibrary,
  { elements, source }: { readonly elements: readonly Element[]; readonly source: PlaceStatus },
  signal: AbortSignal,
): Promise<DriveHold> {
  const device = drives.at(source, elements);
  const name = contentsOf(source);
  const where = `${name} is in ${formatPlace(source)}`;
  const facts = { volser: name.slice(0, 6) };
  if (!device) {
    const sentence = `${where}, for which no device is configured`;
    throw new CodedError('MEDIUM_OFFLINE', sentence, facts);
  }
  const hold = await drives.hold(device, signal);
  try {
    const now = (await changer.elements(signal)).find(({ address }) => address === source.address);
    if (now?.barcode === source.barcode) return hold;
    throw new CodedError('CHANGER_SOURCE_EMPTY', `${where} no more: it was exchanged`, facts);
  } catch (error) {
    await hold.close();
    throw error;
  }
}

/** An empty drive that nobody uses, held, its tape node closed; made empty where need be. */
async function freeDrive(
  library: OpenLibrary,
  elements: readonly Element[],
  signal: AbortSignal,
): Promise<{ readonly place: PlaceStatus; readonly hold: DriveHold }> {
  const { drives } = library;
  const places = placesOf(elements)
    .filter(({ kind }) => kind === 'drive')
    .toSorted((a, b) => Number(a.full) - Number(b.full));
  let busy: CodedError | undefined;
  for (const place of places) {
    const device = drives.at(place, elements);
    if (!device) continue;
    try {
      const hold = await device.hold();
      try {
        await hold.letGoOfTape();
        return { place: await emptied(library, { place, hold }, signal), hold };
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

/** What is in a held drive goes back to its slot, or to the first empty one. @returns the place as it was found */
export async function emptied(
  { changer, drives }: OpenLibrary,
  { place, hold }: { readonly place: PlaceStatus; readonly hold: DriveHold },
  signal: AbortSignal,
): Promise<PlaceStatus> {
  // Whoever had it until now may have exchanged what is in it.
  const elements = await changer.elements(signal);
  const places = placesOf(elements);
  const at = places.find(({ address }) => address === place.address) ?? place;
  if (!at.full) return at;
  const origin = elements.find(({ address }) => address === at.address)?.sourceAddress;
  const slot = freeSlot(places, origin);
  await drives.eject(hold, signal);
  await carry(changer, at, slot, signal);
  return at;
}
