/**
 * Snapshots: finished runs. A snapshot shows all sources, those that did not run as of their last. Expired ones are passed
 * over: nobody lists, resolves or shows them.
 */
import { CodedError } from '../../base/errors.ts';
import type { Catalog } from '../catalog.ts';

export type Snapshot = {
  readonly id: number;
  /** Whole seconds since the epoch; greater than those of every snapshot before. */
  readonly seconds: number;
  readonly jobNumber: number;
  /** Some sources or files could not be stored. */
  readonly isPartial: boolean;
};

type SnapshotRow = [id: number, seconds: number, job: number, isPartial: number];

const RECORDED = "SELECT id, seconds, job, is_partial FROM snapshots WHERE state = 'finished'";
const SELECT = `${RECORDED} AND expired_by IS NULL`;

export class Snapshots {
  readonly #catalog: Catalog;
  /** The few there are. */
  readonly #statements = new Map<string, ReturnType<typeof rowsOf>>();

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  /** The newest finished one; undefined before the first. */
  live(): Snapshot | undefined {
    return this.#first(`${SELECT} ORDER BY id DESC LIMIT 1`);
  }

  get(id: number): Snapshot | undefined {
    return this.#first(`${SELECT} AND id = ?`, id);
  }

  /** Also one that has expired: its run is still told of. */
  recorded(id: number): Snapshot | undefined {
    return this.#first(`${RECORDED} AND id = ?`, id);
  }

  ofJob(jobNumber: number): Snapshot | undefined {
    return this.#first(`${SELECT} AND job = ?`, jobNumber);
  }

  /** The one of exactly this second. */
  at(seconds: number): Snapshot | undefined {
    return this.#first(`${SELECT} AND seconds = ?`, seconds);
  }

  /**
   * The first from this id on: what people are told of a version whose own snapshot has expired. Undefined where only
   * later ones than the newest are left.
   */
  from(id: number): Snapshot | undefined {
    return this.#first(`${SELECT} AND id >= ? ORDER BY id LIMIT 1`, id);
  }

  /** The one before, undefined for the first. */
  before(id: number): Snapshot | undefined {
    return this.#first(`${SELECT} AND id < ? ORDER BY id DESC LIMIT 1`, id);
  }

  /** Oldest first. */
  list(): Snapshot[] {
    return this.#catalog.prepare<SnapshotRow>(`${SELECT} ORDER BY id`).all().map(toSnapshot);
  }

  /**
   * What a person means: nothing or `latest`; an id such as `#12` or `12`; a time such as `2026-11-20T090000Z`,
   * `2026-11-20 09:00` or `2026-11-20` (UTC; what is left out counts to its end): the newest one not after it.
   * @throws CodedError USAGE
   */
  resolve(text?: string): Snapshot {
    if (text === undefined || text === 'latest') {
      const live = this.live();
      if (!live) throw usage('there is no snapshot yet; `shelfs backup` makes one');
      return live;
    }
    const id = /^#?(\d{1,9})$/.exec(text)?.[1];
    if (id !== undefined) {
      const snapshot = this.get(Number(id));
      if (!snapshot) throw this.#unknown(id);
      return snapshot;
    }
    const seconds = parseTime(text);
    if (seconds === undefined)
      throw usage(`"${text}" is neither a snapshot nor a time like 2026-11-20T090000Z`);
    const found = this.#first(`${SELECT} AND seconds <= ? ORDER BY id DESC LIMIT 1`, seconds);
    if (!found)
      throw usage(`there is no snapshot as old as ${text}; \`shelfs snapshots\` lists them`);
    return found;
  }

  #unknown(id: string): CodedError {
    const expired = this.#catalog
      .prepare('SELECT 1 FROM snapshots WHERE id = ? AND expired_by IS NOT NULL')
      .get(Number(id));
    return usage(
      expired
        ? `snapshot ${id} has expired; \`shelfs snapshots\` lists those that are kept`
        : `there is no snapshot ${id}; \`shelfs snapshots\` lists them`,
    );
  }

  #first(sql: string, ...parameters: number[]): Snapshot | undefined {
    const statement = this.#statements.get(sql) ?? rowsOf(this.#catalog, sql);
    this.#statements.set(sql, statement);
    const row = statement.get(...parameters);
    return row && toSnapshot(row);
  }
}

const rowsOf = (catalog: Catalog, sql: string) => catalog.prepare<SnapshotRow>(sql);

/** The name of a snapshot: its time in UTC, without colons so that it is a path everywhere: `2026-11-20T090000Z`. */
export function snapshotName({ seconds }: Pick<Snapshot, 'seconds'>): string {
  return new Date(seconds * 1000).toISOString().replace(/:/g, '').replace(/\.\d+/, '');
}

/** Seconds since the epoch of the last moment the text may mean; undefined where it is no time. */
export function parseTime(text: string): number | undefined {
  const match = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):?(\d\d)(?::?(\d\d)(?:\.\d+)?)?)?Z?$/.exec(
    text,
  );
  if (!match) return undefined;
  const [year, month, day, hour = 23, minute = 59, second = 59] = match
    .slice(1)
    .map((part) => (part === undefined ? undefined : Number(part)));
  if (year === undefined || month === undefined || day === undefined) return undefined;
  const date = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
  const isReal =
    date.getUTCMonth() === month - 1 && date.getUTCDate() === day && hour < 24 && minute < 60;
  return isReal && second < 60 ? date.getTime() / 1000 : undefined;
}

/** Of a snapshot that somebody was just looking at. */
export function expiredMeanwhile(): CodedError {
  return new CodedError('SNAPSHOT_EXPIRED', 'the snapshot has expired meanwhile');
}

function usage(message: string): CodedError {
  return new CodedError('USAGE', message);
}

function toSnapshot([id, seconds, jobNumber, isPartial]: SnapshotRow): Snapshot {
  return { id, seconds, jobNumber, isPartial: isPartial === 1 };
}
