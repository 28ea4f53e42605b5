/** Which process serves which mount, so that whoever takes one away can wait until that process has ended. */
import type { Processes, RunDb } from './run-db.ts';

export class RunMounts {
  readonly #db: RunDb;
  readonly #processes: Pick<Processes, 'own'>;

  constructor(db: RunDb, processes: Pick<Processes, 'own'>) {
    this.#db = db;
    this.#processes = processes;
  }

  /** This process does. @param device of the mount, `0:52`: a number is given anew once its mount is gone, and then told anew */
  serve(device: string, nowMs: number): void {
    this.#db.write(() =>
      this.#db
        .prepare('INSERT OR REPLACE INTO roles VALUES(?, ?, ?)')
        .run(roleOf(device), this.#processes.own, Math.floor(nowMs)),
    );
  }

  /** Its name, as `Processes` have them; it may have ended. Undefined where nobody has told. */
  serverOf(device: string): string | undefined {
    const row = this.#db
      .prepare<[string]>('SELECT process FROM roles WHERE role = ?')
      .get(roleOf(device));
    return row?.[0];
  }
}

const roleOf = (device: string) => `mount ${device}`;
