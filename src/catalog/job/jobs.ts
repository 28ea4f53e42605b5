/** Jobs: every run of a verb, recorded; and what they said while they ran. */
import { strict as assert } from 'node:assert';
import type { Catalog } from '../catalog.ts';
import { noteClock } from './clock.ts';

export type JobState = 'running' | 'waiting' | 'finished' | 'partial' | 'failed' | 'cancelled';

export type NewJob = {
  readonly uuid: string;
  readonly verb: string;
  readonly host: string;
  readonly os: string;
  readonly pid: number;
  /** As JSON. */
  readonly parameters: unknown;
};

export type Job = NewJob & {
  readonly number: number;
  readonly state: JobState;
  readonly startedMs: number;
  readonly endedMs: number | undefined;
  readonly report: unknown;
  /** Of a run that was finished. */
  readonly snapshotId: number | undefined;
};

export type LogLevel = 'debug' | 'info' | 'warning' | 'error';

export type LogLine = {
  readonly jobNumber: number;
  readonly timeMs: number;
  readonly level: LogLevel;
  /** UTF-8 for people (`rawText`), undefined where the line is about no path. */
  readonly path?: string | undefined;
  readonly message: string;
  readonly facts?: unknown;
};

type JobRow = [
  number: number,
  uuid: string,
  verb: string,
  state: JobState,
  started: number,
  ended: number | null,
  host: string,
  os: string,
  pid: number,
  parameters: string,
  report: string | null,
  snapshot: number | null,
];

const SELECT = `SELECT j.number, j.uuid, j.verb, j.state, j.started_ms, j.ended_ms, j.host, j.os, j.pid,
  j.parameters, j.report, s.id FROM jobs j LEFT JOIN snapshots s ON s.job = j.number AND s.state = 'finished'`;

/** A job lets go of its drives after it has said how it ended. */
const MOMENT_MS = 600_000;
/** More never begin beside one that is still at work. */
const RECENT_JOBS = 10_000;

export class Jobs {
  readonly #catalog: Catalog;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  /** Begins a job; its number is never used again. */
  add(job: NewJob): number {
    return this.#catalog.write(() => {
      noteClock(this.#catalog);
      const number = this.#catalog
        .prepare<[number]>(
          `INSERT INTO jobs(uuid, verb, state, started_ms, host, os, pid, parameters)
           VALUES(?, ?, 'running', ?, ?, ?, ?, ?) RETURNING number`,
        )
        .get(
          job.uuid,
          job.verb,
          Math.floor(this.#catalog.clock.nowMs()),
          job.host,
          job.os,
          job.pid,
          JSON.stringify(job.parameters),
        )?.[0];
      assert(number !== undefined);
      return number;
    });
  }

  get(number: number): Job | undefined {
    const row = this.#catalog.prepare<JobRow>(`${SELECT} WHERE j.number = ?`).get(number);
    return row && toJob(row);
  }

  /** Newest first. */
  list(limit: number): Job[] {
    const rows = this.#catalog.prepare<JobRow>(`${SELECT} ORDER BY j.number DESC LIMIT ?`);
    return rows.all(limit).map(toJob);
  }

  /** Running or waiting: to be resumed, where their process is no more. */
  unfinished(verb: string): Job[] {
    const rows = this.#catalog.prepare<JobRow>(
      `${SELECT} WHERE j.state IN ('running', 'waiting') AND j.verb = ? ORDER BY j.number`,
    );
    return rows.all(verb).map(toJob);
  }

  /** Of the job that a process runs, or has ended a moment ago; undefined: none. */
  numberOf(pid: number): number | undefined {
    return this.#catalog
      .prepare<[number]>(
        `SELECT number FROM jobs WHERE pid = ? AND (ended_ms IS NULL OR ended_ms >= ?)
           AND number > (SELECT max(number) FROM jobs) - ${RECENT_JOBS}
         ORDER BY number DESC LIMIT 1`,
      )
      .get(pid, Math.floor(this.#catalog.clock.nowMs()) - MOMENT_MS)?.[0];
  }

  /** Another process goes on with it, under the same number. */
  resume(number: number, pid: number): void {
    this.#catalog.write(() =>
      this.#catalog
        .prepare("UPDATE jobs SET state = 'running', pid = ?, ended_ms = NULL WHERE number = ?")
        .run(pid, number),
    );
  }

  /** Any state but that of a run with a snapshot, which `Run.finish` sets. */
  setState(number: number, state: JobState): void {
    const isEnd = state !== 'running' && state !== 'waiting';
    this.#catalog.write(() => {
      noteClock(this.#catalog);
      this.#catalog
        .prepare('UPDATE jobs SET state = ?, ended_ms = ? WHERE number = ?')
        .run(state, isEnd ? Math.floor(this.#catalog.clock.nowMs()) : null, number);
    });
  }

  setReport(number: number, report: unknown): void {
    this.#catalog.write(() =>
      this.#catalog
        .prepare('UPDATE jobs SET report = ? WHERE number = ?')
        .run(JSON.stringify(report), number),
    );
  }

  /** In as few transactions as their number allows. */
  log(lines: Iterable<LogLine>): void {
    const insert = this.#catalog.prepare(
      'INSERT INTO job_logs(job, time_ms, level, path, message, facts) VALUES(?, ?, ?, ?, ?, ?)',
    );
    this.#catalog.writeEach(lines, (line) =>
      insert.run(
        line.jobNumber,
        Math.floor(line.timeMs),
        line.level,
        line.path ?? null,
        line.message,
        line.facts === undefined ? null : JSON.stringify(line.facts),
      ),
    );
  }

  /** In the order they were said. @param after the id of the last line seen, 0 for the first page */
  logs(jobNumber: number, after: number, limit: number): (LogLine & { readonly id: number })[] {
    return this.#catalog
      .prepare<[number, number, LogLevel, string | null, string, string | null]>(
        `SELECT id, time_ms, level, path, message, facts FROM job_logs
         WHERE job = ? AND id > ? ORDER BY id LIMIT ?`,
      )
      .all(jobNumber, after, limit)
      .map(([id, timeMs, level, path, message, facts]) => ({
        id,
        jobNumber,
        timeMs,
        level,
        path: path ?? undefined,
        message,
        facts: facts === null ? undefined : JSON.parse(facts),
      }));
  }
}

function toJob(row: JobRow): Job {
  const [number, uuid, verb, state, startedMs, ended, host, os, pid, parameters, report] = row;
  return {
    number,
    uuid,
    verb,
    state,
    startedMs,
    endedMs: ended ?? undefined,
    host,
    os,
    pid,
    parameters: JSON.parse(parameters),
    report: report === null ? undefined : JSON.parse(report),
    snapshotId: row[11] ?? undefined,
  };
}
