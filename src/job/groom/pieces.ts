/**
 * A content that the spool does not take whole is moved in pieces: each a part of the file (archive/FORMAT.md section 4.5) in an archive
 * of its own, proven by the hashes of its segments before it is written. Whole again it is with the last.
 */
import { strict as assert } from 'node:assert';
import { CodedError } from '../../base/errors.ts';
import { rawText } from '../../base/raw.ts';
import type { SpooledContent } from '../../catalog/care/spooled.ts';
import { Contents, type KnownContent } from '../../catalog/content/contents.ts';
import { HASH_BYTES, SEGMENT_BYTES } from '../../domain/content.ts';
import { ContentHasher } from '../../hash/content-hasher.ts';
import type { Part } from '../../pack/item.ts';
import type { Beside } from './beside.ts';
import type { MovedArchive } from './moved-archive.ts';
import { movedItem } from './moved-member.ts';
import { PieceReader, type PieceReaderTools } from './piece-reader.ts';
import type { SpoolPart } from './spool.ts';
import { type MovedWriter, spoolLied } from './write.ts';

export type PiecesOrder = {
  readonly moved: Omit<SpooledContent, 'base'>;
  readonly content: KnownContent;
  /** Whole segments. */
  readonly pieceBytes: number;
  /** Media that have it already. */
  readonly heldBy: readonly number[];
  readonly preferred: readonly number[];
};

export type PiecesTools = Omit<PieceReaderTools, 'signal'> & {
  readonly writer: MovedWriter;
  readonly beside: Beside;
  /** What the n-th piece waits in. */
  file(number: number): SpoolPart;
  /** With one drive: before anything is read. */
  swap(): Promise<void>;
};

/** Headers, a journal of one entry with its segments, digest, and what fills the last block. */
const FRAME_BYTES = 32 * 2 ** 20;

/** @returns how much of it goes at a time; 0 where no part of it can be proven by itself */
export function pieceBytesMax({ segments }: KnownContent, roomBytes: number): number {
  return segments === undefined ? 0 : Math.floor(roomBytes / SEGMENT_BYTES) * SEGMENT_BYTES;
}

/**
 * Piece after piece, with two drives one written while the next is read. Cut, all of it is moved once more.
 * @param onLost it is not to be had from any medium
 * @throws CodedError MEDIUM_FULL where no medium has room for a piece; failures of drives
 */
export async function moveInPieces(
  order: PiecesOrder,
  tools: PiecesTools,
  onLost: (error: CodedError) => void,
): Promise<void> {
  const { moved, content, pieceBytes, preferred } = order;
  const { beside, writer, isAtOnce } = tools;
  const wanted = { contentId: moved.contentId, path: moved.entry.path, content, preferred };
  const reader = new PieceReader(wanted, { ...tools, signal: beside.signal });
  const count = Math.ceil(content.sizeBytes / pieceBytes);
  for (let number = 1; number <= count; number += 1) {
    const offset = (number - 1) * pieceBytes;
    const totalBytes = content.sizeBytes;
    const lengthBytes = Math.min(pieceBytes, totalBytes - offset);
    const part = { number, count, offset, lengthBytes, totalBytes };
    const file = tools.file(number);
    if (number > 1) await tools.swap();
    file.clear();
    try {
      await reader.read(part, file);
    } catch (error) {
      if (!(error instanceof CodedError) || !reader.isLost) throw error;
      await beside.settled();
      return onLost(error);
    }
    await beside.begin(() => write({ order, part, file }, tools));
    if (!isAtOnce) await beside.settled();
  }
  await beside.settled();
  writer.moved(moved.contentId, content.sizeBytes);
}

type Piece = { readonly order: PiecesOrder; readonly part: Part; readonly file: SpoolPart };

async function write({ order, part, file }: Piece, tools: PiecesTools): Promise<void> {
  const { content, heldBy: avoid, moved } = order;
  const { writer, beside, catalog } = tools;
  // Bytes of a content are counted from its beginning, those of the file from the piece's.
  const placed = { ...moved, base: -part.offset };
  const entry = movedItem(placed, new Contents(catalog), writer.foreign).key;
  const fill = async (archive: MovedArchive) => {
    const hasher = new ContentHasher();
    let at = part.offset;
    await archive.addMember({ entry, part, file }, (bytes, from) => {
      hasher.updateZeros(from - at);
      hasher.update(bytes);
      at = from + bytes.length;
    });
    hasher.updateZeros(part.offset + part.lengthBytes - at);
    const { hash, segments = hash } = hasher.finish();
    if (!segments.equals(segmentsOf(content, part))) throw spoolLied(moved.entry.path);
    if (part.number === part.count) writer.tell(archive, [entry]);
    return {};
  };
  const what = `a part of ${rawText(moved.entry.path)}`;
  const bytes = part.lengthBytes + FRAME_BYTES;
  await writer.append({ bytes, what, avoid, fill }, beside.signal);
  file.clear();
}

function segmentsOf({ segments }: KnownContent, { offset, lengthBytes }: Part): Buffer {
  assert(segments && offset % SEGMENT_BYTES === 0);
  const first = offset / SEGMENT_BYTES;
  const last = Math.ceil((offset + lengthBytes) / SEGMENT_BYTES);
  return segments.subarray(first * HASH_BYTES, last * HASH_BYTES);
}
