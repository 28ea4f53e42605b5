/** Recall: contents of whole trees brought into the stage, so that whoever reads them later need not wait. */
import { setImmediate as turn } from 'node:timers/promises';
import { CodedError } from '../base/errors.ts';
import { type Raw, rawText } from '../base/raw.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Snapshot } from '../catalog/tree/snapshots.ts';
import { type PathEntry, Tree } from '../catalog/tree/tree.ts';
import type { Caller } from '../recall/entry.ts';
import type { Recall } from '../recall/recall.ts';

export type RecallRequest = {
  /** Absolute and normal; with everything below. */
  readonly paths: readonly Raw[];
  readonly hostId: number;
  readonly snapshot: Snapshot;
};

export type RecallTools = {
  readonly catalog: Catalog;
  readonly recall: Recall;
  readonly caller: Caller;
};

export type RecallFailure = {
  readonly path: string;
  readonly reason: string;
  readonly code: CodedError['code'];
};

export type RecallEvent =
  | { readonly event: 'medium'; readonly barcode: string }
  | { readonly event: 'file'; readonly path: string; readonly bytes: number }
  | ({ readonly event: 'failure' } & RecallFailure)
  | { readonly event: 'warning'; readonly message: string };

export type RecallReport = {
  /** Files brought, and those that were there. */
  readonly recalled: number;
  readonly staged: number;
  /** Of both. */
  readonly bytes: number;
  /** The first of them. */
  readonly failed: readonly RecallFailure[];
  readonly failures: number;
};

/** Files waited for at a time: what lies beside them is read ahead, so few are enough. */
const WAITING_MAX = 256;
const ENTRIES_A_TURN = 64;
const FAILURES_TOLD_MAX = 10_000;

/** @throws CodedError PATH_UNKNOWN; the signal's reason. Failures of single files are in the report */
export async function recallPaths(
  request: RecallRequest,
  tools: RecallTools,
  listen: (event: RecallEvent) => void,
  signal: AbortSignal,
): Promise<RecallReport> {
  const job = new RecallJob(tools, request, listen, signal);
  for (const path of request.paths) await job.take(path);
  return job.end();
}

class RecallJob {
  readonly #tools: RecallTools;
  readonly #request: RecallRequest;
  readonly #listen: (event: RecallEvent) => void;
  readonly #signal: AbortSignal;
  readonly #tree: Tree;
  readonly #waiting = new Set<Promise<void>>();
  #onLess: (() => void) | undefined;
  readonly #failed: RecallFailure[] = [];
  #failures = 0;
  #recalled = 0;
  #staged = 0;
  #bytes = 0;
  #listed: number | undefined;

  constructor(
    tools: RecallTools,
    request: RecallRequest,
    ...[listen, signal]: [(event: RecallEvent) => void, AbortSignal]
  ) {
    this.#tools = tools;
    this.#request = request;
    this.#listen = listen;
    this.#signal = signal;
    this.#tree = new Tree(tools.catalog);
  }

  async take(path: Raw): Promise<void> {
    const { hostId, snapshot } = this.#request;
    let found = 0;
    for (const entry of this.#tree.walk(hostId, path, snapshot.id)) {
      found += 1;
      if (found % ENTRIES_A_TURN === 0) await turn();
      this.#signal.throwIfAborted();
      if (entry.inode.type !== 'file' || entry.inode.sizeBytes === 0) continue;
      this.#want(entry);
      if (this.#waiting.size >= WAITING_MAX) await this.#oneLess();
    }
    if (found > 0) return;
    const name = rawText(path);
    throw new CodedError(
      'PATH_UNKNOWN',
      `${name} is not in this snapshot; \`shelfs ls\` shows what is`,
      { path: name },
    );
  }

  async end(): Promise<RecallReport> {
    await Promise.all(this.#waiting);
    this.#signal.throwIfAborted();
    return {
      recalled: this.#recalled,
      staged: this.#staged,
      bytes: this.#bytes,
      failed: this.#failed,
      failures: this.#failures,
    };
  }

  #want(entry: PathEntry): void {
    const { recall, caller } = this.#tools;
    const { path, directoryId, inode } = entry;
    const { contentId, sizeBytes } = inode;
    if (contentId === undefined) {
      this.#fail(path, new CodedError('MEDIUM_UNREADABLE', 'it was never stored as a whole'));
      return;
    }
    const place = { directoryId, snapshotId: this.#request.snapshot.id };
    if (this.#listed !== directoryId) recall.listed(caller, place);
    this.#listed = directoryId;
    const opened = recall.open(contentId, caller, place);
    if (opened.file !== undefined) {
      opened.close();
      this.#staged += 1;
      this.#bytes += sizeBytes;
      return;
    }
    const range = { offset: 0, lengthBytes: sizeBytes };
    const options = { isNonBlocking: false, caller, signal: this.#signal };
    const waiting = opened
      .read(range, options)
      .then(() => {
        this.#recalled += 1;
        this.#bytes += sizeBytes;
        this.#listen({ event: 'file', path: rawText(path), bytes: sizeBytes });
      })
      .catch((error: unknown) => {
        if (this.#signal.aborted) return;
        if (!(error instanceof CodedError)) throw error;
        this.#fail(path, error);
      })
      .finally(() => {
        opened.close();
        this.#waiting.delete(waiting);
        this.#onLess?.();
      });
    this.#waiting.add(waiting);
  }

  /** A race of all of them would be entered with each, again and again. */
  #oneLess(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onLess = resolve;
    return promise;
  }

  #fail(path: Raw, { message, code }: CodedError): void {
    const failure = { path: rawText(path), reason: message, code };
    this.#failures += 1;
    if (this.#failed.length < FAILURES_TOLD_MAX) this.#failed.push(failure);
    this.#listen({ event: 'failure', ...failure });
  }
}
