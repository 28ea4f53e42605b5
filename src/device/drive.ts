/**
 * A tape drive: position, motion, blocks.
 *
 * **The position is never assumed.** The drive object either has proven where the tape stands, by READ POSITION, or it
 * says "unknown". Writing with an unknown position, or anywhere but at end of data, is a bug of the caller and crashes;
 * only a label may be written at the start, after `allowOverwrite`. Before every block the drive is asked where it
 * stands: a reset by somebody else whose unit attention a third one has swallowed rewinds the tape and tells nobody.
 * That question costs a round trip and no tape time, for the drive streams from its buffer meanwhile. Question and block go
 * out with nothing between them, whoever else uses the unit.
 *
 * Nor is the mode: it has to be set by `setMode` before anything is written, and again after every disturbance, for a
 * reset takes the drive's own append-only guard away.
 *
 * Any error, deferred sense or host status makes the position unknown.
 */
import { strict as assert } from 'node:assert';
import type { Clock } from '../base/clock.ts';
import { CodedError } from '../base/errors.ts';
import { AccessOrders, type TapeSegment } from './access-order.ts';
import { allowOverwrite, append, type EndWarning, flush } from './append.ts';
import { type ReadResult, readBlock } from './block-read.ts';
import { setMode, type WantedMode } from './drive-mode.ts';
import { Head, type Position } from './head.ts';
import { readLogPage } from './health.ts';
import { LOG_PAGE } from './log.ts';
import { type Answer, type Identity, LogicalUnit, type Request } from './logical-unit.ts';
import type { ModeReport } from './mode.ts';
import { locate, rewind, spaceFilemarks, spaceToEndOfData } from './motion.ts';
import type { ScsiPort } from './port.ts';
import type { ReportedPosition } from './position.ts';
import {
  askState,
  type DriveState,
  doPastAttentions,
  READY_TIMEOUT_MS,
  waitReady,
} from './readiness.ts';
import { tapeAlerts } from './tape-alert.ts';

export type BlockLimits = { readonly minimumBytes: number; readonly maximumBytes: number };

export class Drive {
  readonly identity: Identity;
  readonly unit: LogicalUnit;
  /** Blocks moved so far, and how long the drive took for them. */
  readonly busy = { writtenBytes: 0, writeMs: 0, readBytes: 0, readMs: 0 };
  readonly #head: Head;
  readonly #orders: AccessOrders;
  /** The head's disturbances when the drive took its mode; any more have undone it. */
  #modeSetAt: number | undefined;

  private constructor(unit: LogicalUnit, identity: Identity) {
    this.unit = unit;
    this.identity = identity;
    this.#head = new Head(unit);
    this.#orders = new AccessOrders(unit, (send, signal) => this.#head.prove(send, signal));
  }

  /** @throws CodedError DEVICE_UNSUITABLE when it is no tape drive */
  static async open(port: ScsiPort, clock: Clock, signal: AbortSignal): Promise<Drive> {
    const unit = new LogicalUnit(port, clock, 'DRIVE_FAILED');
    return new Drive(unit, await unit.identify('tape', signal));
  }

  get name(): string {
    return this.unit.name;
  }

  get position(): Position {
    return this.#head.position;
  }

  /** TapeAlert flags that are set; reading them clears them. */
  async alerts(signal: AbortSignal): Promise<number[]> {
    return tapeAlerts(await readLogPage(this.unit, LOG_PAGE.tapeAlert, signal));
  }

  /** TEST UNIT READY, past any unit attentions; those make the position unknown. */
  state(signal: AbortSignal): Promise<DriveState> {
    return askState(this.unit, signal);
  }

  /**
   * Waits until a cartridge is threaded.
   * @throws CodedError DRIVE_EMPTY at once when there is none, DRIVE_NOT_READY after `timeoutMs`
   */
  waitReady(signal: AbortSignal, timeoutMs = READY_TIMEOUT_MS): Promise<void> {
    return waitReady(this.unit, { load: () => this.load(signal), timeoutMs }, signal);
  }

