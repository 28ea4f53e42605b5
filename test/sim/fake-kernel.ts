/** The kernel's side of a mount, in memory: encodes requests, gives them to a session, decodes what it answers. */
import { strict as assert } from 'node:assert';
import { fstatSync, readSync } from 'node:fs';
import { constants } from 'node:os';
import { type Raw, rawBytes, toRaw } from '../../src/base/raw.ts';
import type { FuseAgreement, FuseListener, FusePort } from '../../src/mount/port.ts';
import { ANSWERED, OPCODE } from '../../src/mount/protocol/opcodes.ts';

export type Answer = { readonly errno: string | undefined; readonly body: Buffer };

export type FoundEntry = {
  readonly nodeId: number;
  readonly ino: bigint;
  readonly size: number;
  readonly blocks: number;
  readonly mtime: number;
  readonly mtimeNs: number;
  readonly mode: number;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly entrySeconds: number;
  readonly attributeSeconds: number;
};

export type DirectoryEntry = FoundEntry & { readonly name: Raw; readonly offset: number };

const READ_BYTES = 32_768;

export class FakeKernel implements FusePort {
  readonly agreement: FuseAgreement;
  readonly served = new Map<number, number>();
  readonly backings: number[] = [];
  /** Answers made ahead, by handle. */
  readonly ahead = new Map<number, { opcode: number; offset: number; body: Buffer }>();
  /** All entries of a directory, by handle. */
  readonly listings = new Map<number, Buffer>();
  readonly forgotten: string[] = [];
  sentAhead = 0;
  listener: FuseListener | undefined;
  /** Lets the mount look at the catalog, which it does every second. */
  tick: () => Promise<void> = async () => {};
  #unique = 2;
  readonly #waiting = new Map<number, (answer: Answer) => void>();

  constructor(options: { readonly hasPassthrough?: boolean } = {}) {
    const hasPassthrough = options.hasPassthrough ?? false;
    this.agreement = { minor: 41, hasPassthrough, readBytesMax: 2 ** 20 };
  }

