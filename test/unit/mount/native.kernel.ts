/** The kernel's side of the protocol over a socket: says what a check wants, also what no kernel would. */
import assert from 'node:assert/strict';
import { closeSync, readSync, writeSync } from 'node:fs';
import { serveDevice } from '../../../src/mount/native.ts';
import type { FusePort } from '../../../src/mount/port.ts';
import type { World } from './native.check.ts';
import { OPCODE, type Tree } from './native.tree.ts';

/** sys/socket.h: keeps each message whole. */
const SOCK_SEQPACKET = 5;

export type Reply = { readonly unique: number; readonly errno: number; readonly body: Buffer };

export type Message = {
  readonly opcode: number;
  readonly node?: number | bigint;
  readonly body?: Buffer;
  readonly unique?: number;
  /** Instead of the true one. */
  readonly lengthBytes?: number;
  readonly extension?: number;
};

export class Kernel {
  readonly #socket: number;
  readonly #into = Buffer.alloc(2 ** 20);
  #unique = 2;
  #isClosed = false;

  constructor(socket: number) {
    this.#socket = socket;
  }

  /** @returns the unique number of the request */
  send(message: Message): number {
    const { opcode, node = 1, body = Buffer.alloc(0), extension = 0 } = message;
    const unique = message.unique ?? this.#unique;
    if (message.unique === undefined) this.#unique += 2;
    const header = Buffer.alloc(40);
    header.writeUInt32LE(message.lengthBytes ?? 40 + body.length, 0);
    header.writeUInt32LE(opcode, 4);
    header.writeBigUInt64LE(BigInt(unique), 8);
    header.writeBigUInt64LE(BigInt(node), 16);
    header.writeUInt16LE(extension, 36);
    this.sendBytes(Buffer.concat([header, body]));
    return unique;
  }

  sendBytes(bytes: Buffer): void {
    writeSync(this.#socket, bytes);
  }

  /** Blocks this thread: JavaScript has no part in the answer. */
  take(): Reply {
    return this.#parse(readSync(this.#socket, this.#into));
  }

  /** Sends and takes the answer, which native code has to give. @returns its errno */
  errnoOf(message: Message): number {
    const unique = this.send(message);
    const answer = this.take();
    assert.equal(answer.unique, unique);
    return answer.errno;
  }

  close(): void {
    if (!this.#isClosed) closeSync(this.#socket);
    this.#isClosed = true;
  }

  #parse(lengthBytes: number): Reply {
    assert(lengthBytes >= 16, 'the session goes on');
    assert.equal(this.#into.readUInt32LE(0), lengthBytes);
    return {
      unique: Number(this.#into.readBigUInt64LE(8)),
      errno: 0 - this.#into.readInt32LE(4),
      body: Buffer.from(this.#into.subarray(16, lengthBytes)),
    };
  }
}

export type Offer = {
  readonly major?: number;
  readonly minor: number;
  readonly flags: number;
  readonly flags2?: number;
  /** As kernels before Linux 5.17 send it. */
  readonly isShort?: boolean;
};

/** All flags there are. */
export const NEWEST: Offer = { minor: 45, flags: 0x7fffffff, flags2: 0x7fffffff };

export function initBody({ major = 7, minor, flags, flags2 = 0, isShort = false }: Offer): Buffer {
  const body = Buffer.alloc(isShort ? 16 : 64);
  body.writeUInt32LE(major, 0);
  body.writeUInt32LE(minor, 4);
  body.writeUInt32LE(131072, 8);
  body.writeUInt32LE(flags, 12);
  if (!isShort) body.writeUInt32LE(flags2, 16);
  return body;
}

export type Connection = {
  readonly kernel: Kernel;
  readonly port: FusePort;
  /** INIT's. */
  readonly reply: Reply;
};

/** Serves a tree to a kernel of our own, as far as its INIT. */
export async function connect(
  { door }: World,
  tree: Tree,
  offer: Offer = NEWEST,
): Promise<Connection> {
  const { kernel, serving } = begin({ door }, tree);
  try {
    kernel.send({ opcode: OPCODE.INIT, body: initBody(offer) });
    const reply = kernel.take();
    const port = await serving;
    tree.port = port;
    return { kernel, port, reply };
  } catch (error) {
    kernel.close();
    throw error;
  }
}

/** The kernel has said nothing yet. */
export function begin(
  { door }: Pick<World, 'door'>,
  tree: Tree,
): { readonly kernel: Kernel; readonly serving: Promise<FusePort> } {
  const pair = door.socketPair(SOCK_SEQPACKET);
  assert(typeof pair !== 'number');
  const [ours, theirs] = pair;
  const serving = serveDevice(theirs, { door, listener: tree });
  return { kernel: new Kernel(ours), serving };
}

/** Connects, and ends the session when it was looked at. */
export async function connected(
  world: World,
  tree: Tree,
  look: (connection: Connection) => Promise<void> | void,
): Promise<void> {
  const connection = await connect(world, tree);
  try {
    await look(connection);
  } finally {
    connection.kernel.close();
    await connection.port.unmount();
  }
  assert.equal(tree.ends, 1);
}
