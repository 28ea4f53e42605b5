/** Snapshots as retention sees them, what people say about single ones, and the moment in which some of them expire. */
import { witnessedSeconds } from '../../domain/witnessed.ts';
import type { Catalog } from '../catalog.ts';
import { Alarms } from '../job/alarms.ts';
import { believeClock, refuseDoubtfulClock } from '../job/clock.ts';
import { Expiries } from './expiries.ts';

export type KeptSnapshot = {
  readonly id: number;
  /** Since the epoch. */
  readonly seconds: number;
  readonly isPartial: boolean;
  readonly jobNumber: number;
  /** What its run was asked for, as the job has it. */
  readonly parameters: unknown;
  /** Why a person or the config keeps it; undefined: neither does. */
  readonly hold: string | undefined;
  /** In order of name. */
  readonly tags: readonly string[];
};

type SnapshotRow = [
  id: number,
  seconds: number,
  isPartial: number,
  job: number,
  parameters: string,
  hold: string | null,
];

/** Of one that is finished, not expired, not held, and not the newest. */
const MAY_EXPIRE = `state = 'finished' AND expired_by IS NULL AND hold IS NULL
  AND id < (SELECT max(n.id) FROM snapshots n WHERE n.state = 'finished')`;

export class Retention {
  readonly #catalog: Catalog;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  /** All that have not expired, oldest first. */
  list(): KeptSnapshot[] {
    const tags = Map.groupBy(
      this.#catalog
        .prepare<[number, string]>('SELECT snapshot, tag FROM snapshot_tags ORDER BY snapshot, tag')
        .all(),
      ([id]) => id,
    );
    return this.#catalog
      .prepare<SnapshotRow>(
        `SELECT s.id, s.seconds, s.is_partial, s.job, j.parameters, s.hold
         FROM snapshots s JOIN jobs j ON j.number = s.job
         WHERE s.state = 'finished' AND s.expired_by IS NULL ORDER BY s.id`,
      )
      .all()
      .map(([id, seconds, isPartial, jobNumber, parameters, hold]) => ({
        id,
        seconds,
        jobNumber,
        isPartial: isPartial === 1,
        parameters: JSON.parse(parameters),
        hold: hold ?? undefined,
        tags: tags.get(id)?.map(([, tag]) => tag) ?? [],
      }));
  }

  /** Of each finished one, expired or not, the moment from which its age counts, by id. */
  bornSeconds(): ReadonlyMap<number, number> {
    const rows = this.#catalog
      .prepare<[id: number, seconds: number]>(
        "SELECT id, seconds FROM snapshots WHERE state = 'finished' ORDER BY id",
      )
      .all();
    const born = witnessedSeconds(rows.map(([, seconds]) => seconds));
    return new Map(rows.map(([id, seconds], index) => [id, born[index] ?? seconds]));
  }

  /** What is kept whatever the rules say; `reason` is for people. Replaces what was said before. */
  hold(ids: readonly number[], reason: string): void {
    this.#each('UPDATE snapshots SET hold = ? WHERE id = ?', ids, reason);
  }

  release(id: number): void {
    this.#each('UPDATE snapshots SET hold = ? WHERE id = ?', [id], null);
  }

  /** May be said twice. */
  tag(id: number, tag: string): void {
    this.#each('INSERT OR IGNORE INTO snapshot_tags(tag, snapshot) VALUES(?, ?)', [id], tag);
  }

  /** @returns whether it had the tag */
  untag(id: number, tag: string): boolean {
    const sql = 'DELETE FROM snapshot_tags WHERE tag = ? AND snapshot = ?';
    return this.#each(sql, [id], tag) > 0;
  }

  /**
   * The snapshots expire, all that may: neither the newest nor one on hold ever does, whatever was planned. One small
   * transaction, which looks once more at what stands against it.
   * @param options.clockIsRight a person has said so, and it is remembered
   * @returns those that have expired now
   * @throws CodedError ALARM_OPEN, CLOCK_DOUBTFUL
   */
  expire(
    ids: readonly number[],
    options: { readonly jobNumber: number; readonly clockIsRight: boolean },
  ): number[] {
    const { jobNumber, clockIsRight } = options;
    const mark = this.#catalog.prepare<[seconds: number, uuid: string, id: number]>(
      `UPDATE snapshots SET expired_by = ? WHERE id = ? AND ${MAY_EXPIRE}
       RETURNING seconds, (SELECT uuid FROM jobs WHERE number = snapshots.job), id`,
    );
    const expiries = new Expiries(this.#catalog);
    return this.#catalog.write(() => {
      new Alarms(this.#catalog).refuseOpen();
      if (clockIsRight) believeClock(this.#catalog);
      else refuseDoubtfulClock(this.#catalog);
      return ids.flatMap((wanted) => {
        const row = mark.get(jobNumber, wanted);
        if (!row) return [];
        const [seconds, uuid, id] = row;
        const name = new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
        expiries.add(jobNumber, { kind: 'snapshot', uuid, name });
        return [id];
      });
    });
  }

  /** How many have expired, ever. */
  countExpired(): number {
    const row = this.#catalog
      .prepare<[number]>('SELECT count(*) FROM snapshots WHERE expired_by IS NOT NULL')
      .get();
    return row?.[0] ?? 0;
  }

  #each(sql: string, ids: readonly number[], value: string | null): number {
    const statement = this.#catalog.prepare(sql);
    return this.#catalog.write(() =>
      ids.reduce((sum, id) => sum + statement.run(value, id).changes, 0),
    );
  }
}
