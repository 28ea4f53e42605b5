/**
 * Brings contents from media into a target: in rounds, each cartridge loaded once in a round and read forward once.
 *
 * Bytes that cannot be read, or read wrong, mark the copy; the next round takes them from another one. A round follows as
 * long as the one before has brought something or has shown another copy to be of no use, so it ends.
 */
import { strict as assert } from 'node:assert';
import { CodedError } from '../../base/errors.ts';
import { type Raw, rawText } from '../../base/raw.ts';
import type { Archives } from '../../catalog/archives.ts';
import type { Contents } from '../../catalog/contents.ts';
import type { Media } from '../../catalog/media.ts';
import type { PathEntry } from '../../catalog/tree.ts';
import { ContentHasher } from '../../hash/content-hasher.ts';
import type { TargetTree } from '../../source/target.ts';
import type { TargetFile } from '../../source/target-file.ts';
import type { Library } from '../../storage/library.ts';
import { Tape } from '../../storage/tape.ts';
import { inTapeOrder, type PieceBytes, readPieces } from '../../storage/tape-reader.ts';
import { Assembly } from './assembly.ts';
import {
  attemptKey,
  byMedium,
  type ChosenExtent,
  CopyChooser,
  type WantedContent,
} from './plan.ts';

/** Names of one content: all get the same bytes. */
type Want = { readonly contentId: number; readonly names: PathEntry[] };

export type Chosen = { readonly want: Want; readonly wanted: WantedContent };

export type FetchTools = {
  readonly contents: Contents;
  readonly archives: Archives;
  readonly media: Media;
  readonly library: Library;
  readonly target: TargetTree;
  onMedium(barcode: string): void;
  /** A file that has all its bytes, proven: it is to get its attributes and its name. Takes the file over. */
  onWhole(entry: PathEntry, file: TargetFile): void;
  /** This name will not be there. */
  onFailure(entry: PathEntry, error: CodedError): void;
  warn(message: string): void;
};

const COPY_BYTES = 2 ** 20;
/** So often a drive is asked again for the same medium after it was reset or lost its place. */
const DRIVE_FAILURES_MAX = 3;

export class Fetcher {
  readonly #tools: FetchTools;
  readonly #wants = new Map<number, Want>();
  readonly #open = new Map<number, Assembly>();
  readonly #idle: ContentHasher[] = [];
  /** How often a copy of an extent has failed. */
  readonly #tries = new Map<string, number>();
  readonly #offline = new Map<string, CodedError>();
  readonly #driveFailures = new Map<string, number>();
  /** Grows with all that makes another round worth while. */
  #progress = 0;

  constructor(tools: FetchTools) {
    this.#tools = tools;
  }

  want(contentId: number, entry: PathEntry): void {
    const want = this.#wants.get(contentId);
    if (want) want.names.push(entry);
    else this.#wants.set(contentId, { contentId, names: [entry] });
  }

  get wants(): Iterable<Want> {
    return this.#wants.values();
  }

