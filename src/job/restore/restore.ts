/**
 * Restore: entries as of a snapshot, brought back below a directory.
 *
 * Each cartridge is loaded once and read forward once. A file has its name only when its bytes have proven right and its
 * attributes are set; what is there already is kept, so a second run fetches only what is missing. Bytes that cannot be
 * read, or read wrong, mark the copy and are taken from another one.
 */
import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../../base/clock.ts';
import { CodedError, type FailureCode } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';
import { type Raw, rawText } from '../../base/raw.ts';
import { Archives } from '../../catalog/archives.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { Contents } from '../../catalog/contents.ts';
import type { Inode } from '../../catalog/inodes.ts';
import { Media } from '../../catalog/media.ts';
import type { Snapshot } from '../../catalog/snapshots.ts';
import { type PathEntry, Tree } from '../../catalog/tree.ts';
import { parseGeneration } from '../../domain/generation.ts';
import { ContentHasher } from '../../hash/content-hasher.ts';
import { tapeTimes } from '../../pack/forecast.ts';
import type { ScannedEntry } from '../../source/directory.ts';
import { TargetTree } from '../../source/target.ts';
import type { Library } from '../../storage/library.ts';
import { Tape } from '../../storage/tape.ts';
import { inTapeOrder, readPieces } from '../../storage/tape-reader.ts';
import { Assembly } from './assembly.ts';
import { byMedium, type ChosenExtent, CopyChooser, type WantedContent } from './plan.ts';

export type RestoreRequest = {
  /** Absolute and normal; with everything below. */
  readonly paths: readonly Raw[];
  readonly hostId: number;
  readonly snapshot: Snapshot;
  /** An existing directory. */
  readonly to: Raw;
  readonly overwrite: boolean;
};

export type RestoreTools = {
  readonly catalog: Catalog;
  readonly library: Library;
  readonly clock: Clock;
  readonly random: Random;
};

export type RestorePlan = {
  readonly files: number;
  readonly bytes: number;
  readonly media: readonly {
    readonly barcode: string;
    readonly location: string | null;
    readonly files: number;
    readonly bytes: number;
    /** To load it, go through what is wanted and put it back, by the drives' data sheets. */
    readonly minutes: number;
  }[];
  /** Files without a good copy; printable. */
  readonly lost: readonly string[];
};

export type RestoreReport = {
  readonly restored: number;
  readonly kept: number;
  readonly bytes: number;
  readonly media: readonly string[];
  readonly failed: readonly RestoreFailure[];
  /** What could not be set, such as owners by an ordinary user: reason and how often. */
  readonly notSet: Readonly<Record<string, number>>;
  readonly seconds: number;
};

export type RestoreFailure = {
  /** For people. */
  readonly path: string;
  readonly reason: string;
  readonly code: FailureCode;
};

export type RestoreEvent =
  | { readonly event: 'plan'; readonly plan: RestorePlan }
  | { readonly event: 'medium'; readonly barcode: string }
  | { readonly event: 'file'; readonly path: string; readonly bytes: number }
  | { readonly event: 'warning'; readonly message: string };

/** Names of one content: all get the same bytes. */
type Want = { readonly contentId: number; readonly names: PathEntry[] };

type Chosen = { readonly want: Want; readonly wanted: WantedContent };

const COPY_BYTES = 2 ** 20;
/** Between two archives of one cartridge; half of an LTO-9 drive's mean locate, which is over the whole tape. */
const LOCATE_SECONDS = 30;
const GENERATION_DEFAULT = 'LTO-9';
const ENTRIES_A_TURN = 1000;

/** What would be read. Nothing is made. */
export async function planRestore(
  request: RestoreRequest,
  tools: RestoreTools,
  signal: AbortSignal,
): Promise<RestorePlan> {
  const job = new RestoreJob(request, tools, () => {});
  try {
    await job.collect('plan', signal);
    return (await job.plan(signal)).plan;
  } finally {
    job.close();
  }
}

/** @throws CodedError TARGET_FAILED and its kin for the target as a whole; failures of single files are in the report */
export async function restore(
  request: RestoreRequest,
  tools: RestoreTools,
  listen: (event: RestoreEvent) => void,
  signal: AbortSignal,
): Promise<RestoreReport> {
  const job = new RestoreJob(request, tools, listen);
  try {
    await job.collect('make', signal);
    return await job.run(signal);
  } finally {
    job.close();
  }
}

