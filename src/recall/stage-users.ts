/** Who uses which files of the stage in this process, and what run.db is told of it: once a second is enough. */
import { strict as assert } from 'node:assert';
import type { RunStage } from '../catalog/run-db/stage.ts';

export class StageUsers {
  readonly #users = new Map<string, { readonly hash: Buffer; count: number; isTold: boolean }>();
  /** Read since the table was told last. */
  readonly #read = new Map<string, Buffer>();
  #unpinned: Buffer[] = [];

  /** As long as it is used it is not evicted. */
  use(hash: Buffer): void {
    const key = hash.toString('hex');
    const known = this.#users.get(key);
    if (known) known.count += 1;
    else this.#users.set(key, { hash, count: 1, isTold: false });
  }

  release(hash: Buffer): void {
    const key = hash.toString('hex');
    const known = this.#users.get(key);
    assert(known, 'a file is released by who uses it');
    known.count -= 1;
    this.#read.set(key, hash);
    if (known.count > 0) return;
    this.#users.delete(key);
    if (known.isTold) this.#unpinned.push(hash);
  }

  /** Somebody has read it. */
  seen(hash: Buffer): void {
    this.#read.set(hash.toString('hex'), hash);
  }

  has(hash: Buffer): boolean {
    return this.#users.has(hash.toString('hex'));
  }

  /** Something for `tell` to do. */
  get isDirty(): boolean {
    const isUntold = [...this.#users.values()].some(({ isTold }) => !isTold);
    return isUntold || this.#read.size + this.#unpinned.length > 0;
  }

  /** Tells the table what was read, and what is open for longer. */
  tell(rows: RunStage, by: { readonly process: string; readonly nowMs: number }): void {
    const add = [...this.#users.values()].filter(({ isTold }) => !isTold);
    const remove = this.#unpinned;
    if (add.length + remove.length > 0)
      rows.setPins({ add: add.map(({ hash }) => hash), remove }, by.process);
    this.#unpinned = [];
    for (const user of add) user.isTold = true;
    if (this.#read.size === 0) return;
    rows.touch(this.#read.values(), by.nowMs);
    this.#read.clear();
  }
}
