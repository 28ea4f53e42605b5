/**
 * Contents for those who read: from the stage at once, else from tape after a while.
 *
 * Whoever opens a content shares it with all others of this process. What has to come from tape is posted to run.db; if no
 * process recalls for all, this one does. A reader that leaves is forgotten, and nobody else notices.
 */
import { strict as assert } from 'node:assert';
import { closeSync } from 'node:fs';
import type { Clock } from '../base/clock.ts';
import { CodedError, FAILURES, type FailureCode } from '../base/errors.ts';
import type { Inhibitor } from '../base/inhibitor.ts';
import type { Contents } from '../catalog/content/contents.ts';
import type { TreePlace } from '../catalog/restore/below.ts';
import type { RunRoles } from '../catalog/run-db/roles.ts';
import type { Processes } from '../catalog/run-db/run-db.ts';
import type { RunWants, WaitingReader } from '../catalog/run-db/wants.ts';
import type { DataRange } from '../domain/entry.ts';
import type { Bell } from './bell.ts';
import type { RecallContent } from './content.ts';
import { type Caller, Entry } from './entry.ts';
import type { Fill, Prover } from './fill.ts';
import type { Programs, StormGuard } from './guard.ts';
import type { Loop } from './loop.ts';
import { OpenedContent, type ReadOptions, type ReadPlace } from './opened.ts';
import type { Presence } from './presence.ts';
import type { Stage } from './stage.ts';
import type { ContentState, States } from './state.ts';
import type { Walkers } from './walkers.ts';

export type RecallTools = {
  readonly contents: Contents;
  readonly wants: RunWants;
  readonly roles: RunRoles;
  readonly stage: Stage;
  readonly prover: Prover;
  readonly guard: StormGuard;
  readonly walkers: Walkers;
  readonly presence: Presence;
  readonly programs: Programs;
  readonly processes: Processes;
  readonly clock: Clock;
  /** Held while this process recalls. */
  readonly inhibitor: Inhibitor;
  /** Rung when something is wanted. */
  readonly bell: Bell;
  /** `fail`: what is not staged is refused at once. */
  readonly policy: 'block' | 'fail';
  warn(message: string): void;
};

/** What recalls for all processes, and the contents it is bringing. */
export type Server = {
  readonly loop: Loop;
  readonly states: States;
  filling(contentId: number): Fill | undefined;
};

/** How often it is looked what another process has brought; and told what was read. */
const POLL_MS = 1000;

export class Recall {
  readonly #tools: RecallTools;
  readonly #entries = new Map<string, Entry>();
  readonly #closed = new AbortController();
  #server: Server | undefined;
  #keeping: Promise<void> | undefined;
  #tidying: Promise<void> | undefined;
  #isSwept = false;

  constructor(tools: RecallTools) {
    this.#tools = tools;
  }

  /** What recalls for all, should this process be the one. Told once, before the first open. */
  set server(server: Server) {
    this.#server = server;
  }

  /**
   * Opens a content of one byte or more; never waits on media.
   * @param place where the caller found it: who reads several files below one directory has the rest read ahead
   */
  open(contentId: number, caller: Caller, place?: TreePlace): OpenedContent {
    const content = this.#tools.contents.get(contentId);
    const entry = content && this.#enter({ ...content, contentId });
    this.#tools.walkers.seen(caller.pid);
    return new OpenedContent(this, { entry, place });
  }

  /** Somebody reads a directory: who goes down a tree like that is going to read what is in it. */
  listed(caller: Caller, place: TreePlace): void {
    this.#tools.walkers.listed(caller.pid, place);
  }

