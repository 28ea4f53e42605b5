/**
 * Reads a piece of a content from whichever copies give it back right: proven segment by segment, what one lacks is taken from
 * another, and copies that are wrong are marked.
 */
import { strict as assert } from 'node:assert';
import { Blake3Hasher } from '@napi-rs/blake-hash';
import type { Clock } from '../../base/clock.ts';
import { CodedError } from '../../base/errors.ts';
import type { Raw } from '../../base/raw.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { Contents, type KnownContent } from '../../catalog/content/contents.ts';
import type { ExtentCopy } from '../../catalog/restore/wanted.ts';
import { Archives } from '../../catalog/shelf/archives.ts';
import { Media } from '../../catalog/shelf/media.ts';
import { type Extent, HASH_BYTES, SEGMENT_BYTES } from '../../domain/content.ts';
import { CopyChooser } from '../../recall/copies.ts';
import { attachAsking } from '../../storage/attach.ts';
import type { Library } from '../../storage/library.ts';
import { LostPlaces } from '../../storage/lost-places.ts';
import { ofMedium } from '../../storage/of-medium.ts';
import type { Operator } from '../../storage/operator.ts';
import { patiently } from '../../storage/patience.ts';
import { inTapeOrder, readPieces, type WantedPiece } from '../../storage/tape-reader.ts';
import { noCopy } from '../restore/fetch.ts';
import { readKept } from '../restore/kept-reading.ts';
import { DataMap } from './data-map.ts';
import type { KeptTape } from './kept-tape.ts';
import type { GroomEvent } from './report.ts';
import type { SpoolPart } from './spool.ts';

export type PieceReaderTools = {
  readonly catalog: Catalog;
  readonly library: Library;
  readonly clock: Clock;
  readonly operator: Operator;
  readonly job: { readonly number: number };
  readonly kept: KeptTape;
  /** Two drives work at the same time. */
  readonly isAtOnce: boolean;
  readonly signal: AbortSignal;
  /** As a fetcher's. */
  beforeAttach(barcode: string): Promise<void>;
  listen(event: GroomEvent): void;
  warn(message: string): void;
  onWait(reason: string | undefined): void;
};

export type PieceContent = {
  readonly contentId: number;
  readonly path: Raw;
  readonly content: KnownContent;
  /** Media that are read first where there is a choice. */
  readonly preferred: readonly number[];
};

type Span = { readonly offset: number; readonly lengthBytes: number };

/** What of a copy is read. */
type Share = { readonly copy: ExtentCopy; readonly span: Span };

/** Where bytes of a share go, counted in the content. */
type Key = { readonly share: Share; readonly offset: number };

const READ_BYTES = 2 ** 20;

export class PieceReader {
  readonly #wanted: PieceContent;
  readonly #tools: PieceReaderTools;
  readonly #contents: Contents;
  readonly #media: Media;
  readonly #data: DataMap;
  /** How often a copy has failed. */
  readonly #tries = new Map<string, number>();
  readonly #offline = new Map<string, CodedError>();
  readonly #lostPlaces = new LostPlaces<string>();
  #isLost = false;

  constructor(wanted: PieceContent, tools: PieceReaderTools) {
    this.#wanted = wanted;
    this.#tools = tools;
    this.#contents = new Contents(tools.catalog);
    this.#media = new Media(tools.catalog);
    const { ranges, sizeBytes } = wanted.content;
    this.#data = new DataMap(ranges ?? [{ offset: 0, lengthBytes: sizeBytes }]);
  }

  /** No copy is left: what `read` threw says so of the content, not of a drive or of the spool. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /**
   * @param piece begins and ends with segments
   * @param file takes its bytes, from the piece's first on; empty before
   * @throws CodedError where no copy is left; failures of drives; TARGET_FULL
   */
  async read(piece: Span, file: SpoolPart): Promise<void> {
    const present = await this.#present();
    for (let wanted = segmentsOf(piece); wanted.length > 0; ) {
      const path = this.#choose(present);
      const shares = path.flatMap((copy) => sharesOf(copy, wanted));
      const failed = new Set<Share>();
      for (const [mediumId, own] of Map.groupBy(shares, ({ copy }) => copy.mediumId))
        await this.#readMedium(mediumId, own, { piece, file, failed });
      wanted = wanted.filter((segment) => {
        const isRight = this.#isRight(segment, piece, file);
        if (!isRight) this.#blame(segment, shares, failed);
        return !isRight;
      });
    }
  }

