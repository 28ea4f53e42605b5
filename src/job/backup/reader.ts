/** Reads source files into fragments: the same code in a worker and, single-threaded, in the process itself. */
import { strict as assert } from 'node:assert';
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { errnoOf } from '../../base/errors.ts';
import { type Raw, rawPath } from '../../base/raw.ts';
import type { Moment } from '../../domain/entry.ts';
import { ContentHasher } from '../../hash/content-hasher.ts';
import type {
  FragmentResult,
  MemberOutcome,
  MemberResult,
  ReadTask,
  RunTask,
  SmallMember,
  SmallTask,
  Stamp,
} from './fragment.ts';

const TAR_RECORD_BYTES = 512;
/** Never through a symlink put in its place, never waiting for a pipe's other end. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

export class Reader {
  readonly #hasher = new ContentHasher();
  readonly #scratch = Buffer.allocUnsafe(2 ** 20);
  #open: OpenFile | undefined;

  /** @param slab room for the task's heads, data and padding */
  fill(task: ReadTask, slab: Buffer): FragmentResult {
    return task.kind === 'small' ? this.#fillSmall(task, slab) : this.#fillRun(task, slab);
  }

  close(): void {
    if (this.#open) closeSync(this.#open.fd);
    this.#open = undefined;
  }

  #fillSmall(task: SmallTask, slab: Buffer): FragmentResult {
    const members: MemberResult[] = [];
    let at = 0;
    for (const member of task.members) {
      const result = this.#storeSmall(member, slab, at);
      members.push(result);
      if (result.outcome === 'stored' || result.outcome === 'changed-while-read') {
        const end = at + member.head.length + (member.stamp?.sizeBytes ?? 0);
        at = padTo512(slab, end);
      }
    }
    return { lengthBytes: at, members };
  }

  #storeSmall(member: SmallMember, slab: Buffer, offset: number): MemberResult {
    slab.set(member.head, offset);
    if (member.path === undefined || !member.stamp) return stored(offset);
    const { stamp } = member;
    let fd: number;
    try {
      fd = openFile(member.path);
    } catch (error) {
      return unreadable(offset, error);
    }
    try {
      if (!isSame(fstatSync(fd), stamp)) return changedBefore(offset);
      const start = offset + member.head.length;
      const readBytes = readFully(fd, slab.subarray(start, start + stamp.sizeBytes), null);
      const isWhole = readBytes === stamp.sizeBytes && isSame(fstatSync(fd), stamp);
      slab.fill(0, start + readBytes, start + stamp.sizeBytes);
      this.#hasher.reset();
      this.#hasher.update(slab.subarray(start, start + stamp.sizeBytes));
      const { hash, segments } = this.#hasher.finish();
      const outcome = isWhole ? 'stored' : 'changed-while-read';
      return { outcome, offset, hash, segments, readBytes, errno: undefined };
    } catch (error) {
      return unreadable(offset, error);
    } finally {
      closeSync(fd);
    }
  }

  #fillRun(task: RunTask, slab: Buffer): FragmentResult {
    const isFirst = task.head.length > 0;
    slab.set(task.head, 0);
    let at = task.head.length;
    let outcome: MemberOutcome = 'stored';
    let readBytes = 0;
    let errno: string | undefined;
    let open = this.#open?.path === task.path ? this.#open : undefined;
    try {
      if (!open || open.hashedTo !== task.hashFrom) open = this.#openAnew(task);
      readBytes += open.skippedBytes;
      open.skippedBytes = 0;
      if (isFirst && !open.isChanged && !isSame(fstatSync(open.fd), task.stamp)) {
        this.close();
        return { lengthBytes: 0, members: [changedBefore(0)] };
      }
      for (const range of task.ranges) {
        this.#hashZeros(open, range.offset - open.hashedTo);
        const into = slab.subarray(at, at + range.lengthBytes);
        const count = readFully(open.fd, into, range.offset);
        readBytes += count;
        if (count < into.length) {
          into.fill(0, count);
          open.isChanged = true;
        }
        this.#hasher.update(into);
        open.hashedTo += into.length;
        at += into.length;
      }
      this.#hashZeros(open, task.hashTo - open.hashedTo);
      if (!task.isLast) return this.#run(task, slab, at, { outcome, readBytes, errno });
      if (open.isChanged || !isSame(fstatSync(open.fd), task.stamp)) outcome = 'changed-while-read';
      const { hash, segments } = this.#hasher.finish();
      this.close();
      const whole = this.#run(task, slab, at, { outcome, readBytes, errno });
      const [member] = whole.members;
      assert(member);
      return { ...whole, members: [{ ...member, hash, segments }] };
    } catch (error) {
      errno = errnoOf(error);
      if (errno === undefined) throw error;
      this.close();
      if (isFirst) return { lengthBytes: 0, members: [unreadable(0, error)] };
      // The header has promised these bytes: the archive stays valid, the content does not count.
      const promised = task.ranges.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
      slab.fill(0, at, task.head.length + promised);
      at = task.head.length + promised;
      outcome = 'unreadable';
      return this.#run(task, slab, at, { outcome, readBytes, errno });
    }
  }

  #run(
    task: RunTask,
    slab: Buffer,
    end: number,
    facts: Pick<MemberResult, 'outcome' | 'readBytes' | 'errno'>,
  ): FragmentResult {
    slab.fill(0, end, end + task.paddingBytes);
    const member = { ...facts, offset: 0, hash: undefined, segments: undefined };
    return { lengthBytes: end + task.paddingBytes, members: [member] };
  }

  /** Opens the file and brings the hash to where the task goes on: parts written before are read again. */
  #openAnew(task: RunTask): OpenFile {
    this.close();
    const fd = openFile(task.path);
    const open = { path: task.path, fd, hashedTo: 0, isChanged: false, skippedBytes: 0 };
    this.#open = open;
    this.#hasher.reset();
    while (open.hashedTo < task.hashFrom) {
      const wanted = Math.min(this.#scratch.length, task.hashFrom - open.hashedTo);
      const into = this.#scratch.subarray(0, wanted);
      const count = readFully(fd, into, open.hashedTo);
      if (count < wanted) {
        into.fill(0, count);
        open.isChanged = true;
      }
      open.skippedBytes += count;
      this.#hasher.update(into);
      open.hashedTo += wanted;
    }
    return open;
  }

  #hashZeros(open: OpenFile, lengthBytes: number): void {
    assert(lengthBytes >= 0, 'ranges ascend');
    this.#hasher.updateZeros(lengthBytes);
    open.hashedTo += lengthBytes;
  }
}

