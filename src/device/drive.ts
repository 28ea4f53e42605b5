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
import { setMode, type WantedMode } from './drive-mode.ts';
import { readLogPage } from './health.ts';
import { LOG_PAGE } from './log.ts';
import {
  type Answer,
  BUSY_WAITS_MAX,
  type Identity,
  isDone,
  LogicalUnit,
  type Request,
  type Send,
  UNIT_ATTENTIONS_MAX,
} from './logical-unit.ts';
import type { ModeReport } from './mode.ts';
import type { ScsiPort } from './port.ts';
import { parsePosition, READ_POSITION_LONG_BYTES, type ReportedPosition } from './position.ts';
import { driveFailure, emptyDrive, isEndOfData, isOverwriteRefused } from './refusal.ts';
import { SENSE_KEY } from './sense.ts';
import { tapeAlerts } from './tape-alert.ts';

export type Position =
  | { readonly proven: false }
  | {
      readonly proven: true;
      /** Blocks and filemarks before this point. */
      readonly block: number;
      /** Filemarks before this point. */
      readonly file: number;
      /** Proven by SPACE to end of data, or by having written here ourselves. */
      readonly atEndOfData: boolean;
    };

/** `unloaded`: a cartridge is there but not threaded; `cleaning`: a cleaning cartridge is at work or spent. */
export type DriveState =
  | 'ready'
  | 'empty'
  | 'becoming-ready'
  | 'unloaded'
  | 'cleaning'
  | 'needs-help';

/** `programmable` warns that the room set aside is reached, `early` that the end is near: finish, take another medium. */
export type EndWarning = 'none' | 'programmable' | 'early';

export type ReadResult =
  | { readonly kind: 'block'; readonly lengthBytes: number }
  /** The block is longer than the buffer; what fits was read, and the tape is past the block. */
  | { readonly kind: 'longer-block'; readonly lengthBytes: number }
  | { readonly kind: 'filemark' }
  | { readonly kind: 'end-of-data' };

export type BlockLimits = { readonly minimumBytes: number; readonly maximumBytes: number };

const UNKNOWN: Position = { proven: false };
const READY_POLL_MS = 1000;
/** A first load of an LTO-9 cartridge calibrates for up to two hours. */
const READY_TIMEOUT_MS = 3 * 3_600_000;

export class Drive {
  readonly identity: Identity;
  readonly unit: LogicalUnit;
  /** Blocks moved so far, and how long the drive took for them. */
  readonly busy = { writtenBytes: 0, writeMs: 0, readBytes: 0, readMs: 0 };
  #position: Position = UNKNOWN;
  #overwriteAllowedAt: number | undefined;
  #isModeSet = false;
  #disturbances = 0;

  private constructor(unit: LogicalUnit, identity: Identity) {
    this.unit = unit;
    this.identity = identity;
    unit.onDisturbance = () => this.#disturb();
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
    return this.#position;
  }

  /** TapeAlert flags that are set; reading them clears them. */
  async alerts(signal: AbortSignal): Promise<number[]> {
    return tapeAlerts(await readLogPage(this.unit, LOG_PAGE.tapeAlert, signal));
  }

  /** TEST UNIT READY, past any unit attentions; those make the position unknown. */
  async state(signal: AbortSignal): Promise<DriveState> {
    for (let attempt = 0; attempt < UNIT_ATTENTIONS_MAX; attempt += 1) {
      const { sense } = await this.unit.send({ cdb: [0x00, 0, 0, 0, 0, 0] }, signal);
      if (!sense || isDone(sense)) return 'ready';
      if (sense.key === SENSE_KEY.unitAttention) continue;
      if (sense.key !== SENSE_KEY.notReady) {
        throw driveFailure(this.unit, sense, 'asking whether it is ready');
      }
      if (sense.asc === 0x3a) return 'empty';
      if (sense.asc === 0x30) return 'cleaning';
      if (sense.asc === 0x04 && sense.ascq === 0x02) return 'unloaded';
      // 04h/00h cause not reportable, 01h becoming ready, 07h operation in progress
      if (sense.asc === 0x04 && [0x00, 0x01, 0x07].includes(sense.ascq)) return 'becoming-ready';
      return 'needs-help';
    }
    throw this.unit.fail('it reports one unit attention after the other');
  }