  #choose(present: ReadonlySet<string>): readonly ExtentCopy[] {
    const { contentId, path, content, preferred } = this.#wanted;
    const media = {
      isPresent: (barcode: string) => present.has(barcode),
      isOffline: (barcode: string) => this.#offline.has(barcode),
    };
    const copies = this.#contents.extentsOf(contentId).flatMap((located) =>
      located.copies
        .filter(({ state, mediumState }) => state === 'good' && mediumState !== 'lost')
        .map((copy) => ({ ...copy, archiveId: located.archiveId, extent: located.extent }))
        .filter(() => located.archiveState === 'good')
        .map((copy) => ({ ...copy, tries: this.#tries.get(keyOf(copy)) ?? 0 })),
    );
    const chooser = new CopyChooser(media, preferred);
    const chosen = chooser.choose({ sizeBytes: content.sizeBytes, copies });
    if (chosen) return chosen;
    this.#isLost = true;
    const [offline] = this.#offline.values();
    throw offline ?? noCopy(path);
  }

  async #readMedium(
    mediumId: number,
    shares: readonly Share[],
    into: { readonly piece: Span; readonly file: SpoolPart; readonly failed: Set<Share> },
  ): Promise<void> {
    const { listen, beforeAttach, signal, isAtOnce, kept } = this.#tools;
    const medium = this.#media.get(mediumId);
    const { barcode } = medium;
    try {
      await beforeAttach(barcode);
      const attach = () => this.#attach(medium, shares.length);
      await readKept(isAtOnce ? kept : undefined, { barcode, attach }, async (tape) => {
        listen({ event: 'medium', barcode, drive: null });
        const pieces = shares.flatMap((share) => [...this.#piecesOf(share)]);
        for await (const found of readPieces(tape, inTapeOrder(pieces), signal)) {
          const { share, offset } = found.key;
          if ('failure' in found) into.failed.add(share);
          else into.file.write(found.bytes, offset + found.at - into.piece.offset);
          signal.throwIfAborted();
        }
      });
    } catch (error) {
      this.#passOver(barcode, error);
      for (const share of shares) into.failed.add(share);
    }
  }

  #attach(medium: ReturnType<Media['get']>, contents: number) {
    const { library, operator, clock, onWait, job, signal } = this.#tools;
    const { uuid } = medium;
    assert(uuid !== undefined, 'what holds archives has a label');
    const waiting = { who: `groom (job ${job.number})`, contents, readers: undefined };
    const known = { ...medium, uuid, purpose: 'read' } as const;
    const attach = () =>
      attachAsking({ medium: known, waiting, onWait }, { library, operator, clock }, signal);
    return patiently(attach, this.#tools, signal);
  }

  /** A medium that is not to be had now; or a drive to be asked again. @throws what ends the job */
  #passOver(barcode: string, error: unknown): void {
    if (!(error instanceof CodedError) || this.#tools.signal.aborted) throw error;
    const { retry } = error.failure;
    if (retry === 'later' || retry === 'never') throw error;
    if (!this.#lostPlaces.mayTryAgain(barcode, error)) this.#offline.set(barcode, error);
    this.#tools.warn(ofMedium(barcode, error));
  }

  /** Where data of a share lie in the archive's stream; holes are nowhere. */
  *#piecesOf(share: Share): Generator<WantedPiece<Key>> {
    const { copy, span } = share;
    const { extent, startBlock } = copy;
    const end = span.offset + span.lengthBytes;
    for (const { offset, lengthBytes } of this.#data.between(span.offset, end)) {
      const place = this.#placeOf(offset, extent);
      yield { key: { share, offset }, startBlock, offset: place, lengthBytes };
    }
  }

  /** In the stream: behind the map of a sparse extent its data follow each other. */
  #placeOf(offset: number, extent: Extent): number {
    const { contentOffset, lengthBytes, archiveOffset, storedBytes, form } = extent;
    if (form === 'plain') return archiveOffset + offset - contentOffset;
    const first = this.#data.before(contentOffset);
    const dataBytes = this.#data.before(contentOffset + lengthBytes) - first;
    return archiveOffset + storedBytes - dataBytes + this.#data.before(offset) - first;
  }

  #isRight(segment: Span, piece: Span, file: SpoolPart): boolean {
    const { segments } = this.#wanted.content;
    assert(segments);
    const hasher = new Blake3Hasher();
    const buffer = Buffer.alloc(READ_BYTES);
    for (let at = 0; at < segment.lengthBytes; ) {
      const part = buffer.subarray(0, Math.min(READ_BYTES, segment.lengthBytes - at));
      file.read(part, segment.offset - piece.offset + at);
      hasher.update(part);
      at += part.length;
    }
    const hashAt = (segment.offset / SEGMENT_BYTES) * HASH_BYTES;
    return hasher.digestBuffer().equals(segments.subarray(hashAt, hashAt + HASH_BYTES));
  }

