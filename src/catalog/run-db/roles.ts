/**
 * Who recalls for all, and how a backup hands the drive over to recalls and takes it back.
 *
 * A backup offers itself while it holds drives. Whoever recalls and finds all drives taken asks it; between two archives the
 * backup grants, lets go, and goes on when the recall says it is done, or is no more.
 */
import type { Processes, RunDb } from './run-db.ts';

export type Handover = {
  /** The process that has the drives, and since when it has had them without a break. */
  readonly holder: string;
  readonly sinceMs: number;
  readonly wantedBy: string | undefined;
  readonly wantedMs: number | undefined;
  /** Whoever asks was told to go before backups. */
  readonly isFirst: boolean;
  /** Since when they are handed over. */
  readonly grantedMs: number | undefined;
};

type HandoverRow = [
  holder: string,
  sinceMs: number,
  wantedBy: string | null,
  wantedMs: number | null,
  isFirst: number,
  grantedMs: number | null,
];

const RECALL = 'recall';

export class RunRoles {
  readonly #db: RunDb;
  readonly #processes: Processes;
  readonly #holder;
  readonly #take;
  readonly #leave;
  readonly #handovers;

  constructor(db: RunDb, processes: Processes) {
    this.#db = db;
    this.#processes = processes;
    this.#holder = db.prepare<[string]>('SELECT process FROM roles WHERE role = ?');
    this.#take = db.prepare('INSERT OR REPLACE INTO roles VALUES(?, ?, ?)');
    this.#leave = db.prepare('DELETE FROM roles WHERE role = ? AND process = ?');
    this.#handovers = db.prepare<HandoverRow>(
      'SELECT holder, since_ms, wanted_by, wanted_ms, is_first, granted_ms FROM handovers ORDER BY holder',
    );
  }

  /** Becomes the one that recalls for all, unless another process is. May be called again. */
  takeRecall(nowMs: number): boolean {
    // Asked by all who wait, each second: that another one recalls is seen without taking the lock from others.
    const { own } = this.#processes;
    if ((this.recalls() ?? own) !== own) return false;
    return this.#db.write(() => {
      const holder = this.#holder.get(RECALL)?.[0];
      if (holder === this.#processes.own) return true;
      if (holder !== undefined && this.#processes.isAlive(holder)) return false;
      this.#take.run(RECALL, this.#processes.own, Math.floor(nowMs));
      return true;
    });
  }

  leaveRecall(): void {
    this.#db.write(() => this.#leave.run(RECALL, this.#processes.own));
  }

  /** Undefined where nobody recalls now. */
  recalls(): string | undefined {
    const holder = this.#holder.get(RECALL)?.[0];
    return holder !== undefined && this.#processes.isAlive(holder) ? holder : undefined;
  }

  /** This process holds drives and gives them up between archives. Told again, its time begins anew. */
  offer(nowMs: number): void {
    this.#run('INSERT OR REPLACE INTO handovers VALUES(?, ?, NULL, NULL, 0, NULL)', [
      this.#processes.own,
      Math.floor(nowMs),
    ]);
  }

  withdraw(): void {
    this.#run('DELETE FROM handovers WHERE holder = ?', [this.#processes.own]);
  }

  /** Asks whoever holds drives for them. @returns how many were asked */
  ask(nowMs: number, { isFirst }: { readonly isFirst: boolean }): number {
    const { own } = this.#processes;
    return this.#run(
      `UPDATE handovers SET wanted_by = ?, wanted_ms = coalesce(wanted_ms, ?), is_first = ? WHERE holder <> ?`,
      [own, Math.floor(nowMs), isFirst ? 1 : 0, own],
    );
  }

  /** The drives are free for those who asked. */
  grant(nowMs: number): void {
    this.#run('UPDATE handovers SET granted_ms = ? WHERE holder = ?', [
      Math.floor(nowMs),
      this.#processes.own,
    ]);
  }

  /** Those who asked need them no more. */
  giveBack(): void {
    this.#run(
      'UPDATE handovers SET wanted_by = NULL, wanted_ms = NULL, is_first = 0, granted_ms = NULL WHERE wanted_by = ?',
      [this.#processes.own],
    );
  }

  /** Offers of processes that live; what a dead one has asked for is not asked for. */
  handovers(): Handover[] {
    const { isAlive } = this.#processes;
    return this.#handovers.all().flatMap(([holder, sinceMs, by, wantedMs, isFirst, grantedMs]) => {
      if (holder !== this.#processes.own && !isAlive(holder)) return [];
      const isWanted = by !== null && isAlive(by);
      return [
        {
          holder,
          sinceMs,
          wantedBy: isWanted ? by : undefined,
          wantedMs: isWanted ? (wantedMs ?? undefined) : undefined,
          isFirst: isWanted && isFirst === 1,
          grantedMs: isWanted ? (grantedMs ?? undefined) : undefined,
        },
      ];
    });
  }

  /** What this process offers. */
  ownHandover(): Handover | undefined {
    return this.handovers().find(({ holder }) => holder === this.#processes.own);
  }

  #run(sql: string, parameters: (string | number)[]): number {
    return this.#db.write(() => this.#db.prepare(sql).run(...parameters)).changes;
  }
}