  /** Threads the cartridge that stands in the drive. Takes up to hours on a new LTO-9 cartridge. */
  async load(signal: AbortSignal): Promise<void> {
    await this.#doPastAttentions({ cdb: [0x1b, 0, 0, 0, 0x01, 0] }, 'loading', signal);
  }

  /** Rewinds and unthreads; the picker or a person can take the cartridge then. */
  async unload(signal: AbortSignal): Promise<void> {
    await this.#doPastAttentions({ cdb: [0x1b, 0, 0, 0, 0x00, 0] }, 'unloading', signal);
  }

  /** Keeps the cartridge in until allowed again or the drive is reset. */
  async preventRemoval(prevent: boolean, signal: AbortSignal): Promise<void> {
    const what = prevent ? 'locking the cartridge in' : 'unlocking the cartridge';
    await this.#doPastAttentions({ cdb: [0x1e, 0, 0, 0, prevent ? 1 : 0, 0] }, what, signal);
  }

  async blockLimits(signal: AbortSignal): Promise<BlockLimits> {
    const request = { cdb: [0x05, 0, 0, 0, 0, 0], dataIn: Buffer.alloc(6) };
    const { data } = await this.#doPastAttentions(request, 'reading its block limits', signal);
    if (data.length < 6) throw this.unit.fail('its block limits are cut short');
    return { maximumBytes: data.readUIntBE(1, 3), minimumBytes: data.readUInt16BE(4) };
  }

  /**
   * Sets the drive up for writing and reads back that it took it. Needed again after every disturbance.
   * @throws CodedError DRIVE_FAILED when the drive does not take it; DRIVE_RESET when it was disturbed meanwhile
   */
  async setMode(wanted: WantedMode, signal: AbortSignal): Promise<ModeReport> {
    const before = this.#head.disturbances;
    const report = await setMode(this.unit, wanted, signal);
    if (this.#head.disturbances !== before) {
      throw new CodedError('DRIVE_RESET', `${this.name} was reset while it was being set up`, {
        device: this.name,
      });
    }
    this.#modeSetAt = before;
    return report;
  }