  /** Copies that a segment is wrong of; where some could not be read, it is those. */
  #blame(segment: Span, shares: readonly Share[], failed: ReadonlySet<Share>): void {
    const touching = shares.filter(({ span }) => overlaps(span, segment));
    const unread = touching.filter((share) => failed.has(share));
    for (const share of unread.length > 0 ? unread : touching) this.#mark(share);
  }

  #mark({ copy, span }: Share): void {
    const { archiveId, mediumId, barcode, extent } = copy;
    const key = keyOf(copy);
    this.#tries.set(key, (this.#tries.get(key) ?? 0) + 1);
    // One that was not to be had is not damaged.
    if (this.#offline.has(barcode) || this.#lostPlaces.has(barcode)) return;
    const position = this.#placeOf(span.offset, extent);
    const end = this.#placeOf(span.offset + span.lengthBytes, extent);
    const lengthBytes = Math.max(1, end - position);
    new Archives(this.#tools.catalog).addDamage({ archiveId, mediumId, position, lengthBytes });
    this.#tools.warn(
      `${barcode}: its bytes are not what was written; another copy is used where there is one`,
    );
  }

  async #present(): Promise<ReadonlySet<string>> {
    const { library, signal } = this.#tools;
    const status = await patiently(() => library.status(signal), this.#tools, signal);
    if (!status.changer) return new Set(this.#media.list().map(({ barcode }) => barcode));
    return new Set(status.cartridges.flatMap(({ barcode }) => barcode ?? []));
  }
}

function keyOf({ archiveId, mediumId, extent }: Omit<ExtentCopy, 'tries'>): string {
  return `${archiveId} ${mediumId} ${extent.contentOffset}`;
}

function segmentsOf({ offset, lengthBytes }: Span): Span[] {
  const segments: Span[] = [];
  const end = offset + lengthBytes;
  for (let at = offset; at < end; at += SEGMENT_BYTES)
    segments.push({ offset: at, lengthBytes: Math.min(SEGMENT_BYTES, end - at) });
  return segments;
}

function overlaps(a: Span, b: Span): boolean {
  return a.offset < b.offset + b.lengthBytes && b.offset < a.offset + a.lengthBytes;
}

/** What a copy has of each of these. */
function sharesOf(copy: ExtentCopy, wanted: readonly Span[]): Share[] {
  const { contentOffset, lengthBytes } = copy.extent;
  return wanted.flatMap((segment) => {
    const from = Math.max(segment.offset, contentOffset);
    const to = Math.min(segment.offset + segment.lengthBytes, contentOffset + lengthBytes);
    return from < to ? [{ copy, span: { offset: from, lengthBytes: to - from } }] : [];
  });
}