  /** As far as is known without asking anybody. */
  stateOf(contentId: number): ContentState {
    assert(this.#server, 'the loop is told before anything is asked');
    this.#tools.presence.refreshSoon(this.#closed.signal);
    return this.#server.states.stateOf(contentId);
  }

  /** Seconds until the first byte, were nobody else to wait; undefined where nobody can say. */
  etaSeconds(contentId: number): number | undefined {
    assert(this.#server, 'the loop is told before anything is asked');
    this.#tools.presence.refreshSoon(this.#closed.signal);
    return this.#server.states.etaSeconds(contentId);
  }

  /** In the library, as far as anybody has looked. */
  isPresent(barcode: string): boolean {
    this.#tools.presence.refreshSoon(this.#closed.signal);
    return this.#tools.presence.isPresent(barcode);
  }

  /** Some of it is proven, or all; told by the loop. */
  onProven(fill: Fill): void {
    const entry = this.#entries.get(fill.content.hash.toString('hex'));
    if (!entry) return;
    this.#adoptOwn(entry, fill);
    if (fill.isWhole) this.#unwant(entry);
  }

  /**
   * Another process has brought it, between the look of who wants it and the loop's; told by the loop, which will not bring it.
   */
  onThere(hash: Buffer): void {
    const entry = this.#entries.get(hash.toString('hex'));
    if (entry?.wantedMs === undefined) return;
    const { stage } = this.#tools;
    const found = stage.find(entry.content);
    // Somebody has changed its file since: it is fetched again.
    if (found === 'unproven') stage.remove(hash);
    if (typeof found !== 'object') return;
    entry.adopt(found.descriptor, undefined);
    this.#unwant(entry);
  }

  /** It is not to be had; told by the loop. */
  onFailure(contentId: number, error: CodedError): void {
    for (const entry of this.#entries.values()) {
      if (entry.content.contentId !== contentId) continue;
      this.#unwant(entry);
      entry.fail(error);
    }
  }

  /** Ends all waiting; nothing is open any more. May be called twice. */
  async close(): Promise<void> {
    const reason = new CodedError('INTERRUPTED', 'recalls have ended');
    this.#closed.abort(reason);
    for (const entry of this.#entries.values()) {
      entry.fail(reason);
      this.#unwant(entry);
    }
    await this.#keeping;
    await this.#tidying;
    for (const entry of this.#entries.values()) {
      this.#tools.stage.release(entry.content.hash);
      entry.close();
    }
    this.#entries.clear();
    this.#tools.stage.tell();
    await this.#tools.stage.clean();
  }

  /** @internal */
  async read({ entry, place }: ReadPlace, range: DataRange, options: ReadOptions): Promise<number> {
    options.signal.throwIfAborted();
    if (entry.readable(range) === undefined) await this.#look(entry, options.signal);
    const known = entry.readable(range);
    if (known !== undefined) return known;
    // Either may have come meanwhile.
    options.signal.throwIfAborted();
    this.#closed.signal.throwIfAborted();
    const { pid } = options.caller;
    const reader = { pid, name: this.#tools.programs.nameOf(pid) };
    this.#admit(entry, options, reader);
    const left = () => {
      if (!entry.isWaitedFor) this.#unwant(entry);
    };
    const quit = new AbortController();
    const signal = AbortSignal.any([options.signal, quit.signal]);
    const waiting = entry.wait(range, { reader, signal, onLeft: left });
    try {
      this.#want(entry);
      if (place) this.#tools.walkers.waits(options.caller.pid, place);
    } catch (error) {
      // Nobody would bring it: who waits is told now.
      quit.abort(error);
    }
    return waiting;
  }

  /** @internal */
  leave(entry: Entry): void {
    entry.users -= 1;
    this.#tools.stage.release(entry.content.hash);
    this.#tidy();
    if (entry.users > 0) return;
    this.#unwant(entry);
    this.#entries.delete(entry.content.hash.toString('hex'));
    entry.close();
  }

  #enter(content: RecallContent): Entry {
    const key = content.hash.toString('hex');
    let entry = this.#entries.get(key);
    if (!entry) {
      entry = new Entry(content);
      this.#entries.set(key, entry);
    }
    entry.users += 1;
    this.#tools.stage.use(content.hash);
    if (entry.file === undefined) {
      const found = this.#tools.stage.find(content);
      if (typeof found === 'object') entry.adopt(found.descriptor, undefined);
      else if (found === 'filling') this.#adoptFilling(entry);
    }
    return entry;
  }

  /** What is proven already of a content that this process or another is filling. */
  #adoptFilling(entry: Entry): void {
    const { content } = entry;
    const fill = this.#server?.filling(content.contentId);
    if (fill) {
      this.#adoptOwn(entry, fill);
      return;
    }
    const found = this.#tools.stage.openFilling(content.hash);
    if (found) entry.adopt(found.descriptor, found.parts);
  }

  #adoptOwn(entry: Entry, { file, hasProven, isWhole, parts }: Fill): void {
    if (!file || !hasProven) return;
    entry.adopt(this.#tools.stage.reopen(file.fd), isWhole ? undefined : parts);
  }

  /** What another process has brought, or this machine had before it was started anew. */
  async #look(entry: Entry, signal: AbortSignal): Promise<void> {
    const { stage } = this.#tools;
    const { content } = entry;
    const found = stage.find(content);
    if (typeof found === 'object') entry.adopt(found.descriptor, undefined);
    else if (found === 'unproven') await this.#proveAgain(entry, signal);
    else if (found === 'filling') this.#adoptFilling(entry);
  }

