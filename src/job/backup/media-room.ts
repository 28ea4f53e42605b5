/** How much of a medium a plan may use. */
import type { Media, Medium } from '../../catalog/media.ts';
import { defaultMarginBytes, roomBytes } from '../../pack/limits.ts';

/** Up to where a medium is filled, of what its makers promise: FACTS of LTO-9 (16.7 to 17.8 of 18 TB). */
const TARGET_FILL_SHARE = 0.95;

/** What may be written to it behind what is there. */
export function roomOf(media: Media, medium: Medium): number {
  const { capacityBytes, writtenBytes } = medium;
  return roomBytes({
    targetFillBytes: Math.floor(capacityBytes * TARGET_FILL_SHARE),
    writtenBytes,
    remainingBytes: capacityBytes - writtenBytes,
    marginBytes: marginOf(media, medium),
  });
}

/** Kept free before its end: as its pool says, else as is usual. */
export function marginOf(media: Media, { poolId, capacityBytes }: Medium): number {
  const pool = media.pools().find(({ id }) => id === poolId);
  return pool?.marginBytes ?? defaultMarginBytes(capacityBytes);
}
