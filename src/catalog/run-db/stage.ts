/** The table of the stage: which contents lie in the disk cache, which are being put there, by whom. */
import type { RunDb } from './run-db.ts';

/** What a file was when its bytes had been proven: one that differs is proven again. */
export type FileFacts = {
  readonly sizeBytes: number;
  readonly mtimeS: number;
  readonly mtimeNs: number;
  readonly ctimeS: number;
  readonly ctimeNs: number;
};

export type StageRow = {
  readonly state: 'filling' | 'complete';
  /** Who fills it, or did. */
  readonly process: string;
  /** A bit a segment, lowest first, while it is filled. */
  readonly proven: Buffer | undefined;
  readonly boot: string;
  readonly facts: FileFacts;
};

/** `full`: what is there is in use, or still to be read; in a moment it may not be. */
export type Claim = 'mine' | 'theirs' | 'there' | 'full';

/** Stands for a process that does not live. */
export const NOBODY = 'nobody';

type Row = [
  state: 'filling' | 'complete',
  process: string,
  proven: Buffer | null,
  boot: string,
  size: number,
  mtimeS: number,
  mtimeNs: number,
  ctimeS: number,
  ctimeNs: number,
];

const SELECT =
  'SELECT state, process, proven, boot, size, mtime, mtime_ns, ctime, ctime_ns FROM stage';
/** Of files that nobody has pinned: those read longest ago, what was read ahead and is still to be read last. */
const VICTIMS = `
SELECT hash, bytes FROM stage s WHERE state = 'complete'
  AND NOT EXISTS(SELECT 1 FROM pins p WHERE p.hash = s.hash)
  AND (ahead_ms IS NULL) = ? AND coalesce(ahead_ms, 0) < ?
ORDER BY used_ms LIMIT 64`;

export class RunStage {
  readonly #db: RunDb;
  readonly #get;
  readonly #insert;
  readonly #takeOver;
  readonly #progress;
  readonly #complete;
  readonly #delete;
  readonly #total;
  readonly #touch;
  readonly #victims;
  readonly #pin;
  readonly #unpin;
  readonly #filling;
  readonly #leave;