  reply(replies: Uint8Array): void {
    const bytes = Buffer.from(replies);
    for (let at = 0; at < bytes.length; ) {
      const length = bytes.readUInt32LE(at);
      assert(length >= 16 && at + length <= bytes.length, 'replies are whole');
      const error = bytes.readInt32LE(at + 4);
      this.#settle(Number(bytes.readBigUInt64LE(at + 8)), {
        errno: error === 0 ? undefined : errnoName(-error),
        body: bytes.subarray(at + 16, at + length),
      });
      at += length;
    }
  }

  replyFromFile(request: {
    unique: number;
    file: number;
    offset: number;
    lengthBytes: number;
  }): void {
    const body = Buffer.alloc(request.lengthBytes);
    const count = readSync(request.file, body, 0, body.length, request.offset);
    this.#settle(request.unique, { errno: undefined, body: body.subarray(0, count) });
  }

  serve(handle: number, file: number): void {
    assert(fstatSync(file).isFile());
    this.served.set(handle, file);
  }

  async stopServing(handle: number): Promise<void> {
    assert(this.served.delete(handle), 'only what is served can stop');
  }

  answerAhead(
    { opcode, handle, offset }: Parameters<FusePort['answerAhead']>[0],
    body: Uint8Array,
  ): void {
    this.ahead.set(handle, { opcode, offset, body: Buffer.from(body) });
  }

  serveListing(handle: number, entries: readonly [Uint8Array, Uint8Array]): void {
    this.listings.set(handle, Buffer.concat(entries));
  }

  dropAhead(handle: number): void {
    this.ahead.delete(handle);
    this.listings.delete(handle);
  }

  openBacking(file: number): number {
    this.backings.push(file);
    return this.backings.length;
  }

  closeBacking(backingId: number): void {
    delete this.backings[backingId - 1];
  }

  forgetName(parent: number, name: Uint8Array): void {
    this.forgotten.push(`${parent} ${toRaw(name)}`);
  }

  forgetNode(node: number): void {
    this.forgotten.push(String(node));
  }

  async unmount(): Promise<void> {
    this.listener?.onEnd({ why: 'unmounted' });
  }

  /** Sends one request; resolves with its answer. */
  ask(opcode: number, nodeId: number, body: Buffer, pid = process.pid): Promise<Answer> {
    return this.send(opcode, nodeId, body, pid).answer;
  }

  send(opcode: number, nodeId: number, body: Buffer, pid = process.pid) {
    const unique = this.#unique;
    this.#unique += 2;
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#waiting.set(unique, resolve);
    // As the door does it.
    const handle = body.length === 40 ? Number(body.readBigUInt64LE(0)) : 0;
    const ahead = this.ahead.get(handle);
    if (
      ahead?.opcode === opcode &&
      ahead.offset === Number(body.readBigUInt64LE(8)) &&
      ahead.body.length <= body.readUInt32LE(16)
    ) {
      this.ahead.delete(handle);
      this.sentAhead += 1;
      this.#settle(unique, { errno: undefined, body: ahead.body });
      opcode += ANSWERED;
    }
    const listing =
      opcode === OPCODE.READDIRPLUS || opcode === OPCODE.READDIR
        ? this.listings.get(handle)
        : undefined;
    if (listing) {
      const part = partOf(
        listing,
        { offset: Number(body.readBigUInt64LE(8)), size: body.readUInt32LE(16) },
        opcode,
      );
      this.sentAhead += 1;
      this.#settle(unique, { errno: undefined, body: part.body });
      if (!part.isEnd) return { unique, answer: promise };
      opcode += ANSWERED;
    }
    this.listener?.onRequests(requestBytes({ opcode, unique, nodeId, body, pid }));
    return { unique, answer: promise };
  }

  async lookup(parent: number, name: Raw | string): Promise<FoundEntry | undefined> {
    const bytes = rawBytes(`${name}\0` as Raw);
    const { body, errno } = await this.ask(OPCODE.LOOKUP, parent, bytes);
    assert(errno === undefined && body.length === 128, 'a look-up is answered by an entry');
    const entry = entryOf(body, 0);
    return entry.nodeId === 0 ? undefined : entry;
  }

  /** From the root of the mount. */
  async walk(path: string): Promise<FoundEntry> {
    let found = await this.attributes(1);
    for (const name of path.split('/').filter(Boolean)) {
      const entry = await this.lookup(found.nodeId, name as Raw);
      assert(entry, `${name} of ${path} is not there`);
      found = entry;
    }
    return found;
  }

  /** Takes no answer. */
  forget(nodeId: number, lookups: number): void {
    const body = Buffer.alloc(8);
    body.writeBigUInt64LE(BigInt(lookups));
    const unique = this.#unique;
    this.#unique += 2;
    const request = { opcode: OPCODE.FORGET, unique, nodeId, body, pid: process.pid };
    this.listener?.onRequests(requestBytes(request));
  }

  async attributes(nodeId: number): Promise<FoundEntry> {
    const { errno, body } = await this.ask(OPCODE.GETATTR, nodeId, Buffer.alloc(16));
    assert(errno === undefined, `attributes: ${errno}`);
    const attributes = attributesOf(body, 16);
    const seconds = Number(body.readBigUInt64LE(0));
    return { ...attributes, nodeId, entrySeconds: 0, attributeSeconds: seconds };
  }

  /** All of a directory, as READDIRPLUS tells it, without `.` and `..`. */
  async list(nodeId: number, sizeBytes = READ_BYTES): Promise<DirectoryEntry[]> {
    const opened = await this.ask(OPCODE.OPENDIR, nodeId, Buffer.alloc(8));
    assert(opened.errno === undefined, `opendir: ${opened.errno}`);
    const handle = opened.body.readBigUInt64LE(0);
    const entries: DirectoryEntry[] = [];
    for (let offset = 0; ; ) {
      const chunk = await this.readDirectory(nodeId, { handle, offset, sizeBytes });
      if (chunk.length === 0) break;
      entries.push(...chunk);
      offset = chunk.at(-1)?.offset ?? offset;
    }
    const release = Buffer.alloc(24);
    release.writeBigUInt64LE(handle);
    await this.ask(OPCODE.RELEASEDIR, nodeId, release);
    return entries.filter(({ name }) => name !== '.' && name !== '..');
  }

  async readDirectory(
    nodeId: number,
    from: { handle: bigint; offset: number; sizeBytes: number },
  ): Promise<DirectoryEntry[]> {
    const request = Buffer.alloc(40);
    request.writeBigUInt64LE(from.handle);
    request.writeBigUInt64LE(BigInt(from.offset), 8);
    request.writeUInt32LE(from.sizeBytes, 16);
    const { body, errno } = await this.ask(OPCODE.READDIRPLUS, nodeId, request);
    assert(errno === undefined && body.length <= from.sizeBytes, 'a chunk of a directory fits');
    const entries: DirectoryEntry[] = [];
    for (let at = 0; at < body.length; ) {
      const nameLength = body.readUInt32LE(at + 144);
      const name = toRaw(body.subarray(at + 152, at + 152 + nameLength));
      const offset = Number(body.readBigUInt64LE(at + 136));
      entries.push({ ...entryOf(body, at), name, offset });
      at += 128 + ((24 + nameLength + 7) & ~7);
    }
    return entries;
  }

  async open(nodeId: number): Promise<{ handle: number; flags: number; backingId: number }> {
    const { errno, body } = await this.ask(OPCODE.OPEN, nodeId, Buffer.alloc(8));
    assert(errno === undefined, `open: ${errno}`);
    return {
      handle: Number(body.readBigUInt64LE(0)),
      flags: body.readUInt32LE(8),
      backingId: body.readUInt32LE(12),
    };
  }

  read(
    nodeId: number,
    from: { handle: number; offset: number; lengthBytes: number; flags?: number },
  ) {
    const request = Buffer.alloc(40);
    request.writeBigUInt64LE(BigInt(from.handle));
    request.writeBigUInt64LE(BigInt(from.offset), 8);
    request.writeUInt32LE(from.lengthBytes, 16);
    request.writeUInt32LE(from.flags ?? 0, 32);
    return this.send(OPCODE.READ, nodeId, request);
  }

  release(nodeId: number, handle: number): Promise<Answer> {
    const request = Buffer.alloc(24);
    request.writeBigUInt64LE(BigInt(handle));
    return this.ask(OPCODE.RELEASE, nodeId, request);
  }

  interrupt(unique: number): Promise<Answer> {
    const request = Buffer.alloc(8);
    request.writeBigUInt64LE(BigInt(unique));
    return this.ask(OPCODE.INTERRUPT, 0, request);
  }

  async xattr(nodeId: number, name: string): Promise<string | undefined> {
    const head = Buffer.alloc(8);
    head.writeUInt32LE(65_536);
    const { errno, body } = await this.ask(
      OPCODE.GETXATTR,
      nodeId,
      Buffer.concat([head, Buffer.from(`${name}\0`)]),
    );
    if (errno === 'ENODATA') return undefined;
    assert(errno === undefined, `getxattr: ${errno}`);
    return body.toString('utf8');
  }

  async xattrNames(nodeId: number, pid: number): Promise<string[]> {
    const head = Buffer.alloc(8);
    head.writeUInt32LE(65_536);
    const { errno, body } = await this.ask(OPCODE.LISTXATTR, nodeId, head, pid);
    assert(errno === undefined, `listxattr: ${errno}`);
    return body.toString('utf8').split('\0').filter(Boolean);
  }

  #settle(unique: number, answer: Answer): void {
    const resolve = this.#waiting.get(unique);
    assert(resolve, `request ${unique} is answered once, and was asked`);
    this.#waiting.delete(unique);
    resolve({ ...answer, body: Buffer.from(answer.body) });
  }
}

