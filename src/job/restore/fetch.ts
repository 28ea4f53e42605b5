/**
 * Brings contents from media into a target: in rounds, each cartridge loaded once in a round and read forward once.
 *
 * Bytes that cannot be read, or read wrong, mark the copy; the next round takes them from another one. A round follows as
 * long as the one before has brought something or has shown another copy to be of no use, so it ends. What is wanted is in
 * tables on disk; in memory is what is being read.
 */
import { strict as assert } from 'node:assert';
import type { Clock } from '../../base/clock.ts';
import { CodedError } from '../../base/errors.ts';
import { type Raw, rawText } from '../../base/raw.ts';
import type { Contents } from '../../catalog/content/contents.ts';
import type {
  ChosenExtent,
  NamedInode,
  Wanted,
  WantedExtent,
} from '../../catalog/restore/wanted.ts';
import type { Archives } from '../../catalog/shelf/archives.ts';
import type { Media, Medium } from '../../catalog/shelf/media.ts';
import type { DataRange } from '../../domain/entry.ts';
import { ContentHasher } from '../../hash/content-hasher.ts';
import { attachAsking, barcodesInDrives } from '../../storage/attach.ts';
import type { MeantMedium } from '../../storage/identity.ts';
import type { Library } from '../../storage/library.ts';
import { LostPlaces } from '../../storage/lost-places.ts';
import { ofMedium } from '../../storage/of-medium.ts';
import type { Operator } from '../../storage/operator.ts';
import { decideFailure, isHard } from '../../storage/operator-failure.ts';
import { patiently } from '../../storage/patience.ts';
import type { Tape } from '../../storage/tape.ts';
import { type PieceBytes, readPieces, type WantedPiece } from '../../storage/tape-reader.ts';
import { Assembly, type Gathering } from './assembly.ts';
import { type Keeper, readKept } from './kept-reading.ts';
import { chooseRound, type MediumShare, type Round } from './round.ts';

/** @typeParam File what `target` makes */
export type FetchTools<File extends Gathering> = {
  /** In failures and questions: `restore`. */
  readonly who: string;
  readonly wanted: Wanted;
  readonly contents: Contents;
  readonly archives: Archives;
  readonly media: Media;
  readonly library: Library;
  readonly clock: Clock;
  /** Who brings cartridges. */
  readonly operator: Operator;
  readonly target: { createFile(path: Raw, sizeBytes: number): File };
  /** Media that are read first where there is a choice. */
  readonly preferred?: readonly number[];
  onMedium(barcode: string): void;
  readonly kept?: Keeper;
  /** It is to be attached: whoever has it in a drive of this job lets go of it. */
  beforeAttach?(barcode: string): Promise<void>;
  /** Others have all drives, or a person is waited for: why, and undefined when the waiting for a person is over. */
  onWait(reason: string | undefined): void;
  /** A file that has all its bytes, proven: it is to get its attributes and its name. Takes the file over. */
  onWhole(entry: NamedInode, file: File): void;
  /** Its bytes are not to be had; told of each name that wants them. */
  onLost(entry: NamedInode, error: CodedError): void;
  /** This name will not be there. */
  onFailure(entry: NamedInode, error: CodedError): void;
  warn(message: string): void;
};

const COPY_BYTES = 2 ** 20;
/** Contents that are there are told to the table in one go. */
const DONE_MAX = 256;

export class Fetcher<File extends Gathering> {
  readonly #tools: FetchTools<File>;
  readonly #wanted: Wanted;
  /** Contents of which some bytes are here. */
  readonly #open = new Map<number, Assembly<File>>();
  /** Contents of several parts of which the rest is of no use in this round. */
  readonly #skipped = new Set<number>();
  /** Contents that are there, or that nobody wants any more, and are still in the table. */
  #done: number[] = [];
  readonly #idle: ContentHasher[] = [];
  readonly #offline = new Map<string, CodedError>();
  readonly #lostPlaces = new LostPlaces<string>();
  /** Media that are given up, by a person or because nobody is there. */
  readonly #decided = new Set<string>();
  /** What would be read next; undefined once it was read, or something else is wanted. */
  #round: Round | undefined;
  /** Grows with all that makes another round worth while. */
  #progress = 0;

