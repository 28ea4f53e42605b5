/** Reads the maps of sparse contents from the cartridges: the only thing of members that a recovery looks at. */
import { SparseMapReader } from '../../archive/sparse.ts';
import { CodedError } from '../../base/errors.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { RebuiltHoles, type SparseExtent } from '../../catalog/rebuild/holes.ts';
import type { DataRange } from '../../domain/entry.ts';
import { readBeginning } from '../../storage/beginning.ts';
import type { HeldDrive } from '../../storage/drives.ts';
import { Blocks } from './blocks.ts';
import { isAway } from './hold.ts';
import { isOfMedium } from './inventory.ts';

/** A map grows in steps of these (FORMAT.md section 4.4). */
const STEP_BYTES = 512;
/** FORMAT.md section 6. */
const MAP_BYTES_MAX = 2 ** 26;

export async function findHoles(
  catalog: Catalog,
  tools: {
    readonly hold: (barcode: string) => Promise<HeldDrive>;
    warn(message: string): void;
  },
  signal: AbortSignal,
): Promise<void> {
  const holes = new RebuiltHoles(catalog);
  let held:
    | { readonly barcode: string; readonly drive: HeldDrive; readonly blocks: Blocks }
    | undefined;
  let failed: string | undefined;
  try {
    for (const extent of holes.wanted()) {
      const { barcode } = extent;
      if (barcode === failed) continue;
      try {
        if (held?.barcode !== barcode) {
          await held?.drive.close();
          held = undefined;
          held = await attach(barcode, tools.hold, signal);
        }
        holes.found(extent, await readMap(held.blocks, extent, signal));
      } catch (error) {
        if (!isOfMedium(error) && !isAway(error)) throw error;
        // Without its map a file is as whole as with it; only how much of it is holes is not shown.
        tools.warn(
          `where a sparse file on ${barcode} has its holes cannot be read: ${error.message}`,
        );
        if (held === undefined) failed = barcode;
      }
    }
  } finally {
    await held?.drive.close();
  }
  holes.finish();
}

async function attach(
  barcode: string,
  hold: (barcode: string) => Promise<HeldDrive>,
  signal: AbortSignal,
) {
  const drive = await hold(barcode);
  try {
    const found = await readBeginning(drive.drive, signal);
    const blockBytes = found.kind === 'label' ? found.label.blockBytes : STEP_BYTES;
    return { barcode, drive, blocks: new Blocks(drive.drive, blockBytes) };
  } catch (error) {
    await drive.close();
    throw error;
  }
}

async function readMap(
  blocks: Blocks,
  { startBlock, position, storedBytes, lengthBytes }: SparseExtent,
  signal: AbortSignal,
): Promise<readonly DataRange[]> {
  const reader = new SparseMapReader();
  const range = { offset: position, lengthBytes: Math.min(storedBytes, MAP_BYTES_MAX) };
  let rest = Buffer.alloc(0);
  for await (const chunk of blocks.range(startBlock, range, signal)) {
    rest = Buffer.concat([rest, chunk]);
    for (; rest.length >= STEP_BYTES; rest = rest.subarray(STEP_BYTES))
      if (reader.push(rest.subarray(0, STEP_BYTES))) return reader.ranges(lengthBytes);
  }
  throw new CodedError('ARCHIVE_INVALID', 'a sparse map does not end');
}
