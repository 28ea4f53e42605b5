/** What a run has done so far: counted for its report, told while it goes on, its troubles written to the job's log. */
import type { Clock } from '../../base/clock.ts';
import { rawText } from '../../base/raw.ts';
import type { Jobs, LogLine } from '../../catalog/job/jobs.ts';
import type { Outstanding } from '../../catalog/run/run.ts';
import type { ScannedEntry } from '../../source/directory.ts';
import type { Reason } from '../../source/filter.ts';
import { describeReason } from '../source-survey.ts';
import type { Feed } from './feed.ts';
import type { EntryOutcome, StoredFiles } from './member-writer.ts';
import { type BackupReport, type Damage, emptyCounts, type Listen } from './report.ts';

export type TallyTools = {
  readonly jobs: Jobs;
  readonly jobNumber: number;
  readonly clock: Clock;
  readonly listen: Listen;
};

type Fill = readonly { readonly barcode: string; readonly filled: number }[];

/** Reasons that a report lists one by one; it counts all. */
const DAMAGES_MAX = 1000;
/** Each commit waits for the disk: lines of the log wait for so many others, or so long. */
const LINES_MAX = 256;
const LINES_MS = 1000;

export class Tally {
  readonly #tools: TallyTools;
  readonly #counts = emptyCounts();
  readonly #damages: Damage[] = [];
  readonly #warnings: string[] = [];
  readonly #excludedBy = new Map<string, { entries: number; bytes: number }>();
  readonly #startMs: number;
  #lines: LogLine[] = [];
  #flushedMs: number;
  #filesTotal = 0;
  #bytesTotal = 0;
  #filesDone = 0;
  #bytesDone = 0;

  constructor(tools: TallyTools) {
    this.#tools = tools;
    this.#startMs = tools.clock.monotonicMs();
    this.#flushedMs = this.#startMs;
  }

  get files() {
    return this.#counts.files;
  }

  get bytes() {
    return this.#counts.bytes;
  }

  get seconds(): number {
    return (this.#tools.clock.monotonicMs() - this.#startMs) / 1000;
  }

  /** Entries left out, by the rule that says so. */
  get excluded() {
    return [...this.#excludedBy].map(([rule, tally]) => ({ rule, ...tally }));
  }

  /** What the report has of it. */
  get told(): Pick<BackupReport, 'files' | 'bytes' | 'unreadable' | 'warnings'> {
    return { ...this.#counts, unreadable: this.#damages, warnings: this.#warnings };
  }

  scanned(source: string, entries: number, bytes: number): void {
    this.bytes.scanned += bytes;
    this.#tools.listen({ event: 'scan', source, entries, bytes });
  }

  hashed(bytes: number): void {
    this.bytes.hashed += bytes;
    this.#tools.listen({ event: 'hash', files: 1, bytes });
  }

  found({ bytes, change }: { readonly bytes: number; readonly change: 'moved' | 'duplicate' }) {
    this.bytes.deduplicated += bytes;
    if (change !== 'moved') return;
    this.files.moved += 1;
    this.files.new -= 1;
    this.files.gone -= 1;
  }

  leftOut(entry: ScannedEntry, reason: Reason): void {
    const rule = describeReason(reason);
    const before = this.#excludedBy.get(rule) ?? { entries: 0, bytes: 0 };
    const bytes = entry.type === 'file' ? entry.sizeBytes : 0;
    this.#excludedBy.set(rule, { entries: before.entries + 1, bytes: before.bytes + bytes });
  }

  /** What progress is measured against. */
  expect({ rows, waitingBytes }: Outstanding): void {
    this.#filesTotal = rows;
    this.#bytesTotal = waitingBytes;
  }

  stored({ isLast, writtenBytes, readBytes, duplicateBytes }: EntryOutcome): void {
    this.bytes.written += writtenBytes;
    this.bytes.hashed += readBytes;
    this.bytes.deduplicated += duplicateBytes;
    if (isLast) this.#filesDone += 1;
  }

  /** Files of a batch that are stored, as `stored` is told of others. */
  storedAll({ files, writtenBytes, readBytes }: StoredFiles): void {
    this.bytes.written += writtenBytes;
    this.bytes.hashed += readBytes;
    this.#filesDone += files;
  }

  /** A fragment more is in the archive. */
  progress({ task, members }: Feed, media: Fill): void {
    // What was packed into it has gone over to its reader.
    this.#bytesDone += task.kind === 'run' ? task.hashTo - task.hashFrom : members.contentBytes;
    this.#tools.listen({
      event: 'progress',
      file: rawText(members.pathOf(members.length - 1)),
      files: this.#filesDone,
      filesTotal: this.#filesTotal,
      bytes: this.#bytesDone,
      bytesTotal: this.#bytesTotal,
      seconds: this.seconds,
      media,
    });
  }

  damage(damage: Damage): void {
    if (this.#damages.length < DAMAGES_MAX) this.#damages.push(damage);
    this.#log(damage.reason, damage.path);
  }

  warn(message: string): void {
    this.#warnings.push(message);
    this.#tools.listen({ event: 'warning', message });
    this.#log(message);
  }

  /** Writes what the job's log has still to be told. */
  flush(): void {
    const lines = this.#lines;
    this.#lines = [];
    this.#flushedMs = this.#tools.clock.monotonicMs();
    if (lines.length > 0) this.#tools.jobs.log(lines);
  }

  #log(message: string, path?: string): void {
    const { jobNumber, clock } = this.#tools;
    const timeMs = clock.nowMs();
    this.#lines.push({
      jobNumber,
      timeMs,
      level: 'warning',
      message,
      ...(path !== undefined && { path }),
    });
    const isLate = clock.monotonicMs() - this.#flushedMs > LINES_MS;
    if (isLate || this.#lines.length >= LINES_MAX) this.flush();
  }
}
