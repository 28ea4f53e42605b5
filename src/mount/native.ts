/** The port to the kernel over native/fuse: mounts, serves, and leaves nothing behind. */
import { strict as assert } from 'node:assert';
import { getSystemErrorName } from 'node:util';
import type { Clock } from '../base/clock.ts';
import { CodedError } from '../base/errors.ts';
import { type Raw, rawBytes, rawText } from '../base/raw.ts';
import { type Answer, type DoorHandle, type FuseDoor, loadFuseDoor } from './door.ts';
import { agreementOf, composeOffer } from './init.ts';
import type { MountEntry } from './mount-table.ts';
import {
  detach,
  lastResort,
  mountDevice,
  raiseReadAhead,
  readyMountpoint,
  refuseRequestTimeouts,
  takeAway,
} from './mountpoint.ts';
import type { FuseAgreement, FuseEnd, FuseListener, FusePort } from './port.ts';

export type FuseMountOptions = {
  /** Absolute. */
  readonly mountpoint: Raw;
  /** Also for others than who mounts; users need `user_allow_other` in /etc/fuse.conf. */
  readonly allowOther: boolean;
  readonly clock: Clock;
  /** Told of requests as soon as the kernel has agreed, perhaps before this resolves. */
  readonly listener: FuseListener;
  /** What is mounted, as the kernel's table and `df` say it. */
  readonly source?: Raw;
  /** Told when the kernel lists it, before anybody is answered. */
  readonly onListed?: (entry: MountEntry) => void;
  /** Default: the one of this machine. */
  readonly door?: FuseDoor;
};

/**
 * Mounts a filesystem and serves it until it is unmounted, by `unmount` or by anybody else.
 * @throws CodedError MOUNTPOINT_UNSUITABLE, MOUNT_UNSUPPORTED, MOUNT_FAILED; FAILED without the native door
 */
export async function mountFuse(options: FuseMountOptions): Promise<FusePort> {
  const { allowOther, clock, listener, door = loadFuseDoor() } = options;
  await refuseRequestTimeouts();
  const path = await readyMountpoint(options.mountpoint, { door, clock });
  const { device, entry } = await mountDevice(path, { door, allowOther, source: options.source });
  const port = new NativePort({ door, listener, mount: { entry, clock } });
  try {
    options.onListed?.(entry);
    await port.start(device);
    await raiseReadAhead(entry);
  } catch (error) {
    await port.unmount();
    throw error;
  }
  return port;
}

/**
 * Serves a connection that is there already; `unmount` only ends it.
 * @throws CodedError MOUNT_FAILED when the other side does not agree
 */
export async function serveDevice(
  device: number,
  { door, listener }: { readonly door: FuseDoor; readonly listener: FuseListener },
): Promise<FusePort> {
  const port = new NativePort({ door, listener });
  await port.start(device);
  return port;
}

type Tools = {
  readonly door: FuseDoor;
  readonly listener: FuseListener;
  readonly mount?: { readonly entry: MountEntry; readonly clock: Clock };
};

class NativePort implements FusePort {
  readonly #tools: Tools;
  readonly #agreed = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  #handle: DoorHandle | undefined;
  #agreement: FuseAgreement | undefined;
  #unmounting: Promise<void> | undefined;
  /** Also after an uncaught exception. */
  readonly #onExit = () => this.#handle?.abandon();

  constructor(tools: Tools) {
    this.#tools = tools;
  }

