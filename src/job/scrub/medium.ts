/** What is read of one medium, over as many stays in a drive as it takes; and what the catalog is told of it. */
import { setImmediate as turn } from 'node:timers/promises';
import { rawText } from '../../base/raw.ts';
import { Damages } from '../../catalog/care/damages.ts';
import { type CopyToRead, ReadBack } from '../../catalog/care/read-back.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { Contents } from '../../catalog/content/contents.ts';
import { Archives } from '../../catalog/shelf/archives.ts';
import { Media, type Medium } from '../../catalog/shelf/media.ts';
import type { Tape } from '../../storage/tape.ts';
import type { ScrubJob } from './begin.ts';
import { CartridgeScrub } from './cartridge.ts';
import type { Verdict } from './check.ts';
import { bytesOf } from './choose.ts';
import { touchesAny } from './contents.ts';
import { type Finding, HARMLESS } from './report.ts';
import type { StreamHasher } from './stream.ts';
import type { ScrubTally } from './tally.ts';

export type KnownMedium = Medium & { readonly uuid: string };

export type MediumTools = {
  readonly catalog: Catalog;
  readonly job: ScrubJob;
  readonly tally: ScrubTally;
  readonly hasher: StreamHasher;
  readonly isQuick: boolean;
  /** Between two archives: others may have the drive. @returns whether they had it, and the tape was let go of */
  between(tape: Tape): Promise<boolean>;
};

/** A cartridge may have millions. */
const FILES_A_TURN = 1000;

export class MediumScrub {
  readonly #medium: KnownMedium;
  readonly #tools: MediumTools;
  readonly #left: CopyToRead[];
  readonly #archives: Archives;
  readonly #damages: Damages;
  readonly #readBack: ReadBack;
  readonly #contents: Contents;
  readonly #startBytes: number;
  #isLabelRead = false;
  #count = 0;
  #findings = 0;
  #isDamaged: boolean;

  /** @param copies in order of tape */
  constructor(medium: KnownMedium, copies: readonly CopyToRead[], tools: MediumTools) {
    const { catalog, tally, job } = tools;
    this.#medium = medium;
    this.#tools = tools;
    this.#left = [...copies];
    this.#archives = new Archives(catalog);
    this.#damages = new Damages(catalog);
    this.#readBack = catalog.part(ReadBack);
    this.#contents = new Contents(catalog);
    this.#startBytes = tally.bytes;
    this.#isDamaged = job.damagedMedia.has(medium.id);
  }

  get copiesLeft(): number {
    return this.#left.length;
  }

  /**
   * Goes on where an earlier stay has ended.
   * @returns whether all was read; else the tape was let go of for others
   * @throws CodedError the drive's failures
   */
  async read(tape: Tape, signal: AbortSignal): Promise<boolean> {
    const { hasher, tally, isQuick } = this.#tools;
    const onBlock = (bytes: number) => tally.read(bytes);
    const tools = { readBack: this.#readBack, contents: this.#contents, hasher, onBlock };
    const cartridge = new CartridgeScrub(tape, { medium: this.#medium, tools }, signal);
    tally.loaded(this.#medium.barcode, tape.drive.name);
    if (!this.#isLabelRead) {
      tally.at = { barcode: this.#medium.barcode, file: 0 };
      this.#tell(await cartridge.label(), { file: 0 });
      this.#isLabelRead = true;
    }
    for (let copy = this.#left[0]; copy; copy = this.#left[0]) {
      tally.at = { barcode: this.#medium.barcode, file: copy.fileNumber };
      if (isQuick) this.#tell(await cartridge.journal(copy), where(copy));
      else this.#record(copy, await cartridge.check(copy));
      this.#left.shift();
      this.#count += 1;
      if (this.#left.length > 0 && (await this.#tools.between(tape))) return false;
    }
    const now = new Media(this.#tools.catalog).get(this.#medium.id);
    this.#tell(await cartridge.endOfData(now), {});
    await this.#end(signal);
    return true;
  }

  #record(copy: CopyToRead, verdict: Verdict): void {
    const { catalog, tally, job } = this.#tools;
    const { archiveId, mediumId, uuid: archive, fileNumber: file } = copy;
    const { state, ranges, undecided, findings } = verdict;
    this.#readBack.forget();
    catalog.write(() => {
      if (!this.#readBack.isThere(copy)) return;
      const kept = this.#damages.of(copy).filter((range) => touchesAny(range, undecided));
      this.#damages.replace(copy, [...ranges, ...kept]);
      if (state === 'right') this.#archives.markCopy(archiveId, mediumId, 'good');
      if (state === 'unreadable') this.#archives.markCopy(archiveId, mediumId, 'bad');
      if (state !== 'right') {
        this.#readBack.suspect(mediumId);
        job.addDamaged(copy);
      }
    });
    this.#isDamaged ||= state !== 'right';
    const { barcode } = this.#medium;
    tally.archive({ barcode, file, archive, state, bytes: bytesOf(copy) });
    this.#tell(findings, where(copy));
  }

  #tell(findings: readonly Finding[], at: { file?: number; archive?: string }): void {
    const { barcode, id } = this.#medium;
    for (const finding of findings) {
      this.#findings += 1;
      this.#tools.tally.finding({ ...finding, barcode, ...at });
      if (!HARMLESS.has(finding.kind)) this.#readBack.suspect(id);
    }
  }

  async #end(signal: AbortSignal): Promise<void> {
    const { catalog, tally } = this.#tools;
    const { barcode, id } = this.#medium;
    let told = 0;
    if (this.#isDamaged)
      for (const file of this.#damages.filesOn(id)) {
        told += 1;
        if (told % FILES_A_TURN === 0) {
          await turn();
          signal.throwIfAborted();
        }
        const { path, host, sizeBytes: bytes, first, last, elsewhere, isSafe } = file;
        tally.damaged({
          barcode,
          path: rawText(path),
          host,
          bytes,
          first,
          last,
          elsewhere,
          isSafe,
        });
      }
    tally.medium({
      barcode,
      state: new Media(catalog).get(id).state,
      archives: this.#count,
      bytes: tally.bytes - this.#startBytes,
      findings: this.#findings,
    });
  }
}

function where({ fileNumber, uuid }: CopyToRead) {
  return { file: fileNumber, archive: uuid };
}
