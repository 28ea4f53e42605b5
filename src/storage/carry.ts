/** Cartridges carried from place to place by the picker, and the drives between which they are carried kept from others. */
import { CodedError } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import type { Changer } from '../device/changer.ts';
import type { Element } from '../device/elements.ts';
import { formatPlace } from '../domain/place.ts';
import { closeAll, type Drives } from './drives.ts';
import { contentsOf, type PlaceStatus } from './places.ts';

/** A library while this process has its changer. */
export type OpenLibrary = { readonly changer: Changer; readonly drives: Drives };

/** Moves, and looks that it was the cartridge that was meant: a person may have exchanged two of them. */
export async function carry(
  changer: Changer,
  from: PlaceStatus,
  to: PlaceStatus,
  signal: AbortSignal,
): Promise<void> {
  const doing = `moving ${contentsOf(from)} from ${formatPlace(from)} to ${formatPlace(to)}`;
  await changer.move(from.address, to.address, signal, doing);
  const arrived = (await changer.elements(signal)).find(({ address }) => address === to.address);
  if (from.barcode === null || arrived?.barcode === undefined) return;
  if (arrived.barcode === from.barcode) return;
  const found = printable(arrived.barcode);
  throw new CodedError(
    'MEDIUM_MISMATCH',
    `${formatPlace(to)} now holds ${found} instead of ${contentsOf(from)}: cartridges were exchanged by hand; run \`library inventory\``,
    { volser: arrived.barcode.slice(0, 6) },
  );
}

/** A drive between the places is held for the move: nobody writes to a tape that the picker is taking away. */
export async function carryHeld(
  { changer, drives }: OpenLibrary,
  way: {
    readonly elements: readonly Element[];
    readonly source: PlaceStatus;
    readonly target: PlaceStatus;
  },
  signal: AbortSignal,
): Promise<void> {
  const { elements, source, target } = way;
  const holds = await drives.holdAll([source, target], elements, signal);
  try {
    await carry(changer, source, target, signal);
  } finally {
    await closeAll(holds);
  }
}
