/**
 * A small filesystem of raw bytes in memory, to see what the door makes of the kernel's requests: files whose reads are
 * answered, wait, or are served natively, as the check says.
 */
import assert from 'node:assert/strict';
import type { FuseEnd, FuseListener, FusePort } from '../../../src/mount/port.ts';

export const OPCODE = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  READLINK: 5,
  MKDIR: 9,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  SETXATTR: 21,
  GETXATTR: 22,
  LISTXATTR: 23,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  INTERRUPT: 36,
  DESTROY: 38,
  IOCTL: 39,
  BATCH_FORGET: 42,
  READDIRPLUS: 44,
  LSEEK: 46,
  STATX: 52,
} as const;

export type Request = {
  readonly opcode: number;
  readonly unique: number;
  readonly node: number;
  readonly body: Buffer;
};

export type TreeFile = {
  readonly node: number;
  readonly name: string;
  readonly bytes: Buffer;
  /** Of OPEN's reply. */
  readonly openFlags?: number;
  readonly backingId?: number;
  /** Instead of an answer with the bytes; it has to answer itself. */
  readonly onRead?: (read: Read, tree: Tree) => void;
  /** Before OPEN is answered. */
  readonly onOpen?: (handle: number, tree: Tree) => void;
  /** Other errno than there being none. */
  readonly xattrErrno?: number;
};

export type Read = {
  readonly unique: number;
  readonly file: TreeFile;
  readonly handle: number;
  readonly offset: number;
  readonly lengthBytes: number;
};

export const FOPEN_DIRECT_IO = 1;
export const FOPEN_KEEP_CACHE = 2;
export const FOPEN_PASSTHROUGH = 1 << 7;

export const ENOENT = 2;
export const EINTR = 4;
export const EIO = 5;
export const EAGAIN = 11;
export const ENOSYS = 38;
export const ENODATA = 61;

const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const ROOT = 1;
const LONG_SECONDS = 3600;

export class Tree implements FuseListener {
  readonly files: readonly TreeFile[];
  /** All that came, in their order. */
  readonly seen: Request[] = [];
  /** Reads not answered yet, by their number. */
  readonly waiting = new Map<number, Read>();
  readonly ended = Promise.withResolvers<FuseEnd>();
  /** Called with each request before it is answered; true when it is not to be. */
  intercept: (request: Request) => boolean = () => false;
  ends = 0;
  #port: FusePort | undefined;
  #watchers: (() => void)[] = [];
  #handles = new Map<number, TreeFile>();
  #handle = 0;
  #early: Buffer[] = [];

  constructor(files: readonly TreeFile[]) {
    this.files = files;
  }

