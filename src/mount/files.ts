/**
 * Open files: how each handle gets its bytes.
 *
 * A content that is staged whole is read by the kernel itself (passthrough) or by the door's threads; one that is not waits in
 * `read` until its bytes are proven, and its handle is served by the door as soon as all are. Handles of offline contents
 * bypass the page cache, so that a waiting reader can be interrupted and no read-ahead asks for tapes.
 *
 * An inode is in one mode at a time, as the kernel wants it: no passthrough while a cached handle is open, one backing file.
 */
import { strict as assert } from 'node:assert';
import { CodedError } from '../base/errors.ts';
import type { TreePlace } from '../catalog/restore/below.ts';
import type { Caller, ContentReader, OpenContent } from './content.ts';
import type { FusePort } from './port.ts';
import { OPEN_FLAGS } from './protocol/opcodes.ts';

/** A file being opened: what is known of its bytes. */
export type FileContent = {
  readonly nodeId: number;
  readonly contentId: number | undefined;
  readonly sizeBytes: number;
  readonly place: TreePlace | undefined;
};

export type OpenReply = {
  readonly handle: number;
  readonly flags: number;
  /** 0: none. */
  readonly backingId: number;
};

export type ReadRequest = {
  readonly unique: number;
  readonly handle: number;
  readonly offset: number;
  readonly lengthBytes: number;
  readonly isNonBlocking: boolean;
  readonly caller: Caller;
};

/** `from-file`: the door was asked to answer. */
export type ReadResult =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'from-file' };

const NO_BYTES = Buffer.alloc(0);

type Open = {
  readonly handle: number;
  readonly inode: OpenInode;
  readonly content: OpenContent | undefined;
  readonly text: Buffer | undefined;
  readonly isPassthrough: boolean;
  isServed: boolean;
  isClosed: boolean;
};

/** What the handles of one node have in common. */
type OpenInode = {
  readonly nodeId: number;
  readonly sizeBytes: number;
  handles: number;
  passthrough: number;
  /** Of the passthrough handles. */
  backingId: number;
};

export class Files {
  readonly #port: FusePort;
  readonly #contents: ContentReader;
  readonly #open = new Map<number, Open>();
  readonly #inodes = new Map<number, OpenInode>();
  #next = 1;

  constructor(port: FusePort, contents: ContentReader) {
    this.#port = port;
    this.#contents = contents;
  }