  /**
   * Waits until a cartridge is threaded.
   * @throws CodedError DRIVE_EMPTY at once when there is none, DRIVE_NOT_READY after `timeoutMs`
   */
  async waitReady(signal: AbortSignal, timeoutMs = READY_TIMEOUT_MS): Promise<void> {
    const clock = this.unit.clock;
    const startMs = clock.monotonicMs();
    for (;;) {
      const state = await this.state(signal);
      if (state === 'ready') return;
      if (state === 'empty') throw emptyDrive(this.unit);
      const isLate = clock.monotonicMs() - startMs > timeoutMs;
      if (state === 'unloaded' && !isLate) {
        await this.load(signal);
      } else if (state !== 'becoming-ready' || isLate) {
        const why = state === 'cleaning' ? 'a cleaning cartridge is in it' : `it is ${state}`;
        throw new CodedError('DRIVE_NOT_READY', `${this.name} is not ready: ${why}`, {
          device: this.name,
        });
      }
      await clock.sleepMs(READY_POLL_MS, signal);
    }
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
    const before = this.#disturbances;
    const report = await setMode(this.unit, wanted, signal);
    if (this.#disturbances !== before) {
      throw new CodedError('DRIVE_RESET', `${this.name} was reset while it was being set up`, {
        device: this.name,
      });
    }
    this.#isModeSet = true;
    return report;
  }