type OpenFile = {
  readonly path: Raw;
  readonly fd: number;
  /** Bytes of the content that the hash has seen. */
  hashedTo: number;
  isChanged: boolean;
  skippedBytes: number;
};

function openFile(path: Raw): number {
  try {
    return openSync(rawPath(path), OPEN_FLAGS | constants.O_NOATIME);
  } catch (error) {
    // O_NOATIME is for owners and root alone (open(2)).
    if (errnoOf(error) !== 'EPERM') throw error;
    return openSync(rawPath(path), OPEN_FLAGS);
  }
}

function readFully(fd: number, into: Uint8Array, position: number | null): number {
  let done = 0;
  while (done < into.length) {
    const count = readSync(
      fd,
      into,
      done,
      into.length - done,
      position === null ? null : position + done,
    );
    if (count === 0) break;
    done += count;
  }
  return done;
}

/** Milliseconds as Node's Stats have them, computed as Node does, so that equal times are equal numbers. */
function milliseconds({ seconds, nanoseconds }: Moment): number {
  return seconds * 1e3 + nanoseconds / 1e6;
}

function isSame(found: Stats, stamp: Stamp): boolean {
  return (
    found.size === stamp.sizeBytes &&
    (found.ino === stamp.inode || !Number.isSafeInteger(found.ino)) &&
    found.mtimeMs === milliseconds(stamp.mtime) &&
    found.ctimeMs === milliseconds(stamp.ctime)
  );
}

function padTo512(slab: Buffer, end: number): number {
  const next = Math.ceil(end / TAR_RECORD_BYTES) * TAR_RECORD_BYTES;
  slab.fill(0, end, next);
  return next;
}

const NOTHING = { hash: undefined, segments: undefined, readBytes: 0, errno: undefined } as const;

function stored(offset: number): MemberResult {
  return { outcome: 'stored', offset, ...NOTHING };
}

function changedBefore(offset: number): MemberResult {
  return { outcome: 'changed-before', offset, ...NOTHING };
}

/** What the kernel says of a source file is a result; anything else is a bug and crashes. */
function unreadable(offset: number, error: unknown): MemberResult {
  const errno = errnoOf(error);
  if (errno === undefined) throw error;
  // Gone since the scan, or exchanged for something that is no file.
  const isGone = errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'ELOOP';
  return { outcome: isGone ? 'changed-before' : 'unreadable', offset, ...NOTHING, errno };
}