  /** What would be read next, and what no copy is left of. */
  async plan(signal: AbortSignal): Promise<{ chosen: Chosen[]; lost: Want[] }> {
    const present = await this.#present(signal);
    const media = {
      isPresent: (barcode: string) => present.has(barcode),
      isOffline: (barcode: string) => this.#offline.has(barcode),
    };
    const chooser = new CopyChooser(this.#tools.contents, media, this.#tries);
    const chosen: Chosen[] = [];
    const lost: Want[] = [];
    for (const want of this.#wants.values()) {
      const wanted = chooser.choose(want.contentId);
      if ('reason' in wanted) lost.push(want);
      else chosen.push({ want, wanted });
    }
    return { chosen, lost };
  }

  /** Until everything wanted is there or has failed. */
  async run(signal: AbortSignal): Promise<void> {
    for (let before = -1; this.#wants.size > 0 && this.#progress > before; ) {
      before = this.#progress;
      const { chosen } = await this.plan(signal);
      for (const [barcode, extents] of byMedium(chosen.map(({ wanted }) => wanted))) {
        await this.#readMedium(barcode, { extents, chosen }, signal);
      }
      this.#abandonOpen();
    }
    for (const want of this.#wants.values()) this.#giveUp(want);
    this.#wants.clear();
  }

  async #readMedium(
    barcode: string,
    order: { extents: readonly ChosenExtent[]; chosen: readonly Chosen[] },
    signal: AbortSignal,
  ): Promise<void> {
    const { library, media, onMedium } = this.#tools;
    const medium = media.find(barcode);
    if (medium?.uuid === undefined || this.#offline.has(barcode)) return;
    let tape: Tape;
    try {
      tape = await Tape.attach(library, { barcode, uuid: medium.uuid }, signal);
    } catch (error) {
      this.#passOver(barcode, error);
      return;
    }
    try {
      onMedium(barcode);
      await this.#readExtents(tape, order, signal);
    } catch (error) {
      this.#passOver(barcode, error);
    } finally {
      await tape.close();
    }
  }

  /** A medium that is not to be had now, or a drive to be asked again. @throws what ends the restore */
  #passOver(barcode: string, error: unknown): void {
    if (!(error instanceof CodedError)) throw error;
    const { retry } = error.failure;
    const failures = (this.#driveFailures.get(barcode) ?? 0) + 1;
    if (retry === 'prove-position' && failures <= DRIVE_FAILURES_MAX) {
      this.#driveFailures.set(barcode, failures);
    } else if (retry === 'later' || retry === 'never') throw error;
    else this.#offline.set(barcode, error);
    this.#progress += 1;
    this.#tools.warn(error.message);
  }

  async #readExtents(
    tape: Tape,
    { extents, chosen }: { extents: readonly ChosenExtent[]; chosen: readonly Chosen[] },
    signal: AbortSignal,
  ): Promise<void> {
    const byContent = new Map(chosen.map((one) => [one.want.contentId, one]));
    const pieces = inTapeOrder(
      extents.map((key) => ({
        key,
        startBlock: key.startBlock,
        offset: key.extent.archiveOffset,
        lengthBytes: key.extent.storedBytes,
      })),
    );
    const broken = new Set<ChosenExtent>();
    for await (const piece of readPieces(tape, pieces, signal)) {
      const { key } = piece;
      const one = byContent.get(key.contentId);
      if (!one || broken.has(key) || !this.#wants.has(key.contentId)) continue;
      if ('failure' in piece) {
        this.#markBad(key, piece.failure.message);
        broken.add(key);
        continue;
      }
      if (!this.#attempt(one.want, () => this.#take(one, piece))) broken.add(key);
      signal.throwIfAborted();
    }
  }

  /** @returns whether more of this extent is wanted */
  #take(chosen: Chosen, { key, at, bytes }: PieceBytes<ChosenExtent>): boolean {
    const assembly = this.#assembly(chosen);
    if (at === 0) assembly.begin(key.extent);
    try {
      assembly.take(key.extent, bytes);
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== 'ARCHIVE_INVALID') throw error;
      this.#markBad(key, error.message);
      return false;
    }
    if (!assembly.hasAll(chosen.wanted.extents.map(({ extent }) => extent))) return true;
    if (assembly.isRight()) this.#complete(chosen, assembly);
    else this.#refuse(chosen, assembly);
    return false;
  }

  #assembly({ want, wanted }: Chosen): Assembly {
    const known = this.#open.get(want.contentId);
    if (known) return known;
    const [first] = want.names;
    assert(first, 'somebody wants it');
    const file = this.#tools.target.createFile(below(first.path));
    const assembly = new Assembly(wanted.content, file, this.#idle.pop() ?? new ContentHasher());
    this.#open.set(want.contentId, assembly);
    return assembly;
  }

  /** All bytes are here and proven. */
  #complete({ want, wanted }: Chosen, assembly: Assembly): void {
    const [first, ...others] = want.names;
    assert(first, 'somebody wants it');
    for (const entry of others) {
      this.#attemptName(entry, () => this.#copy(assembly, wanted, entry));
    }
    this.#open.delete(want.contentId);
    this.#wants.delete(want.contentId);
    this.#idle.push(assembly.hasher);
    this.#progress += 1;
    this.#attemptName(first, () => this.#tools.onWhole(first, assembly.file));
  }