  /** Never waits on media. @throws CodedError MEDIUM_UNREADABLE for a file whose bytes are nowhere */
  open(file: FileContent, caller: Caller): OpenReply {
    const { nodeId, contentId, sizeBytes, place } = file;
    if (sizeBytes === 0) return this.#openText(nodeId, NO_BYTES, OPEN_FLAGS.KEEP_CACHE);
    if (contentId === undefined) {
      const sentence = 'no medium holds the bytes of this file; the catalog knows only its name';
      throw new CodedError('MEDIUM_UNREADABLE', sentence);
    }
    const content = this.#contents.open(contentId, caller, place);
    const inode = this.#inodeOf(nodeId, sizeBytes);
    const { file: descriptor } = content;
    const backingId = descriptor === undefined ? 0 : this.#backing(inode, descriptor);
    const open: Open = {
      handle: this.#takeHandle(),
      inode,
      content,
      text: undefined,
      isPassthrough: backingId > 0,
      isServed: false,
      isClosed: false,
    };
    inode.handles += 1;
    this.#open.set(open.handle, open);
    const opened = { handle: open.handle, backingId };
    if (backingId > 0) {
      inode.passthrough += 1;
      return { ...opened, flags: OPEN_FLAGS.PASSTHROUGH };
    }
    if (descriptor !== undefined) this.#serve(open, descriptor);
    else content.onStaged(() => this.#onStaged(open));
    const isCached = descriptor !== undefined && !this.#port.agreement.hasPassthrough;
    return { ...opened, flags: isCached ? OPEN_FLAGS.KEEP_CACHE : OPEN_FLAGS.DIRECT_IO };
  }

  /** Bytes that stand still from now on; not cached, for who opens it later sees others. */
  openText(nodeId: number, text: Buffer): OpenReply {
    return this.#openText(nodeId, text, OPEN_FLAGS.DIRECT_IO);
  }

  /** @throws CodedError as `OpenContent.read`; the abort reason */
  async read(request: ReadRequest, signal: AbortSignal): Promise<ReadResult> {
    const { unique, handle, offset, isNonBlocking, caller } = request;
    const open = this.#open.get(handle);
    assert(open, `no handle ${handle}`);
    const { text, content, inode } = open;
    if (text) {
      return { kind: 'bytes', bytes: text.subarray(offset, offset + request.lengthBytes) };
    }
    const lengthBytes = Math.min(request.lengthBytes, inode.sizeBytes - offset);
    if (lengthBytes <= 0) return { kind: 'bytes', bytes: NO_BYTES };
    assert(content);
    const range = { offset, lengthBytes };
    const file = await content.read(range, { isNonBlocking, caller, signal });
    // Closed meanwhile: its descriptor may be another file's by now.
    if (open.isClosed) return { kind: 'bytes', bytes: NO_BYTES };
    this.#port.replyFromFile({ unique, file, offset, lengthBytes });
    return { kind: 'from-file' };
  }

  /** The kernel says so once, when nobody has the handle any more and no read of it waits. */
  async release(handle: number): Promise<void> {
    const open = this.#open.get(handle);
    assert(open, `no handle ${handle}`);
    this.#open.delete(handle);
    open.isClosed = true;
    const { inode, content } = open;
    inode.handles -= 1;
    if (open.isPassthrough) {
      inode.passthrough -= 1;
      if (inode.passthrough === 0) this.#port.closeBacking(inode.backingId);
    }
    if (inode.handles === 0) this.#inodes.delete(inode.nodeId);
    if (open.isServed) await this.#port.stopServing(handle);
    content?.close();
  }

  /** After the last request: closes what the kernel did not. */
  closeAll(): void {
    for (const open of this.#open.values()) open.content?.close();
    this.#open.clear();
    this.#inodes.clear();
  }

  #openText(nodeId: number, text: Buffer, flags: number): OpenReply {
    const handle = this.#takeHandle();
    const inode = this.#inodeOf(nodeId, text.length);
    inode.handles += 1;
    this.#open.set(handle, {
      handle,
      inode,
      content: undefined,
      text,
      isPassthrough: false,
      isServed: false,
      isClosed: false,
    });
    return { handle, flags, backingId: 0 };
  }

  /** @returns the inode's backing id; 0 where the kernel is not to read by itself now */
  #backing(inode: OpenInode, descriptor: number): number {
    if (!this.#port.agreement.hasPassthrough) return 0;
    if (inode.handles > inode.passthrough) return 0;
    if (inode.passthrough > 0) return inode.backingId;
    const backingId = this.#port.openBacking(descriptor);
    // A file system that cannot be passed through, or too deep a stack: the door reads it.
    inode.backingId = Math.max(0, backingId);
    return inode.backingId;
  }

  #onStaged(open: Open): void {
    const file = open.content?.file;
    if (file !== undefined && !open.isClosed) this.#serve(open, file);
  }

  #serve(open: Open, file: number): void {
    this.#port.serve(open.handle, file, open.inode.sizeBytes);
    open.isServed = true;
  }

  #inodeOf(nodeId: number, sizeBytes: number): OpenInode {
    const known = this.#inodes.get(nodeId);
    if (known) return known;
    const inode = { nodeId, sizeBytes, handles: 0, passthrough: 0, backingId: 0 };
    this.#inodes.set(nodeId, inode);
    return inode;
  }

  #takeHandle(): number {
    const handle = this.#next;
    this.#next += 1;
    return handle;
  }
}
