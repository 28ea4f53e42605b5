/** Batches of small files made by hand. */
import { BatchPacker } from '../../../../src/job/backup/batch-packer.ts';
import type { PackedTask, SourcePlace, Stamp } from '../../../../src/job/backup/fragment.ts';

/** Without a place there is nothing to read. */
export type SmallMember = {
  readonly place: SourcePlace | undefined;
  readonly stamp: Stamp | undefined;
  readonly head: Buffer;
};

/** All of them in one batch. */
export function packMembers(members: readonly SmallMember[]): PackedTask {
  const packer = new BatchPacker();
  for (const { place, stamp, head } of members) {
    const from = place && stamp && { place, stamp };
    if (!packer.add(from, (heads, at) => head.copy(heads, at)))
      throw new Error('more than a batch holds');
  }
  return packer.finish();
}
