/** Runs of old, as journals tell them a second time: with the places their bytes have now. */
import { strict as assert } from 'node:assert';
import { formatSegments } from '../../archive/journal.ts';
import type { Raw } from '../../base/raw.ts';
import type { MovedExtents } from '../../catalog/care/moved.ts';
import { type RetoldEntry, versionFinder } from '../../catalog/care/retell.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import type { Contents } from '../../catalog/content/contents.ts';
import { Locator } from '../../catalog/content/locator.ts';
import { type Job, Jobs } from '../../catalog/job/jobs.ts';
import { Directories } from '../../catalog/tree/directories.ts';
import type { Inode } from '../../catalog/tree/inodes.ts';
import { type Snapshot, Snapshots } from '../../catalog/tree/snapshots.ts';
import { copiesOf } from '../backup/locate.ts';
import { endLine, endOf, foreignHosts, GONE, runLine } from '../backup/run-journal.ts';
import type { MovedArchive } from './moved-archive.ts';

export type ToldRun = {
  readonly snapshot: Snapshot;
  readonly job: Job;
  /** Opens its entries. */
  readonly line: string;
  readonly end: string;
  readonly foreign: ReadonlyMap<number, Raw>;
};

export class RunLines {
  readonly #catalog: Catalog;
  readonly #contents: Contents;
  #locator: Locator | undefined;
  readonly #extents: MovedExtents;
  readonly #program: string;
  readonly #find;
  readonly #runs = new Map<number, ToldRun>();
  /** Names of hosts other than the one that writes. */
  readonly foreign: ReadonlyMap<number, string>;
  /** Media that are given up: places there are told no more. */
  readonly #givenUp: ReadonlySet<number>;

  constructor(
    catalog: Catalog,
    tools: {
      readonly contents: Contents;
      readonly extents: MovedExtents;
      readonly program: string;
      readonly host: string;
      readonly givenUp: ReadonlySet<number>;
    },
  ) {
    this.#catalog = catalog;
    this.#contents = tools.contents;
    this.#extents = tools.extents;
    this.#program = tools.program;
    this.#find = versionFinder(catalog);
    this.#givenUp = tools.givenUp;
    const others = new Directories(catalog).hosts().filter(({ name }) => name !== tools.host);
    this.foreign = new Map(others.map(({ id, name }) => [id, name]));
  }

  run(snapshotId: number): ToldRun {
    const known = this.#runs.get(snapshotId);
    if (known) return known;
    const snapshot = new Snapshots(this.#catalog).recorded(snapshotId);
    assert(snapshot, `no snapshot ${snapshotId}`);
    const job = new Jobs(this.#catalog).get(snapshot.jobNumber);
    assert(job, `no job ${snapshot.jobNumber}`);
    const run = {
      snapshot,
      job,
      line: runLine(job, this.#program),
      end: endLine(job, { ...endOf(snapshot), counts: {} }),
      foreign: foreignHosts(this.#catalog, job),
    };
    this.#runs.set(snapshotId, run);
    return run;
  }

  /** The run that made the newest version of a name; undefined where no finished one did. */
  runOf(entry: { readonly directoryId: number; readonly name: Raw; readonly inode: Inode }) {
    const snapshotId = this.#find(entry);
    return snapshotId === undefined ? undefined : this.run(snapshotId);
  }

  /** Places are told as they are now, until it is called again. */
  look(): void {
    this.#locator = new Locator(this.#catalog, this.#contents);
  }

  /** The line of an entry of the run, and those of its segments. After `look`. */
  addEntry(archive: MovedArchive, entry: RetoldEntry, { foreign }: ToldRun): void {
    const { path, hostId, inode } = entry;
    const host = foreign.get(hostId);
    if (!inode) {
      archive.addEntry({ change: 'gone', path, attributes: GONE, copies: [], host });
      return;
    }
    const located = this.#locate(inode);
    archive.addEntry({
      change: this.#changeOf(entry, inode),
      path,
      attributes: inode,
      hash: inode.type === 'file' ? located?.hash : undefined,
      copies: located?.copies ?? [],
      inode: inode.sourceInode,
      group: inode.sourceInode.links > 1 ? inode.inodeId : undefined,
      host,
    });
    if (located?.segments)
      for (const line of formatSegments(located.hash, located.segments)) archive.addLine(line);
  }

  #locate({ contentId }: Inode) {
    if (contentId === undefined) return undefined;
    assert(this.#locator, 'places are looked at before they are told');
    const { content, extents } = this.#locator.locate(contentId);
    if (!content) return undefined;
    const { hash, segments, sizeBytes } = content;
    if (sizeBytes === 0) return { hash, segments, copies: [] };
    const told = extents.map((located) => ({
      ...located,
      copies: located.copies.filter(({ mediumId }) => !this.#givenUp.has(mediumId)),
    }));
    return { hash, segments, copies: copiesOf(told, sizeBytes) };
  }

  #changeOf(entry: RetoldEntry, inode: Inode): 'new' | 'duplicate' | 'attributes' {
    const { contentId } = inode;
    if (inode.type !== 'file' || inode.sizeBytes === 0 || contentId === undefined)
      return 'attributes';
    return this.#extents.isMember(contentId, entry) ? 'new' : 'duplicate';
  }
}
