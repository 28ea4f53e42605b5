/** What a scrub has done and found so far: counted for its report, told while it goes on, written to the job's log. */
import type { Clock } from '../../base/clock.ts';
import type { Jobs, LogLevel, LogLine } from '../../catalog/job/jobs.ts';
import {
  type DamagedName,
  type FoundOn,
  HARMLESS,
  type NotRead,
  type ScrubbedMedium,
  type ScrubEvent,
  type ScrubReport,
} from './report.ts';

/** Each commit waits for the disk: lines of the log wait for so many others, or the end of an archive. */
const LINES_MAX = 256;

/** A report lists so many of each one by one; it counts all, and each is an event. */
const LISTED_MAX = 1000;

export class ScrubTally {
  readonly #tools: {
    readonly jobs: Jobs;
    readonly jobNumber: number;
    readonly clock: Clock;
    readonly listen: (event: ScrubEvent) => void;
  };
  readonly #startMs: number;
  readonly #found: FoundOn[] = [];
  readonly #damaged: DamagedName[] = [];
  readonly #media: ScrubbedMedium[] = [];
  readonly #notRead: NotRead[] = [];
  #lines: LogLine[] = [];
  #findings = 0;
  #damagedFiles = 0;
  #lostFiles = 0;
  #archives = 0;
  #damagedArchives = 0;
  #bytes = 0;
  /** Where the drive is. */
  at = { barcode: '', file: 0 };
  bytesTotal = 0;

  constructor(tools: {
    readonly jobs: Jobs;
    readonly jobNumber: number;
    readonly clock: Clock;
    readonly listen: (event: ScrubEvent) => void;
  }) {
    this.#tools = tools;
    this.#startMs = tools.clock.monotonicMs();
  }

  get findings(): number {
    return this.#findings;
  }

  get bytes(): number {
    return this.#bytes;
  }

  loaded(barcode: string, drive: string): void {
    this.#tools.listen({ event: 'medium', barcode, drive });
  }

  read(bytes: number): void {
    this.#bytes += bytes;
    const { barcode, file } = this.at;
    const { bytesTotal } = this;
    const seconds = this.#seconds;
    this.#tools.listen({
      event: 'progress',
      barcode,
      file,
      bytes: this.#bytes,
      bytesTotal,
      seconds,
    });
  }

  finding(found: FoundOn): void {
    this.#findings += 1;
    if (this.#found.length < LISTED_MAX) this.#found.push(found);
    this.#tools.listen({ event: 'finding', ...found });
    const file = found.file === undefined ? '' : `, file ${found.file}`;
    const level = HARMLESS.has(found.kind) ? 'warning' : 'error';
    this.#log(level, `${found.barcode}${file}: ${found.sentence}`);
  }

  archive(archive: Omit<Extract<ScrubEvent, { event: 'archive' }>, 'event'>): void {
    this.#archives += 1;
    if (archive.state !== 'right') this.#damagedArchives += 1;
    this.#tools.listen({ event: 'archive', ...archive });
    this.flush();
  }

  damaged(name: DamagedName): void {
    this.#damagedFiles += 1;
    if (!name.isSafe) this.#lostFiles += 1;
    if (this.#damaged.length < LISTED_MAX) this.#damaged.push(name);
    this.#tools.listen({ event: 'damaged', ...name });
    const elsewhere = name.elsewhere.map(({ barcode }) => barcode).join(', ');
    const other = name.isSafe ? `good copies on ${elsewhere}` : 'there is no other good copy';
    this.#log('error', `not whole on ${name.barcode}; ${other}`, name.path);
  }

  medium(medium: ScrubbedMedium): void {
    this.#media.push(medium);
  }

  notRead(medium: NotRead): void {
    this.#notRead.push(medium);
    this.warn(`${medium.barcode} was not read: ${medium.reason}`);
  }

  warn(message: string): void {
    this.#tools.listen({ event: 'warning', message });
    this.#log('warning', message);
  }

  report(): ScrubReport {
    return {
      job: this.#tools.jobNumber,
      state: this.#notRead.length > 0 ? 'partial' : 'finished',
      media: this.#media,
      notRead: this.#notRead,
      archives: this.#archives,
      damagedArchives: this.#damagedArchives,
      bytes: this.#bytes,
      findings: this.#findings,
      found: this.#found,
      damagedFiles: this.#damagedFiles,
      lostFiles: this.#lostFiles,
      damaged: this.#damaged,
      seconds: this.#seconds,
    };
  }

  get #seconds(): number {
    return (this.#tools.clock.monotonicMs() - this.#startMs) / 1000;
  }

  #log(level: LogLevel, message: string, path?: string): void {
    const { jobNumber, clock } = this.#tools;
    const line = { jobNumber, timeMs: clock.nowMs(), level, message };
    this.#lines.push(path === undefined ? line : { ...line, path });
    if (this.#lines.length >= LINES_MAX) this.flush();
  }

  /** Writes what the job's log has still to be told. */
  flush(): void {
    const lines = this.#lines;
    this.#lines = [];
    if (lines.length > 0) this.#tools.jobs.log(lines);
  }
}
