/**
 * Files in parts of which no journal tells the hash: their parts as headers and the journals of other archives name them, put
 * together here. Only where all are there is the file anything; its hash is that of its parts, read once more in their order.
 */
import { SparseMapReader } from '../../archive/sparse.ts';
import { CodedError } from '../../base/errors.ts';
import { printable } from '../../base/text.ts';
import type { ToldPlace } from '../../catalog/rebuild/extents.ts';
import type { Rebuild, ToldEntry } from '../../catalog/rebuild/rebuild.ts';
import type { ToldRun } from '../../catalog/rebuild/runs.ts';
import { ContentHasher } from '../../hash/content-hasher.ts';
import type { HeldDrive } from '../../storage/drives.ts';
import { Blocks } from './blocks.ts';
import { isOfMedium } from './inventory.ts';
import { feedRanges } from './salvage.ts';
import type { Standing } from './standing.ts';

/** Of one file: those of one job, of one likeness of it. */
type Parts = {
  readonly run: ToldRun;
  /** As its members' headers, or a journal's line without a hash. */
  readonly entry: ToldEntry;
  readonly kind: 'stored' | 'stray';
  readonly places: ToldPlace[];
  createdMs: number;
};

export type PartTold = {
  /** Of the run that stored it. */
  readonly jobUuid: string;
  readonly run: ToldRun;
  readonly entry: ToldEntry;
  readonly kind: 'stored' | 'stray';
  readonly places: readonly ToldPlace[];
  readonly createdMs: number;
};

export type PartTools = {
  /** Brings a cartridge that was read before into a drive. */
  readonly hold: (barcode: string) => Promise<HeldDrive>;
  warn(message: string): void;
};

/** Files of this kind are large: more of them, or more parts of one, are made to fill memory. */
const FILES_MAX = 10_000;
const PARTS_MAX = 10_000;
const MAP_STEP_BYTES = 512;

export class PartsFound {
  readonly #files = new Map<string, Parts>();
  #isAnySalvaged = false;

