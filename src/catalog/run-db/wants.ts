/** What readers wait for, across processes: whoever holds a drive serves all of it. */
import type { RunDb } from './run-db.ts';

/** Somebody who waits, for `wanted` and the storm guard. */
export type WaitingReader = {
  readonly pid: number;
  /** Of the program, printable; empty where nobody could tell. */
  readonly name: string;
};

export type Want = {
  readonly contentId: number;
  readonly process: string;
  readonly sinceMs: number;
  /** The first of them. */
  readonly readers: readonly WaitingReader[];
};

/** Why a want is not to be had: a code of base/errors.ts and its sentence. */
export type WantFailure = { readonly code: string; readonly message: string };

/** Everything below a directory is wanted, as far as it lies on the cartridge that is loaded. */
export type Walk = {
  readonly process: string;
  /** Who walks, within that process. */
  readonly walker: string;
  readonly directoryId: number;
  readonly snapshotId: number;
  readonly sinceMs: number;
};

const READERS_KEPT = 16;

type WantRow = [content: number, process: string, sinceMs: number, readers: string];

export class RunWants {
  readonly #db: RunDb;
  readonly #post;
  readonly #drop;
  readonly #all;
  readonly #fail;
  readonly #failed;
  readonly #processes;
  readonly #walk;
  readonly #endWalks;
  readonly #walks;

  constructor(db: RunDb) {
    this.#db = db;
    this.#post = db.prepare(
      `INSERT INTO wants VALUES(?, ?, ?, ?, NULL)
       ON CONFLICT DO UPDATE SET readers = excluded.readers, failure = NULL`,
    );
    this.#drop = db.prepare('DELETE FROM wants WHERE content = ? AND process = ?');
    this.#all = db.prepare<WantRow>(
      'SELECT content, process, since_ms, readers FROM wants WHERE failure IS NULL ORDER BY since_ms, content',
    );
    this.#fail = db.prepare(
      'UPDATE wants SET failure = ? WHERE content = ? AND process <> ? AND failure IS NULL',
    );
    this.#failed = db.prepare<[number, string]>(
      'SELECT content, failure FROM wants WHERE process = ? AND failure IS NOT NULL',
    );
    this.#processes = db.prepare<[string]>(
      'SELECT process FROM wants UNION SELECT process FROM walks',
    );
    this.#walk = db.prepare(
      `INSERT INTO walks VALUES(?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
       directory = excluded.directory, snapshot = excluded.snapshot, since_ms = excluded.since_ms`,
    );
    this.#endWalks = db.prepare('DELETE FROM walks WHERE process = ? AND since_ms < ?');
    this.#walks = db.prepare<[string, string, number, number, number]>(
      'SELECT process, walker, directory, snapshot, since_ms FROM walks ORDER BY since_ms, walker',
    );
  }

  /** May be told again: who waits is as told last, since when as told first. */
  post(wants: readonly Want[]): void {
    this.#db.write(() => {
      for (const { contentId, process, sinceMs, readers } of wants) {
        const kept = JSON.stringify(readers.slice(0, READERS_KEPT));
        this.#post.run(contentId, process, Math.floor(sinceMs), kept);
      }
    });
  }

  /** The bytes are staged, or the last reader has gone. */
  drop(wants: readonly Pick<Want, 'contentId' | 'process'>[]): void {
    if (wants.length === 0) return;
    this.#db.write(() => {
      for (const { contentId, process } of wants) this.#drop.run(contentId, process);
    });
  }

  /** Those that have not failed, longest waiting first. */
  list(): Want[] {
    return this.#all.all().map(([contentId, process, sinceMs, readers]) => ({
      contentId,
      process,
      sinceMs,
      readers: JSON.parse(readers),
    }));
  }

  /** Tells all other processes that wait for it. */
  fail(contentId: number, process: string, failure: WantFailure): void {
    this.#db.write(() => this.#fail.run(JSON.stringify(failure), contentId, process));
  }

  /** What another process could not bring for this one; each is told once. */
  takeFailures(process: string): (WantFailure & { readonly contentId: number })[] {
    const rows = this.#failed.all(process);
    this.drop(rows.map(([contentId]) => ({ contentId, process })));
    return rows.map(([contentId, failure]) => ({ contentId, ...JSON.parse(failure) }));
  }

  follow(walk: Walk): void {
    const { process, walker, directoryId, snapshotId, sinceMs } = walk;
    this.#db.write(() =>
      this.#walk.run(process, walker, directoryId, snapshotId, Math.floor(sinceMs)),
    );
  }

  /** Of a process that lives: who was last told of before then walks no more. */
  endWalks(process: string, beforeMs: number): void {
    this.#db.write(() => this.#endWalks.run(process, Math.floor(beforeMs)));
  }

  walks(): Walk[] {
    return this.#walks.all().map(([process, walker, directoryId, snapshotId, sinceMs]) => ({
      process,
      walker,
      directoryId,
      snapshotId,
      sinceMs,
    }));
  }

  /** Forgets what processes want that live no more. */
  forgetDead(isAlive: (process: string) => boolean): void {
    const dead = this.#processes.all().flatMap(([process]) => (isAlive(process) ? [] : [process]));
    if (dead.length === 0) return;
    this.#db.write(() => {
      for (const process of dead)
        for (const table of ['wants', 'walks'])
          this.#db.prepare(`DELETE FROM ${table} WHERE process = ?`).run(process);
    });
  }
}