  /** The bytes are not those that were stored: copies of the segments that are wrong are marked. */
  #refuse({ want, wanted }: Chosen, assembly: Assembly): void {
    const wrong = assembly.wrongRanges();
    for (const chosen of wanted.extents) {
      const { contentOffset, lengthBytes } = chosen.extent;
      const touches = wrong.some(
        ({ offset, lengthBytes: length }) =>
          offset < contentOffset + lengthBytes && contentOffset < offset + length,
      );
      if (touches) this.#markBad(chosen, 'its bytes are not what was written');
    }
    this.#open.delete(want.contentId);
    assembly.file.abandon();
  }

  /** A further file of the same bytes; its holes are holes too. */
  #copy(assembly: Assembly, { content }: WantedContent, entry: PathEntry): void {
    const { sizeBytes, ranges } = content;
    const file = this.#tools.target.createFile(below(entry.path));
    try {
      const buffer = Buffer.allocUnsafe(COPY_BYTES);
      for (const { offset, lengthBytes } of ranges ?? [{ offset: 0, lengthBytes: sizeBytes }]) {
        const end = offset + lengthBytes;
        for (let at = offset; at < end; ) {
          const wanted = buffer.subarray(0, Math.min(COPY_BYTES, end - at));
          const count = assembly.file.read(wanted, at);
          assert(count > 0, 'a file that was proven has all its bytes');
          file.write(wanted.subarray(0, count), at);
          at += count;
        }
      }
      file.setSize(sizeBytes);
    } catch (error) {
      file.abandon();
      throw error;
    }
    this.#tools.onWhole(entry, file);
  }

  /** Contents of which some parts came and others did not: what came is fetched again with the next round's copies. */
  #abandonOpen(): void {
    for (const assembly of this.#open.values()) assembly.file.abandon();
    this.#open.clear();
  }

  #markBad(chosen: ChosenExtent, reason: string): void {
    const { archiveId, mediumId, barcode, extent } = chosen;
    const key = attemptKey(chosen);
    this.#tries.set(key, (this.#tries.get(key) ?? 0) + 1);
    this.#progress += 1;
    this.#tools.archives.addDamage({
      archiveId,
      mediumId,
      position: extent.archiveOffset,
      lengthBytes: Math.max(1, extent.storedBytes),
    });
    this.#tools.warn(`${barcode}: ${reason}; another copy is used where there is one`);
  }

  #giveUp({ contentId, names }: Want): void {
    const located = this.#tools.contents.extentsOf(contentId);
    const [cause] = located
      .flatMap(({ copies }) => copies)
      .flatMap(({ isGood, barcode }) => (isGood ? (this.#offline.get(barcode) ?? []) : []));
    for (const entry of names) this.#tools.onFailure(entry, cause ?? noCopy(entry.path));
  }

  async #present(signal: AbortSignal): Promise<ReadonlySet<string>> {
    const status = await this.#tools.library.status(signal);
    if (!status.changer) return new Set(this.#tools.media.list().map(({ barcode }) => barcode));
    return new Set(status.cartridges.flatMap(({ barcode }) => barcode ?? []));
  }

  /** A name's failure is the report's, not the restore's; a full target ends it. */
  #attemptName(entry: PathEntry, step: () => void): void {
    try {
      step();
    } catch (error) {
      if (!(error instanceof CodedError) || error.code === 'TARGET_FULL') throw error;
      this.#tools.onFailure(entry, error);
    }
  }

  /** The same for the name under which a content is put together: the next one takes its place. */
  #attempt(want: Want, step: () => boolean): boolean {
    try {
      return step();
    } catch (error) {
      if (!(error instanceof CodedError) || error.code === 'TARGET_FULL') throw error;
      this.#open.get(want.contentId)?.file.abandon();
      this.#open.delete(want.contentId);
      this.#progress += 1;
      const first = want.names.shift();
      if (first) this.#tools.onFailure(first, error);
      if (want.names.length === 0) this.#wants.delete(want.contentId);
      return false;
    }
  }
}

/** The path below the target; the root is the target itself. */
export function below(path: Raw): Raw {
  return path.slice(1) as Raw;
}

export function noCopy(path: Raw): CodedError {
  const name = rawText(path);
  return new CodedError('MEDIUM_UNREADABLE', `no good copy of ${name} is left`, { path: name });
}
