/** From what was found on the cartridges to a catalog: the newest copy, where there is one, and all journals since. */
import type { Clock } from '../../base/clock.ts';
import { CodedError } from '../../base/errors.ts';
import type { Host } from '../../base/machine.ts';
import { printable } from '../../base/text.ts';
import { Catalog } from '../../catalog/catalog.ts';
import { Jobs, type LogLine } from '../../catalog/job/jobs.ts';
import { lostContents, touchClock } from '../../catalog/rebuild/facts.ts';
import { Rebuild } from '../../catalog/rebuild/rebuild.ts';
import {
  type NumberedArchive,
  Shelf,
  type ShelfArchive,
  type ShelfMedium,
} from '../../catalog/rebuild/shelf.ts';
import { sumDeadBytes } from '../../catalog/shelf/capacity.ts';
import { GENERATIONS, isDriveGeneration, parseGeneration } from '../../domain/generation.ts';
import type { HeldDrive } from '../../storage/drives.ts';
import { findHoles } from './holes.ts';
import type { PartsFound } from './parts.ts';
import type { FoundFile, FoundMedium, Spool } from './spool.ts';
import { createdMs, groomsAmong, inOrderOfTime, type Standing } from './standing.ts';
import { mediaNamed } from './survey.ts';
import { type TellTools, tellJournal } from './tell.ts';
import { type EndedRuns, WholeRuns } from './whole-runs.ts';
import { WithoutJournal } from './without-journal.ts';

export type BuildTools = {
  readonly clock: Clock;
  readonly host: Host;
  readonly pid: number;
  readonly spool: Spool;
  readonly jobUuid: string;
  readonly parameters: unknown;
  /** Brings a cartridge that was read before into a drive. */
  readonly hold: (barcode: string) => Promise<HeldDrive>;
  warn(message: string): void;
  onEntries(entries: number): void;
};

export type Built = {
  readonly job: number;
  readonly archives: number;
  readonly journals: number;
  readonly entries: number;
  readonly snapshots: number;
  readonly missing: readonly string[];
  readonly lost: { readonly contents: number; readonly bytes: number };
};

/**
 * @param path of the catalog, which is made where there is none
 * @param found.base a copy of the catalog found on a medium, or the catalog that is in use
 */
export async function buildCatalog(
  path: string,
  found: { readonly media: readonly FoundMedium[]; readonly base: 'none' | 'copy' | 'own' },
  tools: BuildTools,
  signal: AbortSignal,
): Promise<Built> {
  const { clock } = tools;
  const catalog =
    found.base === 'none'
      ? Catalog.create(path, clock)
      : Catalog.open(path, { mode: 'write', clock });
  try {
    return await new Builder(catalog, tools, found.base === 'own').build(found.media, signal);
  } finally {
    catalog.close();
  }
}

class Builder {
  readonly #catalog: Catalog;
  readonly #tools: BuildTools;
  readonly #shelf: Shelf;
  readonly #isMerge: boolean;
  readonly #warnings: string[] = [];
  #entries = 0;
  #journals = 0;

  constructor(catalog: Catalog, tools: BuildTools, isMerge: boolean) {
    this.#catalog = catalog;
    this.#tools = tools;
    this.#isMerge = isMerge;
    this.#shelf = new Shelf(catalog);
  }

