/** The contents of one tape file whose stream is not what was written: each is proven by itself, so that the damaged are named. */
import { setImmediate as turn } from 'node:timers/promises';
import { CodedError } from '../../base/errors.ts';
import type { DamagedRange } from '../../catalog/care/damages.ts';
import type { CopyToRead, ExtentToRead } from '../../catalog/care/read-back.ts';
import type { LocatedExtent } from '../../catalog/content/located.ts';
import { ContentHasher } from '../../hash/content-hasher.ts';
import { unfolding } from '../../recall/unfold.ts';
import { type ReadableTape, TapeReader, type WantedPiece } from '../../storage/tape-reader.ts';
import { type Portion, PortionProof, portionsOf } from './proof.ts';

export type Proofs = {
  /** Of the archive's stream, ascending: bytes of contents that are wrong or cannot be read. */
  readonly wrong: readonly DamagedRange[];
  /** Contents in several parts of which this archive has only some: nothing here says whether those are right. */
  readonly unproven: readonly Portion[];
};

const PORTIONS_A_TURN = 256;

/**
 * @param holes of the stream, ascending: not to be read; nobody tries them again
 * @throws CodedError the drive's failures
 */
export async function proveContents(
  tape: ReadableTape,
  archive: {
    readonly copy: CopyToRead;
    readonly extents: Iterable<ExtentToRead>;
    readonly holes: readonly DamagedRange[];
  },
  signal: AbortSignal,
): Promise<Proofs> {
  const { copy, extents, holes } = archive;
  const wrong: DamagedRange[] = [];
  const unproven: Portion[] = [];
  const pieces = function* (): Generator<WantedPiece<Portion>> {
    for (const extent of extents)
      for (const portion of portionsOf(extent)) {
        const { position: offset, lengthBytes } = portion.range;
        if (touchesAny(portion.range, holes)) wrong.push(portion.range);
        else if (portion.proofs.length === 0) unproven.push(portion);
        else {
          if (portion.isUnproven) unproven.push(portion);
          yield { key: portion, startBlock: copy.startBlock, offset, lengthBytes };
        }
      }
  };
  let proof: { readonly key: Portion; readonly of: PortionProof } | undefined;
  let count = 0;
  for await (const piece of new TapeReader(tape, signal).read(pieces())) {
    const { key } = piece;
    if (proof?.key !== key) proof = { key, of: new PortionProof(key) };
    const isRight = 'failure' in piece ? false : take(proof.of, piece, key);
    if (isRight === false && wrong.at(-1) !== key.range) wrong.push(key.range);
    count += 1;
    if (count % PORTIONS_A_TURN === 0) await turn();
    signal.throwIfAborted();
  }
  return { wrong, unproven: unproven.filter(({ range }) => !wrong.includes(range)) };
}

/** @returns undefined where more of it is to come */
function take(
  proof: PortionProof,
  { at, bytes }: { readonly at: number; readonly bytes: Buffer },
  { range }: Portion,
): boolean | undefined {
  try {
    proof.take(bytes);
  } catch (error) {
    if (error instanceof CodedError && error.code === 'ARCHIVE_INVALID') return false;
    throw error;
  }
  return at + bytes.length < range.lengthBytes ? undefined : proof.isRight();
}

/**
 * Whether a content whose parts all lie on this medium is whole: read part after part.
 * @returns undefined where some of it lies elsewhere
 */
export async function isWholeHere(
  tape: ReadableTape,
  content: {
    readonly mediumId: number;
    /** The archive in question: its parts are taken where others have them too. */
    readonly archiveId: number;
    readonly hash: Buffer;
    readonly sizeBytes: number;
    readonly extents: readonly LocatedExtent[];
  },
  signal: AbortSignal,
): Promise<boolean | undefined> {
  const pieces = piecesHere(content);
  if (!pieces) return undefined;
  const hasher = new ContentHasher();
  const unfolded = new Map(
    pieces.map(({ key }) => [key, unfolding(key.extent, key.extent.contentOffset)]),
  );
  for await (const piece of new TapeReader(tape, signal).read(pieces)) {
    if ('failure' in piece) return false;
    try {
      for (const { offset, bytes } of unfolded.get(piece.key)?.take(piece.bytes) ?? []) {
        hasher.updateZeros(Math.max(0, offset - hasher.sizeBytes));
        hasher.update(bytes);
      }
    } catch (error) {
      if (error instanceof CodedError && error.code === 'ARCHIVE_INVALID') return false;
      throw error;
    }
  }
  hasher.updateZeros(Math.max(0, content.sizeBytes - hasher.sizeBytes));
  return hasher.finish().hash.equals(content.hash);
}

/** In order of the content; undefined where there is a gap. */
function piecesHere({
  mediumId,
  archiveId,
  sizeBytes,
  extents,
}: {
  readonly mediumId: number;
  readonly archiveId: number;
  readonly sizeBytes: number;
  readonly extents: readonly LocatedExtent[];
}): WantedPiece<LocatedExtent>[] | undefined {
  const pieces: WantedPiece<LocatedExtent>[] = [];
  let reached = 0;
  const isElsewhere = (located: LocatedExtent) => Number(located.archiveId !== archiveId);
  const order = (a: LocatedExtent, b: LocatedExtent) =>
    a.extent.contentOffset - b.extent.contentOffset || isElsewhere(a) - isElsewhere(b);
  for (const key of extents.toSorted(order)) {
    const { contentOffset, lengthBytes, archiveOffset: offset, storedBytes } = key.extent;
    const copy = key.copies.find((one) => one.mediumId === mediumId && one.state === 'good');
    if (contentOffset !== reached || !copy || key.archiveState !== 'good') continue;
    pieces.push({ key, startBlock: copy.startBlock, offset, lengthBytes: storedBytes });
    reached += lengthBytes;
  }
  return reached === sizeBytes ? pieces : undefined;
}

export function touchesAny(range: DamagedRange, others: readonly DamagedRange[]): boolean {
  return others.some(
    ({ position, lengthBytes }) =>
      position < range.position + range.lengthBytes && range.position < position + lengthBytes,
  );
}

/** What a stream has of ranges, joined where they touch. */
export function joined(ranges: readonly DamagedRange[]): DamagedRange[] {
  const all: { position: number; lengthBytes: number }[] = [];
  for (const { position, lengthBytes } of ranges.toSorted((a, b) => a.position - b.position)) {
    const last = all.at(-1);
    if (last && position <= last.position + last.lengthBytes)
      last.lengthBytes = Math.max(last.lengthBytes, position + lengthBytes - last.position);
    else all.push({ position, lengthBytes });
  }
  return all;
}