export function requestBytes(request: {
  readonly opcode: number;
  readonly unique: number;
  readonly nodeId: number;
  readonly body: Buffer;
  readonly pid: number;
}): Buffer {
  const header = Buffer.alloc(40);
  header.writeUInt32LE(40 + request.body.length);
  header.writeUInt32LE(request.opcode, 4);
  header.writeBigUInt64LE(BigInt(request.unique), 8);
  header.writeBigUInt64LE(BigInt(request.nodeId), 16);
  header.writeUInt32LE(request.pid, 32);
  return Buffer.concat([header, request.body]);
}

function entryOf(body: Buffer, at: number): FoundEntry {
  return {
    ...attributesOf(body, at + 40),
    nodeId: Number(body.readBigUInt64LE(at)),
    entrySeconds: Number(body.readBigUInt64LE(at + 16)),
    attributeSeconds: Number(body.readBigUInt64LE(at + 24)),
  };
}

/** struct fuse_attr. */
function attributesOf(body: Buffer, at: number) {
  return {
    ino: body.readBigUInt64LE(at),
    size: Number(body.readBigUInt64LE(at + 8)),
    blocks: Number(body.readBigUInt64LE(at + 16)),
    mtime: Number(body.readBigInt64LE(at + 32)),
    mtimeNs: body.readUInt32LE(at + 52),
    mode: body.readUInt32LE(at + 60),
    links: body.readUInt32LE(at + 64),
    uid: body.readUInt32LE(at + 68),
    gid: body.readUInt32LE(at + 72),
    rdev: body.readUInt32LE(at + 76),
  };
}

function errnoName(number: number): string {
  const found = Object.entries(constants.errno).find(([, value]) => value === number);
  return found?.[0] ?? (number === 123 ? 'ENOMEDIUM' : `errno ${number}`);
}

/** What the door answers of entries that it has: as many as fit. `isEnd`: the last is among them. */
function partOf(
  entries: Buffer,
  { offset, size }: { offset: number; size: number },
  opcode: number,
): { readonly body: Buffer; readonly isEnd: boolean } {
  const pieces: Buffer[] = [];
  let left = size;
  let at = 0;
  for (let index = 0; at < entries.length; index += 1) {
    const end = at + ((152 + entries.readUInt32LE(at + 144) + 7) & ~7);
    const piece = entries.subarray(opcode === OPCODE.READDIRPLUS ? at : at + 128, end);
    if (index >= offset && piece.length > left) break;
    if (index >= offset) {
      pieces.push(piece);
      left -= piece.length;
    }
    at = end;
  }
  return { body: Buffer.concat(pieces), isEnd: at === entries.length && pieces.length > 0 };
}
