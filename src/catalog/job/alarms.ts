/** Runs that looked like damage. While one of them is not settled by a person, nothing expires and nothing is groomed. */
import { strict as assert } from 'node:assert';
import { CodedError } from '../../base/errors.ts';
import type { Catalog } from '../catalog.ts';

export type Alarm = {
  readonly id: number;
  readonly jobNumber: number;
  /** Wall time, in ms since the epoch. */
  readonly timeMs: number;
  /** What was seen, a sentence each. */
  readonly signals: readonly string[];
  /** Undefined while it is open. */
  readonly settledMs: number | undefined;
};

type AlarmRow = [id: number, job: number, timeMs: number, signals: string, settled: number | null];

const SELECT = 'SELECT id, job, time_ms, signals, settled_ms FROM alarms';

export class Alarms {
  readonly #catalog: Catalog;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  /** One a job: a run that goes on after a crash is judged again. */
  add(jobNumber: number, signals: readonly string[]): Alarm {
    const ofJob = this.#catalog.prepare<AlarmRow>(`${SELECT} WHERE job = ? ORDER BY id`);
    return this.#catalog.write(() => {
      if (!ofJob.get(jobNumber))
        this.#catalog
          .prepare('INSERT INTO alarms(job, time_ms, signals) VALUES(?, ?, ?)')
          .run(jobNumber, Math.floor(this.#catalog.clock.nowMs()), JSON.stringify(signals));
      const row = ofJob.get(jobNumber);
      assert(row);
      return toAlarm(row);
    });
  }

  /** Oldest first. */
  list(): Alarm[] {
    return this.#catalog.prepare<AlarmRow>(`${SELECT} ORDER BY id`).all().map(toAlarm);
  }

  /** Those that nobody has settled. */
  open(): Alarm[] {
    const rows = this.#catalog.prepare<AlarmRow>(`${SELECT} WHERE settled_ms IS NULL ORDER BY id`);
    return rows.all().map(toAlarm);
  }

  /** @throws CodedError USAGE where there is no such alarm, or it was settled before */
  settle(id: number): void {
    const { changes } = this.#catalog.write(() =>
      this.#catalog
        .prepare('UPDATE alarms SET settled_ms = ? WHERE id = ? AND settled_ms IS NULL')
        .run(Math.floor(this.#catalog.clock.nowMs()), id),
    );
    if (changes === 0)
      throw new CodedError('USAGE', `no alarm ${id} is open; \`shelfs alarms\` lists them`);
  }

  /** What whoever gives something up asks first. @throws CodedError ALARM_OPEN */
  refuseOpen(): void {
    const [first] = this.open();
    if (!first) return;
    throw new CodedError(
      'ALARM_OPEN',
      `the backup of job ${first.jobNumber} looked like damage (${first.signals.join('; ')}): nothing is given up before \`shelfs alarms settle ${first.id}\``,
    );
  }
}

function toAlarm([id, jobNumber, timeMs, signals, settled]: AlarmRow): Alarm {
  const parsed: unknown = JSON.parse(signals);
  return {
    id,
    jobNumber,
    timeMs,
    signals: Array.isArray(parsed) ? parsed.map(String) : [],
    settledMs: settled ?? undefined,
  };
}
