/** A cleaning cartridge in a slot of a simulated library. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { seededRandom } from '../../src/base/random.ts';
import { createCartridge } from '../../src/device/virtual/library.ts';
import type { Barcode } from '../../src/domain/barcode.ts';
import type { SimWorld } from './world.ts';

const go = new AbortController().signal;
export const CLEANER = 'CLN001L8';

export async function addCleaner(sim: SimWorld): Promise<void> {
  const shape = { generation: 'LTO-8' } as const;
  await createCartridge(sim.directory, CLEANER as Barcode, shape, seededRandom(3));
  const changer = await sim.openChanger();
  const elements = await changer.elements(go);
  const slot = elements.findLast(({ type, full }) => type === 'slot' && !full);
  const port = elements.find(({ type }) => type === 'port');
  if (!slot || !port) throw new Error('a port, and a slot that is free');
  await sim.library.insertByHand(CLEANER, port.address);
  await changer.move(port.address, slot.address, go);
}

/** How often it was in a drive. */
export function cleanings(sim: SimWorld): number {
  return JSON.parse(readFileSync(join(sim.directory, `${CLEANER}.json`), 'utf8')).loads;
}