  constructor(db: RunDb) {
    this.#db = db;
    this.#get = db.prepare<Row>(`${SELECT} WHERE hash = ?`);
    this.#insert = db.prepare(
      `INSERT INTO stage VALUES(?, ?, ?, 'filling', ?, NULL, 0, 0, 0, 0, ?, ?, ?)`,
    );
    this.#takeOver = db.prepare(
      `UPDATE stage SET process = ?, boot = ?, proven = NULL, used_ms = ? WHERE hash = ? AND state = 'filling'`,
    );
    this.#progress = db.prepare(
      `UPDATE stage SET proven = ? WHERE hash = ? AND process = ? AND state = 'filling'`,
    );
    this.#complete = db.prepare(
      `UPDATE stage SET state = 'complete', proven = NULL, boot = ?, size = ?, mtime = ?, mtime_ns = ?,
         ctime = ?, ctime_ns = ?, used_ms = ? WHERE hash = ? AND (state = 'complete' OR process = ?)`,
    );
    this.#delete = db.prepare('DELETE FROM stage WHERE hash = ?');
    this.#total = db.prepare<[number]>("SELECT bytes FROM totals WHERE name = 'stage'");
    this.#touch = db.prepare('UPDATE stage SET used_ms = ?, ahead_ms = NULL WHERE hash = ?');
    this.#victims = db.prepare<[Buffer, number]>(VICTIMS);
    this.#pin = db.prepare('INSERT OR IGNORE INTO pins VALUES(?, ?)');
    this.#unpin = db.prepare('DELETE FROM pins WHERE hash = ? AND process = ?');
    this.#filling = db.prepare<[Buffer, string, number]>(
      "SELECT hash, process, proven IS NOT NULL FROM stage WHERE state = 'filling'",
    );
    this.#leave = db.prepare(
      `UPDATE stage SET process = ? WHERE hash = ? AND process = ? AND state = 'filling'`,
    );
  }

  /** All of it or nothing; the stage's files are named and removed within. */
  write<T>(work: () => T): T {
    return this.#db.write(work);
  }

  get(hash: Buffer): StageRow | undefined {
    const row = this.#get.get(hash);
    if (!row) return undefined;
    const [state, process, proven, boot, sizeBytes, mtimeS, mtimeNs, ctimeS, ctimeNs] = row;
    const facts = { sizeBytes, mtimeS, mtimeNs, ctimeS, ctimeNs };
    return { state, process, proven: proven ?? undefined, boot, facts };
  }

  /** Bytes of all files, of those being filled too. */
  get totalBytes(): number {
    return this.#total.get()?.[0] ?? 0;
  }

  /** Of those that are proven as a whole. */
  get completeBytes(): number {
    const filling = "SELECT coalesce(sum(bytes), 0) FROM stage WHERE state = 'filling'";
    return this.totalBytes - (this.#db.prepare<[number]>(filling).get()?.[0] ?? 0);
  }

  /** @param entry.bytes it takes of the disk; `isAhead`: nobody waits for it yet */
  insert(
    hash: Buffer,
    entry: { sizeBytes: number; bytes: number; isAhead: boolean },
    by: { process: string; boot: string; nowMs: number },
  ): void {
    const nowMs = Math.floor(by.nowMs);
    const { sizeBytes, bytes, isAhead } = entry;
    this.#insert.run(hash, sizeBytes, bytes, by.process, by.boot, nowMs, isAhead ? nowMs : null);
  }

  /** The process that filled it is no more. Nothing of it is proven. */
  takeOver(hash: Buffer, by: { process: string; boot: string; nowMs: number }): void {
    this.#takeOver.run(by.process, by.boot, Math.floor(by.nowMs), hash);
  }

  setProven(hash: Buffer, process: string, proven: Buffer): void {
    this.#db.write(() => this.#progress.run(proven, hash, process));
  }

  /** Proven as a whole: by its filler, or again by anybody. */
  complete(
    files: readonly { readonly hash: Buffer; readonly facts: FileFacts }[],
    by: { process: string; boot: string; nowMs: number },
  ): void {
    this.#db.write(() => {
      for (const { hash, facts } of files) {
        const { sizeBytes, mtimeS, mtimeNs, ctimeS, ctimeNs } = facts;
        const times = [mtimeS, mtimeNs, ctimeS, ctimeNs];
        this.#complete.run(by.boot, sizeBytes, ...times, Math.floor(by.nowMs), hash, by.process);
      }
    });
  }

  remove(hash: Buffer): void {
    this.#db.write(() => this.#delete.run(hash));
  }

  /** They were read: the last to be evicted. */
  touch(hashes: Iterable<Buffer>, nowMs: number): void {
    this.#db.write(() => {
      for (const hash of hashes) this.#touch.run(Math.floor(nowMs), hash);
    });
  }

  /**
   * Some of what may go, longest unused first.
   * @param of `ahead`: what was read ahead before `beforeMs` and nobody has read since
   */
  victims(of: 'used' | 'ahead', beforeMs: number): { hash: Buffer; bytes: number }[] {
    const limit = of === 'used' ? 1 : Math.floor(beforeMs);
    return this.#victims
      .all(of === 'used' ? 1 : 0, limit)
      .map(([hash, bytes]) => ({ hash, bytes }));
  }

  /** Open for longer than a moment in a process: others leave them alone. */
  setPins(pins: { add: Iterable<Buffer>; remove: Iterable<Buffer> }, process: string): void {
    this.#db.write(() => {
      for (const hash of pins.remove) this.#unpin.run(hash, process);
      for (const hash of pins.add) this.#pin.run(hash, process);
    });
  }

  filling(): { readonly hash: Buffer; readonly process: string; readonly hasProven: boolean }[] {
    return this.#filling
      .all()
      .map(([hash, process, proven]) => ({ hash, process, hasProven: proven === 1 }));
  }

  /** Nobody fills it any more, and nothing of it is being written: whoever wants it may go on where it ends. */
  leave(hash: Buffer, process: string): void {
    this.#db.write(() => this.#leave.run(NOBODY, hash, process));
  }

  /** Pins of processes that live no more hold nothing. */
  forgetDead(isAlive: (process: string) => boolean): void {
    const all = this.#db.prepare<[string]>('SELECT DISTINCT process FROM pins').all();
    const dead = all.flatMap(([process]) => (isAlive(process) ? [] : [process]));
    this.#db.write(() => {
      for (const process of dead)
        this.#db.prepare('DELETE FROM pins WHERE process = ?').run(process);
    });
  }
}
