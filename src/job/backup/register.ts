/** Cartridges that nobody knew, and that can be written: they become media of the pool. */
import type { Media } from '../../catalog/shelf/media.ts';
import { parseBarcode } from '../../domain/barcode.ts';
import { isDriveGeneration } from '../../domain/generation.ts';

/** With what others of its generation hold: some hold less than most, as the chip tells when it is attached. */
export function registerCartridge(
  media: Media,
  { barcode, pool }: { readonly barcode: string; readonly pool: string },
): void {
  const facts = parseBarcode(barcode);
  if (facts.kind !== 'data' || facts.worm || !isDriveGeneration(facts.generation.name)) return;
  const { name, nativeBytes } = facts.generation;
  const known = media.list().filter(({ generation }) => generation === name);
  const capacities = known.map((medium) => medium.capacityBytes);
  const capacityBytes = capacities.length > 0 ? Math.max(...capacities) : nativeBytes;
  media.add([{ barcode, kind: 'tape', pool, generation: name, capacityBytes }]);
}