  async build(media: readonly FoundMedium[], signal: AbortSignal): Promise<Built> {
    const rebuild = new Rebuild(this.#catalog);
    const known = this.#shelf.archivesIn('good');
    const torn = this.#shelf.archivesIn('torn');
    const groomsKnown = this.#shelf.grooms();
    const ofRuns = this.#shelf.archivesOfRuns();
    const standing = this.#shelve(media);
    rebuild.extents.readShelf();
    const grooms = groomsAmong(standing, groomsKnown);
    const isLacking = isAnyLacking(media);
    await this.#tell(rebuild, { standing, known, torn, ofRuns, grooms, isLacking }, signal);
    const job = new Jobs(this.#catalog).add({
      uuid: this.#tools.jobUuid,
      verb: 'recover',
      host: this.#tools.host.name,
      os: this.#tools.host.system,
      pid: this.#tools.pid,
      parameters: this.#tools.parameters,
    });
    const { refused, missing, strays } = rebuild.finish(job, 'end');
    if (strays > 0)
      this.#warn(
        `${strays} files are known from archives of a groom whose journals cannot be read, and no run names them: the oldest snapshot shows them, and no other; it is on hold`,
      );
    if (refused > 0)
      this.#warn(
        `${refused} places of contents are told by journals, but not by those of the archives they name: they do not count`,
      );
    const warn = (message: string) => this.#warn(message);
    await findHoles(this.#catalog, { hold: this.#tools.hold, warn }, signal);
    sumDeadBytes(this.#catalog);
    touchClock(this.#catalog, newestOf(media));
    return this.#end(job, missing);
  }

  #end(job: number, missing: readonly string[]): Built {
    const lost = lostContents(this.#catalog);
    const count = (table: string) =>
      this.#catalog.prepare<[number]>(`SELECT count(*) FROM ${table}`).get()?.[0] ?? 0;
    const built = {
      job,
      missing,
      lost,
      entries: this.#entries,
      journals: this.#journals,
      archives: count('archives'),
      snapshots: count('snapshots WHERE expired_by IS NULL'),
    };
    const jobs = new Jobs(this.#catalog);
    const timeMs = this.#tools.clock.nowMs();
    const lines = this.#warnings.map((message): LogLine => {
      return { jobNumber: job, timeMs, level: 'warning', message };
    });
    jobs.log(lines);
    jobs.setReport(job, built);
    jobs.setState(job, 'finished');
    return built;
  }

  /** Media and archives as they are; what the catalog believed to be there besides is lost. */
  #shelve(media: readonly FoundMedium[]): Standing[] {
    const shelf = this.#shelf;
    const standing: Standing[] = [];
    for (const medium of media) {
      const { label, files } = medium;
      const archives = files.map(({ opening }) => opening?.uuid);
      if (shelf.isGivenUp(label.uuid, archives)) continue;
      if (shelf.isContradicted(label)) {
        const barcode = printable(label.barcode);
        this.#warn(`${barcode} carries the label of another cartridge: nothing of it counts`);
        continue;
      }
      if (this.#isMerge && shelf.endsEarly(label.uuid, medium)) {
        this.#warn(
          `${printable(label.barcode)} ends before the data that the catalog knows on it: it is left as it is; scrub it`,
        );
        continue;
      }
      const mediumId = shelf.addMedium(shelfMedium(medium));
      const here: Standing[] = [];
      for (const file of medium.files) {
        const { opening } = file;
        if (!opening) continue;
        const archiveId = shelf.addArchive(shelfArchive(file, opening, { medium, mediumId }));
        const { barcode, blockBytes } = medium.label;
        here.push({ ...file, opening, mediumId, archiveId, barcode, blockBytes });
      }
      // Where a tape file's beginning cannot be read nobody knows that it is another.
      const isWhole = medium.files.every(({ opening }) => opening !== undefined);
      const ids = new Set(here.map(({ archiveId }) => archiveId));
      if (isWhole && medium.files.length + 1 >= medium.endFile) shelf.loseOthers(mediumId, ids);
      standing.push(...here);
    }
    for (const { opening, archiveId, digest } of standing) {
      const { completes } = opening;
      if (completes && digest) shelf.complete(completes.uuid, archiveId, completes.wholeBytes);
    }
    shelf.tearUnfinished();
    return standing;
  }

  /** In order of time; of two copies of an archive the journal that can be read; of those with none their members. */
  async #tell(
    rebuild: Rebuild,
    given: {
      readonly standing: readonly Standing[];
      readonly known: ReadonlySet<string>;
      readonly torn: ReadonlySet<string>;
      /** The catalog's archives of runs in progress, by job. */
      readonly ofRuns: ReadonlyMap<string, readonly NumberedArchive[]>;
      readonly grooms: ReadonlySet<string>;
      /** Whether there is, or was, more than could be looked through. */
      readonly isLacking: boolean;
    },
    signal: AbortSignal,
  ) {
    const { grooms } = given;
    let { isLacking } = given;
    const standing = given.standing.filter(({ opening }) => !given.known.has(opening.uuid));
    const warn = (message: string) => this.#warn(message);
    const { hold } = this.#tools;
    const others = new WithoutJournal(rebuild, grooms, { shelf: this.#shelf, hold, warn });
    const whole = new WholeRuns(given.standing, { grooms, known: given.ofRuns });
    const byUuid = new Map(standing.map((one) => [one.opening.uuid, one.archiveId]));
    const completed = new Set<number>();
    for (const { archiveId, opening, journal } of standing) {
      if (!journal) continue;
      rebuild.extents.speaks(archiveId);
      const torn = opening.completes && byUuid.get(opening.completes.uuid);
      if (torn === undefined) continue;
      rebuild.extents.speaks(torn);
      completed.add(torn);
      whole.isTold(opening.completes?.uuid ?? '');
    }
    const done = new Set(completed);
    const ofJob = Map.groupBy(given.standing, ({ opening }) => opening.job.uuid);
    const telling = { byUuid, ofJob, parts: others.parts, signal };
    for (const one of inOrderOfTime(standing)) {
      if (done.has(one.archiveId)) continue;
      const ended = await this.#tellOne(rebuild, one, telling);
      if (ended) {
        whole.isTold(one.opening.uuid, ended);
        done.add(one.archiveId);
      }
      // What the catalog knows to be torn it has stored again since.
      if (ended || given.torn.has(one.opening.uuid)) continue;
      const found = await others.salvage(one, signal);
      // A torn one had no journal: what was in it was told later.
      if (found && !found.hasJournal && one.digest === undefined) whole.isTorn(one.opening.uuid);
      else isLacking = true;
      if (found && found.entries + found.parts > 0) done.add(one.archiveId);
    }
    this.#entries += others.entries;
    const { lacking } = await others.completeParts(given.standing, signal);
    if (lacking > 0) this.#warn(`${lacking} files are not whole: some of their parts are not here`);
    for (const uuid of whole.lacking(isLacking)) rebuild.runs.lacks(uuid);
    for (const one of standing) if (completed.has(one.archiveId)) await others.prove(one, signal);
  }

  /** @returns the runs whose end it tells; undefined where there is no journal, or it broke off */
  async #tellOne(
    rebuild: Rebuild,
    { archiveId, opening, journal }: Standing,
    {
      byUuid,
      ofJob,
      parts,
      signal,
    }: {
      byUuid: ReadonlyMap<string, number>;
      ofJob: ReadonlyMap<string, readonly Standing[]>;
      parts: PartsFound;
      signal: AbortSignal;
    },
  ): Promise<EndedRuns | undefined> {
    if (!journal) return undefined;
    const torn = opening.completes && byUuid.get(opening.completes.uuid);
    // Where a file's parts lie in several archives of a job, the journal of the last one may be the only one to tell.
    const before = (ofJob.get(opening.job.uuid) ?? []).filter(
      (other) =>
        other.opening.sequence < opening.sequence && createdMs(other) <= createdMs({ opening }),
    );
    const own = new Set(
      [archiveId, torn, ...before.map((other) => other.archiveId)].filter((id) => id !== undefined),
    );
    const teller = { own, createdMs: Date.parse(opening.created), blockBytes: opening.blockBytes };
    const lines = this.#tools.spool.journal(journal);
    const warn = (message: string) => this.#warn(message);
    const onEntries = (count: number) => {
      this.#entries += count;
      this.#tools.onEntries(this.#entries);
    };
    try {
      const telling = { archiveId, teller, lines };
      const tools = { rebuild, shelf: this.#shelf, warn, onEntries };
      const onParts: TellTools['onParts'] = ({ entry, ...of }) => {
        const { createdMs: toldMs } = teller;
        for (const places of entry.copies)
          parts.add({ ...of, entry, kind: 'stored', places, createdMs: toldMs }, false);
      };
      const ended = await tellJournal(telling, { ...tools, onParts }, signal);
      this.#journals += 1;
      if (journal.isCut)
        this.#warn(
          `the journal of archive ${opening.uuid} is not what was written behind its first ${journal.lengthBytes} bytes`,
        );
      return journal.isCut ? undefined : ended;
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== 'ARCHIVE_INVALID') throw error;
      this.#warn(`the journal of archive ${opening.uuid} breaks off: ${printable(error.message)}`);
      return undefined;
    }
  }

  #warn(message: string): void {
    this.#warnings.push(message);
    this.#tools.warn(message);
  }
}

