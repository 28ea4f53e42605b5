/** What a person lets the picker do, each in one go: load, unload, transfer, export. */
import { CodedError, usage } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import type { DriveHold } from '../device/hold.ts';
import { formatPlace, type Place } from '../domain/place.ts';
import { carry, carryHeld, type OpenLibrary } from './carry.ts';
import { closeAll } from './drives.ts';
import {
  contentsOf,
  findPlace,
  freeSlot,
  type Moved,
  moved,
  onlyLoadedDrive,
  placesOf,
} from './places.ts';

/**
 * Brings a cartridge into a drive; threading it is left to the drive.
 * @param way.drive number of the drive; default: the first empty one
 * @returns the drive held, where a device is configured for it
 */
export async function load(
  library: OpenLibrary,
  way: { readonly what: Place; readonly drive: number | undefined },
  signal: AbortSignal,
): Promise<{ readonly done: Moved; readonly hold: DriveHold | undefined }> {
  const { changer, drives } = library;
  const elements = await changer.elements(signal);
  const places = placesOf(elements);
  const source = findPlace(places, way.what);
  if (source.kind === 'drive') {
    throw usage(`${contentsOf(source)} is in ${formatPlace(source)} already`);
  }
  const target =
    way.drive === undefined
      ? places.find((place) => place.kind === 'drive' && !place.full)
      : findPlace(places, { kind: 'drive', number: way.drive });
  if (!target) {
    const sentence = 'every drive has a cartridge; unload one first';
    throw new CodedError('CHANGER_DESTINATION_FULL', sentence);
  }
  const holds = await drives.holdAll([target], elements, signal);
  try {
    await carry(changer, source, target, signal);
  } catch (error) {
    await closeAll(holds);
    throw error;
  }
  return { done: moved(source, target), hold: holds[0] };
}

/**
 * Takes the cartridge out of a drive, back to its slot or to the first empty one.
 * @param way.what a drive or the cartridge in it; default: the only loaded drive
 */
export async function unload(
  library: OpenLibrary,
  way: { readonly what: Place | undefined; readonly to: Place | undefined },
  signal: AbortSignal,
): Promise<Moved> {
  const { changer, drives } = library;
  const elements = await changer.elements(signal);
  const places = placesOf(elements);
  const source = way.what ? findPlace(places, way.what) : onlyLoadedDrive(places);
  const where = formatPlace(source);
  if (source.kind !== 'drive')
    throw usage(`${where} is not a drive; \`library transfer\` moves between slots`);
  if (!source.full) {
    const sentence = `${where} is empty: there is nothing to unload`;
    throw new CodedError('CHANGER_SOURCE_EMPTY', sentence);
  }
  const home = elements.find(({ address }) => address === source.address)?.sourceAddress;
  const target = way.to ? findPlace(places, way.to) : freeSlot(places, home);
  if (target.full) {
    const sentence = `${formatPlace(target)} is full; nothing moved; choose another place`;
    throw new CodedError('CHANGER_DESTINATION_FULL', sentence);
  }
  const holds = await drives.holdAll([source, target], elements, signal);
  try {
    const [hold] = holds;
    if (hold) await drives.eject(hold, signal);
    await carry(changer, source, target, signal);
  } finally {
    await closeAll(holds);
  }
  return moved(source, target);
}

/** From any place to any other, as it is: a drive that is not in use is not unloaded for it. */
export async function transfer(
  library: OpenLibrary,
  way: { readonly from: Place; readonly to: Place },
  signal: AbortSignal,
): Promise<Moved> {
  const elements = await library.changer.elements(signal);
  const places = placesOf(elements);
  const source = findPlace(places, way.from);
  const target = findPlace(places, way.to);
  await carryHeld(library, { elements, source, target }, signal);
  return moved(source, target);
}

/** To an import/export port, where a person can take it. @param way.port default: the first empty one */
export async function exportCartridge(
  library: OpenLibrary,
  way: { readonly what: Place; readonly port: number | undefined },
  signal: AbortSignal,
): Promise<Moved> {
  const elements = await library.changer.elements(signal);
  const places = placesOf(elements);
  const source = findPlace(places, way.what);
  if (source.kind === 'port')
    throw usage(
      `${printable(source.barcode ?? 'that cartridge')} is in ${formatPlace(source)} already`,
    );
  const ports = places.filter(({ kind }) => kind === 'port');
  if (ports.length === 0)
    throw usage('this library has no import/export port; open its door instead');
  const target =
    way.port === undefined
      ? ports.find(({ full }) => !full)
      : findPlace(places, { kind: 'port', number: way.port });
  if (!target) {
    const sentence = 'every port is full; take the cartridges out first';
    throw new CodedError('CHANGER_DESTINATION_FULL', sentence);
  }
  await carryHeld(library, { elements, source, target }, signal);
  return moved(source, target);
}
