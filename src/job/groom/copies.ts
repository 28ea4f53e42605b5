/**
 * Copies that a pool's policy asks for and that are missing: whole archives, byte for byte, onto another cartridge of the
 * pool. What cannot be had so is left to others. Read into the spool, proven, written from there: with two drives one is read while
 * the one before is written, with one drive cartridges change once for each spool that is filled.
 */
import { strict as assert } from 'node:assert';
import { Blake3Hasher } from '@napi-rs/blake-hash';
import { findDigest } from '../../archive/digest.ts';
import type { Clock } from '../../base/clock.ts';
import { CodedError } from '../../base/errors.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import {
  type CopiesPolicy,
  type ScarceArchive,
  type Shortage,
  scarceArchives,
  shortageOf,
} from '../../catalog/content/copies-policy.ts';
import { Archives } from '../../catalog/shelf/archives.ts';
import { Media, type Medium } from '../../catalog/shelf/media.ts';
import { attachAsking } from '../../storage/attach.ts';
import type { Library } from '../../storage/library.ts';
import { LostPlaces } from '../../storage/lost-places.ts';
import { ofMedium } from '../../storage/of-medium.ts';
import type { Operator } from '../../storage/operator.ts';
import { AttachFailure } from '../backup/attach-failure.ts';
import type { MediaSet } from '../backup/media-set.ts';
import type { CopyTarget } from '../backup/open-archive.ts';
import { Beside } from './beside.ts';
import type { GroomEvent } from './report.ts';
import type { Spool, SpooledFile, SpoolPart } from './spool.ts';

export type CopyTools = {
  readonly catalog: Catalog;
  readonly library: Library;
  readonly clock: Clock;
  readonly operator: Operator;
  readonly set: MediaSet;
  readonly spool: Spool;
  readonly isSwapped: boolean;
  readonly who: string;
  readonly blockBytes: number;
  /** What lacks copies now; left out: what lacks them by the policy. */
  scarce?(): readonly ScarceArchive[];
  listen(event: GroomEvent): void;
  warn(message: string): void;
  onWait(reason: string | undefined): void;
};

export type Copied = {
  readonly archives: number;
  readonly bytes: number;
  /** What is missing still. */
  readonly left: Shortage;
};

type Read = { readonly archive: ScarceArchive; readonly file: SpooledFile };

const NOT_ASKED: Shortage = { contents: 0, bytes: 0, onlyElsewhere: 0 };
/** A journal and the end of a tape want some room behind the copy. */
const SLACK_BLOCKS = 4;
/** Archives between two moments in which others may have the drives: some twenty minutes. */
const PORTION_MAX = 16;
/** Failures that another cartridge may not have. */
const OF_MEDIUM: ReadonlySet<string | undefined> = new Set([
  'operator',
  'other-copy',
  'other-medium',
  'prove-position',
]);

export class CopyMaker {
  readonly #tools: CopyTools;
  readonly #archives: Archives;
  readonly #media: Media;
  /** A wish to stop is heard between archives: one that is begun is ended properly. */
  readonly #steady = new AbortController().signal;
  /** Archives for which there is no room. */
  readonly #passedOver = new Set<number>();
  /** Those that cannot be read there, by medium; and media that are not to be had. */
  readonly #unreadable = new Map<number, Set<number>>();
  readonly #absent = new Set<number>();
  readonly #lostPlaces = new LostPlaces<number>();
  #count = 0;
  #bytes = 0;

  constructor(tools: CopyTools) {
    this.#tools = tools;
    this.#archives = new Archives(tools.catalog);
    this.#media = new Media(tools.catalog);
  }