  /** @param isSalvaged known from a header: else all is as it was told */
  add(told: PartTold, isSalvaged: boolean): void {
    const { jobUuid, entry, places } = told;
    const { seconds, nanoseconds } = entry.attributes.mtime;
    const likeness = [entry.attributes.sizeBytes, seconds, nanoseconds].join();
    const key = [jobUuid, likeness, entry.host, entry.path].join(' ');
    this.#isAnySalvaged ||= isSalvaged;
    const known = this.#files.get(key);
    if (known && known.places.length + places.length <= PARTS_MAX) {
      known.places.push(...places);
      known.createdMs = Math.max(known.createdMs, told.createdMs);
    } else if (!known && this.#files.size < FILES_MAX)
      this.#files.set(key, { ...told, places: [...places] });
  }

  /**
   * When all journals are told.
   * @param standing archives of all media
   * @returns how many files are whole now, and of how many some parts are not there
   */
  async complete(
    { rebuild, standing }: { readonly rebuild: Rebuild; readonly standing: readonly Standing[] },
    tools: PartTools,
    signal: AbortSignal,
  ): Promise<{ readonly whole: number; readonly lacking: number }> {
    const counts = { whole: 0, lacking: 0 };
    if (!this.#isAnySalvaged) return counts;
    const reader = new PartReader(standing, tools);
    try {
      for (const { run, entry, kind, places: found, createdMs } of this.#files.values()) {
        if (kind === 'stored' && rebuild.isTold(entry)) continue;
        const places = inOrder(found, entry.attributes.sizeBytes);
        const content = places && (await reader.hash(places, signal));
        if (!places || !content) {
          counts.lacking += 1;
          continue;
        }
        const { hash, segments } = content;
        const own = new Set(places.flatMap((place) => reader.archiveOf(place)));
        const { blockBytes } = reader;
        rebuild.add(run, { own, createdMs, blockBytes }, [
          { ...entry, kind, hash, copies: [places] },
        ]);
        if (segments) rebuild.addSegments(hash, 0, segments);
        counts.whole += 1;
      }
    } finally {
      await reader.close();
    }
    return counts;
  }
}

/** One place for each byte, without gaps; undefined where some are missing. */
function inOrder(places: readonly ToldPlace[], sizeBytes: number): ToldPlace[] | undefined {
  const chosen: ToldPlace[] = [];
  let at = 0;
  for (const place of places.toSorted((a, b) => a.contentOffset - b.contentOffset)) {
    if (place.contentOffset !== at || place.lengthBytes === 0) continue;
    chosen.push(place);
    at += place.lengthBytes;
  }
  return at === sizeBytes ? chosen : undefined;
}

/** Reads places of any media, each cartridge as long as it is the next one's too. */
class PartReader {
  readonly #tools: PartTools;
  readonly #archives: ReadonlyMap<string, Standing>;
  #held: { readonly barcode: string; readonly blocks: Blocks; close(): Promise<void> } | undefined;

  constructor(standing: readonly Standing[], tools: PartTools) {
    this.#tools = tools;
    this.#archives = new Map(standing.map((one) => [`${one.file}:${one.barcode}`, one]));
  }

  /** Of the media there are: a place on another counts by the journal that told it alone. */
  get blockBytes(): number {
    return [...this.#archives.values()][0]?.blockBytes ?? MAP_STEP_BYTES;
  }

  archiveOf({ file, barcode }: ToldPlace): number[] {
    const one = this.#archives.get(`${file}:${barcode}`);
    return one ? [one.archiveId] : [];
  }

  /** @returns undefined where one of them cannot be read */
  async hash(places: readonly ToldPlace[], signal: AbortSignal) {
    const hasher = new ContentHasher();
    for (const place of places) {
      const one = this.#archives.get(`${place.file}:${place.barcode}`);
      if (!one) return undefined;
      try {
        await feed(hasher, { blocks: await this.#blocks(one), place }, signal);
      } catch (error) {
        if (!isOfMedium(error)) throw error;
        const where = `${printable(place.barcode)}, tape file ${place.file}`;
        this.#tools.warn(`${where}: a part of a file cannot be read: ${printable(error.message)}`);
        return undefined;
      }
    }
    return hasher.finish();
  }

  async close(): Promise<void> {
    const held = this.#held;
    this.#held = undefined;
    await held?.close();
  }

  async #blocks({ barcode, blockBytes }: Standing): Promise<Blocks> {
    if (this.#held?.barcode === barcode) return this.#held.blocks;
    await this.close();
    const held = await this.#tools.hold(barcode);
    const blocks = new Blocks(held.drive, blockBytes);
    this.#held = { barcode, blocks, close: () => held.close() };
    return blocks;
  }
}

/** The bytes of one place, holes as zeros. @throws CodedError ARCHIVE_INVALID; the source's own */
async function feed(
  hasher: ContentHasher,
  { blocks, place }: { readonly blocks: Blocks; readonly place: ToldPlace },
  signal: AbortSignal,
): Promise<void> {
  const { block, skipBytes, storedBytes, lengthBytes, isSparse } = place;
  const chunks = blocks.range(block, { offset: skipBytes, lengthBytes: storedBytes }, signal);
  if (!isSparse) {
    await feedRanges(hasher, chunks, { ranges: [{ offset: 0, lengthBytes }], lengthBytes });
    return;
  }
  const map = new SparseMapReader();
  let rest: Buffer = Buffer.alloc(0);
  for (let isEnd = false; !isEnd; ) {
    while (rest.length < MAP_STEP_BYTES) {
      const next = await chunks.next();
      if (next.done) throw new CodedError('ARCHIVE_INVALID', 'a sparse map does not end');
      rest = Buffer.concat([rest, next.value]);
    }
    isEnd = map.push(rest.subarray(0, MAP_STEP_BYTES));
    rest = rest.subarray(MAP_STEP_BYTES);
  }
  const data = async function* () {
    yield rest;
    yield* chunks;
  };
  await feedRanges(hasher, data(), { ranges: map.ranges(lengthBytes), lengthBytes });
}
