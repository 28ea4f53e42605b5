/** A content that is wanted: its copies, what has failed by now, and the runs of bytes to be read for it. */
import type { Contents } from '../catalog/content/contents.ts';
import type { LocatedExtent } from '../catalog/content/located.ts';
import type { ExtentCopy } from '../catalog/restore/wanted.ts';
import { SEGMENT_BYTES } from '../domain/content.ts';
import type { DataRange } from '../domain/entry.ts';
import { overlap, type RecallContent } from './content.ts';
import type { CopyChooser } from './copies.ts';
import type { Fill } from './fill.ts';
import type { Run } from './queue.ts';
import { type Unfolding, unfolding } from './unfold.ts';

export type PlacedCopy = ExtentCopy & { readonly blockBytes: number };

/** Stored bytes to be read in one go, and where in the content they begin. */
export type RecallRun = Run & {
  readonly copy: PlacedCopy;
  readonly from: number;
  /** In the archive's stream. */
  readonly offset: number;
  readonly lengthBytes: number;
  readonly unfolding: Unfolding;
};

/** A second or two of a tape that runs: stopping it and locating something else takes longer. */
const NEARLY_BYTES = 512 * 2 ** 20;

/** Bytes that came, from whom. */
type Source = { readonly copy: PlacedCopy; readonly range: DataRange };

export class Item {
  readonly content: RecallContent;
  readonly sinceMs: number;
  fill: Fill | undefined;
  /** Nobody waits for it yet. */
  isAhead = false;
  /** Since when there is no room for it, monotonic. */
  fullSinceMs: number | undefined;
  readonly #copies: readonly PlacedCopy[];
  readonly #tries = new Map<string, number>();
  #sources: Source[] = [];

  /** @throws nothing: a content without copies has none */
  constructor(content: RecallContent, contents: Contents, sinceMs: number) {
    this.content = content;
    this.sinceMs = sinceMs;
    this.#copies = contents.extentsOf(content.contentId).flatMap(copiesOf);
  }

  /** Barcodes of media that have some of it, good ones first. */
  get media(): readonly string[] {
    const good = this.#copies.filter(({ isGood }) => isGood);
    return [...new Set([...good, ...this.#copies].map(({ barcode }) => barcode))];
  }

  hasCopyOn(mediumId: number): boolean {
    return this.#copies.some((copy) => copy.mediumId === mediumId && copy.isGood);
  }

  /** What is still to be read, of the copies chosen; undefined where no copy is left to be tried. */
  runs(chooser: CopyChooser): RecallRun[] | undefined {
    const copies = this.#copies.map((copy) => ({
      ...copy,
      tries: this.#tries.get(keyOf(copy)) ?? 0,
    }));
    const path = chooser.choose({ sizeBytes: this.content.sizeBytes, copies });
    return path?.flatMap((copy) => this.#runsOf(copy));
  }

  /** A run was read, to its end or until it failed. */
  came({ copy, from, unfolding: { reached } }: RecallRun): void {
    if (reached > from)
      this.#sources.push({ copy, range: { offset: from, lengthBytes: reached - from } });
  }

  /** So little is missing that it comes in about the time that anything else takes to begin; more has come already. */
  get isNearlyWhole(): boolean {
    const { sizeBytes } = this.content;
    const gaps = this.fill?.missing({ offset: 0, lengthBytes: sizeBytes });
    if (!gaps) return false;
    const missing = gaps.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    return missing <= Math.min(NEARLY_BYTES, sizeBytes - missing);
  }

  addTry(copy: ExtentCopy): void {
    this.#tries.set(keyOf(copy), (this.#tries.get(keyOf(copy)) ?? 0) + 1);
  }

  /** Those that wrong bytes came from, each with what of it was wrong; they count as tried. */
  blame(wrong: readonly DataRange[]): Source[] {
    const touched = this.#sources.flatMap(({ copy, range }) =>
      wrong.flatMap((one) => {
        const common = overlap(one, range);
        return common ? [{ copy, range: common }] : [];
      }),
    );
    this.#sources = this.#sources.filter(
      ({ range }) => !wrong.some((one) => overlap(one, range) !== undefined),
    );
    const copies = new Map(touched.map(({ copy }) => [keyOf(copy), copy]));
    for (const copy of copies.values()) this.addTry(copy);
    return touched;
  }

  #runsOf(copy: PlacedCopy): RecallRun[] {
    const { contentOffset, lengthBytes, archiveOffset, storedBytes, form } = copy.extent;
    const range = { offset: contentOffset, lengthBytes };
    const missing = this.fill?.missing(range) ?? [range];
    if (missing.length === 0) return [];
    // The map of a sparse one stands before its data, so it is read as a whole.
    if (form === 'sparse') {
      return [
        this.#run(copy, { from: contentOffset, offset: archiveOffset, lengthBytes: storedBytes }),
      ];
    }
    return missing.flatMap(bySegments).map((part) =>
      this.#run(copy, {
        from: part.offset,
        offset: archiveOffset + part.offset - contentOffset,
        lengthBytes: part.lengthBytes,
      }),
    );
  }

  #run(
    copy: PlacedCopy,
    at: { readonly from: number; readonly offset: number; readonly lengthBytes: number },
  ): RecallRun {
    const startByte = copy.startBlock * copy.blockBytes + at.offset;
    return {
      ...at,
      copy,
      contentId: this.content.contentId,
      mediumId: copy.mediumId,
      startByte,
      endByte: startByte + at.lengthBytes,
      unfolding: unfolding(copy.extent, at.from),
    };
  }
}

/** Of a damaged or doubtful copy too: its bytes are proven like all others. */
function copiesOf(located: LocatedExtent): PlacedCopy[] {
  const { archiveId, archiveState, blockBytes, extent, copies } = located;
  if (archiveState !== 'good') return [];
  return copies
    .filter(({ state, mediumState }) => state === 'good' && mediumState !== 'lost')
    .map(({ mediumId, barcode, startBlock, isGood }) => ({
      archiveId,
      mediumId,
      barcode,
      startBlock,
      blockBytes,
      extent,
      isGood,
      tries: 0,
    }));
}

/** Cut where segments end: between two of them it is asked whether anybody still wants the rest. */
function bySegments({ offset, lengthBytes }: DataRange): DataRange[] {
  const parts: DataRange[] = [];
  const end = offset + lengthBytes;
  for (let at = offset; at < end; ) {
    const next = Math.min(end, (Math.floor(at / SEGMENT_BYTES) + 1) * SEGMENT_BYTES);
    parts.push({ offset: at, lengthBytes: next - at });
    at = next;
  }
  return parts;
}

/** Where the stored bytes of a part of the content lie; of a sparse extent nobody knows closer than all of it. */
export function storedRange({ extent }: ExtentCopy, { offset, lengthBytes }: DataRange): DataRange {
  const { form, archiveOffset, contentOffset, storedBytes } = extent;
  return form === 'sparse'
    ? { offset: archiveOffset, lengthBytes: Math.max(1, storedBytes) }
    : { offset: archiveOffset + offset - contentOffset, lengthBytes };
}

function keyOf({ archiveId, mediumId, extent }: ExtentCopy): string {
  return `${archiveId}:${mediumId}:${extent.contentOffset}`;
}
