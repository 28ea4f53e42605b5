/**
 * Answers the kernel: requests come in batches, each is answered at once, but for reads that wait for bytes.
 *
 * A failure that has a name becomes its errno; an error without one is a bug and ends the mount. Each request is answered
 * exactly once: a read by its bytes, its failure, or the interrupt that ended it.
 */
import { CodedError } from '../base/errors.ts';
import { type Raw, rawBytes } from '../base/raw.ts';
import { NODE } from '../catalog/tree/nodes.ts';
import type { Caller, ContentReader } from './content.ts';
import { OpenDirectories } from './directories.ts';
import { Files } from './files.ts';
import type { Filesystem } from './filesystem.ts';
import { isNonBlocking } from './non-blocking.ts';
import type { FuseEnd, FusePort } from './port.ts';
import type { FileAttributes } from './protocol/attributes.ts';
import { ANSWERED, OPCODE, OPEN_FLAGS } from './protocol/opcodes.ts';
import { ReplyBatch, type StatfsReply } from './protocol/reply.ts';
import { RequestReader } from './protocol/request.ts';
import { seekRanges } from './seek.ts';
import { IN_USE_SECONDS } from './virtual.ts';
import type { Xattrs } from './xattrs.ts';

export type SessionTools = {
  readonly port: FusePort;
  readonly filesystem: Filesystem;
  readonly contents: ContentReader;
  readonly xattrs: Xattrs;
  statfs(): StatfsReply;
  /** What the process calls itself (`comm`); undefined where it is gone. */
  processName(pid: number): string | undefined;
  /** What a failing catalog threw, by its name; any other error as it is. */
  nameError(error: unknown): unknown;
  /** A read that failed: for the log. The same failure of one process is told once. */
  onReadFailure(failure: {
    readonly nodeId: number;
    readonly pid: number;
    readonly error: CodedError;
  }): void;
};

const NOTHING: FileAttributes = {
  inoHigh: 0,
  inoLow: 0,
  sizeBytes: 0,
  blocks: 0,
  mtime: 0,
  mtimeNs: 0,
  ctime: 0,
  ctimeNs: 0,
  mode: 0,
  links: 0,
  uid: 0,
  gid: 0,
  deviceMajor: 0,
  deviceMinor: 0,
};
/** Failures remembered as told; one that is told again and again would fill the log. */
const TOLD_MAX = 1000;
/** Names of nodes that are in no catalog, kept by the kernel: at least so many, at most twice. */
const PASSING_MAX = 1000;
/** Tells the one interrupt from all other failures. */
const INTERRUPTED = new CodedError('INTERRUPTED', 'the reader was interrupted or is gone');

type Passing = { readonly parent: number; readonly name: Raw };

export class Session {
  readonly #tools: SessionTools;
  readonly #files: Files;
  readonly #replies: ReplyBatch;
  readonly #directories: OpenDirectories;
  readonly #reads = new Map<number, AbortController>();
  readonly #told = new Set<string>();
  readonly #passing: Passing[] = [];
  readonly #ended = Promise.withResolvers<FuseEnd>();
  #isOver = false;

  readonly #handlers: ReadonlyMap<number, (request: RequestReader) => void>;