/** Cartridges that journals name and that are not here, or places of those that are here that could not be read. */
function isAnyLacking(media: readonly FoundMedium[]): boolean {
  const here = new Set(media.map(({ label }) => label.barcode));
  const isUnread = ({ opening, digest, journal }: FoundFile) =>
    opening === undefined || (digest && !journal) || journal?.isCut;
  return (
    mediaNamed(media).some((barcode) => !here.has(barcode)) ||
    media.some(({ files, endFile }) => files.some(isUnread) || files.length + 1 < endFile)
  );
}

function newestOf(media: readonly FoundMedium[]): number {
  const times = media.flatMap(({ label, files }) => [
    Date.parse(label.created),
    ...files.flatMap(({ opening }) => (opening ? [Date.parse(opening.created)] : [])),
  ]);
  return Math.max(0, ...times.filter((time) => !Number.isNaN(time)));
}

function shelfMedium({ label, files, ...found }: FoundMedium): ShelfMedium {
  const { uuid, barcode, pool, set, generation, blockBytes } = label;
  const parsed = parseGeneration(generation)?.name;
  const native = parsed && isDriveGeneration(parsed) ? GENERATIONS[parsed].nativeBytes : 0;
  return {
    ...{ uuid, barcode, pool, generation, blockBytes },
    setUuid: set.uuid,
    setNumber: set.number,
    createdMs: Date.parse(label.created),
    writeGeneration: found.writeGeneration,
    capacityBytes: found.maximumMib === undefined ? native : found.maximumMib * 2 ** 20,
    nextFile: found.endFile,
    nextBlock: found.endBlock,
    archives: files.length,
    label: { ...label, ...(found.serialNumber && { serialNumber: found.serialNumber }) },
  };
}

function shelfArchive(
  { digest, journal, ...file }: FoundFile,
  { uuid, job, host, sequence, created }: NonNullable<FoundFile['opening']>,
  on: { readonly medium: FoundMedium; readonly mediumId: number },
): ShelfArchive {
  return {
    ...{ uuid, sequence },
    job: { ...job, host },
    blockBytes: on.medium.label.blockBytes,
    createdMs: Date.parse(created),
    lengthBlocks: file.lengthBlocks,
    digest: digest && {
      blake3: Buffer.from(digest.blake3, 'hex'),
      sha256: digest.sha256 === undefined ? undefined : Buffer.from(digest.sha256, 'hex'),
      lengthBytes: digest.lengthBytes,
    },
    journalBytes: journal?.lengthBytes,
    copies: (journal?.copies ?? []).map(({ position, lengthBytes, taken }) => {
      return { position, lengthBytes, takenMs: Date.parse(taken) };
    }),
    place: { mediumId: on.mediumId, fileNumber: file.file, startBlock: file.startBlock },
  };
}
