/**
 * The stage: contents on disk, one file each, proven before they count.
 *
 * A file is named by its hash. Its row in run.db comes first and goes last: a file without one is a leftover. A complete
 * file is right as long as it is what it was when it was proven (size, mtime, ctime) and the machine has not been started
 * anew; else it is proven again before anybody reads it, because a power cut may have taken what was never synced.
 * Several processes share it. What goes is renamed within the transaction that forgets it, and removed behind it: nobody
 * who takes the name meanwhile loses a file of his own.
 */
import { closeSync, constants, fstatSync, openSync, renameSync, statSync } from 'node:fs';
import { chmod, type FileHandle, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { type CodedError, errnoOf } from '../base/errors.ts';
import type { Processes } from '../catalog/run-db/run-db.ts';
import { type Claim, NOBODY, type RunStage, type StageRow } from '../catalog/run-db/stage.ts';
import { diskBytes, type RecallContent } from './content.ts';
import { factsOf, isSame } from './file-facts.ts';
import { makeStageDirectory, namesIn } from './stage-directory.ts';
import { StageRoom } from './stage-room.ts';
import { StageUsers } from './stage-users.ts';

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
const MODE = 0o400;
/** For who goes on filling it, a moment long. */
const FILLED_MODE = 0o600;
const GONE = 'gone-';
const NAME = /^[0-9a-f]{64}$/;
export class Stage {
  readonly directory: string;
  readonly #tools: StageTools;
  readonly #boot: string;
  readonly #room: StageRoom;
  readonly #users = new StageUsers();
  /** Renamed, and to be removed. */
  #gone: string[] = [];

  /** @throws CodedError STAGE_FAILED */
  constructor(tools: StageTools) {
    this.#tools = tools;
    this.directory = tools.directory;
    this.#boot = tools.processes.own.split(':')[0] ?? '';
    this.#room = new StageRoom({
      ...tools,
      users: this.#users,
      putAway: (hash) => this.#putAway(hash),
      refresh: () => {
        // What is open here would be found again and again, and what others held that were killed since the sweep would stay.
        this.tell();
        this.#forgetDead('removed');
      },
    });
    this.#attempt(() => makeStageDirectory(this.directory, 'made'));
  }

  /** As the config has it, or less for a while after the disk was full. */
  get limitBytes(): number {
    return this.#room.limitBytes;
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
      this.#users.seen(hash);
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
      if (!this.#room.make(bytes, isAhead)) return 'full';
      rows.insert(hash, { sizeBytes, bytes, isAhead }, by);
      return 'mine';
    });
  }

  /**
   * What somebody who is gone has left of a content, which is ours to fill from now on: its parts that were proven, a bit each. Of
   * one that may still write, nothing is left: what it brings must reach no file that others read.
   */
  takeOver({ hash }: RecallContent): Buffer | undefined {
    const { rows } = this.#tools;
    const isLeft = (row: StageRow) => row.state === 'filling' && this.#isGone(row.process);
    return rows.write(() => {
      const row = rows.get(hash);
      if (!row?.proven || !isLeft(row)) return undefined;
      rows.takeOver(hash, this.#by());
      return row.proven;
    });
  }

  /** The file of what was taken over; undefined where it is none to go on with. @throws CodedError STAGE_FULL, STAGE_FAILED */
  async openLeft({ hash, sizeBytes }: RecallContent): Promise<FileHandle | undefined> {
    const path = this.pathOf(hash);
    try {
      await chmod(path, FILLED_MODE);
      const file = await open(path, O_RDWR | O_NOFOLLOW);
      await file.chmod(MODE);
      // A power cut may have taken its length.
      await file.truncate(sizeBytes);
      return file;
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw this.failure(error);
    }
  }

  /** Ends filling it, closed already: whoever wants it next goes on with what is proven. */
  leave(hash: Buffer): void {
    this.#tools.rows.leave(hash, this.#tools.processes.own);
  }

  /** The empty file of a content that was claimed, as long as the content. @throws CodedError STAGE_FULL, STAGE_FAILED */
  async create({ hash, sizeBytes }: RecallContent): Promise<FileHandle> {
    const path = this.pathOf(hash);
    const make = () => open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, MODE);
    try {
      // What had to go for it takes its room until it is removed.
      await this.clean();
      const file = await make().catch((error: unknown) => {
        const errno = errnoOf(error);
        if (errno === 'EEXIST') this.#putAway(hash);
        else if (errno === 'ENOENT') makeStageDirectory(this.directory, 'there');
        else throw error;
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
    this.#users.use(hash);
  }

  release(hash: Buffer): void {
    this.#users.release(hash);
  }

  /** Something for `tell` or `clean` to do. */
  get isDirty(): boolean {
    return this.#users.isDirty || this.#gone.length > 0;
  }

  /** Tells the table what was read, and what is open for longer. Once a second is enough. */
  tell(): void {
    const { rows, clock, processes } = this.#tools;
    this.#users.tell(rows, { process: processes.own, nowMs: clock.nowMs() });
  }

  /** Removes what was evicted. */
  async clean(): Promise<void> {
    const gone = this.#gone;
    this.#gone = [];
    for (const path of gone) await this.#unlink(path);
  }

  /** Removes what processes left behind that ended while they filled or evicted, but for what somebody can go on with. */
  async sweep(): Promise<void> {
    this.#forgetDead('kept');
    const names = await namesIn(this.directory).catch((error: unknown) => {
      throw this.failure(error);
    });
    for (const name of names) {
      if (name.startsWith(GONE)) this.#gone.push(join(this.directory, name));
      if (!NAME.test(name)) continue;
      const hash = Buffer.from(name, 'hex');
      if (!this.#tools.rows.get(hash)) this.removeLeftover(hash);
    }
    await this.clean();
  }

  /** What the file system refused, named; a full disk lowers the limit to what it could take. */
  failure(error: unknown): unknown {
    return this.#room.failure(error);
  }

  /** Why so many bytes do not fit. */
  full(bytes: number): CodedError {
    return this.#room.full(bytes);
  }

  #by() {
    const { processes, clock } = this.#tools;
    return { process: processes.own, boot: this.#boot, nowMs: clock.nowMs() };
  }

  #lives(process: string): boolean {
    const { own, isAlive } = this.#tools.processes;
    return process === own || isAlive(process);
  }

  #isGone(process: string): boolean {
    return process === NOBODY || this.#tools.processes.isGone?.(process) === true;
  }

  /** What processes pinned, or were filling, that live no more. @param proven what is done with what somebody could go on with */
  #forgetDead(proven: 'kept' | 'removed'): void {
    const { rows } = this.#tools;
    rows.forgetDead((process) => this.#lives(process));
    for (const { hash, process, hasProven } of rows.filling()) {
      const isKept = proven === 'kept' && hasProven && this.#isGone(process);
      if (!isKept && !this.#lives(process)) this.remove(hash);
    }
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