  constructor(tools: FetchTools<File>) {
    this.#tools = tools;
    this.#wanted = tools.wanted;
  }

  want(contentId: number, entry: NamedInode): void {
    this.#wanted.add(contentId, entry);
    this.#round = undefined;
  }

  /** What would be read next, and what no copy is left of. */
  async plan(signal: AbortSignal): Promise<Round> {
    if (this.#round) return this.#round;
    const present = await this.#present(signal);
    const media = {
      isPresent: (barcode: string) => present.has(barcode),
      isOffline: (barcode: string) => this.#offline.has(barcode),
      preferred: this.#tools.preferred ?? [],
    };
    this.#round = await chooseRound(this.#wanted, media, signal);
    return this.#round;
  }

  /** Until everything wanted is there or has failed. */
  async run(signal: AbortSignal): Promise<void> {
    for (let before = -1; this.#wanted.size > 0; ) {
      if (this.#progress === before && !(await this.#askForHelp(signal))) break;
      before = this.#progress;
      const { media } = await this.plan(signal);
      this.#round = undefined;
      const inDrives = await barcodesInDrives(this.#tools.library, signal);
      const isAway = ({ barcode }: MediumShare) => Number(!inDrives.has(barcode));
      for (const share of media.toSorted((a, b) => isAway(a) - isAway(b)))
        await this.#readMedium(share, signal);
      this.#abandonOpen();
    }
    this.#giveUpRest();
  }

  /** Ended early: removes what has some of its bytes. */
  abandon(): void {
    this.#abandonOpen();
  }

  async #readMedium(share: MediumShare, signal: AbortSignal): Promise<void> {
    const { barcode, mediumId } = share;
    const { media, onMedium } = this.#tools;
    const medium = media.find(barcode);
    if (medium?.uuid === undefined || this.#offline.has(barcode)) return;
    try {
      const known = { ...medium, uuid: medium.uuid, purpose: 'read' } as const;
      await this.#tools.beforeAttach?.(barcode);
      const attach = () => this.#patiently(() => this.#attach(share, known, signal), signal);
      await readKept(this.#tools.kept, { barcode, attach }, (tape) => {
        onMedium(barcode);
        return this.#readExtents(tape, mediumId, signal);
      });
    } catch (error) {
      this.#passOver(barcode, error);
    }
  }

  #attach(
    { contents }: MediumShare,
    medium: Medium & MeantMedium,
    signal: AbortSignal,
  ): Promise<Tape> {
    const { library, operator, clock, onWait, who } = this.#tools;
    const waiting = { who, contents, readers: undefined };
    return attachAsking({ medium, waiting, onWait }, { library, operator, clock }, signal);
  }

  #patiently<T>(step: () => Promise<T>, signal: AbortSignal): Promise<T> {
    return patiently(step, this.#tools, signal);
  }

  /**
   * A medium that is not to be had now, or a drive to be asked again; nothing is held meanwhile.
   * @throws what ends the restore
   */
  #passOver(barcode: string, error: unknown): void {
    if (!(error instanceof CodedError)) throw error;
    const { warn } = this.#tools;
    const { retry } = error.failure;
    if (retry === 'later' || retry === 'never') throw error;
    if (!this.#lostPlaces.mayTryAgain(barcode, error)) this.#offline.set(barcode, error);
    this.#progress += 1;
    warn(ofMedium(barcode, error));
  }

  /**
   * What other copies had is there; what is left lies on media alone whose drive gave up. A person may help.
   * @returns whether to try again @throws the failure where he wants the restore to end
   */
  async #askForHelp(signal: AbortSignal): Promise<boolean> {
    const { onWait } = this.#tools;
    let isHelped = false;
    for (const [barcode, error] of [...this.#offline]) {
      if (!isHard(error) || this.#decided.has(barcode)) continue;
      const onAsked = () => onWait(error.message);
      const decision = await decideFailure(
        { barcode, error, who: this.#tools.who, onAsked },
        this.#tools,
        signal,
      );
      onWait(undefined);
      if (decision === 'abort') throw error;
      if (decision === 'retry') {
        this.#lostPlaces.forget(barcode);
        this.#offline.delete(barcode);
        isHelped = true;
      } else this.#decided.add(barcode);
    }
    return isHelped;
  }

  async #readExtents(tape: Tape, mediumId: number, signal: AbortSignal): Promise<void> {
    /** Of this one nothing more is wanted; the pieces of an extent follow each other. */
    let broken: WantedExtent | undefined;
    try {
      for await (const piece of readPieces(tape, this.#pieces(mediumId), signal)) {
        const { key } = piece;
        if (broken === key) continue;
        if ('failure' in piece) this.#markBad(key, tape.barcode, piece.failure.message);
        const isWanted = 'bytes' in piece && this.#attempt(key, () => this.#take(key, piece, tape));
        if (!isWanted) broken = key;
        // Of others some parts may still come to be known as bad, for the next round to pass them over.
        if (!isWanted && key.parts === 1) this.#abandon(key.contentId);
        signal.throwIfAborted();
      }
    } finally {
      this.#settleDone();
    }
  }

  *#pieces(mediumId: number): Generator<WantedPiece<WantedExtent>> {
    for (const key of this.#wanted.inTapeOrder(mediumId)) {
      if (this.#skipped.has(key.contentId)) continue;
      const { archiveOffset: offset, storedBytes: lengthBytes } = key.extent;
      yield { key, startBlock: key.startBlock, offset, lengthBytes };
    }
  }

  /** @returns whether more of this extent is wanted */
  #take(key: WantedExtent, { at, bytes }: PieceBytes<WantedExtent>, { barcode }: Tape): boolean {
    const assembly = this.#assembly(key);
    if (at === 0) assembly.begin(key.extent);
    try {
      assembly.take(key.extent, bytes);
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== 'ARCHIVE_INVALID') throw error;
      this.#markBad(key, barcode, error.message);
      return false;
    }
    if (assembly.parts < key.parts) return true;
    if (assembly.isRight()) this.#complete(key, assembly);
    else this.#refuse(key, assembly);
    return false;
  }

  #assembly(key: WantedExtent): Assembly<File> {
    const known = this.#open.get(key.contentId);
    if (known) return known;
    const { contentId, sizeBytes, hash, first, isPlain } = key;
    const file = this.#tools.target.createFile(below(first.entry.path), sizeBytes);
    const segments = isPlain ? undefined : this.#tools.contents.get(contentId)?.segments;
    const content = { sizeBytes, hash, segments };
    const assembly = new Assembly(
      { first, content },
      file,
      this.#idle.pop() ?? new ContentHasher(),
    );
    this.#open.set(contentId, assembly);
    return assembly;
  }