  /**
   * Asks the drive where it stands, which proves the position. What we knew of end of data stays known only where the
   * drive stands where we thought.
   * @throws CodedError POSITION_LOST when the drive does not know
   */
  provePosition(signal: AbortSignal): Promise<ReportedPosition> {
    return this.unit.exclusively((send) => this.#prove(send, signal));
  }

  /**
   * Compares the drive's word with our own count. Call it before the first block of an archive and before one is
   * committed.
   * @throws CodedError POSITION_LOST when they differ; the position is unknown then
   */
  checkPosition(signal: AbortSignal): Promise<void> {
    return this.unit.exclusively((send) => this.#check(send, signal));
  }

  rewind(signal: AbortSignal): Promise<void> {
    return this.unit.exclusively(async (send) => {
      await this.#move(send, { cdb: [0x01, 0, 0, 0, 0, 0] }, 'rewinding', signal);
      this.#arrive({ block: 0, file: 0 }, false);
    });
  }

  /** Goes to a block, any number up to end of data. @throws CodedError MEDIUM_UNREADABLE when it lies beyond */
  async locate(block: number, signal: AbortSignal): Promise<void> {
    assert(Number.isSafeInteger(block) && block >= 0, `no block number: ${block}`);
    const cdb = Buffer.alloc(16);
    cdb.writeUInt8(0x92, 0);
    cdb.writeBigUInt64BE(BigInt(block), 4);
    await this.unit.exclusively(async (send) => {
      await this.#move(send, { cdb: [...cdb] }, `locating block ${block}`, signal);
      const reported = await this.#prove(send, signal);
      if (reported.block !== block) {
        throw this.#lost(`went to block ${reported.block} instead of ${block}`, block);
      }
    });
  }

  /**
   * Goes behind the last thing written: the only place where blocks may be added. Then a read must find the end of the
   * data, and the drive must stand where it said: resets between motion and question, their unit attentions swallowed by
   * somebody, would otherwise make the beginning of the tape pass for its end.
   * @throws CodedError POSITION_LOST when there are data, or the tape was moved meanwhile
   */
  spaceToEndOfData(signal: AbortSignal): Promise<void> {
    return this.unit.exclusively(async (send) => {
      this.#lose();
      const { sense } = await send({ cdb: [0x11, 0x03, 0, 0, 0, 0] }, signal);
      // On a blank cartridge some drives answer BLANK CHECK instead: end of data is where it stands.
      const isBlank = sense?.key === SENSE_KEY.blankCheck && isEndOfData(sense);
      if (sense && !isDone(sense) && !isBlank) {
        throw driveFailure(this.unit, sense, 'going to end of data');
      }
      const reported = await this.#report(send, signal);
      this.#arrive(reported, false);
      const { kind } = await this.#read(send, Buffer.alloc(1), signal);
      if (kind !== 'end-of-data') {
        const where = `stands at block ${reported.block}, where data follow, after it was sent behind them`;
        throw this.#lost(
          `${where}: somebody else moved the tape or reset the drive`,
          reported.block,
        );
      }
      await this.#check(send, signal);
      this.#arrive(reported, true);
    });
  }

  /** Goes over filemarks, backwards with a negative count; stops behind the last one passed. */
  async spaceFilemarks(count: number, signal: AbortSignal): Promise<void> {
    assert(
      Number.isInteger(count) && Math.abs(count) < 2 ** 23,
      `not a count of filemarks: ${count}`,
    );
    const cdb = Buffer.from([0x11, 0x01, 0, 0, 0, 0]);
    cdb.writeIntBE(count, 2, 3);
    await this.unit.exclusively(async (send) => {
      await this.#move(send, { cdb: [...cdb] }, `spacing over ${count} filemarks`, signal);
      await this.#prove(send, signal);
    });
  }

  /** Reads one block into `buffer`. What is normal on tape is a result. */
  async read(buffer: Uint8Array, signal: AbortSignal): Promise<ReadResult> {
    assert(
      buffer.byteLength > 0 && buffer.byteLength < 2 ** 24,
      'a READ asks for 1 byte to 16 MiB',
    );
    const startMs = this.unit.clock.monotonicMs();
    const result = await this.unit.exclusively((send) => this.#read(send, buffer, signal));
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

  /** Empties the drive's buffer onto the tape and leaves no mark (WRITE FILEMARKS with count 0). */
  flush(signal: AbortSignal): Promise<EndWarning> {
    return this.unit.exclusively(async (send) => {
      const before = this.#position;
      this.#lose();
      const answer = await send({ cdb: [0x10, 0, 0, 0, 0, 0] }, signal);
      return this.#written(answer, before);
    });
  }

  /**
   * Permits one write over what is there, at the start of the tape and nowhere else: a new label. The drive's own guard
   * is lifted for that place too, where it has one.
   */
  allowOverwrite(signal: AbortSignal): Promise<void> {
    return this.unit.exclusively(async (send) => {
      await this.#check(send, signal);
      const isStart = this.#position.proven && this.#position.block === 0;
      assert(isStart, 'only a label may overwrite, at block 0');
      const cdb = Buffer.alloc(16);
      cdb.writeUInt8(0x82, 0);
      cdb.writeUInt8(0x01, 2); // current position
      const { sense } = await send({ cdb: [...cdb] }, signal);
      const isUnknownCommand = sense?.key === SENSE_KEY.illegalRequest && sense.asc === 0x20;
      if (!isDone(sense) && !isUnknownCommand) {
        this.#lose();
        throw driveFailure(this.unit, sense, 'allowing the label to be overwritten');
      }
      this.#overwriteAllowedAt = 0;
    });
  }

  /** Ends the data here (ERASE, short): what lies behind can no longer be read. Guarded like a write. */
  async eraseShort(signal: AbortSignal): Promise<void> {
    await this.#append({ cdb: [0x19, 0, 0, 0, 0, 0] }, { blocks: 0, files: 0 }, signal);
  }

  /** A drive that was busy may have reset itself meanwhile: it is asked where it stands before each attempt. */
  #append(
    request: Request,
    step: { blocks: number; files: number },
    signal: AbortSignal,
  ): Promise<EndWarning> {
    return this.unit.exclusively(async (send) => {
      for (let waits = 0; waits <= BUSY_WAITS_MAX; waits += 1) {
        this.#assertWritable();
        await this.#check(send, signal);
        const before = this.#position;
        const overwriteAllowedAt = this.#overwriteAllowedAt;
        assert(before.proven);
        this.#lose();
        const answer = await send({ ...request, once: true }, signal);
        if (!answer.isBusy) {
          const { block, file } = before;
          const after = { block: block + step.blocks, file: file + step.files };
          return this.#written(answer, before, { ...after, proven: true, atEndOfData: true });
        }
        this.#position = before;
        this.#overwriteAllowedAt = overwriteAllowedAt;
        await this.unit.waitBusy(signal);
      }
      throw this.unit.fail('it has been busy for minutes');
    });
  }

  /** What became of a write: where the tape stands now, and whether the end is near. */
  #written(answer: Answer, before: Position, after: Position = before): EndWarning {
    const { sense, residualBytes } = answer;
    if (sense && isOverwriteRefused(sense) && before.proven && before.atEndOfData) {
      throw this.#lost('refused to overwrite: somebody else moved the tape in this moment');
    }
    if (!isDone(sense)) throw driveFailure(this.unit, sense, 'writing', 'MEDIUM_UNWRITABLE');
    // With early warning the sense data count; some adapters leave the residual of a CHECK CONDITION at the whole.
    const missingBytes = sense?.endOfMedium ? (sense.information ?? 0) : residualBytes;
    if (missingBytes !== 0) throw this.unit.fail('it took only a part of the block');
    this.#position = after;
    if (!sense?.endOfMedium) return 'none';
    return sense.asc === 0x00 && sense.ascq === 0x07 ? 'programmable' : 'early';
  }

  #assertWritable(): void {
    const position = this.#position;
    assert(position.proven, `${this.name}: writing at an unproven position`);
    assert(this.#isModeSet, `${this.name}: writing in a mode that nobody has set`);
    const isLabel = this.#overwriteAllowedAt === position.block;
    assert(
      position.atEndOfData || isLabel,
      `${this.name}: writing at block ${position.block}, not at end of data`,
    );
  }

  async #read(send: Send, buffer: Uint8Array, signal: AbortSignal): Promise<ReadResult> {
    const cdb = Buffer.from([0x08, 0, 0, 0, 0, 0]);
    cdb.writeUIntBE(buffer.byteLength, 2, 3);
    const before = this.#position;
    this.#lose();
    const { sense, data } = await send({ cdb: [...cdb], dataIn: buffer }, signal);
    if (sense?.key === SENSE_KEY.blankCheck && isEndOfData(sense)) {
      this.#position = before;
      return { kind: 'end-of-data' };
    }
    if (!isDone(sense)) throw driveFailure(this.unit, sense, 'reading', 'MEDIUM_UNREADABLE');
    if (sense?.filemark) {
      this.#pass(before, 'filemark');
      return { kind: 'filemark' };
    }
    // INFORMATION is what was asked for less what the block has (SSC-4 7.4).
    const missing = sense?.incorrectLength ? sense.information : 0;
    const lengthBytes = missing === undefined ? 0 : buffer.byteLength - missing;
    if (lengthBytes <= 0 || data.length < Math.min(lengthBytes, buffer.byteLength)) {
      throw this.unit.fail('it read a block and does not say how long it is');
    }
    this.#pass(before, 'block');
    return { kind: lengthBytes > buffer.byteLength ? 'longer-block' : 'block', lengthBytes };
  }