  /**
   * Until every archive that would help is copied, as often as the policy says.
   * @throws CodedError MEDIUM_FULL where no other medium has room; failures of drives
   */
  async run(policy: CopiesPolicy, signal: AbortSignal): Promise<Copied> {
    const { catalog, spool, set, scarce } = this.#tools;
    for (;;) {
      signal.throwIfAborted();
      await set.handOver(signal);
      const left = scarce ? NOT_ASKED : shortageOf(catalog, policy);
      const wanted = this.#choose(scarce?.() ?? scarceArchives(catalog, policy));
      if (wanted.length === 0) {
        await set.verify(signal);
        return { archives: this.#count, bytes: this.#bytes, left };
      }
      if (this.#isOneByOne) {
        if (this.#tools.isSwapped) {
          await set.verify(signal);
          await set.close();
        }
        const read: Read[] = [];
        spool.part(0).clear();
        const into = (_bytes: number) => Promise.resolve(spool.part(0));
        for await (const one of this.#read(this.#portion(wanted), into, signal)) read.push(one);
        for (const one of read) await this.#write(one, signal);
      } else await this.#stream(this.#portion(wanted), signal);
    }
  }

  /** With one drive; and where a person loads them. */
  get #isOneByOne(): boolean {
    return this.#tools.isSwapped || this.#tools.library.isByHand;
  }

  /** From one cartridge to another, as far as the spool takes two archives at a time. */
  async #stream(portion: readonly ScarceArchive[], signal: AbortSignal): Promise<void> {
    const { spool } = this.#tools;
    const beside = new Beside(signal);
    let turn = 0;
    let writingBytes = 0;
    const into = async (bytes: number) => {
      if (bytes + writingBytes > spool.bytesMax) await beside.settled();
      const part = spool.part(turn % 2);
      part.clear();
      return part;
    };
    await beside.with(async () => {
      for await (const one of this.#read(portion, into, beside.signal)) {
        await beside.begin(() => this.#write(one, beside.signal));
        turn += 1;
        writingBytes = one.archive.lengthBlocks * one.archive.blockBytes;
      }
    });
  }

  /** Each archive once, from a medium that may give it back; undamaged ones first. */
  #choose(scarce: readonly ScarceArchive[]): ScarceArchive[] {
    const chosen = new Map<number, ScarceArchive>();
    for (const archive of scarce) {
      const { archiveId, mediumId, isDamaged } = archive;
      const isOut =
        this.#passedOver.has(archiveId) ||
        this.#absent.has(mediumId) ||
        this.#unreadable.get(mediumId)?.has(archiveId) === true;
      const known = chosen.get(archiveId);
      if (!isOut && (!known || (known.isDamaged && !isDamaged))) chosen.set(archiveId, archive);
    }
    return [...chosen.values()].sort(
      (a, b) => a.mediumId - b.mediumId || a.fileNumber - b.fileNumber,
    );
  }

  /** What one cartridge has of them, with one drive as much as the spool takes. */
  #portion(wanted: readonly ScarceArchive[]): ScarceArchive[] {
    const [first] = wanted;
    assert(first);
    let bytes = 0;
    const portion: ScarceArchive[] = [];
    for (const archive of wanted) {
      const size = archive.lengthBlocks * archive.blockBytes;
      if (size > this.#tools.spool.bytesMax)
        this.#passOver(archive, 'the spool is too small for it, its files are copied one by one');
      const isBeyond = this.#isOneByOne && bytes + size > this.#tools.spool.bytesMax;
      if (portion.length === PORTION_MAX) break;
      if (archive.mediumId !== first.mediumId || isBeyond || size > this.#tools.spool.bytesMax)
        continue;
      bytes += size;
      portion.push(archive);
    }
    return portion;
  }

  #passOver(archive: ScarceArchive, why: string): void {
    this.#passedOver.add(archive.archiveId);
    this.#warn(archive, why);
  }

  /** Others may have what it has, or another try may. @throws what no other medium would help */
  #passOverMedium({ id, barcode }: Medium, error: unknown): undefined {
    const retry = error instanceof CodedError ? error.failure.retry : undefined;
    if (!(error instanceof CodedError) || !OF_MEDIUM.has(retry)) throw error;
    if (this.#isAskedAgain(id, error)) return undefined;
    this.#absent.add(id);
    this.#tools.warn(`nothing is copied from ${barcode}: ${error.message}`);
    return undefined;
  }