  constructor(tools: SessionTools) {
    this.#tools = tools;
    this.#handlers = this.#handlersByOpcode();
    this.#files = new Files(tools.port, tools.contents);
    this.#replies = new ReplyBatch((replies) => tools.port.reply(replies));
    this.#directories = new OpenDirectories({
      port: tools.port,
      replies: this.#replies,
      onEnd: (nodeId) => this.#passed(nodeId, 'finished'),
    });
  }

  /** Resolves when the mount is over; rejects with a bug's error, and then the caller unmounts. */
  get ended(): Promise<FuseEnd> {
    return this.#ended.promise;
  }

  onRequests(batch: Buffer): void {
    try {
      const request = new RequestReader(batch);
      while (request.next()) this.#answer(request);
      this.#replies.flush();
      this.#ahead(() => this.#directories.makeAhead());
    } catch (error) {
      this.#ended.reject(error);
    }
  }

  onEnd(end: FuseEnd): void {
    this.#isOver = true;
    this.interruptAll();
    this.#files.closeAll();
    this.#directories.clear();
    this.#ended.resolve(end);
  }

  /** Every read that waits ends; for the way out. */
  interruptAll(): void {
    for (const controller of this.#reads.values()) controller.abort(INTERRUPTED);
  }

  #answer(request: RequestReader): void {
    const { unique } = request;
    try {
      this.#dispatch(request);
    } catch (thrown) {
      const error = this.#tools.nameError(thrown);
      if (!(error instanceof CodedError)) throw error;
      this.#replies.error(unique, error.failure.errno);
    }
  }

  #dispatch(request: RequestReader): void {
    const handler = this.#handlers.get(request.opcode);
    if (handler) handler(request);
    else this.#replies.error(request.unique, 'ENOSYS');
  }

  #handlersByOpcode(): ReadonlyMap<number, (request: RequestReader) => void> {
    const attributes = (request: RequestReader) => this.#attributes(request);
    const readDirectory = (request: RequestReader) => this.#directories.read(request);
    const xattr = (request: RequestReader) => this.#xattr(request);
    // Permissions are the kernel's own work (default_permissions).
    const fine = ({ unique }: RequestReader) => this.#replies.empty(unique);
    return new Map([
      [OPCODE.LOOKUP, (request) => this.#lookup(request)],
      [OPCODE.GETATTR, attributes],
      [OPCODE.STATX, attributes],
      [OPCODE.READLINK, (request) => this.#readlink(request)],
      [OPCODE.OPEN, (request) => this.#open(request)],
      [OPCODE.READ, (request) => this.#read(request)],
      [OPCODE.RELEASE, (request) => this.#release(request)],
      [OPCODE.OPENDIR, (request) => this.#openDirectory(request)],
      [OPCODE.READDIR, readDirectory],
      [OPCODE.READDIRPLUS, readDirectory],
      [OPCODE.READDIR + ANSWERED, (request) => this.#directories.answered(request)],
      [OPCODE.READDIRPLUS + ANSWERED, (request) => this.#directories.answered(request)],
      [OPCODE.RELEASEDIR, (request) => this.#releaseDirectory(request)],
      [OPCODE.GETXATTR, xattr],
      [OPCODE.LISTXATTR, xattr],
      [OPCODE.LSEEK, (request) => this.#seek(request)],
      [OPCODE.STATFS, ({ unique }) => this.#replies.statfs(unique, this.#tools.statfs())],
      [OPCODE.INTERRUPT, (request) => this.#interrupt(request)],
      [OPCODE.FORGET, (request) => this.#tools.filesystem.forget(request.nodeId, request.u64(0))],
      [OPCODE.BATCH_FORGET, (request) => this.#forgetMany(request)],
      [OPCODE.ACCESS, fine],
      [OPCODE.DESTROY, fine],
    ]);
  }

  /** No reply. */
  #forgetMany(request: RequestReader): void {
    for (let at = 8, left = request.u32(0); left > 0; left -= 1, at += 16)
      this.#tools.filesystem.forget(request.u64(at), request.u64(at + 8));
  }

  #releaseDirectory(request: RequestReader): void {
    this.#directories.release(request.u64(0));
    this.#replies.empty(request.unique);
  }

  #lookup(request: RequestReader): void {
    const { filesystem } = this.#tools;
    const { unique, nodeId } = request;
    const entry = filesystem.lookup(nodeId, request.name(0));
    if (entry) {
      filesystem.refer(entry.nodeId);
      this.#replies.entry(unique, entry);
      if (entry.entrySeconds === IN_USE_SECONDS)
        this.#pass({ parent: nodeId, name: request.name(0) });
      return;
    }
    // Node 0 lets the kernel remember that there is none, which an error would not.
    const entrySeconds = filesystem.missingSeconds(nodeId);
    const missing = { nodeId: 0, attributes: NOTHING, entrySeconds, attributeSeconds: 0 };
    this.#replies.entry(unique, missing);
  }

  /** A name that is remembered as long as the kernel has it: of so many it forgets the one asked for longest ago. */
  #pass(passing: Passing): void {
    this.#passing.push(passing);
    if (this.#passing.length < 2 * PASSING_MAX) return;
    for (const { parent, name } of this.#passing.splice(0, PASSING_MAX))
      this.#tools.port.forgetName(parent, rawBytes(name));
  }

  #attributes(request: RequestReader): void {
    const { unique, nodeId } = request;
    const found = this.#tools.filesystem.attributes(nodeId);
    if (!found) {
      this.#replies.error(unique, 'ENOENT');
      return;
    }
    if (request.opcode === OPCODE.STATX) this.#replies.statx(unique, found.seconds, found.file);
    else this.#replies.attributes(unique, found.seconds, found.file);
  }

  #readlink({ unique, nodeId }: RequestReader): void {
    const target = this.#tools.filesystem.readlink(nodeId);
    if (target === undefined) this.#replies.error(unique, 'EINVAL');
    else this.#replies.text(unique, target);
  }

  #open(request: RequestReader): void {
    const { unique, nodeId } = request;
    const node = this.#tools.filesystem.open(nodeId);
    if (!node) {
      this.#replies.error(unique, 'ENOENT');
      return;
    }
    if (node.kind === 'text') {
      this.#replies.open(unique, this.#files.openText(nodeId, node.text));
      return;
    }
    const contentId = node.row[NODE.content] ?? undefined;
    const { place } = node;
    const file = { nodeId, contentId, sizeBytes: node.row[NODE.size], place };
    this.#replies.open(unique, this.#files.open(file, callerOf(request)));
  }

  #read(request: RequestReader): void {
    const { unique, nodeId } = request;
    const controller = new AbortController();
    const read = {
      unique,
      handle: request.u64(0),
      offset: request.u64(8),
      lengthBytes: request.u32(16),
      isNonBlocking: isNonBlocking(request.u32(32), () => this.#tools.processName(request.pid)),
      caller: callerOf(request),
    };
    this.#reads.set(unique, controller);
    void this.#finishRead(read, nodeId, controller.signal).catch((error: unknown) =>
      this.#ended.reject(error),
    );
  }

  async #finishRead(
    read: Parameters<Files['read']>[0],
    nodeId: number,
    signal: AbortSignal,
  ): Promise<void> {
    const { unique, caller } = read;
    try {
      const result = await this.#files.read(read, signal);
      if (result.kind === 'bytes') this.#replies.bytes(unique, result.bytes);
    } catch (thrown) {
      const error = this.#tools.nameError(thrown);
      if (!(error instanceof CodedError)) throw error;
      this.#replies.error(unique, error.failure.errno);
      if (error !== INTERRUPTED) this.#tell({ nodeId, pid: caller.pid, error });
    } finally {
      this.#reads.delete(unique);
      this.#replies.flush();
    }
  }

  /** Once: there are programs that ask for the same bytes until they get them. */
  #tell(failure: Parameters<SessionTools['onReadFailure']>[0]): void {
    const key = `${failure.pid} ${failure.nodeId} ${failure.error.code}`;
    if (this.#told.has(key)) return;
    if (this.#told.size >= TOLD_MAX) this.#told.clear();
    this.#told.add(key);
    this.#tools.onReadFailure(failure);
  }

  /** The target gets its EINTR by the read that ends; one that is not known yet is asked about again. */
  #interrupt(request: RequestReader): void {
    const controller = this.#reads.get(request.u64(0));
    if (controller) controller.abort(INTERRUPTED);
    else this.#replies.error(request.unique, 'EAGAIN');
  }

  #release(request: RequestReader): void {
    this.#replies.empty(request.unique);
    this.#files.release(request.u64(0)).catch((error: unknown) => this.#ended.reject(error));
  }

  #openDirectory(request: RequestReader): void {
    const { unique, nodeId } = request;
    const { filesystem, contents } = this.#tools;
    const found = filesystem.list(nodeId);
    const self = filesystem.attributes(nodeId);
    if (!found || !self) {
      this.#replies.error(unique, found ? 'ENOENT' : 'ENOTDIR');
      return;
    }
    const place = filesystem.directoryPlace(nodeId);
    if (place) contents.listed(callerOf(request), place);
    const { listing } = found;
    const handle = this.#directories.open({ nodeId, listing, self: self.file });
    const flags = found.isFixed ? OPEN_FLAGS.KEEP_CACHE | OPEN_FLAGS.CACHE_DIR : 0;
    this.#replies.open(unique, { handle, flags, backingId: 0 });
    this.#passed(nodeId, 'opened');
  }

  /** When the answer is on its way: the kernel has work, and so have we. */
  #passed(nodeId: number, when: 'opened' | 'finished'): void {
    setImmediate(() => {
      if (!this.#isOver) this.#ahead(() => this.#tools.filesystem.passed(nodeId, when));
    });
  }

  /** What nobody has asked for yet: who does is told why it fails. */
  #ahead(work: () => void): void {
    try {
      work();
    } catch (thrown) {
      if (!(this.#tools.nameError(thrown) instanceof CodedError)) this.#ended.reject(thrown);
    }
  }

  #xattr(request: RequestReader): void {
    const { unique, nodeId } = request;
    const sizeBytes = request.u32(0);
    const { xattrs } = this.#tools;
    const value =
      request.opcode === OPCODE.GETXATTR
        ? xattrs.get(nodeId, request.name(8))
        : xattrs.list(nodeId, callerOf(request));
    if (value === undefined) this.#replies.error(unique, 'ENODATA');
    else if (sizeBytes === 0) this.#replies.length(unique, value.length);
    else if (sizeBytes < value.length) this.#replies.error(unique, 'ERANGE');
    else this.#replies.bytes(unique, value);
  }

  /** Only SEEK_DATA and SEEK_HOLE come here; the kernel does the others. */
  #seek(request: RequestReader): void {
    const { unique, nodeId } = request;
    const node = this.#tools.filesystem.open(nodeId);
    if (!node) {
      this.#replies.error(unique, 'ENOENT');
      return;
    }
    const file =
      node.kind === 'text'
        ? { sizeBytes: node.text.length, ranges: null }
        : { sizeBytes: node.row[NODE.size], ranges: node.row[NODE.ranges] };
    const found = seekRanges(file, { offset: request.u64(8), whence: request.u32(16) });
    if (typeof found === 'string') this.#replies.error(unique, found);
    else this.#replies.offset(unique, found);
  }
}

const callerOf = ({ pid, uid }: RequestReader): Caller => ({ pid, uid });