  async #prove(send: Send, signal: AbortSignal): Promise<ReportedPosition> {
    const before = this.#position;
    const reported = await this.#report(send, signal);
    const same = before.proven && before.block === reported.block && before.file === reported.file;
    this.#arrive(reported, same && before.atEndOfData);
    return reported;
  }

  async #check(send: Send, signal: AbortSignal): Promise<void> {
    const expected = this.#position;
    assert(expected.proven, 'an unknown position cannot be checked, only proven');
    const { block, file } = await this.#report(send, signal);
    if (block === expected.block && file === expected.file) return;
    const where = `stands at block ${block}, not at ${expected.block}`;
    throw this.#lost(`${where}: somebody else moved the tape or reset the drive`, block);
  }

  async #move(send: Send, request: Request, what: string, signal: AbortSignal): Promise<void> {
    this.#lose();
    const { sense } = await send(request, signal);
    if (!isDone(sense)) throw driveFailure(this.unit, sense, what, 'MEDIUM_UNREADABLE');
  }

  async #report(send: Send, signal: AbortSignal): Promise<ReportedPosition> {
    const dataIn = Buffer.alloc(READ_POSITION_LONG_BYTES);
    const { sense, data } = await send(
      { cdb: [0x34, 0x06, 0, 0, 0, 0, 0, 0, 0, 0], dataIn },
      signal,
    );
    if (!isDone(sense)) {
      this.#lose();
      throw driveFailure(this.unit, sense, 'asking for its position');
    }
    const reported = parsePosition(data);
    if (reported && reported.partition === 0) return reported;
    throw this.#lost('does not know where the tape stands; rewind or locate first');
  }

  /** For commands that a unit attention may precede without harm: they are simply said again. */
  #doPastAttentions(request: Request, what: string, signal: AbortSignal): Promise<Answer> {
    const isMotion = request.cdb[0] === 0x1b;
    return this.unit.exclusively(async (send) => {
      // Another cartridge may be in the drive afterwards.
      if (isMotion) this.#disturb();
      for (let attempt = 1; ; attempt += 1) {
        const answer = await send(request, signal);
        if (isDone(answer.sense)) return answer;
        const isAttention = answer.sense?.key === SENSE_KEY.unitAttention;
        if (!isAttention || attempt >= UNIT_ATTENTIONS_MAX) {
          throw driveFailure(this.unit, answer.sense, what);
        }
      }
    });
  }

  #lose(): void {
    this.#position = UNKNOWN;
    this.#overwriteAllowedAt = undefined;
  }

  /** Somebody may have reset the drive: neither position nor mode is what it was. */
  #disturb(): void {
    this.#lose();
    this.#isModeSet = false;
    this.#disturbances += 1;
  }

  #lost(what: string, block?: number): CodedError {
    this.#disturb();
    const rest = 'nothing was written, and nothing will be until the position is proven again';
    return new CodedError('POSITION_LOST', `${this.name} ${what}; ${rest}`, {
      device: this.name,
      ...(block !== undefined && { block }),
    });
  }

  #arrive(at: { block: number; file: number }, atEndOfData: boolean): void {
    this.#position = { proven: true, block: at.block, file: at.file, atEndOfData };
  }

  #pass(before: Position, what: 'block' | 'filemark'): void {
    if (!before.proven) return;
    const file = before.file + (what === 'filemark' ? 1 : 0);
    this.#arrive({ block: before.block + 1, file }, false);
  }
}