  get agreement(): FuseAgreement {
    assert(this.#agreement, 'started');
    return this.#agreement;
  }

  get #started(): DoorHandle {
    assert(this.#handle, 'started');
    return this.#handle;
  }

  /** Resolves when the kernel has agreed. */
  async start(device: number): Promise<void> {
    const { door, listener, mount } = this.#tools;
    const { pageBytes } = door;
    const handle = door.start(device, composeOffer(pageBytes), {
      agreed: (_, reply, mayBack) => {
        this.#agreement = agreementOf(reply, { pageBytes, mayBack });
        this.#agreed.resolve();
      },
      requests: (requests) => listener.onRequests(requests),
      more: () => setImmediate(() => this.#started.drain()),
      ended: (errno) => this.#ended.resolve(this.#finish(errno)),
    });
    if (typeof handle === 'number') {
      door.close(device);
      throw this.#failure(`there can be no more threads (${getSystemErrorName(handle)})`);
    }
    this.#handle = handle;
    process.on('exit', this.#onExit);
    if (mount) {
      const { line, path } = mount.entry;
      check(handle.guard(rawBytes(line), rawBytes(path), lastResort(mount.entry)));
    }
    await this.#agreed.promise;
  }

  reply(replies: Uint8Array): void {
    check(this.#started.reply(replies));
  }

  replyFromFile({ unique, file, offset, lengthBytes }: Parameters<FusePort['replyFromFile']>[0]) {
    check(this.#started.replyFromFile(unique, file, offset, lengthBytes));
  }

  serve(handle: number, file: number, sizeBytes: number): void {
    check(this.#started.serve(handle, file, sizeBytes));
  }

  async stopServing(handle: number): Promise<void> {
    check(await this.#started.stopServing(handle));
  }

  answerAhead(
    { opcode, handle, offset }: Parameters<FusePort['answerAhead']>[0],
    body: Uint8Array,
  ): void {
    check(this.#started.answerAhead(opcode, handle, offset, body));
  }

  serveListing(handle: number, [first, rest]: readonly [Uint8Array, Uint8Array]): void {
    check(this.#started.serveListing(handle, first, rest));
  }

  dropAhead(handle: number): void {
    check(this.#started.dropAhead(handle));
  }

  openBacking(file: number): number {
    return this.#started.openBacking(file);
  }

  closeBacking(backingId: number): void {
    check(this.#started.closeBacking(backingId));
  }

  forgetName(parent: number, name: Uint8Array): void {
    check(this.#started.forgetName(parent, name));
  }

  forgetNode(node: number): void {
    check(this.#started.forgetNode(node));
  }

  unmount(): Promise<void> {
    this.#unmounting ??= this.#unmount();
    return this.#unmounting;
  }

  async #unmount(): Promise<void> {
    const { mount, door } = this.#tools;
    // First of all, or those who wait for an answer would keep it busy.
    this.#handle?.refuse();
    try {
      if (mount) await takeAway(mount.entry, { door, clock: mount.clock });
    } finally {
      this.#handle?.stop();
      if (this.#handle) await this.#ended.promise;
    }
  }

  /** No thread is left. What somebody else aborted is a mount still, and a dead one. */
  async #finish(errno: number): Promise<void> {
    const { mount, door, listener } = this.#tools;
    if (this.#agreement === undefined) {
      process.off('exit', this.#onExit);
      this.#agreed.reject(this.#refusal(errno));
      return;
    }
    const end: FuseEnd = errno === 0 ? { why: 'unmounted' } : { why: 'failed', errno };
    try {
      if (mount && this.#unmounting === undefined) await detach(mount.entry, { door });
    } finally {
      process.off('exit', this.#onExit);
      listener.onEnd(end);
    }
  }

  #refusal(errno: number): CodedError {
    const name = errno === 0 ? 'it was unmounted' : getSystemErrorName(-errno);
    return this.#failure(`the kernel did not agree to serve it (${name})`);
  }

  #failure(reason: string): CodedError {
    const path = this.#tools.mount?.entry.path;
    const name = path === undefined ? 'the connection' : rawText(path);
    const facts = path === undefined ? {} : { path: name };
    return new CodedError('MOUNT_FAILED', `${name}: ${reason}`, facts);
  }
}

/** What the door refuses is a bug of ours: it was asked for something that cannot be. */
function check(answer: Answer): void {
  assert(answer === 0, answer === 0 ? undefined : `native/fuse said ${getSystemErrorName(answer)}`);
}
