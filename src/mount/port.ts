/**
 * The door to the kernel's FUSE protocol, as the mount needs it. native.ts implements it over /dev/fuse; tests feed it bytes.
 *
 * Requests and replies are the kernel's own structures (linux/fuse.h), whole ones back to back: one call for many. What needs
 * no decision stays below: reads of a handle that serves a file, forgets of permanent nodes, extended attributes that a node's
 * bits say are not there.
 */

/** What INIT agreed on. */
export type FuseAgreement = {
  readonly minor: number;
  /** The kernel reads a served file itself, without coming to us (Linux 6.9, CAP_SYS_ADMIN). */
  readonly hasPassthrough: boolean;
  /** Longest READ and READDIRPLUS to be expected, in bytes. */
  readonly readBytesMax: number;
};

/** `unmounted`: also by somebody else, or aborted. `failed`: the device gave an error nobody expects. */
export type FuseEnd = { readonly why: 'unmounted' | 'failed'; readonly errno?: number };

export interface FuseListener {
  /** One or more whole requests, back to back, in the kernel's structures. INTERRUPTs overtake what waits. */
  onRequests(requests: Buffer): void;
  /** Called once; nothing follows. */
  onEnd(end: FuseEnd): void;
}

/** One mounted filesystem. Node ids are safe integers: the door drops no bits of them. */
export interface FusePort {
  readonly agreement: FuseAgreement;
  /** One or more whole replies, back to back. A request whose caller is gone takes its reply silently. */
  reply(replies: Uint8Array): void;
  /**
   * Answers one READ with bytes of the file, read on a thread; where it ends early the READ fails with EIO. The file stays open
   * until the handle is released, or until `onEnd`.
   */
  replyFromFile(request: {
    readonly unique: number;
    readonly file: number;
    readonly offset: number;
    readonly lengthBytes: number;
  }): void;
  /**
   * From now on READs of this handle are answered from the file, natively, at the same offsets; until `stopServing`. Of
   * `sizeBytes`: where somebody has cut it short, READs of what is gone fail with EIO.
   */
  serve(handle: number, file: number, sizeBytes: number): void;
  /** Resolves once no thread reads the file for this handle any more: only then may it be closed. */
  stopServing(handle: number): Promise<void>;
  /**
   * Answers a listing's request that has not come yet, once, where it asks for so many bytes; `onRequests` is then told of it as
   * ANSWERED. An answer to another one of the same handle takes its place.
   */
  answerAhead(
    request: { readonly opcode: number; readonly handle: number; readonly offset: number },
    body: Uint8Array,
  ): void;
  /**
   * From now on listings of this handle are answered from these entries (struct fuse_direntplus, back to back in both pieces, the
   * offset of each its place from 1), from wherever they are asked for. `onRequests` is told as ANSWERED of what sent the last one.
   */
  serveListing(handle: number, entries: readonly [Uint8Array, Uint8Array]): void;
  /** The handle was released. */
  dropAhead(handle: number): void;
  /** Registers a file for passthrough. @returns its backing id for OPEN's reply, or an errno below zero */
  openBacking(file: number): number;
  closeBacking(backingId: number): void;
  /** The kernel forgets what it knows of a name, or of a node's attributes and pages. On a thread of their own. */
  forgetName(parent: number, name: Uint8Array): void;
  forgetNode(node: number): void;
  /**
   * Takes the filesystem away: politely, then by force; requests not answered yet fail. Resolves when no thread is left;
   * `onEnd` has been called by then. May be called twice.
   */
  unmount(): Promise<void>;
}
