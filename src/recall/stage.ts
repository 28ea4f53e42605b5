/**
 * The stage: contents on disk, one file each, proven before they count.
 *
 * A file is named by its hash. Its row in run.db comes first and goes last: a file without one is a leftover. A complete
 * file is right as long as it is what it was when it was proven (size, mtime, ctime) and the machine has not been started
 * anew; else it is proven again before anybody reads it, because a power cut may have taken what was never synced.
 * Several processes share it. What goes is renamed within the transaction that forgets it, and removed behind it: nobody
 * who takes the name meanwhile loses a file of his own.
 */
import { strict as assert } from 'node:assert';
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  renameSync,
  type Stats,
  statSync,
} from 'node:fs';
import { type FileHandle, open, opendir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { CodedError, errnoOf } from '../base/errors.ts';
import type { Processes } from '../catalog/run-db.ts';
import type { Claim, RunStage } from '../catalog/run-stage.ts';
import { diskBytes, type RecallContent } from './content.ts';
import { factsOf, isSame } from './file-facts.ts';

export type StageTools = {
  /** Made where there is none. */
  readonly directory: string;
  /** What all files together may take of the disk, in bytes. */
  readonly limitBytes: number;
  readonly rows: RunStage;
  readonly clock: Clock;
  readonly processes: Processes;
};

/** `unproven`: there, but not to be read before `proves`; `filling`: by a process that lives. */
export type Found = { readonly descriptor: number } | 'unproven' | 'filling' | undefined;

const { O_RDONLY, O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
const GONE = 'gone-';
const NAME = /^[0-9a-f]{64}$/;
/** What was read ahead is kept so long for who comes to read it. */
const AHEAD_KEPT_MS = 3_600_000;
/** After a full disk the stage grows no more for so long. */
const LOWERED_MS = 10 * 60_000;

export class Stage {
  readonly directory: string;
  readonly #tools: StageTools;
  readonly #boot: string;
  /** What the disk could take when it was full; undefined when that is long ago. */
  #lowered: { readonly limitBytes: number; readonly atMs: number } | undefined;
  /** Users of each file in this process. */
  readonly #users = new Map<string, { readonly hash: Buffer; count: number; isTold: boolean }>();
  /** Read since the table was told last. */
  readonly #read = new Map<string, Buffer>();
  #unpinned: Buffer[] = [];
  /** Renamed, and to be removed. */
  #gone: string[] = [];

  /** @throws CodedError STAGE_FAILED */
  constructor(tools: StageTools) {
    this.#tools = tools;
    this.directory = tools.directory;
    this.#boot = tools.processes.own.split(':')[0] ?? '';
    this.#attempt(() => mkdirSync(this.directory, { recursive: true, mode: 0o700 }));
    refuseOthers(
      this.directory,
      this.#attempt(() => statSync(this.directory)),
    );
  }

  /** As the config has it, or less for a while after the disk was full. */
  get limitBytes(): number {
    const { limitBytes, clock } = this.#tools;
    if (!this.#lowered) return limitBytes;
    if (clock.monotonicMs() - this.#lowered.atMs > LOWERED_MS) this.#lowered = undefined;
    return Math.min(limitBytes, this.#lowered?.limitBytes ?? limitBytes);
  }

  get totalBytes(): number {
    return this.#tools.rows.totalBytes;
  }

  pathOf(hash: Buffer): string {
    return join(this.directory, hash.toString('hex'));
  }

  /** A descriptor is the caller's to close. @throws CodedError STAGE_FAILED */
  find({ hash }: RecallContent): Found {
    const row = this.#tools.rows.get(hash);
    if (!row) return undefined;
    if (row.state === 'filling') return this.#lives(row.process) ? 'filling' : undefined;
    const descriptor = this.openFile(hash);
    if (descriptor === undefined) {
      this.#tools.rows.remove(hash);
      return undefined;
    }
    if (row.boot === this.#boot && isSame(factsOf(descriptor), row.facts)) {
      this.#read.set(hash.toString('hex'), hash);
      return { descriptor };
    }
    closeSync(descriptor);
    return 'unproven';
  }

  /**
   * What another process has proven by now of a content that it is filling, on this boot of the machine: the descriptor is
   * the caller's to close; a bit a part.
   * @throws CodedError STAGE_FAILED
   */
  openFilling(hash: Buffer): { readonly descriptor: number; readonly parts: Buffer } | undefined {
    const descriptor = this.openFile(hash);
    if (descriptor === undefined) return undefined;
    // The file first, then what is proven of it: should another one take the name meanwhile, the two would not belong together.
    const row = this.#tools.rows.get(hash);
    const parts = row?.state === 'filling' && row.boot === this.#boot ? row.proven : undefined;
    if (parts && this.isCurrent(hash, descriptor)) return { descriptor, parts };
    closeSync(descriptor);
    return undefined;
  }

  /** Whether an open file is still the one of that name: a name never goes back to a file that it has left. */
  isCurrent(hash: Buffer, descriptor: number): boolean {
    const now = statSync(this.pathOf(hash), { bigint: true, throwIfNoEntry: false });
    return now?.ino === fstatSync(descriptor, { bigint: true }).ino;
  }

  /** The same file once more, for reading, whatever its name is by now. */
  reopen(descriptor: number): number {
    return this.#attempt(() => openSync(`/proc/self/fd/${descriptor}`, O_RDONLY));
  }

  /** For reading; undefined where there is none. @throws CodedError STAGE_FAILED */
  openFile(hash: Buffer): number | undefined {
    return this.#attempt(() => {
      try {
        return openSync(this.pathOf(hash), O_RDONLY | O_NOFOLLOW);
      } catch (error) {
        if (errnoOf(error) === 'ENOENT') return undefined;
        throw error;
      }
    });
  }

  /** Whether a content is there, without looking at its file. */
  has(hash: Buffer): boolean {
    return this.#tools.rows.get(hash)?.state === 'complete';
  }

  /**
   * The right to fill a content, and the room for it: what was not read for long goes. What is wanted `isAhead` only
   * takes the place of what has been read.
   * @throws CodedError STAGE_FULL for what is larger than the stage
   */
  claim(content: RecallContent, { isAhead }: { readonly isAhead: boolean }): Claim {
    const { rows, processes, clock } = this.#tools;
    const { hash, sizeBytes } = content;
    const by = { process: processes.own, boot: this.#boot, nowMs: clock.nowMs() };
    return rows.write(() => {
      const row = rows.get(hash);
      if (row?.state === 'complete') return 'there';
      if (row && row.process !== processes.own && processes.isAlive(row.process)) return 'theirs';
      if (row) {
        this.#putAway(hash);
        rows.takeOver(hash, by);
        return 'mine';
      }
      const bytes = diskBytes(content);
      if (!this.#makeRoom(bytes, isAhead)) return 'full';
      rows.insert(hash, { sizeBytes, bytes, isAhead }, by);
      return 'mine';
    });
  }

  /** The empty file of a content that was claimed, as long as the content. @throws CodedError STAGE_FULL, STAGE_FAILED */
  async create({ hash, sizeBytes }: RecallContent): Promise<FileHandle> {
    const path = this.pathOf(hash);
    const make = () => open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o400);
    try {
      // What had to go for it takes its room until it is removed.
      await this.clean();
      const file = await make().catch((error: unknown) => {
        if (errnoOf(error) !== 'EEXIST') throw error;
        this.#putAway(hash);
        return make();
      });
      await file.truncate(sizeBytes);
      return file;
    } catch (error) {
      throw this.failure(error);
    }
  }

  /** Others may read these parts while the rest is still to come. */
  setProven(hash: Buffer, parts: Buffer): void {
    this.#tools.rows.setProven(hash, this.#tools.processes.own, parts);
  }

  /** Synced, and proven as a whole. @throws CodedError STAGE_FULL, STAGE_FAILED */
  async complete(
    files: readonly { readonly hash: Buffer; readonly file: FileHandle }[],
  ): Promise<void> {
    try {
      await Promise.all(files.map(({ file }) => file.datasync()));
    } catch (error) {
      throw this.failure(error);
    }
    const found = files.map(({ hash, file }) => ({ hash, facts: factsOf(file.fd) }));
    this.#tools.rows.complete(found, this.#by());
  }

  /** A file that was `unproven` has been hashed and is right. */
  completeAgain(hash: Buffer, descriptor: number): void {
    this.#tools.rows.complete([{ hash, facts: factsOf(descriptor) }], this.#by());
  }

  /** Forgets it; who has it open reads on. */
  remove(hash: Buffer): void {
    this.#tools.rows.write(() => {
      this.#putAway(hash);
      this.#tools.rows.remove(hash);
    });
  }

  /** Gives up what this process is filling. */
  abandon(hash: Buffer): void {
    const { rows, processes } = this.#tools;
    rows.write(() => {
      const row = rows.get(hash);
      if (row?.state === 'filling' && row.process === processes.own) this.remove(hash);
    });
  }

  /** Removes a file that has no row: one that was still being made when it was given up. */
  removeLeftover(hash: Buffer): void {
    this.#tools.rows.write(() => {
      if (!this.#tools.rows.get(hash)) this.#putAway(hash);
    });
  }

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

  /** Something for `tell` or `clean` to do. */
  get isDirty(): boolean {
    const isUntold = [...this.#users.values()].some(({ isTold }) => !isTold);
    return isUntold || this.#read.size + this.#unpinned.length + this.#gone.length > 0;
  }

  /** Tells the table what was read, and what is open for longer. Once a second is enough. */
  tell(): void {
    const { rows, clock, processes } = this.#tools;
    const add = [...this.#users.values()].filter(({ isTold }) => !isTold);
    const remove = this.#unpinned;
    if (add.length + remove.length > 0)
      rows.setPins({ add: add.map(({ hash }) => hash), remove }, processes.own);
    this.#unpinned = [];
    for (const user of add) user.isTold = true;
    if (this.#read.size === 0) return;
    rows.touch(this.#read.values(), clock.nowMs());
    this.#read.clear();
  }

  /** Removes what was evicted. */
  async clean(): Promise<void> {
    const gone = this.#gone;
    this.#gone = [];
    for (const path of gone) await this.#unlink(path);
  }

  /** Removes what processes left behind that ended while they filled or evicted. */
  async sweep(): Promise<void> {
    this.#forgetDead();
    for await (const { name } of await opendir(this.directory)) {
      if (name.startsWith(GONE)) this.#gone.push(join(this.directory, name));
      if (!NAME.test(name)) continue;
      const hash = Buffer.from(name, 'hex');
      if (!this.#tools.rows.get(hash)) this.removeLeftover(hash);
    }
    await this.clean();
  }

  /** What the file system refused, named; a full disk lowers the limit to what it could take. */
  failure(error: unknown): unknown {
    const errno = errnoOf(error);
    if (error instanceof CodedError || errno === undefined) return error;
    if (errno !== 'ENOSPC' && errno !== 'EDQUOT') {
      return new CodedError('STAGE_FAILED', `the stage ${this.directory}: ${errno}`, {
        path: this.directory,
        errno,
        cause: error,
      });
    }
    // With nothing there to make room, it is others who fill the disk: to keep smaller would help nobody.
    const { rows, clock } = this.#tools;
    const limitBytes = rows.completeBytes;
    if (limitBytes > 0) this.#lowered = { limitBytes, atMs: clock.monotonicMs() };
    const sentence = `the disk of the stage ${this.directory} is full; it is kept smaller for a while; make room, or set [stage] directory`;
    return new CodedError('STAGE_FULL', sentence, { path: this.directory, errno, cause: error });
  }

  #by() {
    const { processes, clock } = this.#tools;
    return { process: processes.own, boot: this.#boot, nowMs: clock.nowMs() };
  }

  #lives(process: string): boolean {
    const { own, isAlive } = this.#tools.processes;
    return process === own || isAlive(process);
  }

  /** What processes pinned, or were filling, that live no more. */
  #forgetDead(): void {
    const { rows } = this.#tools;
    rows.forgetDead((process) => this.#lives(process));
    for (const { hash, process } of rows.filling()) if (!this.#lives(process)) this.remove(hash);
  }

  /** @returns false where all that is there has to stay for now. @throws CodedError STAGE_FULL where it never fits */
  #makeRoom(bytes: number, isAhead: boolean): boolean {
    if (bytes > this.limitBytes) throw this.full(bytes);
    const hasRoom = () => this.totalBytes + bytes <= this.limitBytes;
    this.#evict(hasRoom, isAhead);
    if (hasRoom()) return true;
    // What is open here would be found again and again, and what others held that were killed since the sweep would stay.
    this.tell();
    this.#forgetDead();
    this.#evict(hasRoom, isAhead);
    return hasRoom();
  }

  /** Until there is room, or nothing more may go. */
  #evict(hasRoom: () => boolean, isAhead: boolean): void {
    const { rows, clock } = this.#tools;
    const aheadMs = isAhead ? clock.nowMs() - AHEAD_KEPT_MS : Number.MAX_SAFE_INTEGER;
    for (const of of ['used', 'ahead'] as const) {
      while (!hasRoom()) {
        const victims = rows.victims(of, aheadMs);
        const found = victims.filter(({ hash }) => !this.#users.has(hash.toString('hex')));
        if (found.length === 0) break;
        for (const { hash } of found) {
          if (hasRoom()) break;
          this.#putAway(hash);
          rows.remove(hash);
        }
      }
    }
  }

  /** Why so many bytes do not fit. */
  full(bytes: number): CodedError {
    return new CodedError(
      'STAGE_FULL',
      `the stage ${this.directory} may hold ${this.limitBytes} bytes, of which ${this.totalBytes} are in use; ${bytes} more do not fit; set [stage] size`,
      { path: this.directory },
    );
  }

  /** From its name, at once; the rest of it later. */
  #putAway(hash: Buffer): void {
    const gone = join(this.directory, `${GONE}${hash.toString('hex')}`);
    this.#attempt(() => {
      try {
        renameSync(this.pathOf(hash), gone);
        this.#gone.push(gone);
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT') throw error;
      }
    });
  }

  async #unlink(path: string): Promise<void> {
    try {
      await unlink(path);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw this.failure(error);
    }
  }

  #attempt<T>(step: () => T): T {
    try {
      return step();
    } catch (error) {
      throw this.failure(error);
    }
  }
}

/** Whoever may write there could exchange what was proven. @throws CodedError STAGE_FAILED */
function refuseOthers(directory: string, { uid, mode }: Stats): void {
  const isOurs = uid === process.geteuid?.() && (mode & 0o022) === 0;
  if (isOurs) return;
  const sentence = `the stage ${directory} belongs to another user, or others may write there; chown and chmod go-w mend it`;
  throw new CodedError('STAGE_FAILED', sentence, { path: directory });
}
