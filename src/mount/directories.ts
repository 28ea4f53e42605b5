/**
 * Open directories: what READDIR and READDIRPLUS are answered with.
 *
 * What the catalog gives packed, and what has few entries, is given to the door at once, which then answers by itself. Of all else
 * who reads reads on: while the kernel works on one answer the next is made and given to the door, which sends it as soon as it is
 * asked for. So a walk waits neither for a thread to wake nor for rows to be written out.
 */
import { strict as assert } from 'node:assert';
import type { Raw } from '../base/raw.ts';
import type { Listing, PackedListing } from './listing.ts';
import type { FusePort } from './port.ts';
import type { FileAttributes } from './protocol/attributes.ts';
import { DirectoryReply } from './protocol/entry.ts';
import { OPCODE } from './protocol/opcodes.ts';
import type { ReplyBatch } from './protocol/reply.ts';
import type { RequestReader } from './protocol/request.ts';

export type DirectoryTools = {
  readonly port: Pick<FusePort, 'serveListing' | 'answerAhead' | 'dropAhead'>;
  readonly replies: Pick<ReplyBatch, 'bytes'>;
  /** The listing was made out to its end. */
  onEnd(nodeId: number): void;
};

/** An answer made ahead. */
type Ahead = { readonly offset: number; readonly opcode: number; readonly bytes: Buffer };

type OpenDirectory = {
  readonly handle: number;
  readonly nodeId: number;
  /** Undefined: the door has all of it. */
  readonly listing: Listing | undefined;
  readonly self: FileAttributes;
  ahead: Ahead | undefined;
  /** Where the answer made last ends; where it begins, if that is the end of all. */
  next: number;
  isFinished: boolean;
};

/** What the kernel is not told of by number: `.` and `..`. */
const DOT_MODE = 0o040000;
/** What getdents(3) of the C library asks for. */
const USUAL_BYTES = 32_768;
/** Longer answers, and those of more directories at a time, are made when they are asked for: they would take memory. */
const AHEAD_BYTES_MAX = 65_536;
const AHEAD_DIRECTORIES_MAX = 64;
/** Entries of a listing that is given to the door whole: an entry with the longest name takes 408 bytes. */
const SHORT_MAX = 64;
const SHORT_BYTES = (SHORT_MAX + 2) * 512;
const NOTHING = Buffer.alloc(0);

export class OpenDirectories {
  readonly #tools: DirectoryTools;
  readonly #open = new Map<number, OpenDirectory>();
  readonly #reply = new DirectoryReply();
  /** Whose next answer is to be made when those due are sent. */
  readonly #due = new Set<OpenDirectory>();
  #next = 1;
  #sizeBytes = USUAL_BYTES;

  constructor(tools: DirectoryTools) {
    this.#tools = tools;
  }

