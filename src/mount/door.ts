/**
 * native/fuse as TypeScript sees it: what its calls take and answer.
 *
 * The door has no opinion: what is mounted where and how, what is agreed with the kernel, and what an errno means is decided in
 * native.ts, init.ts and mountpoint.ts. Numbers are safe integers; what is none is answered with EINVAL.
 */
import { loadDoor } from '../base/native-door.ts';

/** kRevision of native/fuse/src/door.cc. */
const FUSE = { name: 'fuse', what: 'the door to FUSE', revision: 2 };

/** 0 or what was asked for; an errno below zero where the kernel refused. */
export type Answer = number;

export type FuseDoor = {
  /** Of memory: the kernel counts requests in them. */
  readonly pageBytes: number;
  /** /dev/fuse */
  openDevice(): Answer;
  /** mount(2), on a thread of its own. */
  mount(
    source: Uint8Array,
    path: Uint8Array,
    type: Uint8Array,
    flags: number,
    options: Uint8Array,
  ): Promise<Answer> | Answer;
  /** umount2(2), on a thread of its own. */
  unmount(path: Uint8Array, flags: number): Promise<Answer> | Answer;
  /** socketpair(2) of Unix sockets. */
  socketPair(type: number): readonly [number, number] | Answer;
  /** The file that came over a socket (SCM_RIGHTS); ENOMSG where none came. */
  receiveFile(socket: number): Answer;
  close(file: number): Answer;
  /**
   * Starts the threads that serve a device, which is the session's own from now on and never blocks, but not where it is
   * refused.
   * @param offer the reply to INIT (fuse_init_out): the kernel gets what it offers of it
   */
  start(device: number, offer: Uint8Array, listener: DoorListener): DoorHandle | Answer;
};

/** Called by the event loop, never by a call to the door. What it throws is an uncaught exception. */
export type DoorListener = {
  /** Once, before any request: INIT, its reply without a header, and whether files may be given to the kernel to read. */
  agreed(request: Buffer, reply: Buffer, mayBack: boolean): void;
  /** Of these, what was not answered when this throws fails with EIO. */
  requests(requests: Buffer): void;
  /** More wait: `drain` is to be called when others have had their turn. */
  more(): void;
  /** Once, as the last: no thread is left and the device is closed. 0 after an end as meant. */
  ended(errno: number): void;
};

/** A session. It keeps the event loop alive until it has ended; after that its calls do nothing. */
export type DoorHandle = {
  /** Whole replies, back to back, or EINVAL and none is sent. Otherwise the last errno with which one was refused. */
  reply(replies: Uint8Array): Answer;
  /** All of the bytes, or EIO. The file must not be closed before its handle is released or the session has ended. */
  replyFromFile(unique: number, file: number, offset: number, lengthBytes: number): Answer;
  /** Of a file of so many bytes; where it has less by then, reads fail with EIO. EEXIST where the handle is served already. */
  serve(handle: number, file: number, sizeBytes: number): Answer;
  /** Resolves when no thread reads the file any more; ENOENT where the handle is not served. */
  stopServing(handle: number): Promise<Answer> | Answer;
  /** Answers a READDIR or READDIRPLUS when it comes, if it takes so many bytes; `requests` is told of it, its opcode's highest bit set. */
  answerAhead(opcode: number, handle: number, offset: number, body: Uint8Array): Answer;
  /**
   * Answers all that is asked of a listing from these entries of READDIRPLUS; EINVAL where they are not whole. `requests` is told
   * when the last one is sent, as above.
   */
  serveListing(handle: number, first: Uint8Array, rest: Uint8Array): Answer;
  dropAhead(handle: number): Answer;
  openBacking(file: number): Answer;
  closeBacking(backingId: number): Answer;
  forgetName(parent: number, name: Uint8Array): Answer;
  forgetNode(node: number): Answer;
  /** Calls `requests` a few times, then `more` where there are more. */
  drain(): void;
  /**
   * How to take the mount away when the environment ends before the session: as long as a line of /proc/self/mountinfo begins like
   * this. By umount2(2) of the path, or by a program.
   */
  guard(line: Uint8Array, path: Uint8Array, program: readonly Uint8Array[]): Answer;
  /** From now on all requests fail, also those that wait. */
  refuse(): Answer;
  /** Ends the threads; `ended` follows. */
  stop(): Answer;
  /**
   * The process ends: blocks until the mount is gone, and the threads, unless a disk holds them up. Nothing follows. The end of a
   * worker does the same by itself.
   */
  abandon(): void;
};

/**
 * Loads native/fuse: the build or the prebuilt one, or the file `addonPath`.
 * @throws CodedError FAILED when there is none for this machine, or one of another revision.
 */
export function loadFuseDoor(addonPath?: string): FuseDoor {
  return loadDoor<FuseDoor>(FUSE, addonPath);
}