  async #proveAgain(entry: Entry, signal: AbortSignal): Promise<void> {
    const { stage, prover } = this.#tools;
    const { hash, sizeBytes } = entry.content;
    const descriptor = stage.openFile(hash);
    if (descriptor === undefined) return;
    const whole = { offset: 0, lengthBytes: sizeBytes };
    const proof = prover.hashOf(stage.pathOf(hash), whole, signal);
    const found = await proof.catch((error: unknown) => {
      closeSync(descriptor);
      throw error;
    });
    // Of another file that has taken the name meanwhile nothing is known.
    if (!stage.isCurrent(hash, descriptor)) {
      closeSync(descriptor);
      return;
    }
    if (found?.equals(hash)) {
      stage.completeAgain(hash, descriptor);
      entry.adopt(descriptor, undefined);
      return;
    }
    closeSync(descriptor);
    stage.remove(hash);
    this.#tools.warn(`a file of the stage was not what it should be, and is fetched again`);
  }

  /** @throws CodedError RECALL_REFUSED */
  #admit(entry: Entry, { isNonBlocking }: ReadOptions, by: WaitingReader): void {
    if (isNonBlocking || this.#tools.policy === 'fail') {
      throw new CodedError(
        'RECALL_REFUSED',
        'these bytes are on tape; `shelfs recall` brings them',
      );
    }
    if (entry.wantedMs !== undefined) return;
    const { guard, warn } = this.#tools;
    try {
      guard.admit(by, entry.content.sizeBytes);
    } catch (error) {
      if (error instanceof CodedError) warn(error.message);
      throw error;
    }
  }

  #want(entry: Entry): void {
    const { wants, processes, clock, bell } = this.#tools;
    entry.wantedMs ??= clock.nowMs();
    const { readers, content } = entry;
    const { contentId } = content;
    wants.post([{ contentId, process: processes.own, sinceMs: entry.wantedMs, readers }]);
    bell.ring();
    this.#keeping ??= this.#keep().finally(() => {
      this.#keeping = undefined;
    });
  }

  #unwant(entry: Entry): void {
    if (entry.wantedMs === undefined) return;
    entry.wantedMs = undefined;
    const { wants, processes, bell, warn } = this.#tools;
    try {
      wants.drop([{ contentId: entry.content.contentId, process: processes.own }]);
    } catch (error) {
      // On a full disk, for instance: then it is brought in vain, and forgotten with this process.
      if (!(error instanceof CodedError)) throw error;
      warn(error.message);
    }
    bell.ring();
  }

  get #isWanting(): boolean {
    return [...this.#entries.values()].some(({ wantedMs }) => wantedMs !== undefined);
  }

  /** As long as anybody of this process waits: recalls for all, or looks at what another process brings. */
  async #keep(): Promise<void> {
    const { roles, clock, bell } = this.#tools;
    const { signal } = this.#closed;
    while (this.#isWanting) {
      try {
        if (roles.takeRecall(clock.nowMs())) await this.#serve(signal);
        else {
          await this.#poll(signal);
          await bell.wait(POLL_MS, signal);
        }
      } catch (error) {
        if (!(error instanceof CodedError)) throw error;
        for (const entry of this.#entries.values()) {
          this.#unwant(entry);
          entry.fail(error);
        }
      }
    }
  }

  async #serve(signal: AbortSignal): Promise<void> {
    assert(this.#server, 'the loop is told before anything is opened');
    const letSleep = this.#tools.inhibitor.hold('files are being brought from tape');
    try {
      if (!this.#isSwept) await this.#tools.stage.sweep();
      this.#isSwept = true;
      // Whoever recalled before may have brought it, or given it up, and ended before we looked.
      await this.#poll(signal);
      if (this.#isWanting) await this.#server.loop.run(signal);
    } finally {
      letSleep();
      this.#tools.roles.leaveRecall();
    }
  }

  async #poll(signal: AbortSignal): Promise<void> {
    const { wants, processes } = this.#tools;
    for (const entry of [...this.#entries.values()]) {
      if (entry.wantedMs === undefined) continue;
      await this.#look(entry, signal);
      if (entry.file !== undefined) this.#unwant(entry);
    }
    for (const { contentId, code, message } of wants.takeFailures(processes.own)) {
      assert(isCode(code), `no failure is called ${code}`);
      this.onFailure(contentId, new CodedError(code, message));
    }
  }

  /** Tells the table of the stage what was read; not for each file by itself. */
  #tidy(): void {
    const { stage, clock, warn } = this.#tools;
    const { signal } = this.#closed;
    const tidy = async () => {
      while (stage.isDirty && !signal.aborted) {
        await clock.sleepMs(POLL_MS, signal).catch((error: unknown) => {
          if (!signal.aborted) throw error;
        });
        try {
          stage.tell();
          await stage.clean();
        } catch (error) {
          // A full disk, for instance: what was not told now is told with the next file that is closed.
          if (!(error instanceof CodedError)) throw error;
          warn(error.message);
          return;
        }
      }
    };
    this.#tidying ??= tidy().finally(() => {
      this.#tidying = undefined;
    });
  }
}

function isCode(code: string): code is FailureCode {
  return Object.hasOwn(FAILURES, code);
}