  get port(): FusePort {
    assert(this.#port, 'mounted');
    return this.#port;
  }

  set port(port: FusePort) {
    this.#port = port;
    for (const batch of this.#early.splice(0)) this.onRequests(batch);
  }

  onEnd(end: FuseEnd): void {
    this.ends += 1;
    this.ended.resolve(end);
  }

  onRequests(batch: Buffer): void {
    if (!this.#port) {
      this.#early.push(batch);
      return;
    }
    for (const request of requestsOf(batch)) {
      this.seen.push(request);
      if (!this.intercept(request)) this.#answer(request);
    }
    for (const look of this.#watchers) look();
  }

  /** Resolves when it is so after a batch of requests. */
  async until(isSo: () => boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = () => {
      if (isSo()) resolve();
    };
    this.#watchers.push(look);
    look();
    await promise;
    this.#watchers = this.#watchers.filter((other) => other !== look);
  }

  count(opcode: number): number {
    return this.seen.filter((request) => request.opcode === opcode).length;
  }

  answer(read: Read): void {
    this.waiting.delete(read.unique);
    const { bytes } = read.file;
    this.port.reply(
      reply(read.unique, 0, bytes.subarray(read.offset, read.offset + read.lengthBytes)),
    );
  }

  fail(unique: number, errno: number): void {
    this.waiting.delete(unique);
    this.port.reply(reply(unique, errno));
  }

  #answer(request: Request): void {
    const { opcode, unique, node, body } = request;
    const file = this.files.find((one) => one.node === node);
    const send = (bytes: Buffer) => this.port.reply(reply(unique, 0, bytes));
    switch (opcode) {
      case OPCODE.LOOKUP: {
        const name = body.subarray(0, -1).toString('latin1');
        const found = this.files.find((one) => one.name === name);
        if (found && node === ROOT) send(entryOf(found));
        else this.fail(unique, ENOENT);
        return;
      }
      case OPCODE.GETATTR:
        if (file) send(Buffer.concat([valid(), attributes(file)]));
        else if (node === ROOT) send(Buffer.concat([valid(), rootAttributes()]));
        else this.fail(unique, ENOENT);
        return;
      case OPCODE.OPEN: {
        assert(file, 'opened by a node that was looked up');
        this.#handle += 1;
        this.#handles.set(this.#handle, file);
        file.onOpen?.(this.#handle, this);
        send(opened(this.#handle, file.openFlags ?? 0, file.backingId ?? 0));
        return;
      }
      case OPCODE.OPENDIR:
        send(opened(0, 0, 0));
        return;
      case OPCODE.READDIR:
      case OPCODE.READDIRPLUS:
        send(this.#listing(request));
        return;
      case OPCODE.READ:
        this.#read(request);
        return;
      case OPCODE.STATFS:
        send(Buffer.alloc(80));
        return;
      case OPCODE.GETXATTR:
        this.fail(unique, file?.xattrErrno ?? ENODATA);
        return;
      case OPCODE.LISTXATTR:
        send(Buffer.alloc(8));
        return;
      case OPCODE.INTERRUPT: {
        const target = Number(body.readBigUInt64LE(0));
        if (this.waiting.has(target)) this.fail(target, EINTR);
        else this.fail(unique, EAGAIN);
        return;
      }
      case OPCODE.FORGET:
        return;
      case OPCODE.STATX:
        // GETATTR will do.
        this.fail(unique, ENOSYS);
        return;
      default:
        send(Buffer.alloc(0));
    }
  }

  #read({ unique, body }: Request): void {
    const handle = Number(body.readBigUInt64LE(0));
    const file = this.#handles.get(handle);
    assert(file, 'read by an open handle');
    const offset = Number(body.readBigUInt64LE(8));
    const read = { unique, file, handle, offset, lengthBytes: body.readUInt32LE(16) };
    this.waiting.set(unique, read);
    if (file.onRead) file.onRead(read, this);
    else this.answer(read);
  }

  /** Entries that fit from an offset on, each with its attributes where those are asked for. */
  #listing({ opcode, body }: Request): Buffer {
    const from = Number(body.readBigUInt64LE(8));
    const lengthBytes = body.readUInt32LE(16);
    const pieces: Buffer[] = [];
    let used = 0;
    for (const [index, file] of this.files.entries()) {
      if (index < from) continue;
      const name = Buffer.from(file.name, 'latin1');
      const entry = Buffer.alloc(24 + Math.ceil(name.length / 8) * 8);
      entry.writeBigUInt64LE(BigInt(file.node), 0);
      entry.writeBigUInt64LE(BigInt(index + 1), 8);
      entry.writeUInt32LE(name.length, 16);
      entry.writeUInt32LE(8, 20); // DT_REG
      name.copy(entry, 24);
      const isPlus = opcode === OPCODE.READDIRPLUS;
      const piece = isPlus ? Buffer.concat([entryOf(file), entry]) : entry;
      if (used + piece.length > lengthBytes) break;
      pieces.push(piece);
      used += piece.length;
    }
    return Buffer.concat(pieces);
  }
}

export function* requestsOf(batch: Buffer): Generator<Request> {
  for (let at = 0; at < batch.length; ) {
    const lengthBytes = batch.readUInt32LE(at);
    assert(lengthBytes >= 40 && at + lengthBytes <= batch.length, 'whole requests');
    yield {
      opcode: batch.readUInt32LE(at + 4),
      unique: Number(batch.readBigUInt64LE(at + 8)),
      node: Number(batch.readBigUInt64LE(at + 16)),
      body: Buffer.from(batch.subarray(at + 40, at + lengthBytes)),
    };
    at += lengthBytes;
  }
}

/** A whole reply. */
export function reply(unique: number, errno: number, body: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt32LE(16 + body.length, 0);
  header.writeInt32LE(-errno, 4);
  header.writeBigUInt64LE(BigInt(unique), 8);
  return Buffer.concat([header, body]);
}

function entryOf(file: TreeFile): Buffer {
  const entry = Buffer.alloc(40);
  entry.writeBigUInt64LE(BigInt(file.node), 0);
  entry.writeBigUInt64LE(BigInt(LONG_SECONDS), 16);
  entry.writeBigUInt64LE(BigInt(LONG_SECONDS), 24);
  return Buffer.concat([entry, attributes(file)]);
}

function valid(): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64LE(BigInt(LONG_SECONDS), 0);
  return bytes;
}

const attributes = ({ node, bytes }: TreeFile) => attr(node, bytes.length, S_IFREG | 0o755);
const rootAttributes = () => attr(ROOT, 0, S_IFDIR | 0o755);

/** struct fuse_attr */
function attr(node: number, sizeBytes: number, mode: number): Buffer {
  const bytes = Buffer.alloc(88);
  bytes.writeBigUInt64LE(BigInt(node), 0);
  bytes.writeBigUInt64LE(BigInt(sizeBytes), 8);
  bytes.writeBigUInt64LE(BigInt(Math.ceil(sizeBytes / 512)), 16);
  bytes.writeUInt32LE(mode, 60);
  bytes.writeUInt32LE(1, 64);
  bytes.writeUInt32LE(4096, 80);
  return bytes;
}

function opened(handle: number, flags: number, backingId: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64LE(BigInt(handle), 0);
  bytes.writeUInt32LE(flags, 8);
  bytes.writeInt32LE(backingId, 12);
  return bytes;
}
