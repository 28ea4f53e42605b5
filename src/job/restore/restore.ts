/**
 * Restore: entries as of a snapshot, brought back below a directory.
 *
 * Each cartridge is loaded once and read forward once. A file has its name only when its bytes have proven right, its
 * attributes are set and both are on disk; what is there already is kept, so a second run, whatever ended the first,
 * fetches only what is missing. Bytes that cannot be read, or read wrong, mark the copy and are taken from another one.
 */
import { strict as assert } from 'node:assert';
import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../../base/clock.ts';
import { CodedError } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';
import { type Raw, rawText } from '../../base/raw.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { Contents } from '../../catalog/content/contents.ts';
import {
  type FirstName,
  RestoredDirectories,
  RestoredLinks,
} from '../../catalog/restore/restored.ts';
import { type NamedInode, Wanted } from '../../catalog/restore/wanted.ts';
import { Archives } from '../../catalog/shelf/archives.ts';
import { Media } from '../../catalog/shelf/media.ts';
import type { Inode } from '../../catalog/tree/inodes.ts';
import { expiredMeanwhile, type Snapshot } from '../../catalog/tree/snapshots.ts';
import { Tree } from '../../catalog/tree/tree.ts';
import type { ScannedEntry } from '../../source/directory.ts';
import { TargetTree } from '../../source/target.ts';
import type { SpecialPlacement, TargetFile } from '../../source/target-file.ts';
import type { Library } from '../../storage/library.ts';
import { absentOperator, type Operator } from '../../storage/operator.ts';
import { below, Fetcher, noCopy } from './fetch.ts';
import { readMinutes } from './plan.ts';
import { isRight } from './prove.ts';
import type { RestoreEvent, RestorePlan, RestoreReport } from './report.ts';
import { RestoreTally } from './tally.ts';
import { WholeFiles } from './whole-files.ts';

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
  /** Absolute paths of this program's own directories, into which nothing is restored. */
  readonly ownDirectories: readonly Raw[];
  /** Who brings cartridges and decides about failures; left out: nobody is there. */
  readonly operator?: Operator | undefined;
};

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
    return await job.plan(signal);
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
  readonly #listen: (event: RestoreEvent) => void;
  readonly #tree: Tree;
  readonly #contents: Contents;
  readonly #media: Media;
  readonly #target: TargetTree;
  readonly #fetcher: Fetcher<TargetFile>;
  readonly #directories: RestoredDirectories;
  readonly #links: RestoredLinks;
  readonly #whole: WholeFiles;
  readonly #tally: RestoreTally;
  /** Passes over the further names of files. */
  #pass = 0;
  /** The parent that was made, or found, last. */
  #above: Raw | undefined;
  /** A directory that this restore has made: nothing else is in it. */
  #fresh: Raw | undefined;

  constructor(request: RestoreRequest, tools: RestoreTools, listen: (event: RestoreEvent) => void) {
    const { catalog, library, random, ownDirectories } = tools;
    this.#request = request;
    this.#listen = listen;
    this.#tally = new RestoreTally(tools.clock, listen);
    this.#tree = new Tree(catalog);
    this.#contents = new Contents(catalog);
    this.#media = new Media(catalog);
    this.#target = TargetTree.open(request.to, { random, ownDirectories });
    this.#directories = new RestoredDirectories(catalog);
    this.#links = new RestoredLinks(catalog);
    this.#fetcher = new Fetcher({
      who: 'restore',
      wanted: new Wanted(catalog),
      contents: this.#contents,
      archives: new Archives(catalog),
      media: this.#media,
      library,
      clock: tools.clock,
      operator: tools.operator ?? absentOperator,
      target: this.#target,
      onMedium: (barcode) => this.#tally.medium(barcode),
      onWait: (reason) => {
        if (reason !== undefined) this.#listen({ event: 'waiting', reason });
      },
      onWhole: (entry, file) => this.#finishFile(entry, file),
      onLost: (entry, error) => {
        if (entry.inode.sourceInode.links > 1) this.#links.markLost(entry.inode.inodeId);
        this.#tally.fail(entry, error);
      },
      onFailure: (entry, error) => this.#tally.fail(entry, error),
      warn: (message) => this.#listen({ event: 'warning', message }),
    });
    this.#whole = new WholeFiles({
      sync: () => this.#target.sync(),
      name: (entry, file) => this.#tally.attempt(entry, () => this.#giveName(entry, file)),
    });
  }

  close(): void {
    this.#fetcher.abandon();
    this.#whole.abandon();
    this.#target.close();
  }

  /** Looks at every entry; what needs no bytes from media is made at once. */
  async collect(mode: 'plan' | 'make', signal: AbortSignal): Promise<void> {
    const { paths, hostId, snapshot } = this.#request;
    let count = 0;
    for (const path of paths) {
      if (mode === 'make') this.#sweep(parentOf(below(path)));
      // Another path may have brought what is below this one.
      this.#fresh = undefined;
      let found = 0;
      for (const entry of this.#tree.walk(hostId, path, snapshot.id)) {
        found += 1;
        count += 1;
        if (count % ENTRIES_A_TURN === 0) {
          await turn();
          signal.throwIfAborted();
        }
        this.#tally.attempt(entry, () => this.#take(entry, mode));
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

  async plan(signal: AbortSignal): Promise<RestorePlan> {
    const { media, names, bytes, lostNames, lost } = await this.#fetcher.plan(signal);
    const shares = media.map(({ barcode, contents, bytes: stored, archives }) => {
      const medium = this.#media.find(barcode);
      return {
        barcode,
        location: medium?.location ?? null,
        files: contents,
        bytes: stored,
        minutes: readMinutes(medium?.generation, { bytes: stored, archives: archives.size }),
      };
    });
    return { files: names, bytes, media: shares, lostFiles: lostNames, lost };
  }

  async run(signal: AbortSignal): Promise<RestoreReport> {
    this.#listen({ event: 'plan', plan: await this.plan(signal) });
    await this.#fetch(signal);
    // Where a link cannot be made, the name gets a file of its own, and the names behind it link to that.
    while (this.#links.length > 0) {
      await this.#makeLinks(signal);
      await this.#fetch(signal);
    }
    for (const page of this.#directories.reversed()) {
      await turn();
      signal.throwIfAborted();
      for (const { path, inode } of page) {
        this.#tally.attempt({ path }, () =>
          this.#tally.note(this.#target.apply(below(path), inode)),
        );
      }
    }
    this.#target.sync();
    // What was not found any more was passed over: it is no success.
    if (!this.#tree.snapshots.get(this.#request.snapshot.id)) throw expiredMeanwhile();
    return this.#tally.report();
  }

  /** Ended early too, what has come whole has its name. */
  async #fetch(signal: AbortSignal): Promise<void> {
    try {
      await this.#fetcher.run(signal);
    } finally {
      this.#whole.settle();
    }
  }

  #take(entry: NamedInode, mode: 'plan' | 'make'): void {
    const { inode } = entry;
    const path = below(entry.path);
    if (inode.type === 'directory') {
      if (mode === 'make') this.#makeDirectory(entry, path);
      return;
    }
    if (mode === 'make') this.#makeAbove(path);
    const isThere = this.#isThere(path, inode);
    if (inode.type === 'file' && inode.sourceInode.links > 1) {
      const first = this.#links.first(inode.inodeId);
      if (first && (!first.isKept || this.#isProven(first, { inode, mode }))) {
        this.#links.add(entry);
        return;
      }
      this.#links.setFirst(entry, { isKept: isThere, pass: this.#pass });
    }
    if (isThere) {
      this.#tally.placed('kept', 0);
      return;
    }
    if (inode.type === 'file' && inode.sizeBytes > 0) this.#want(entry);
    else if (mode === 'make' && inode.type === 'file') this.#makeEmpty(entry);
    else if (mode === 'make') this.#makeNamed(entry, path);
  }

  #makeDirectory(entry: NamedInode, path: Raw): void {
    // The target itself stays what it is.
    if (path !== '') this.#directories.add(entry);
    if (this.#target.makeDirectory(path) === 'present') this.#sweep(path);
    else if (!this.#isFresh(path)) this.#fresh = path;
  }

  #want(entry: NamedInode): void {
    const { contentId } = entry.inode;
    if (contentId === undefined) throw noCopy(entry.path);
    this.#fetcher.want(contentId, entry);
  }

  /** Whether what was there before has the bytes of the snapshot: only then another name may be linked to it. */
  #isProven(
    { path, isLinkable }: FirstName,
    { inode, mode }: { readonly inode: Inode; readonly mode: 'plan' | 'make' },
  ): boolean {
    if (mode === 'plan' || isLinkable) return true;
    const content = inode.contentId === undefined ? undefined : this.#contents.get(inode.contentId);
    if (!content || !isRight(this.#target, below(path), content)) return false;
    this.#links.markLinkable(inode.inodeId);
    return true;
  }

  /** What a restore has brought before is not fetched again; anything else of that name is kept too, unless overwritten. */
  #isThere(path: Raw, inode: Inode): boolean {
    if (this.#isFresh(path)) return false;
    const present = this.#target.stat(path);
    if (!present) return false;
    if (isSame(present, inode)) return true;
    if (!this.#request.overwrite) this.#tally.keptOther();
    return !this.#request.overwrite;
  }

  /** Removes what a restore that did not end has left in a directory. That it cannot is nobody's loss. */
  #sweep(path: Raw): void {
    try {
      if (this.#target.stat(path)?.type === 'directory') this.#target.sweep(path);
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      this.#listen({ event: 'warning', message: error.message });
    }
  }

  #isFresh(path: Raw): boolean {
    return this.#fresh !== undefined && path.startsWith(`${this.#fresh}/`);
  }

  #makeAbove(path: Raw): void {
    const parent = parentOf(path);
    if (parent === this.#above) return;
    this.#target.makeDirectory(parent);
    this.#above = parent;
  }

  #makeEmpty(entry: NamedInode): void {
    this.#finishFile(entry, this.#target.createFile(below(entry.path)));
  }

  /** Its bytes are there: attributes, and with others its name. */
  #finishFile(entry: NamedInode, file: TargetFile): void {
    try {
      this.#tally.note(file.apply(entry.inode));
    } catch (error) {
      file.abandon();
      throw error;
    }
    this.#whole.add(entry, file);
  }

  #giveName({ path, inode }: NamedInode, file: TargetFile): void {
    const placed = file.commit({ overwrite: this.#request.overwrite });
    this.#tally.placed(placed, inode.sizeBytes);
    if (placed !== 'made') return;
    if (inode.sourceInode.links > 1) this.#links.markLinkable(inode.inodeId);
    if (inode.sizeBytes > 0)
      this.#listen({ event: 'file', path: rawText(path), bytes: inode.sizeBytes });
  }

  /** Links, too, have several names: a tree copied by `cp -al` is full of them. None waits, for none has bytes. */
  #makeNamed(entry: NamedInode, path: Raw): void {
    const { inode } = entry;
    const first = inode.sourceInode.links > 1 ? this.#links.first(inode.inodeId) : undefined;
    if (first?.isLinkable && this.#linkTo(first, path)) return;
    if (this.#makeSpecial(path, inode) !== 'made' || inode.sourceInode.links <= 1) return;
    this.#links.setFirst(entry, { isKept: false, pass: this.#pass });
    this.#links.markLinkable(inode.inodeId);
  }

  #makeSpecial(path: Raw, inode: Inode): SpecialPlacement {
    const replace = { overwrite: this.#request.overwrite };
    const placed =
      inode.type === 'symlink'
        ? this.#target.makeSymlink({ path, target: inode.target ?? ('' as Raw) }, replace)
        : this.#target.makeSpecial(path, inode, replace);
    if (placed === 'refused') this.#tally.note([`${inode.type} (not permitted)`]);
    else this.#tally.placed(placed, 0);
    if (placed === 'made') this.#tally.note(this.#target.apply(path, inode));
    return placed;
  }

  /** Those stay that are to be made when what they are to link to has been brought. */
  async #makeLinks(signal: AbortSignal): Promise<void> {
    this.#pass += 1;
    for (const _ of this.#links.retain((entry) => this.#makeLink(entry))) {
      await turn();
      signal.throwIfAborted();
    }
  }

  /** @returns whether it is to be made in the next pass */
  #makeLink(entry: NamedInode): boolean {
    const first = this.#links.first(entry.inode.inodeId);
    assert(first, 'a further name has a first one');
    const { isLinkable, isLost } = first;
    if (!isLinkable && !isLost && first.pass === this.#pass) return true;
    this.#tally.attempt(entry, () => {
      if (!isLinkable) {
        // What is lost is asked for by all its names at once: each is told of, and none waits for the one before.
        if (!isLost) this.#links.setFirst(entry, { isKept: false, pass: this.#pass });
        this.#makeAnew(entry);
        return;
      }
      if (!this.#linkTo(first, below(entry.path))) this.#makeAnew(entry);
    });
    return false;
  }

  /** @returns false where the file system refuses a further name: it is to be made as an inode of its own */
  #linkTo(first: FirstName, path: Raw): boolean {
    const link = { existing: below(first.path), path };
    const placed = this.#target.makeLink(link, { overwrite: this.#request.overwrite });
    if (placed === 'refused') return false;
    this.#tally.placed(placed, 0);
    return true;
  }

  #makeAnew(entry: NamedInode): void {
    if (entry.inode.sizeBytes > 0) this.#want(entry);
    else this.#makeEmpty(entry);
  }
}

/** Of a path below the target; the target itself where it has no other. */
function parentOf(path: Raw): Raw {
  return path.slice(0, Math.max(path.lastIndexOf('/'), 0)) as Raw;
}

function isSame(present: ScannedEntry, inode: Inode): boolean {
  return (
    present.type === inode.type &&
    (inode.type !== 'file' || present.sizeBytes === inode.sizeBytes) &&
    present.mtime.seconds === inode.mtime.seconds &&
    present.mtime.nanoseconds === inode.mtime.nanoseconds
  );
}