  /** All bytes are here and proven. */
  #complete({ contentId, names, isPlain }: WantedExtent, assembly: Assembly<File>): void {
    const { first, file, content } = assembly;
    if (names > 1) {
      const ranges = isPlain ? undefined : this.#tools.contents.get(contentId)?.ranges;
      const from = { file, ranges: ranges ?? [{ offset: 0, lengthBytes: content.sizeBytes }] };
      for (const { entry } of this.#wanted.namesOf(contentId, first.id)) {
        this.#attemptName(entry, () => this.#copy(from, entry, content.sizeBytes));
      }
    }
    this.#open.delete(contentId);
    this.#done.push(contentId);
    if (this.#done.length >= DONE_MAX) this.#settleDone();
    this.#idle.push(assembly.hasher);
    this.#progress += 1;
    this.#attemptName(first.entry, () => this.#tools.onWhole(first.entry, file));
  }

  #settleDone(): void {
    const done = this.#done;
    this.#done = [];
    this.#wanted.removeContents(done);
  }

  /** The bytes are not those that were stored: copies of the segments that are wrong are marked. */
  #refuse(key: WantedExtent, assembly: Assembly<File>): void {
    const wrong = assembly.wrongRanges();
    for (const chosen of key.parts > 1 ? this.#wanted.chosenOf(key.contentId) : [key]) {
      const { contentOffset, lengthBytes } = chosen.extent;
      const touches = wrong.some(
        ({ offset, lengthBytes: length }) =>
          offset < contentOffset + lengthBytes && contentOffset < offset + length,
      );
      const barcode = this.#tools.media.get(chosen.mediumId).barcode;
      if (touches) this.#markBad(chosen, barcode, 'its bytes are not what was written');
    }
    this.#abandon(key.contentId);
  }

  /** A further file of the same bytes; its holes are holes too. */
  #copy(
    from: { readonly file: File; readonly ranges: readonly DataRange[] },
    entry: NamedInode,
    sizeBytes: number,
  ): void {
    const file = this.#tools.target.createFile(below(entry.path), sizeBytes);
    try {
      const buffer = Buffer.allocUnsafe(COPY_BYTES);
      for (const { offset, lengthBytes } of from.ranges) {
        const end = offset + lengthBytes;
        for (let at = offset; at < end; ) {
          const wanted = buffer.subarray(0, Math.min(COPY_BYTES, end - at));
          const count = from.file.read(wanted, at);
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

  #abandon(contentId: number): void {
    const assembly = this.#open.get(contentId);
    this.#open.delete(contentId);
    assembly?.file.abandon();
  }

  /** Contents of which some parts came and others did not: what came is fetched again with the next round's copies. */
  #abandonOpen(): void {
    for (const assembly of this.#open.values()) assembly.file.abandon();
    this.#open.clear();
    this.#skipped.clear();
  }

  #markBad(chosen: ChosenExtent, barcode: string, reason: string): void {
    const { archiveId, mediumId, extent } = chosen;
    this.#wanted.addTry(chosen);
    this.#progress += 1;
    this.#tools.archives.addDamage({
      archiveId,
      mediumId,
      position: extent.archiveOffset,
      lengthBytes: Math.max(1, extent.storedBytes),
    });
    this.#tools.warn(`${barcode}: ${reason}; another copy is used where there is one`);
  }

  /** What is still wanted has no copy left. */
  #giveUpRest(): void {
    let last = 0;
    let cause: CodedError | undefined;
    for (const { contentId, entry } of this.#wanted.names()) {
      if (contentId !== last) cause = this.#whyOffline(contentId);
      last = contentId;
      this.#tools.onLost(entry, cause ?? noCopy(entry.path));
    }
    this.#wanted.clear();
  }

  #whyOffline(contentId: number): CodedError | undefined {
    if (this.#offline.size === 0) return undefined;
    for (const { copies } of this.#tools.contents.extentsOf(contentId))
      for (const { isGood, barcode } of copies) {
        const cause = isGood ? this.#offline.get(barcode) : undefined;
        if (cause) return cause;
      }
    return undefined;
  }

  async #present(signal: AbortSignal): Promise<ReadonlySet<string>> {
    const { library } = this.#tools;
    const status = await this.#patiently(() => library.status(signal), signal);
    if (!status.changer) return new Set(this.#tools.media.list().map(({ barcode }) => barcode));
    return new Set(status.cartridges.flatMap(({ barcode }) => barcode ?? []));
  }

  /** A name's failure is the report's, not the restore's; a full target ends it. */
  #attemptName(entry: NamedInode, step: () => void): void {
    try {
      step();
    } catch (error) {
      if (!(error instanceof CodedError) || error.code === 'TARGET_FULL') throw error;
      this.#tools.onFailure(entry, error);
    }
  }

  /** The same for the name under which a content is put together: in the next round another one takes its place. */
  #attempt(key: WantedExtent, step: () => boolean): boolean {
    try {
      return step();
    } catch (error) {
      if (!(error instanceof CodedError) || error.code === 'TARGET_FULL') throw error;
      const { contentId } = key;
      const { id, entry } = this.#open.get(contentId)?.first ?? key.first;
      this.#abandon(contentId);
      if (key.parts > 1) this.#skipped.add(contentId);
      this.#progress += 1;
      this.#wanted.removeName(contentId, id);
      this.#tools.onFailure(entry, error);
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
