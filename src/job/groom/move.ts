/**
 * What is needed of somewhere is read into the spool and written to other media from there, as often as the spool is filled. What
 * one medium gives back wrong is taken from another.
 */
import { strict as assert } from 'node:assert';
import type { Clock } from '../../base/clock.ts';
import type { CodedError } from '../../base/errors.ts';
import { rawText } from '../../base/raw.ts';
import { Archives } from '../../catalog/archives.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { Contents } from '../../catalog/contents.ts';
import type { LiveContent, LiveContents, PoolCopies } from '../../catalog/live.ts';
import { Media } from '../../catalog/media.ts';
import type { Spooled } from '../../catalog/spooled.ts';
import { Wanted } from '../../catalog/wanted.ts';
import type { Library } from '../../storage/library.ts';
import type { Operator } from '../../storage/operator.ts';
import type { MediaSet } from '../backup/media-set.ts';
import { Fetcher } from '../restore/fetch.ts';
import type { GroomEvent } from './report.ts';
import { type Spool, type SpooledFile, tooLarge } from './spool.ts';
import type { MovedWriter } from './write.ts';

export type MoveTools = {
  readonly catalog: Catalog;
  readonly library: Library;
  readonly clock: Clock;
  readonly operator: Operator;
  readonly job: { readonly number: number };
  /** What is written to. */
  readonly set: MediaSet;
  readonly spool: Spool;
  /** There is one drive: what is written to leaves it before anything is read, and the other way round. */
  readonly isSwapped: boolean;
  listen(event: GroomEvent): void;
  warn(message: string): void;
  onWait(reason: string | undefined): void;
};

export type MoveOrder = {
  readonly live: LiveContents;
  readonly policy: PoolCopies;
  /** Media that are read first where there is a choice. */
  readonly preferred: readonly number[];
  readonly spooled: Spooled;
  readonly writer: MovedWriter;
  onLost(entry: LiveContent['entry'], error: CodedError): void;
};

/** Contents that the spool takes: their rows are in tables, but not those of what is being read. */
const CONTENTS_MAX = 1_000_000;

/**
 * Each once, until all are elsewhere or cannot be had.
 * @returns `pending`: how many only a run has that is not finished; they have no name yet under which they could be told
 * @throws CodedError MEDIUM_FULL where no medium has room; failures of drives
 */
export async function moveAll(
  order: MoveOrder,
  tools: MoveTools,
  signal: AbortSignal,
): Promise<{ readonly pending: number }> {
  const { live, policy, writer, onLost } = order;
  const { set, spool, isSwapped } = tools;
  const known = new Contents(tools.catalog);
  const contents = live.needing(policy);
  let pending = 0;
  for (let next = contents.next(); !next.done; ) {
    signal.throwIfAborted();
    if (isSwapped) {
      await set.verify(signal);
      await set.close();
    }
    const fetcher = fetcherOf(order, tools, signal);
    let bytes = 0;
    let count = 0;
    for (; !next.done && count < CONTENTS_MAX; next = contents.next()) {
      const { entry, isPending } = next.value;
      if (isPending) {
        pending += 1;
        continue;
      }
      const size = dataBytes(known, next.value);
      if (size > spool.bytesMax) {
        onLost(entry, tooLarge(rawText(entry.path), size, spool.bytesMax));
        continue;
      }
      if (bytes + size > spool.bytesMax) break;
      bytes += size;
      count += 1;
      fetcher.want(next.value.contentId, entry);
    }
    await fetcher.run(signal);
    await writer.store(signal);
  }
  // What is still in its drive is read back with what follows.
  await set.verify(signal);
  return { pending };
}

function fetcherOf(
  { live, policy, preferred, spooled, onLost }: MoveOrder,
  { catalog, library, clock, operator, job, set, warn, onWait, listen, spool }: MoveTools,
  signal: AbortSignal,
): Fetcher<SpooledFile> {
  return new Fetcher<SpooledFile>({
    who: `groom (job ${job.number})`,
    wanted: new Wanted(catalog),
    contents: new Contents(catalog),
    archives: new Archives(catalog),
    media: new Media(catalog),
    library,
    clock,
    operator,
    target: { createFile: (_path, sizeBytes) => spool.createFile(sizeBytes) },
    preferred,
    onMedium: (barcode) => listen({ event: 'medium', barcode, drive: null }),
    // What one medium lacks may lie on that which is written to.
    beforeAttach: (barcode) => set.letGo(barcode, signal),
    onWait,
    onWhole: (entry, file) => {
      const { contentId } = entry.inode;
      assert(contentId !== undefined, 'what was wanted has a content');
      const heldBy = policy.copies > 1 ? live.holdersOf(contentId) : [];
      spooled.add({ contentId, entry, base: file.base }, heldBy);
    },
    onLost,
    onFailure: onLost,
    warn,
  });
}

function dataBytes(contents: Contents, { contentId, entry }: LiveContent): number {
  const ranges = contents.get(contentId)?.ranges;
  if (!ranges) return entry.inode.sizeBytes;
  return ranges.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
}
