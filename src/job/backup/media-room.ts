/** How much of a medium a plan may use. */
import type { Media, Medium } from '../../catalog/shelf/media.ts';
import { type GenerationName, parseGeneration } from '../../domain/generation.ts';
import { defaultMarginBytes, roomBytes } from '../../pack/limits.ts';

/** Up to where a medium is filled, of what its makers promise: FACTS of LTO-9 (16.7 to 17.8 of 18 TB). */
const TARGET_FILL_SHARE = 0.95;

/** What may be written to it behind what is there. */
export function roomOf(
  media: Media,
  medium: Pick<Medium, 'poolId' | 'capacityBytes' | 'writtenBytes'>,
): number {
  const { capacityBytes, writtenBytes } = medium;
  return roomBytes({
    targetFillBytes: Math.floor(capacityBytes * TARGET_FILL_SHARE),
    writtenBytes,
    remainingBytes: capacityBytes - writtenBytes,
    marginBytes: marginOf(media, medium),
  });
}

/** Kept free before its end: as its pool says, else as is usual. */
export function marginOf(
  media: Media,
  { poolId, capacityBytes }: Pick<Medium, 'poolId' | 'capacityBytes'>,
): number {
  const pool = media.pools().find(({ id }) => id === poolId);
  return pool?.marginBytes ?? defaultMarginBytes(capacityBytes);
}

/** What a backup writes to, now or one day. */
const WRITABLE_STATES: ReadonlySet<string> = new Set(['unlabelled', 'scratch', 'filling']);
const GENERATION_DEFAULT: GenerationName = 'LTO-9';

/** Of the pool's media; the newest there is where it has none. */
export function generationOf(media: Media, pool: string): GenerationName {
  const names = media
    .list()
    .filter((medium) => medium.pool === pool)
    .map((medium) => parseGeneration(medium.generation ?? '')?.name);
  return names.find((name) => name !== undefined) ?? GENERATION_DEFAULT;
}

/** Room of an empty medium of the pool; undefined where there is none to tell. */
export function freshRoomOf(media: Media, pool: string): number | undefined {
  const all = media.list().filter((medium) => medium.kind === 'tape' && medium.pool === pool);
  // One that is written no more may have ended early, and is no measure for those that are.
  const written = all.filter(({ state }) => WRITABLE_STATES.has(state));
  const rooms = (written.length > 0 ? written : all).map((medium) =>
    roomOf(media, { ...medium, writtenBytes: 0 }),
  );
  return rooms.length === 0 ? undefined : Math.min(...rooms);
}
