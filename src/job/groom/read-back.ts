/** Reads back what a groom that was cut has written: nothing is given up for what nobody has read since. */
import { findDigest } from '../../archive/digest.ts';
import { type UnreadCopy, unreadCopies } from '../../catalog/care/unread.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { Media } from '../../catalog/shelf/media.ts';
import type { MediaSet } from '../backup/media-set.ts';
import type { CopyTarget } from '../backup/open-archive.ts';

/**
 * One medium after the other. What does not read back is marked, and its medium suspect.
 * @throws AttachFailure where one is not to be had
 */
export async function readBackEarlier(
  catalog: Catalog,
  order: { readonly givenUp: number; readonly set: MediaSet },
  signal: AbortSignal,
): Promise<void> {
  const { givenUp, set } = order;
  const byMedium = Map.groupBy(unreadCopies(catalog, givenUp), ({ mediumId }) => mediumId);
  for (const [mediumId, copies] of byMedium) {
    const [target] = await set.attach([new Media(catalog).get(mediumId).barcode], signal);
    if (!target) continue;
    for (const copy of copies) await keepProof(copy, { set, target }, signal);
    await set.verify(signal);
  }
}

/** How much of the stream its hash covers stands in its digest, at its end. One without any reads back wrong. */
async function keepProof(
  { archiveId, mediumId, startBlock, lengthBlocks, blake3 }: UnreadCopy,
  { set, target }: { readonly set: MediaSet; readonly target: CopyTarget },
  signal: AbortSignal,
): Promise<void> {
  const { tape } = target;
  const back = Math.min(2, lengthBlocks);
  const parts: Buffer[] = [];
  const buffer = Buffer.alloc(tape.blockBytes);
  for await (const block of tape.blocks(startBlock + lengthBlocks - back, buffer, signal))
    parts.push(Buffer.from(block));
  const streamBytes = lengthBlocks * tape.blockBytes;
  const tail = Buffer.concat(parts);
  const digest = tail.length <= streamBytes ? findDigest(tail, streamBytes) : undefined;
  const lengthBytes = digest?.lengthBytes ?? streamBytes;
  set.keepProofs(mediumId, [{ archiveId, startBlock, lengthBytes, blake3 }]);
}