  /**
   * Asks the drive where it stands, which proves the position. What we knew of end of data stays known only where the
   * drive stands where we thought.
   * @throws CodedError POSITION_LOST when the drive does not know
   */
  provePosition(signal: AbortSignal): Promise<ReportedPosition> {
    return this.unit.exclusively((send) => this.#head.prove(send, signal));
  }

  /**
   * Compares the drive's word with our own count. Call it before the first block of an archive and before one is
   * committed.
   * @throws CodedError POSITION_LOST when they differ; the position is unknown then
   */
  checkPosition(signal: AbortSignal): Promise<void> {
    return this.unit.exclusively((send) => this.#head.check(send, signal));
  }

  rewind(signal: AbortSignal): Promise<void> {
    return rewind(this.#head, signal);
  }

  /** Goes to a block, any number up to end of data. @throws CodedError MEDIUM_UNREADABLE when it lies beyond */
  async locate(block: number, signal: AbortSignal): Promise<void> {
    await locate(this.#head, block, signal);
  }

  /**
   * In which order the drive would read these, from where the tape stands: their indices; undefined where it does not say.
   * Asked, it is asked as well where it stands.
   * @throws the signal's reason, nothing of the drive's
   */
  accessOrder(
    segments: readonly TapeSegment[],
    signal: AbortSignal,
  ): Promise<readonly number[] | undefined> {
    return this.#orders.of(segments, signal);
  }

  /**
   * Goes behind the last thing written, and proves that nothing follows: the only place where blocks may be added.
   * @throws CodedError POSITION_LOST when there are data, or the tape was moved meanwhile
   */
  spaceToEndOfData(signal: AbortSignal): Promise<void> {
    return spaceToEndOfData(this.#head, signal);
  }

  /** Goes over filemarks, backwards with a negative count; stops behind the last one passed. */
  async spaceFilemarks(count: number, signal: AbortSignal): Promise<void> {
    await spaceFilemarks(this.#head, count, signal);
  }

  /** Reads one block into `buffer`. What is normal on tape is a result. */
  async read(buffer: Uint8Array, signal: AbortSignal): Promise<ReadResult> {
    assert(
      buffer.byteLength > 0 && buffer.byteLength < 2 ** 24,
      'a READ asks for 1 byte to 16 MiB',
    );
    const startMs = this.unit.clock.monotonicMs();
    const result = await this.unit.exclusively((send) =>
      readBlock(this.#head, { send, buffer }, signal),
    );
    if (result.kind === 'block') this.busy.readBytes += result.lengthBytes;
    this.busy.readMs += this.unit.clock.monotonicMs() - startMs;
    return result;
  }

  /**
   * Writes one block at end of data. The block is in the drive's buffer when this resolves; it is on tape after the
   * next synchronous filemark.
   * @throws CodedError MEDIUM_FULL (nothing of it was written), MEDIUM_UNWRITABLE, MEDIUM_PROTECTED, POSITION_LOST,
   * DRIVE_RESET, DRIVE_FAILED; after each the position is unknown
   */
  async write(block: Uint8Array, signal: AbortSignal): Promise<EndWarning> {
    assert(block.byteLength > 0 && block.byteLength < 2 ** 24, 'a block has 1 byte to 16 MiB');
    const cdb = Buffer.from([0x0a, 0, 0, 0, 0, 0]);
    cdb.writeUIntBE(block.byteLength, 2, 3);
    const startMs = this.unit.clock.monotonicMs();
    const request = { cdb: [...cdb], dataOut: block };
    const warning = await this.#append(request, { blocks: 1, files: 0 }, signal);
    this.busy.writtenBytes += block.byteLength;
    this.busy.writeMs += this.unit.clock.monotonicMs() - startMs;
    return warning;
  }

  /**
   * Writes filemarks at end of data. With `immediate` they are only promised; without, everything before them is on
   * tape when this resolves.
   */
  async writeFilemarks(
    count: number,
    options: { immediate: boolean },
    signal: AbortSignal,
  ): Promise<EndWarning> {
    assert(
      Number.isInteger(count) && count > 0 && count < 2 ** 24,
      `not a count of filemarks: ${count}`,
    );
    const cdb = Buffer.from([0x10, options.immediate ? 1 : 0, 0, 0, 0, 0]);
    cdb.writeUIntBE(count, 2, 3);
    return this.#append({ cdb: [...cdb] }, { blocks: count, files: count }, signal);
  }

  /** Empties the drive's buffer onto the tape and leaves no mark. */
  flush(signal: AbortSignal): Promise<EndWarning> {
    return flush(this.#head, signal);
  }

  /**
   * Permits one write over what is there, at the start of the tape and nowhere else: a new label. The drive's own guard
   * is lifted for that place too, where it has one.
   */
  allowOverwrite(signal: AbortSignal): Promise<void> {
    return allowOverwrite(this.#head, signal);
  }

  /** Ends the data here (ERASE, short): what lies behind can no longer be read. Guarded like a write. */
  async eraseShort(signal: AbortSignal): Promise<void> {
    await this.#append({ cdb: [0x19, 0, 0, 0, 0, 0] }, { blocks: 0, files: 0 }, signal);
  }

  #append(
    request: Request,
    step: { readonly blocks: number; readonly files: number },
    signal: AbortSignal,
  ): Promise<EndWarning> {
    const isModeSet = () => this.#modeSetAt === this.#head.disturbances;
    return append(this.#head, { request, step, isModeSet }, signal);
  }

  #doPastAttentions(request: Request, what: string, signal: AbortSignal): Promise<Answer> {
    // Another cartridge may be in the drive after a motion.
    const isMotion = request.cdb[0] === 0x1b;
    const before = isMotion ? { before: () => this.#head.disturb() } : {};
    return doPastAttentions(this.unit, { request, what, ...before }, signal);
  }
}