class RestoreJob {
  readonly #request: RestoreRequest;
  readonly #tools: RestoreTools;
  readonly #listen: (event: RestoreEvent) => void;
  readonly #tree: Tree;
  readonly #contents: Contents;
  readonly #archives: Archives;
  readonly #media: Media;
  readonly #target: TargetTree;
  readonly #wants = new Map<number, Want>();
  /** Directories, each before what is in it. */
  readonly #directories: PathEntry[] = [];
  /** Further names of files with several, by the first name. */
  readonly #links: { readonly first: PathEntry; readonly entry: PathEntry }[] = [];
  readonly #first = new Map<number, PathEntry>();
  readonly #failed: RestoreFailure[] = [];
  readonly #notSet: Record<string, number> = {};
  readonly #used: string[] = [];
  readonly #startMs: number;
  #restored = 0;
  #kept = 0;
  #bytes = 0;

  constructor(request: RestoreRequest, tools: RestoreTools, listen: (event: RestoreEvent) => void) {
    this.#request = request;
    this.#tools = tools;
    this.#listen = listen;
    this.#tree = new Tree(tools.catalog);
    this.#contents = new Contents(tools.catalog);
    this.#archives = new Archives(tools.catalog);
    this.#media = new Media(tools.catalog);
    this.#target = TargetTree.open(request.to, { random: tools.random });
    this.#startMs = tools.clock.monotonicMs();
  }

  close(): void {
    this.#target.close();
  }

  /** Looks at every entry; what needs no bytes from media is made at once. */
  async collect(mode: 'plan' | 'make', signal: AbortSignal): Promise<void> {
    const { paths, hostId, snapshot } = this.#request;
    let count = 0;
    for (const path of paths) {
      let found = 0;
      for (const entry of this.#tree.walk(hostId, path, snapshot.id)) {
        found += 1;
        count += 1;
        if (count % ENTRIES_A_TURN === 0) {
          await turn();
          signal.throwIfAborted();
        }
        this.#attempt(entry, () => this.#take(entry, mode));
      }
      if (found > 0) continue;
      const name = rawText(path);
      throw new CodedError(
        'USAGE',
        `${name} is not in this snapshot; \`shelfs ls\` shows what is`,
        {
          path: name,
        },
      );
    }
  }

