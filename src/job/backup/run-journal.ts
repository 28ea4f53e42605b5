/** What closes a run's last archive: entries that no member tells of, runs before that stored nothing, and the end. */
import { formatEnd, formatMedia, formatRun, type JournalEntry } from '../../archive/journal.ts';
import { type Raw, rawOf } from '../../base/raw.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { Contents } from '../../catalog/content/contents.ts';
import { type Job, Jobs } from '../../catalog/job/jobs.ts';
import { type PendingEntry, PendingRows } from '../../catalog/pending/rows.ts';
import { unjournaled } from '../../catalog/run/journal.ts';
import type { Run } from '../../catalog/run/run.ts';
import { Archives } from '../../catalog/shelf/archives.ts';
import { Media } from '../../catalog/shelf/media.ts';
import { Directories } from '../../catalog/tree/directories.ts';
import type { Snapshot } from '../../catalog/tree/snapshots.ts';
import type { Attributes } from '../../domain/entry.ts';
import { tellExpiries } from '../expiry-lines.ts';
import { locateContent } from './locate.ts';

export type JournalSink = {
  readonly archiveId: number;
  addLine(line: string): void;
  addEntry(entry: Omit<JournalEntry, 'kind'>): void;
};

export type RunEnd = {
  readonly state: 'finished' | 'partial';
  readonly counts: Readonly<Record<string, number>>;
  readonly seconds: number;
};

/** Tape file 0 is the label (FORMAT.md section 2). */
const FILES_OF_LABEL = 1;

/** The line that opens a run's entries. */
export function runLine(job: Job, program: string): string {
  return formatRun({
    job: job.number,
    uuid: job.uuid,
    host: rawOf(job.host),
    started: new Date(job.startedMs).toISOString(),
    program,
  });
}

/** Adds the lines and ties their rows to the archive. @returns ids of the earlier snapshots whose end is among them */
export function closeRun(
  sink: JournalSink,
  order: {
    readonly catalog: Catalog;
    readonly run: Run;
    readonly end: RunEnd;
    readonly program: string;
  },
): number[] {
  const { catalog, run, end, program } = order;
  const jobs = new Jobs(catalog);
  const contents = new Contents(catalog);
  const carried: number[] = [];
  for (const snapshot of unjournaled(catalog)) {
    const job = jobs.get(snapshot.jobNumber);
    if (!job || job.number === run.jobNumber) continue;
    sink.addLine(runLine(job, program));
    addRows(sink, new PendingRows(catalog, job.number).inOrder('unjournaled'), {
      contents,
      foreign: foreignHosts(catalog, job),
    });
    sink.addLine(endLine(job, { ...endOf(snapshot), counts: {} }));
    carried.push(snapshot.id);
  }
  const own = jobs.get(run.jobNumber);
  if (!own) return carried;
  sink.addLine(runLine(own, program));
  addRows(sink, run.entries('unjournaled'), { contents, foreign: foreignHosts(catalog, own) });
  for (const line of formatMedia(mediaOf(catalog))) sink.addLine(line);
  tellExpiries(sink, catalog);
  const archives = new Archives(catalog).countGood(own.number, sink.archiveId);
  sink.addLine(endLine(own, { ...end, counts: { ...end.counts, archives } }));
  run.archives.takeForJournal(sink.archiveId);
  return carried;
}

/**
 * What no archive tells of yet, as a cartridge has it that closes while the run goes on: what needs no member as it is, all
 * else as planned. Nothing of it is tied to the archive: another journal will tell of each again, as it was stored.
 */
export function addUntold(
  sink: JournalSink,
  { catalog, run, job }: { readonly catalog: Catalog; readonly run: Run; readonly job: Job },
): void {
  const facts = { contents: new Contents(catalog), foreign: foreignHosts(catalog, job) };
  for (const row of run.entries('untold')) {
    const { inode, path } = row;
    if (!inode || !isToBeStored(row)) addRow(sink, row, facts);
    else {
      const { sourceInode } = inode;
      const group = sourceInode.links > 1 ? inode.inodeId : undefined;
      const host = facts.foreign.get(row.hostId);
      const told = { attributes: inode, inode: sourceInode, group, host, from: row.movedFrom };
      sink.addEntry({ change: 'planned', path, copies: [], ...told });
    }
  }
}

/** A member of its own is to come, or the bytes of another name. */
function isToBeStored({ change, inode, isWaiting }: PendingEntry): boolean {
  const isOfFile = inode?.type === 'file' && inode.sizeBytes > 0;
  return isWaiting || (!isOfFile && (change === 'new' || change === 'changed'));
}

/** Media that hold archives: restore.sh asks for them. */
export function mediaOf(catalog: Catalog): Raw[] {
  return new Media(catalog)
    .list()
    .filter(({ nextFile, state }) => nextFile > FILES_OF_LABEL && state !== 'lost')
    .map(({ barcode }) => rawOf(barcode));
}

export function endOf({ isPartial, seconds }: Snapshot): Omit<RunEnd, 'counts'> {
  return { state: isPartial ? 'partial' : 'finished', seconds };
}

export function endLine(job: Job, { state, seconds, counts }: RunEnd): string {
  const snapshot = new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
  return formatEnd({ job: job.number, uuid: job.uuid, state, snapshot, counts });
}

/** Names of hosts other than the run's own. */
export function foreignHosts(catalog: Catalog, job: Job): ReadonlyMap<number, Raw> {
  const others = new Directories(catalog).hosts().filter(({ name }) => name !== job.host);
  return new Map(others.map(({ id, name }) => [id, rawOf(name)]));
}

type RowFacts = { readonly contents: Contents; readonly foreign: ReadonlyMap<number, Raw> };

/** Rows that no archive carries yet. */
function addRows(sink: JournalSink, rows: Iterable<PendingEntry>, facts: RowFacts): void {
  for (const row of rows) addRow(sink, row, facts);
}

function addRow(sink: JournalSink, row: PendingEntry, { contents, foreign }: RowFacts): void {
  const { inode } = row;
  const host = foreign.get(row.hostId);
  if (!inode) {
    sink.addEntry({ change: 'gone', path: row.path, attributes: GONE, copies: [], host });
    return;
  }
  const located = locateContent(contents, inode.contentId);
  sink.addEntry({
    change: lineChange(row),
    path: row.path,
    attributes: inode,
    hash: inode.type === 'file' ? located?.hash : undefined,
    copies: located?.copies ?? [],
    inode: inode.sourceInode,
    group: inode.sourceInode.links > 1 ? inode.inodeId : undefined,
    from: row.movedFrom,
    host,
  });
}

/** A journal calls new or changed only what is a member of its own name; see FORMAT.md section 5.1. */
export function lineChange(row: PendingEntry): Exclude<PendingEntry['change'], 'again'> {
  const { change, inode } = row;
  if (change === 'again') return 'duplicate';
  const isOfFile = inode?.type === 'file' && inode.sizeBytes > 0;
  if (!isOfFile || (change !== 'new' && change !== 'changed')) return change;
  return inode.sourceInode.links > 1 ? 'linked' : 'duplicate';
}

/** Nothing is known of what is gone but that it is. */
export const GONE: Attributes = {
  type: 'file',
  mode: 0,
  uid: 0,
  gid: 0,
  user: rawOf(''),
  group: rawOf(''),
  sizeBytes: 0,
  mtime: { seconds: 0, nanoseconds: 0 },
  ctime: { seconds: 0, nanoseconds: 0 },
  xattrs: [],
};