  /** @returns its handle */
  open(directory: {
    readonly nodeId: number;
    readonly listing: Listing | PackedListing;
    readonly self: FileAttributes;
  }): number {
    const { listing, self } = directory;
    const handle = this.#next;
    this.#next += 1;
    const { port } = this.#tools;
    const isPacked = 'packed' in listing;
    const isShort = !isPacked && (listing.count ?? SHORT_MAX + 1) <= SHORT_MAX;
    const unpacked = isPacked || isShort ? undefined : listing;
    const made = { ahead: undefined, next: 0, isFinished: false };
    const opened: OpenDirectory = { ...directory, handle, listing: unpacked, ...made };
    this.#open.set(handle, opened);
    if (isPacked) {
      port.serveListing(handle, [this.#dots(self), listing.packed]);
      giveUp(listing.packed);
    } else if (isShort) port.serveListing(handle, [this.#whole(self, listing), NOTHING]);
    else this.#due.add(opened);
    return handle;
  }

  release(handle: number): void {
    const directory = this.#open.get(handle);
    assert(directory, 'a directory is closed once');
    this.#open.delete(handle);
    this.#due.delete(directory);
    if (directory.ahead || !directory.listing) this.#tools.port.dropAhead(handle);
  }

  /** Offsets: 0 is `.`, 1 is `..`, then the entries by their places. */
  read(request: RequestReader): void {
    const directory = this.#directoryOf(request);
    const { opcode, unique } = request;
    const [offset, sizeBytes] = [request.u64(8), request.u32(16)];
    this.#sizeBytes = sizeBytes;
    const { ahead } = directory;
    const isAhead = ahead?.offset === offset && ahead.opcode === opcode;
    const bytes =
      isAhead && ahead.bytes.length <= sizeBytes
        ? ahead.bytes
        : this.#make(directory, { offset, opcode, sizeBytes });
    this.#tools.replies.bytes(unique, bytes);
    this.#due.add(directory);
  }

  /** The door has answered the request with what was made ahead, or with the last entries of what it has. */
  answered(request: RequestReader): void {
    const directory = this.#directoryOf(request);
    if (!directory.listing) {
      this.#finished(directory);
      return;
    }
    // An answer made since then is the one that counts.
    if (directory.ahead?.offset === request.u64(8)) this.#due.add(directory);
  }

  /** When all replies are sent: makes those that will be asked for next. */
  makeAhead(): void {
    try {
      for (const directory of this.#due) this.#makeAhead(directory);
    } finally {
      this.#due.clear();
    }
  }

  clear(): void {
    this.#open.clear();
    this.#due.clear();
  }

  #directoryOf(request: RequestReader): OpenDirectory {
    const directory = this.#open.get(request.u64(0));
    assert(directory, 'a directory is opened before it is read');
    return directory;
  }

  #makeAhead(directory: OpenDirectory): void {
    const { next: offset, ahead } = directory;
    const sizeBytes = this.#sizeBytes;
    const isEnd = ahead?.offset === offset;
    const isTooMuch = sizeBytes > AHEAD_BYTES_MAX || this.#open.size > AHEAD_DIRECTORIES_MAX;
    if (isEnd || isTooMuch) return;
    const opcode = OPCODE.READDIRPLUS;
    const bytes = Buffer.from(this.#make(directory, { offset, opcode, sizeBytes }));
    directory.ahead = { offset, opcode, bytes };
    this.#tools.port.answerAhead({ opcode, handle: directory.handle, offset }, bytes);
  }

  /** Valid until the next one. */
  #make(
    directory: OpenDirectory,
    { offset, opcode, sizeBytes }: { offset: number; opcode: number; sizeBytes: number },
  ): Buffer {
    const { listing } = directory;
    assert(listing, 'the door answers what it has');
    const isPlus = opcode === OPCODE.READDIRPLUS;
    const reply = this.#reply;
    reply.begin(sizeBytes);
    directory.next = offset;
    for (let index = offset; ; index += 1) {
      const listed = index < 2 ? dots(directory.self, index) : listing.at(index - 2);
      if (!listed) {
        this.#finished(directory);
        break;
      }
      if ('isHidden' in listed && listed.isHidden) continue;
      const { name, entry } = listed;
      const isAdded = isPlus
        ? reply.addPlus(name, index + 1, entry)
        : reply.add(name, index + 1, entry);
      if (!isAdded) break;
      directory.next = index + 1;
    }
    return reply.bytes;
  }

  /** Of a short listing: the door answers all that is asked of it. */
  #whole(self: FileAttributes, listing: Listing): Buffer {
    const reply = this.#reply;
    reply.begin(SHORT_BYTES);
    let place = 0;
    for (let index = 0; ; index += 1) {
      const listed = index < 2 ? dots(self, index) : listing.at(index - 2);
      if (!listed) return reply.bytes;
      if ('isHidden' in listed && listed.isHidden) continue;
      place += 1;
      const isAdded = reply.addPlus(listed.name, place, listed.entry);
      assert(isAdded, 'so few entries fit, however long their names');
    }
  }

  #dots(self: FileAttributes): Buffer {
    const reply = this.#reply;
    reply.begin(USUAL_BYTES);
    for (const index of [0, 1]) {
      const { name, entry } = dots(self, index);
      reply.addPlus(name, index + 1, entry);
    }
    return reply.bytes;
  }

  #finished(directory: OpenDirectory): void {
    if (directory.isFinished) return;
    directory.isFinished = true;
    this.#tools.onEnd(directory.nodeId);
  }
}

/** Nobody reads it any more: left to the collector, a few hundred of them would each time cost a walk through all that lives. */
function giveUp({ buffer, byteLength }: Buffer): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}

function dots(self: FileAttributes, index: number) {
  const name = (index === 0 ? '.' : '..') as Raw;
  // The kernel fills in `..` by itself; it only wants a number that is not 0.
  const attributes = { ...self, mode: DOT_MODE };
  return { name, entry: { nodeId: 0, attributes, entrySeconds: 0, attributeSeconds: 0 } };
}
