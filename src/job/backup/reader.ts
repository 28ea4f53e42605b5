/** Reads source files into fragments: the same code in a worker and, single-threaded, in the process itself. */
import { strict as assert } from 'node:assert';
import { readSync } from 'node:fs';
import { CodedError, errnoOf } from '../../base/errors.ts';
import type { Raw } from '../../base/raw.ts';
import { settle } from '../../base/settle.ts';
import { HASH_BYTES } from '../../domain/content.ts';
import { compareMoments } from '../../domain/entry.ts';
import { ContentHasher } from '../../hash/content-hasher.ts';
import { hashInto } from '../../hash/small.ts';
import { type ScannedEntry, statEntry } from '../../source/directory.ts';
import {
  type Answer,
  CHANGED_WHILE_READ,
  errnoName,
  FRAME_BYTES,
  type FsDoor,
  isMissing,
  loadFsDoor,
  NO_FILE,
  NO_FRAME,
  NOTHING_TO_READ,
  OTHER_THAN_SEEN,
  READ,
  SOURCE_NUMBERS,
  STAMP_NUMBERS,
  sourceFailure,
} from '../../source/door.ts';
import { type SourceFile, SourceTree } from '../../source/tree.ts';
import type {
  FragmentResult,
  MemberOutcome,
  MemberResult,
  PackedResult,
  PackedTask,
  ReadTask,
  RunTask,
  SourcePlace,
  Stamp,
} from './fragment.ts';
import { OUTCOMES, packStamp, resultColumns, unpackResult } from './fragment-codec.ts';

/** Of stamps as they travel. */
const CTIMES = { at: 3, step: STAMP_NUMBERS } as const;

/** Hashed while a core's own cache still has what was read into it. */
const CACHED_BYTES = 256 * 2 ** 10;

export class Reader {
  readonly #scratch = Buffer.allocUnsafe(2 ** 20);
  readonly #door: FsDoor = loadFsDoor();
  /** By path, and whether links are followed: two sources may be one directory. */
  readonly #trees = new Map<string, SourceTree>();
  /** Large files begun and not ended: the parts of one may be far apart. */
  readonly #files = new Map<string, OpenFile>();
  #broken: BrokenMember | undefined;

  /** @param slab room for the task's heads, data and padding */
  fill(task: ReadTask, slab: Buffer): FragmentResult {
    if (task.kind === 'run') return this.#fillRun(task, slab);
    return unpackResult(this.fillPacked(task.packed, slab));
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
    const tree = this.#tryTree(source, followsLinks);
    if (typeof tree === 'number') throw sourceFailure(source, tree);
    return tree;
  }

  #tryTree(source: Raw, followsLinks: boolean): SourceTree | Answer {
    const key = `${followsLinks ? 'L' : '-'}${source}`;
    const known = this.#trees.get(key);
    if (known) return known;
    const tree = SourceTree.tryOpen(source, { followLinks: followsLinks, door: this.#door });
    if (typeof tree !== 'number') this.#trees.set(key, tree);
    return tree;
  }

  #isStill(fd: number, stamp: Stamp): boolean {
    const entry = statEntry(this.#door, fd, '' as Raw);
    return typeof entry !== 'number' && isSame(entry, stamp);
  }

  /** A batch of small files as it travels between threads. */
  fillPacked(task: PackedTask, slab: Buffer): PackedResult {
    const count = task.sourceOf.length;
    const columns = resultColumns(count);
    const { answers, offsets, readBytes, outcomes, hashes, hasHash } = columns;
    settle(task.stamps, CTIMES);
    const sources = this.#accessTo(task);
    const lengthBytes = this.#door.readFiles({ ...task, sources }, slab, columns);
    assert(lengthBytes >= 0, 'a task fits its slab');
    const errnos: [number, string][] = [];
    for (let index = 0; index < count; index += 1) {
      const answer = answers[index] ?? READ;
      if (answer === READ) continue;
      outcomes[index] = OUTCOMES.indexOf(outcomeOf(answer));
      if (answer < 0) errnos.push([index, errnoName(answer)]);
    }
    hashSmall(task, slab, columns);
    return { lengthBytes, outcomes, offsets, readBytes, errnos, hashes, hasHash };
  }

  /** As the native door takes it; a source that cannot be opened is an errno of each of its files. */
  #accessTo({ sources }: PackedTask): Int32Array {
    const access = new Int32Array(sources.length * SOURCE_NUMBERS);
    for (const [index, { source, followsLinks }] of sources.entries()) {
      const tree = this.#tryTree(source, followsLinks);
      access.set(typeof tree === 'number' ? [tree] : tree.access, index * SOURCE_NUMBERS);
    }
    return access;
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
    if (task.isFirst && !this.#isAsStored(open, task)) {
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
      readBytes += readAndHash(open, into, range.offset);
      at += into.length;
    }
    this.#hashZeros(open, task.hashTo - open.hashedTo);
    slab.fill(0, at, at + task.paddingBytes);
    const lengthBytes = at + task.paddingBytes;
    const result: MemberResult = { ...stored(0), readBytes };
    if (!task.isLast) {
      const hash = task.isMemberEnd ? open.hasher.hashSoFar() : undefined;
      return { lengthBytes, members: [{ ...result, hash }] };
    }
    const isSound = !open.isChanged && this.#isStill(open.file.descriptor, task.stamp);
    const { hash, segments } = open.hasher.finish();
    this.#closeFile(task.place);
    const outcome = isSound ? 'stored' : 'changed-while-read';
    return { lengthBytes, members: [{ ...result, outcome, hash, segments }] };
  }