  /** A medium that is written to failed: it is tried again, or not written in this run any more. */
  async #setBack(mediumId: number, error: CodedError): Promise<void> {
    const { set } = this.#tools;
    if (this.#isAskedAgain(mediumId, error)) await set.detach(mediumId);
    else await set.drop(mediumId, error);
  }

  #isAskedAgain(mediumId: number, error: CodedError): boolean {
    const isAsked = this.#lostPlaces.mayTryAgain(mediumId, error);
    if (isAsked) this.#tools.warn(ofMedium(this.#media.get(mediumId).barcode, error));
    return isAsked;
  }

  /** Another medium may have it. */
  #passOverThere(archive: ScarceArchive, why: string): void {
    const { archiveId, mediumId } = archive;
    const known = this.#unreadable.get(mediumId) ?? new Set();
    this.#unreadable.set(mediumId, known.add(archiveId));
    this.#warn(archive, why);
  }

  #warn({ mediumId }: ScarceArchive, why: string): void {
    const { barcode } = this.#media.get(mediumId);
    this.#tools.warn(`an archive of ${barcode} is not copied: ${why}`);
  }

  /** @param into where the next one goes, of so many bytes */
  async *#read(
    portion: readonly ScarceArchive[],
    into: (bytes: number) => Promise<SpoolPart>,
    signal: AbortSignal,
  ): AsyncGenerator<Read> {
    const [first] = portion;
    if (!first) return;
    const { library, operator, clock, set, who, onWait, listen } = this.#tools;
    const medium = this.#media.get(first.mediumId);
    await set.letGo(medium.barcode, signal);
    assert(medium.uuid !== undefined);
    const wanted = { ...medium, uuid: medium.uuid };
    const waiting = { who, contents: portion.length, readers: undefined };
    const tools = { library, operator, clock };
    const tape = await attachAsking({ medium: wanted, waiting, onWait }, tools, signal).catch(
      (error: unknown) => this.#passOverMedium(medium, error),
    );
    if (!tape) return;
    try {
      listen({ event: 'medium', barcode: medium.barcode, drive: null });
      const buffer = Buffer.alloc(tape.blockBytes);
      for (const archive of portion) {
        const bytes = archive.lengthBlocks * archive.blockBytes;
        const file = (await into(bytes)).createFile(bytes);
        const hasher = new Blake3Hasher();
        let at = 0;
        try {
          for await (const block of tape.blocks(archive.startBlock, buffer, signal)) {
            file.write(block, at);
            at += block.length;
            signal.throwIfAborted();
          }
        } catch (error) {
          if (!(error instanceof CodedError) || error.code !== 'MEDIUM_UNREADABLE') {
            if (signal.aborted) throw error;
            return this.#passOverMedium(medium, error);
          }
          this.#passOverThere(archive, error.message);
          continue;
        }
        if (at === archive.lengthBlocks * archive.blockBytes && isRight(archive, file, hasher))
          yield { archive, file };
        else this.#passOverThere(archive, 'it reads back other bytes than were written');
      }
    } finally {
      await tape.close();
    }
  }

  async #write({ archive, file }: Read, signal: AbortSignal): Promise<void> {
    const { set } = this.#tools;
    signal.throwIfAborted();
    const target = await this.#target(archive, signal);
    if (!target) return this.#passOver(archive, 'no other medium of the pool has room for it');
    const { tape, mediumId } = target;
    const { archiveId, lengthBlocks, blockBytes } = archive;
    let startBlock: number;
    try {
      const written = await tape.beginArchive(this.#steady);
      ({ startBlock } = written);
      const { fileNumber } = written;
      this.#archives.beginCopy(archiveId, { mediumId, fileNumber, startBlock });
      const block = Buffer.alloc(blockBytes);
      for (let index = 0; index < lengthBlocks; index += 1) {
        file.read(block, index * blockBytes);
        await written.writeBlock(block, this.#steady);
      }
      await written.finish(this.#steady);
    } catch (error) {
      this.#archives.abandonCopy(archiveId, mediumId);
      if (!(error instanceof CodedError) || error.code === 'INTERRUPTED') throw error;
      return this.#setBack(mediumId, error);
    }
    this.#archives.commitCopy(archiveId, mediumId, lengthBlocks);
    const { blake3 } = archive;
    const lengthBytes = coveredBytes(file, archive);
    set.keepProofs(mediumId, [{ archiveId, startBlock, lengthBytes, blake3 }]);
    await tape.countArchive(this.#steady);
    set.room.grown();
    this.#count += 1;
    this.#bytes += lengthBlocks * blockBytes;
    const media = [tape.barcode];
    this.#tools.listen({ event: 'archive', media, entries: 0, bytes: lengthBlocks * blockBytes });
  }

  /** Undefined where it is not to be had, or cannot be written: another one may. */
  async #attach(barcode: string, signal: AbortSignal): Promise<CopyTarget | undefined> {
    const { set } = this.#tools;
    try {
      const [target] = await set.attach([barcode], signal);
      return target;
    } catch (error) {
      if (!(error instanceof AttachFailure)) throw error;
      const { mediumId, failure } = error;
      if (!OF_MEDIUM.has(failure.failure.retry)) throw failure;
      await this.#setBack(mediumId, failure);
      return undefined;
    }
  }

  /** The one in the drive, else one that is begun, else a scratch one; none that has the archive. */
  async #target(archive: ScarceArchive, signal: AbortSignal): Promise<CopyTarget | undefined> {
    const { set } = this.#tools;
    const bytes = (archive.lengthBlocks + SLACK_BLOCKS) * archive.blockBytes;
    const holders = new Set(archive.holders.map((id) => set.barcodeOf(id)));
    for (;;) {
      const rooms = await set.roomsToWrite(signal);
      const attached = set.attached.map(({ tape }) => tape.barcode);
      const fits = rooms.filter(({ key, roomBytes }) => roomBytes >= bytes && !holders.has(key));
      const best =
        fits.find(({ key }) => attached.includes(key)) ??
        fits.find(({ state }) => state === 'appendable') ??
        fits[0];
      if (!best) return undefined;
      const target = await this.#attach(best.key, signal);
      if (set.isOtherwise) continue;
      // Blocks are as the label says: an archive of others does not fit between them.
      if (target?.tape.blockBytes === archive.blockBytes) return target;
      holders.add(best.key);
    }
  }
}

/** The digest stands behind what it covers: its own member and zeros follow (archive/FORMAT.md section 3.2). */
function isRight(archive: ScarceArchive, file: SpooledFile, hasher: Blake3Hasher): boolean {
  const covered = coveredBytes(file, archive);
  if (covered === 0) return false;
  const buffer = Buffer.alloc(2 ** 20);
  for (let at = 0; at < covered; ) {
    const part = buffer.subarray(0, Math.min(buffer.length, covered - at));
    file.read(part, at);
    hasher.update(part);
    at += part.length;
  }
  return hasher.digestBuffer().equals(archive.blake3);
}

/** Bytes that the archive's own digest says it covers; 0 where there is no digest. */
function coveredBytes(file: SpooledFile, { lengthBlocks, blockBytes }: ScarceArchive): number {
  const tail = Buffer.alloc(Math.min(2, lengthBlocks) * blockBytes);
  const lengthBytes = lengthBlocks * blockBytes;
  file.read(tail, lengthBytes - tail.length);
  return findDigest(tail, lengthBytes)?.lengthBytes ?? 0;
}