  async plan(signal: AbortSignal): Promise<{ plan: RestorePlan; chosen: Chosen[] }> {
    const present = await this.#present(signal);
    const chooser = new CopyChooser(this.#contents, (barcode) => present.has(barcode));
    const chosen: Chosen[] = [];
    const lost: string[] = [];
    for (const want of this.#wants.values()) {
      const wanted = chooser.choose(want.contentId);
      if ('reason' in wanted) lost.push(...want.names.map(({ path }) => rawText(path)));
      else chosen.push({ want, wanted });
    }
    const media = [...byMedium(chosen.map(({ wanted }) => wanted))].map(([barcode, extents]) => ({
      barcode,
      location: this.#media.find(barcode)?.location ?? null,
      files: new Set(extents.map(({ contentId }) => contentId)).size,
      bytes: extents.reduce((sum, { extent }) => sum + extent.storedBytes, 0),
      minutes: this.#minutes(barcode, extents),
    }));
    const files = [...this.#wants.values()].reduce((sum, { names }) => sum + names.length, 0);
    const bytes = chosen.reduce((sum, { wanted }) => sum + wanted.content.sizeBytes, 0);
    return { plan: { files, bytes, media, lost }, chosen };
  }

  async run(signal: AbortSignal): Promise<RestoreReport> {
    const { plan } = await this.plan(signal);
    this.#listen({ event: 'plan', plan });
    const offline = new Map<string, CodedError>();
    // Each round reads what is left from the copies that still count; one that brings nothing is the last.
    for (let left = Number.POSITIVE_INFINITY; this.#wants.size > 0 && this.#wants.size < left; ) {
      left = this.#wants.size;
      const { chosen } = await this.plan(signal);
      for (const [barcode, extents] of byMedium(chosen.map(({ wanted }) => wanted))) {
        await this.#readMedium(barcode, { extents, chosen, offline }, signal);
      }
      this.#abandonOpen();
    }
    for (const { contentId, names } of this.#wants.values())
      this.#giveUp(contentId, names, offline);
    for (const { first, entry } of this.#links) {
      this.#attempt(entry, () => this.#makeLink(first, entry));
    }
    for (const entry of this.#directories.toReversed()) {
      this.#attempt(entry, () => this.#note(this.#target.apply(below(entry.path), entry.inode)));
    }
    this.#target.sync();
    return {
      restored: this.#restored,
      kept: this.#kept,
      bytes: this.#bytes,
      media: this.#used,
      failed: this.#failed,
      notSet: this.#notSet,
      seconds: (this.#tools.clock.monotonicMs() - this.#startMs) / 1000,
    };
  }

  #take(entry: PathEntry, mode: 'plan' | 'make'): void {
    const { inode } = entry;
    const path = below(entry.path);
    if (inode.type === 'directory') {
      if (mode === 'plan') return;
      // The target itself stays what it is.
      if (path === '') return;
      this.#target.makeDirectory(path);
      this.#directories.push(entry);
      return;
    }
    if (mode === 'make') this.#makeAbove(path);
    const isFurther = inode.type === 'file' && inode.sourceInode.links > 1;
    const first = isFurther ? this.#first.get(inode.inodeId) : undefined;
    if (first) {
      this.#links.push({ first, entry });
      return;
    }
    if (isFurther) this.#first.set(inode.inodeId, entry);
    if (this.#isThere(path, inode)) {
      this.#kept += 1;
      return;
    }
    if (inode.type === 'file' && inode.sizeBytes > 0) {
      if (inode.contentId === undefined) throw noCopy(entry.path);
      const want = this.#wants.get(inode.contentId);
      if (want) want.names.push(entry);
      else this.#wants.set(inode.contentId, { contentId: inode.contentId, names: [entry] });
      return;
    }
    if (mode === 'plan') return;
    if (inode.type === 'file') this.#makeEmpty(path, inode);
    else this.#makeSpecial(path, inode);
  }

  /** What a restore has brought before is not fetched again; anything else of that name is kept too, unless overwritten. */
  #isThere(path: Raw, inode: Inode): boolean {
    const present = this.#target.stat(path);
    if (!present) return false;
    return !this.#request.overwrite || isSame(present, inode);
  }

  #makeAbove(path: Raw): void {
    const slash = path.lastIndexOf('/');
    if (slash > 0) this.#target.makeDirectory(path.slice(0, slash) as Raw);
  }

  #makeEmpty(path: Raw, inode: Inode): void {
    const file = this.#target.createFile(path);
    try {
      this.#note(file.apply(inode));
      this.#count(file.commit({ overwrite: this.#request.overwrite }), 0);
    } finally {
      file.abandon();
    }
  }

  #makeSpecial(path: Raw, inode: Inode): void {
    const replace = { overwrite: this.#request.overwrite };
    const placed =
      inode.type === 'symlink'
        ? this.#target.makeSymlink({ path, target: inode.target ?? ('' as Raw) }, replace)
        : this.#target.makeSpecial(path, inode, replace);
    if (placed === 'refused') this.#note([`${inode.type} (not permitted)`]);
    else this.#count(placed, 0);
    if (placed === 'made') this.#note(this.#target.apply(path, inode));
  }

  #makeLink(first: PathEntry, entry: PathEntry): void {
    const replace = { overwrite: this.#request.overwrite };
    const link = { existing: below(first.path), path: below(entry.path) };
    const placed = this.#target.makeLink(link, replace);
    if (placed === 'refused') {
      throw new CodedError('TARGET_FAILED', `${rawText(entry.path)} cannot be linked here`);
    }
    this.#count(placed, 0);
  }