  /** The file is the one the scan has seen, and begins with the bytes that an earlier process has stored. */
  #isAsStored(open: OpenFile, { hashBefore, stamp }: RunTask): boolean {
    if (hashBefore && !open.hasher.hashSoFar().equals(hashBefore)) return false;
    return open.isChanged || this.#isStill(open.file.descriptor, stamp);
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
    settle(packStamp(task.stamp), CTIMES);
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

function keyOf({ source, followsLinks, path }: SourcePlace): string {
  return `${followsLinks ? 'L' : '-'}${source}\0${path}`;
}

/** What the file is too short of becomes zeros. @returns how much was read */
function readAndHash(open: OpenFile, into: Buffer, position: number): number {
  let readBytes = 0;
  for (let at = 0; at < into.length; at += CACHED_BYTES) {
    const part = into.subarray(at, at + CACHED_BYTES);
    const count = readFully(open.file.descriptor, part, position + at);
    readBytes += count;
    if (count < part.length) {
      part.fill(0, count);
      open.isChanged = true;
    }
    open.hasher.update(part);
    open.hashedTo += part.length;
  }
  return readBytes;
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

/** What the kernel says of a small file is about that file; a kernel too old for the call is about all of them. */
function outcomeOf(answer: number): MemberOutcome {
  if (answer === CHANGED_WHILE_READ) return 'changed-while-read';
  if (answer === OTHER_THAN_SEEN || answer === NO_FILE) return 'changed-before';
  if (errnoName(answer) === 'ENOSYS') throw sourceFailure('' as Raw, answer);
  return isMissing(answer) ? 'changed-before' : 'unreadable';
}

/** Of those whose bytes are in the slab. */
function hashSmall(
  task: PackedTask,
  slab: Buffer,
  { answers, offsets, hashes, hasHash }: ReturnType<typeof resultColumns>,
): void {
  const { sourceOf, headEnds, stamps, frameOf } = task;
  let headStart = 0;
  for (let index = 0; index < answers.length; index += 1) {
    const headEnd = headEnds[index] ?? 0;
    const frameBytes = frameOf[index] === NO_FRAME ? 0 : FRAME_BYTES;
    const start = (offsets[index] ?? 0) + headEnd - headStart + frameBytes;
    headStart = headEnd;
    const answer = answers[index];
    const isThere = answer === READ || answer === CHANGED_WHILE_READ;
    if (!isThere || sourceOf[index] === NOTHING_TO_READ) continue;
    const end = start + (stamps[index * STAMP_NUMBERS] ?? 0);
    hashInto(hashes, index * HASH_BYTES, slab.subarray(start, end));
    hasHash[index] = 1;
  }
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
  const isSources = error instanceof CodedError && error.failure.exit === 3;
  const errno = isSources ? (error.facts.errno ?? error.failure.errno) : errnoOf(error);
  if (errno === undefined) throw error;
  return errno;
}
