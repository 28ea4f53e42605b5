/** Reads source files into fragments: the same code in a worker and, single-threaded, in the process itself. */
import { strict as assert } from 'node:assert';
import { readSync } from 'node:fs';
import { systemClock } from '../../base/clock.ts';
import { CodedError, errnoOf } from '../../base/errors.ts';
import type { Raw } from '../../base/raw.ts';
import { compareMoments } from '../../domain/entry.ts';
import { ContentHasher } from '../../hash/content-hasher.ts';
import { type ScannedEntry, statEntry } from '../../source/directory.ts';
import { type FsDoor, loadFsDoor } from '../../source/door.ts';
import { type SourceFile, SourceTree } from '../../source/tree.ts';
import type {
  FragmentResult,
  MemberResult,
  ReadTask,
  RunTask,
  SmallMember,
  SmallTask,
  SourcePlace,
  Stamp,
} from './fragment.ts';

const TAR_RECORD_BYTES = 512;
/**
 * The kernel stamps files by a clock that ticks every 1 to 10 ms (before Linux 6.13); some file systems know seconds or
 * two of them. A file changed twice within a tick looks unchanged for ever: whoever reads it in between waits for the next.
 */
const TICK_MS = 20;
const COARSE_TICK_MS = 2000;

export class Reader {
  readonly #hasher = new ContentHasher();
  readonly #scratch = Buffer.allocUnsafe(2 ** 20);
  readonly #door: FsDoor = loadFsDoor();
  readonly #trees = new Map<Raw, SourceTree>();
  /** Large files begun and not ended: the parts of one may be far apart. */
  readonly #files = new Map<string, OpenFile>();
  #broken: BrokenMember | undefined;

  /** @param slab room for the task's heads, data and padding */
  fill(task: ReadTask, slab: Buffer): FragmentResult {
    return task.kind === 'small' ? this.#fillSmall(task, slab) : this.#fillRun(task, slab);
  }