  async #readMedium(
    barcode: string,
    order: {
      extents: readonly ChosenExtent[];
      chosen: readonly Chosen[];
      offline: Map<string, CodedError>;
    },
    signal: AbortSignal,
  ): Promise<void> {
    const medium = this.#media.find(barcode);
    if (medium?.uuid === undefined || order.offline.has(barcode)) return;
    let tape: Tape;
    try {
      const { library } = this.#tools;
      tape = await Tape.attach(library, { barcode, uuid: medium.uuid }, signal);
    } catch (error) {
      if (!(error instanceof CodedError) || error.code === 'INTERRUPTED') throw error;
      if (error.failure.retry === 'later') throw error;
      order.offline.set(barcode, error);
      this.#listen({ event: 'warning', message: error.message });
      return;
    }
    try {
      this.#used.push(barcode);
      this.#listen({ event: 'medium', barcode });
      const byContent = new Map(order.chosen.map((chosen) => [chosen.want.contentId, chosen]));
      await this.#readExtents(tape, order.extents, byContent, signal);
    } finally {
      await tape.close();
    }
  }

  async #readExtents(
    tape: Tape,
    extents: readonly ChosenExtent[],
    byContent: ReadonlyMap<number, Chosen>,
    signal: AbortSignal,
  ): Promise<void> {
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
      const chosen = byContent.get(key.contentId);
      if (!chosen || broken.has(key) || !this.#wants.has(key.contentId)) continue;
      if ('failure' in piece) {
        this.#markBad(key, piece.failure.message);
        broken.add(key);
        continue;
      }
      const isRight = this.#attemptAll(chosen.want, () => {
        const assembly = this.#assembly(chosen);
        if (piece.at === 0) assembly.begin(key.extent);
        assembly.take(key.extent, piece.bytes);
        if (!assembly.hasAll(chosen.wanted.extents.map(({ extent }) => extent))) return true;
        return this.#complete(chosen, assembly);
      });
      if (!isRight) broken.add(key);
      signal.throwIfAborted();
    }
  }

  readonly #open = new Map<number, Assembly>();
  readonly #idle: ContentHasher[] = [];

  #assembly({ want, wanted }: Chosen): Assembly {
    const known = this.#open.get(want.contentId);
    if (known) return known;
    const [first] = want.names;
    if (!first) throw noCopy('' as Raw);
    const file = this.#target.createFile(below(first.path));
    const assembly = new Assembly(wanted.content, file, this.#idle.pop() ?? new ContentHasher());
    this.#open.set(want.contentId, assembly);
    return assembly;
  }

  /** All bytes are here: proven, given their attributes and names; or their copies are marked. */
  #complete({ want, wanted }: Chosen, assembly: Assembly): boolean {
    if (!assembly.isRight()) {
      for (const extent of wanted.extents) {
        this.#markBad(extent, 'its bytes are not what was written');
      }
      this.#open.delete(want.contentId);
      assembly.file.abandon();
      return false;
    }
    const { overwrite } = this.#request;
    const [first, ...others] = want.names;
    for (const entry of others) {
      this.#attempt(entry, () => this.#copy(assembly, entry));
    }
    this.#open.delete(want.contentId);
    this.#idle.push(assembly.hasher);
    this.#wants.delete(want.contentId);
    if (!first) return true;
    try {
      this.#note(assembly.file.apply(first.inode));
      this.#count(assembly.file.commit({ overwrite }), wanted.content.sizeBytes);
      const path = rawText(first.path);
      this.#listen({ event: 'file', path, bytes: wanted.content.sizeBytes });
    } finally {
      assembly.file.abandon();
    }
    return true;
  }

  /** A further file of the same bytes, holes left out where the first has none of them written. */
  #copy(assembly: Assembly, entry: PathEntry): void {
    const { sizeBytes } = assembly.content;
    const file = this.#target.createFile(below(entry.path));
    try {
      const buffer = Buffer.allocUnsafe(COPY_BYTES);
      for (let at = 0; at < sizeBytes; ) {
        const count = assembly.file.read(
          buffer.subarray(0, Math.min(COPY_BYTES, sizeBytes - at)),
          at,
        );
        file.write(buffer.subarray(0, count), at);
        at += count;
      }
      file.setSize(sizeBytes);
      this.#note(file.apply(entry.inode));
      this.#count(file.commit({ overwrite: this.#request.overwrite }), sizeBytes);
    } finally {
      file.abandon();
    }
  }

  /** Contents of which some parts came and others did not: what came is fetched again with the next round's copies. */
  #abandonOpen(): void {
    for (const assembly of this.#open.values()) assembly.file.abandon();
    this.#open.clear();
  }

  #markBad({ archiveId, mediumId, barcode, extent }: ChosenExtent, reason: string): void {
    this.#archives.addDamage({
      archiveId,
      mediumId,
      position: extent.archiveOffset,
      lengthBytes: Math.max(1, extent.storedBytes),
    });
    this.#listen({
      event: 'warning',
      message: `${barcode}: ${reason}; another copy is used where there is one`,
    });
  }

  #giveUp(
    contentId: number,
    names: readonly PathEntry[],
    offline: ReadonlyMap<string, CodedError>,
  ): void {
    const located = this.#contents.extentsOf(contentId);
    const missing = located.flatMap(({ copies }) =>
      copies.filter(({ isGood }) => isGood).map(({ barcode }) => offline.get(barcode)),
    );
    const [cause] = missing.filter((error) => error !== undefined);
    for (const { path } of names) {
      const error = cause ?? noCopy(path);
      this.#failed.push({ path: rawText(path), reason: error.message, code: error.code });
    }
  }

  /** At worst each archive is located anew; what lies between is passed over no faster than it is read. */
  #minutes(barcode: string, extents: readonly ChosenExtent[]): number {
    const name = parseGeneration(this.#media.find(barcode)?.generation ?? '')?.name;
    const { rateBytes, loadSeconds, unloadSeconds } = tapeTimes(name ?? GENERATION_DEFAULT);
    const bytes = extents.reduce((sum, { extent }) => sum + extent.storedBytes, 0);
    const archives = new Set(extents.map(({ archiveId }) => archiveId)).size;
    const seconds = loadSeconds + unloadSeconds + archives * LOCATE_SECONDS + bytes / rateBytes;
    return Math.ceil(seconds / 60);
  }

  async #present(signal: AbortSignal): Promise<ReadonlySet<string>> {
    const status = await this.#tools.library.status(signal);
    if (!status.changer) return new Set(this.#media.list().map(({ barcode }) => barcode));
    return new Set(status.cartridges.flatMap(({ barcode }) => barcode ?? []));
  }

  /** One entry's failure is the report's, not the restore's; a full target ends it. */
  #attempt(entry: PathEntry, step: () => void): void {
    try {
      step();
    } catch (error) {
      if (!(error instanceof CodedError) || error.code === 'TARGET_FULL') throw error;
      const { message, code } = error;
      this.#failed.push({ path: rawText(entry.path), reason: message, code });
    }
  }

  /** As `attempt`, for all names of a content: none of them is wanted any more. */
  #attemptAll(want: Want, step: () => boolean): boolean {
    const [first] = want.names;
    try {
      return step();
    } catch (error) {
      if (!(error instanceof CodedError) || error.code === 'TARGET_FULL') throw error;
      this.#open.get(want.contentId)?.file.abandon();
      this.#open.delete(want.contentId);
      want.names.shift();
      if (first) {
        const { message, code } = error;
        this.#failed.push({ path: rawText(first.path), reason: message, code });
      }
      if (want.names.length === 0) this.#wants.delete(want.contentId);
      return false;
    }
  }

  #count(placed: 'made' | 'kept', bytes: number): void {
    if (placed === 'kept') this.#kept += 1;
    else {
      this.#restored += 1;
      this.#bytes += bytes;
    }
  }

  #note(notSet: readonly string[]): void {
    for (const what of notSet) this.#notSet[what] = (this.#notSet[what] ?? 0) + 1;
  }
}

/** The path below the target; the root is the target itself. */
function below(path: Raw): Raw {
  return path.slice(1) as Raw;
}

function isSame(present: ScannedEntry, inode: Inode): boolean {
  return (
    present.type === inode.type &&
    (inode.type !== 'file' || present.sizeBytes === inode.sizeBytes) &&
    present.mtime.seconds === inode.mtime.seconds &&
    present.mtime.nanoseconds === inode.mtime.nanoseconds
  );
}

function noCopy(path: Raw): CodedError {
  const name = rawText(path);
  return new CodedError('MEDIUM_UNREADABLE', `no good copy of ${name} is left`, { path: name });
}