  close(): void {
    for (const open of this.#files.values()) open.tree.closeFile(open.file);
    this.#files.clear();
    for (const tree of this.#trees.values()) tree.close();
    this.#trees.clear();
  }

  #closeFile(place: SourcePlace): void {
    const open = this.#files.get(keyOf(place));
    if (open) open.tree.closeFile(open.file);
    this.#files.delete(keyOf(place));
  }

  #tree({ source, followsLinks }: SourcePlace): SourceTree {
    const known = this.#trees.get(source);
    if (known) return known;
    const tree = SourceTree.open(source, { followLinks: followsLinks, door: this.#door });
    this.#trees.set(source, tree);
    return tree;
  }

  /** As `isStill`, so that no later change can have the times of this one. */
  #isStillAndSettled(fd: number, stamp: Stamp): boolean {
    const { seconds, nanoseconds } = stamp.ctime;
    const tickMs = nanoseconds === 0 ? COARSE_TICK_MS : TICK_MS;
    const ageMs = systemClock.nowMs() - (seconds * 1000 + nanoseconds / 1e6);
    if (ageMs >= 0 && ageMs < tickMs) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, tickMs - ageMs);
    }
    return this.#isStill(fd, stamp);
  }

  #isStill(fd: number, stamp: Stamp): boolean {
    const entry = statEntry(this.#door, fd, '' as Raw);
    return typeof entry !== 'number' && isSame(entry, stamp);
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
    if (!member.place || !member.stamp) return stored(offset);
    const { stamp } = member;
    let tree: SourceTree;
    let file: SourceFile;
    try {
      tree = this.#tree(member.place);
      file = tree.openFile(member.place.path);
    } catch (error) {
      return unreadable(offset, error);
    }
    try {
      if (!isSame(file.entry, stamp)) return changedBefore(offset);
      const start = offset + member.head.length;
      const into = slab.subarray(start, start + stamp.sizeBytes);
      const readBytes = readFully(file.descriptor, into, null);
      into.fill(0, readBytes);
      const isWhole = readBytes === into.length && this.#isStillAndSettled(file.descriptor, stamp);
      this.#hasher.reset();
      this.#hasher.update(into);
      const { hash, segments } = this.#hasher.finish();
      const outcome = isWhole ? 'stored' : 'changed-while-read';
      return { outcome, offset, hash, segments, readBytes, errno: undefined };
    } catch (error) {
      return unreadable(offset, error);
    } finally {
      tree.closeFile(file);
    }
  }

  #fillRun(task: RunTask, slab: Buffer): FragmentResult {
    const broken = this.#broken?.member === task.member ? this.#broken : undefined;
    if (broken)
      return broken.isLeftOut
        ? { lengthBytes: 0, members: [broken.result] }
        : this.#fillZeros(task, slab, broken.result);
    try {
      return this.#readRun(task, slab);
    } catch (error) {
      const result = unreadable(0, error);
      this.#closeFile(task.place);
      this.#broken = { member: task.member, isLeftOut: task.isFirst, result };
      if (task.isFirst) return { lengthBytes: 0, members: [result] };
      // The header has promised these bytes: the archive stays valid, the content does not count.
      return this.#fillZeros(task, slab, result);
    }
  }

  #readRun(task: RunTask, slab: Buffer): FragmentResult {
    const known = this.#files.get(keyOf(task.place));
    const open = known?.hashedTo === task.hashFrom ? known : this.#openAnew(task);
    let readBytes = open.skippedBytes;
    open.skippedBytes = 0;
    if (task.isFirst && !open.isChanged && !this.#isStill(open.file.descriptor, task.stamp)) {
      this.#closeFile(task.place);
      const result = changedBefore(0);
      this.#broken = { member: task.member, isLeftOut: true, result };
      return { lengthBytes: 0, members: [result] };
    }
    slab.set(task.head, 0);
    let at = task.head.length;
    for (const range of task.ranges) {
      this.#hashZeros(open, range.offset - open.hashedTo);
      const into = slab.subarray(at, at + range.lengthBytes);
      const count = readFully(open.file.descriptor, into, range.offset);
      readBytes += count;
      if (count < into.length) {
        into.fill(0, count);
        open.isChanged = true;
      }
      open.hasher.update(into);
      open.hashedTo += into.length;
      at += into.length;
    }
    this.#hashZeros(open, task.hashTo - open.hashedTo);
    slab.fill(0, at, at + task.paddingBytes);
    const lengthBytes = at + task.paddingBytes;
    const result: MemberResult = { ...stored(0), readBytes };
    if (!task.isLast) return { lengthBytes, members: [result] };
    const isSound = !open.isChanged && this.#isStillAndSettled(open.file.descriptor, task.stamp);
    const { hash, segments } = open.hasher.finish();
    this.#closeFile(task.place);
    const outcome = isSound ? 'stored' : 'changed-while-read';
    return { lengthBytes, members: [{ ...result, outcome, hash, segments }] };
  }

  #fillZeros(task: RunTask, slab: Buffer, result: MemberResult): FragmentResult {
    const promised = task.ranges.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    const lengthBytes = task.head.length + promised + task.paddingBytes;
    slab.set(task.head, 0);
    slab.fill(0, task.head.length, lengthBytes);
    return { lengthBytes, members: [result] };
  }

  /** Opens the file and brings the hash to where the task goes on: parts written before are read again. */
  #openAnew(task: RunTask): OpenFile {
    this.#closeFile(task.place);
    const tree = this.#tree(task.place);
    const file = tree.openFile(task.place.path);
    const hasher = new ContentHasher();
    const open = { tree, file, hasher, hashedTo: 0, isChanged: false, skippedBytes: 0 };
    this.#files.set(keyOf(task.place), open);
    while (open.hashedTo < task.hashFrom) {
      const wanted = Math.min(this.#scratch.length, task.hashFrom - open.hashedTo);
      const into = this.#scratch.subarray(0, wanted);
      const count = readFully(file.descriptor, into, open.hashedTo);
      if (count < wanted) {
        into.fill(0, count);
        open.isChanged = true;
      }
      open.skippedBytes += count;
      hasher.update(into);
      open.hashedTo += wanted;
    }
    return open;
  }

  #hashZeros(open: OpenFile, lengthBytes: number): void {
    assert(lengthBytes >= 0, 'ranges ascend');
    open.hasher.updateZeros(lengthBytes);
    open.hashedTo += lengthBytes;
  }
}

/** A member that could not be read: what is left of it is left out too, or given as zeros where its header is written. */
type BrokenMember = {
  readonly member: number;
  readonly isLeftOut: boolean;
  readonly result: MemberResult;
};

type OpenFile = {
  readonly tree: SourceTree;
  readonly file: SourceFile;
  readonly hasher: ContentHasher;
  /** Bytes of the content that the hash has seen. */
  hashedTo: number;
  isChanged: boolean;
  skippedBytes: number;
};

function keyOf({ source, path }: SourcePlace): string {
  return `${source}\0${path}`;
}

function readFully(fd: number, into: Uint8Array, position: number | null): number {
  let done = 0;
  while (done < into.length) {
    const at = position === null ? null : position + done;
    const count = readSync(fd, into, done, into.length - done, at);
    if (count === 0) break;
    done += count;
  }
  return done;
}

function isSame(found: ScannedEntry, stamp: Stamp): boolean {
  return (
    found.sizeBytes === stamp.sizeBytes &&
    found.inode === stamp.inode &&
    compareMoments(found.mtime, stamp.mtime) === 0 &&
    compareMoments(found.ctime, stamp.ctime) === 0
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

/** A file that cannot be read is a result: it must not stop the backup. */
function unreadable(offset: number, error: unknown): MemberResult {
  const isGone = error instanceof CodedError && error.code === 'SOURCE_MISSING';
  const errno = errnoOfSource(error);
  return { outcome: isGone ? 'changed-before' : 'unreadable', offset, ...NOTHING, errno };
}

/** What the kernel says of a source file; anything else is a bug and crashes. */
function errnoOfSource(error: unknown): string {
  if (error instanceof CodedError && error.failure.exit === 3) return error.message;
  const errno = errnoOf(error);
  if (errno === undefined) throw error;
  return errno;
}
