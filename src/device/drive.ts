/**
 * A tape drive: position, motion, blocks.
 *
 * **The position is never assumed.** The drive object either has proven where the tape stands, by READ POSITION, or it
 * says "unknown". Writing with an unknown position, or anywhere but at end of data, is a bug of the caller and crashes;
 * only a label may be written at the start, after `allowOverwrite`. Before every block the drive is asked where it
 * stands: a reset by somebody else whose unit attention a third one has swallowed rewinds the tape and tells nobody.
 * That question costs a round trip and no tape time, for the drive streams from its buffer meanwhile.
 *
 * Any error, deferred sense or host status makes the position unknown.
 */
import { strict as assert } from 'node:assert';
import type { Clock } from '../base/clock.ts';
import { CodedError, type FailureCode } from '../base/errors.ts';
import type { Identity } from './logical-unit.ts';
import {
  type Answer,
  isDone,
  LogicalUnit,
  type Request,
  UNIT_ATTENTIONS_MAX,
} from './logical-unit.ts';
import type { ScsiPort } from './port.ts';
import { parsePosition, READ_POSITION_LONG_BYTES, type ReportedPosition } from './position.ts';
import { describeSense, SENSE_KEY, type Sense } from './sense.ts';

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
  #position: Position = UNKNOWN;
  #overwriteAllowedAt: number | undefined;

  private constructor(unit: LogicalUnit, identity: Identity) {
    this.unit = unit;
    this.identity = identity;
    unit.onDisturbance = () => this.#lose();
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

  /** TEST UNIT READY, past any unit attentions; those make the position unknown. */
  async state(signal: AbortSignal): Promise<DriveState> {
    for (let attempt = 0; attempt < UNIT_ATTENTIONS_MAX; attempt += 1) {
      const { sense } = await this.unit.send({ cdb: [0x00, 0, 0, 0, 0, 0] }, signal);
      if (!sense || isDone(sense)) return 'ready';
      if (sense.key === SENSE_KEY.unitAttention) continue;
      if (sense.key !== SENSE_KEY.notReady) throw this.#error(sense, 'asking whether it is ready');
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
      if (state === 'empty') throw this.#empty();
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
    this.#lose();
    await this.#doPastAttentions({ cdb: [0x1b, 0, 0, 0, 0x01, 0] }, 'loading', signal);
  }

  /** Rewinds and unthreads; the picker or a person can take the cartridge then. */
  async unload(signal: AbortSignal): Promise<void> {
    this.#lose();
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
   * Asks the drive where it stands, which proves the position. What we knew of end of data stays known only where the
   * drive stands where we thought.
   * @throws CodedError POSITION_LOST when the drive does not know
   */
  async provePosition(signal: AbortSignal): Promise<ReportedPosition> {
    const before = this.#position;
    const reported = await this.#reportPosition(signal);
    const same = before.proven && before.block === reported.block && before.file === reported.file;
    this.#arrive(reported, same && before.atEndOfData);
    return reported;
  }

  /**
   * Compares the drive's word with our own count. Call it before the first block of an archive and before one is
   * committed.
   * @throws CodedError POSITION_LOST when they differ; the position is unknown then
   */
  async checkPosition(signal: AbortSignal): Promise<void> {
    const expected = this.#position;
    assert(expected.proven, 'an unknown position cannot be checked, only proven');
    const reported = await this.#reportPosition(signal);
    if (reported.block === expected.block && reported.file === expected.file) return;
    this.#lose();
    throw new CodedError(
      'POSITION_LOST',
      `${this.name} stands at block ${reported.block}, not at ${expected.block}: somebody else moved the tape or reset the drive; nothing was written, and nothing will be until the position is proven again`,
      { device: this.name, block: reported.block },
    );
  }

  async rewind(signal: AbortSignal): Promise<void> {
    await this.#move({ cdb: [0x01, 0, 0, 0, 0, 0] }, 'rewinding', signal);
    this.#arrive({ block: 0, file: 0 }, false);
  }

  /** Goes to a block, any number up to end of data. @throws CodedError MEDIUM_UNREADABLE when it lies beyond */
  async locate(block: number, signal: AbortSignal): Promise<void> {
    assert(Number.isSafeInteger(block) && block >= 0, `no block number: ${block}`);
    const cdb = Buffer.alloc(16);
    cdb.writeUInt8(0x92, 0);
    cdb.writeBigUInt64BE(BigInt(block), 4);
    await this.#move({ cdb: [...cdb] }, `locating block ${block}`, signal);
    const reported = await this.provePosition(signal);
    if (reported.block !== block) {
      this.#lose();
      throw new CodedError(
        'POSITION_LOST',
        `${this.name} went to block ${reported.block} instead of ${block}`,
        {
          device: this.name,
          block,
        },
      );
    }
  }

  /**
   * Goes behind the last thing written: the only place where blocks may be added. Then a read must find the end of the
   * data, and the drive must stand where it said: resets between motion and question, their unit attentions swallowed by
   * somebody, would otherwise make the beginning of the tape pass for its end.
   * @throws CodedError POSITION_LOST when there are data, or the tape was moved meanwhile
   */
  async spaceToEndOfData(signal: AbortSignal): Promise<void> {
    this.#lose();
    const { sense } = await this.unit.send({ cdb: [0x11, 0x03, 0, 0, 0, 0] }, signal);
    // On a blank cartridge some drives answer BLANK CHECK instead: end of data is where it stands.
    const isBlank = sense?.key === SENSE_KEY.blankCheck && isEndOfData(sense);
    if (sense && !isDone(sense) && !isBlank) throw this.#error(sense, 'going to end of data');
    const reported = await this.#reportPosition(signal);
    this.#arrive(reported, false);
    const { kind } = await this.read(Buffer.alloc(1), signal);
    if (kind !== 'end-of-data') {
      this.#lose();
      throw new CodedError(
        'POSITION_LOST',
        `${this.name} stands at block ${reported.block}, where data follow, after it was sent behind them: somebody else moved the tape or reset the drive; nothing was written`,
        { device: this.name, block: reported.block },
      );
    }
    await this.checkPosition(signal);
    this.#arrive(reported, true);
  }

  /** Goes over filemarks, backwards with a negative count; stops behind the last one passed. */
  async spaceFilemarks(count: number, signal: AbortSignal): Promise<void> {
    assert(
      Number.isInteger(count) && Math.abs(count) < 2 ** 23,
      `not a count of filemarks: ${count}`,
    );
    const cdb = Buffer.from([0x11, 0x01, 0, 0, 0, 0]);
    cdb.writeIntBE(count, 2, 3);
    await this.#move({ cdb: [...cdb] }, `spacing over ${count} filemarks`, signal);
    await this.provePosition(signal);
  }

  /** Reads one block into `buffer`. What is normal on tape is a result. */
  async read(buffer: Uint8Array, signal: AbortSignal): Promise<ReadResult> {
    assert(
      buffer.byteLength > 0 && buffer.byteLength < 2 ** 24,
      'a READ asks for 1 byte to 16 MiB',
    );
    const cdb = Buffer.from([0x08, 0, 0, 0, 0, 0]);
    cdb.writeUIntBE(buffer.byteLength, 2, 3);
    const before = this.#position;
    this.#lose();
    const { sense, data } = await this.unit.send({ cdb: [...cdb], dataIn: buffer }, signal);
    if (!sense) {
      this.#pass(before, 'block');
      return { kind: 'block', lengthBytes: data.length };
    }
    if (sense.filemark && isDone(sense)) {
      this.#pass(before, 'filemark');
      return { kind: 'filemark' };
    }
    if (sense.incorrectLength && isDone(sense)) {
      const { information } = sense;
      if (information === undefined || information >= buffer.byteLength) {
        throw this.unit.fail('it read a block of another length and does not say which');
      }
      this.#pass(before, 'block');
      const lengthBytes = buffer.byteLength - information;
      return { kind: information < 0 ? 'longer-block' : 'block', lengthBytes };
    }
    if (sense.key === SENSE_KEY.blankCheck && isEndOfData(sense)) {
      this.#position = before;
      return { kind: 'end-of-data' };
    }
    if (!isDone(sense)) throw this.#error(sense, 'reading', 'MEDIUM_UNREADABLE');
    this.#pass(before, 'block');
    return { kind: 'block', lengthBytes: data.length };
  }

  /**
   * Writes one block at end of data. The block is in the drive's buffer when this resolves; it is on tape after the
   * next synchronous filemark.
   * @throws CodedError MEDIUM_FULL (nothing of it was written), MEDIUM_UNWRITABLE, MEDIUM_PROTECTED, POSITION_LOST,
   * DRIVE_RESET, DRIVE_FAILED; after each the position is unknown
   */
  async write(block: Uint8Array, signal: AbortSignal): Promise<EndWarning> {
    assert(block.byteLength > 0 && block.byteLength < 2 ** 24, 'a block has 1 byte to 16 MiB');
    this.#assertWritable();
    await this.checkPosition(signal);
    const cdb = Buffer.from([0x0a, 0, 0, 0, 0, 0]);
    cdb.writeUIntBE(block.byteLength, 2, 3);
    return this.#append({ cdb: [...cdb], dataOut: block }, { blocks: 1, files: 0 }, signal);
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
    this.#assertWritable();
    await this.checkPosition(signal);
    const cdb = Buffer.from([0x10, options.immediate ? 1 : 0, 0, 0, 0, 0]);
    cdb.writeUIntBE(count, 2, 3);
    return this.#append({ cdb: [...cdb] }, { blocks: count, files: count }, signal);
  }

  /** Empties the drive's buffer onto the tape and leaves no mark (WRITE FILEMARKS with count 0). */
  async flush(signal: AbortSignal): Promise<EndWarning> {
    return this.#append({ cdb: [0x10, 0, 0, 0, 0, 0] }, { blocks: 0, files: 0 }, signal);
  }

  /**
   * Permits one write over what is there, at the start of the tape and nowhere else: a new label. The drive's own guard
   * is lifted for that place too, where it has one.
   */
  async allowOverwrite(signal: AbortSignal): Promise<void> {
    await this.checkPosition(signal);
    assert(
      this.#position.proven && this.#position.block === 0,
      'only a label may overwrite, at block 0',
    );
    const cdb = Buffer.alloc(16);
    cdb.writeUInt8(0x82, 0);
    cdb.writeUInt8(0x01, 2); // current position
    const { sense } = await this.unit.send({ cdb: [...cdb] }, signal);
    const isUnknownCommand = sense?.key === SENSE_KEY.illegalRequest && sense.asc === 0x20;
    if (!isDone(sense) && !isUnknownCommand) {
      this.#lose();
      throw this.#error(sense, 'allowing the label to be overwritten');
    }
    this.#overwriteAllowedAt = 0;
  }

  /** Ends the data here (ERASE, short): what lies behind can no longer be read. Guarded like a write. */
  async eraseShort(signal: AbortSignal): Promise<void> {
    this.#assertWritable();
    await this.checkPosition(signal);
    await this.#append({ cdb: [0x19, 0, 0, 0, 0, 0] }, { blocks: 0, files: 0 }, signal);
  }

  #assertWritable(): asserts this is { position: { proven: true } } {
    const position = this.#position;
    assert(position.proven, `${this.name}: writing at an unproven position`);
    const isLabel = this.#overwriteAllowedAt === position.block;
    assert(
      position.atEndOfData || isLabel,
      `${this.name}: writing at block ${position.block}, not at end of data`,
    );
  }

  async #append(
    request: Request,
    step: { blocks: number; files: number },
    signal: AbortSignal,
  ): Promise<EndWarning> {
    const before = this.#position;
    this.#lose();
    const { sense } = await this.unit.send(request, signal);
    if (sense && isOverwriteRefused(sense) && before.proven && before.atEndOfData) {
      throw new CodedError(
        'POSITION_LOST',
        `${this.name} refused to overwrite: somebody else moved the tape in this moment; nothing was written, and nothing will be until the position is proven again`,
        { device: this.name },
      );
    }
    if (!isDone(sense)) throw this.#error(sense, 'writing', 'MEDIUM_UNWRITABLE');
    if (before.proven) {
      this.#position = {
        proven: true,
        block: before.block + step.blocks,
        file: before.file + step.files,
        atEndOfData: before.atEndOfData || request.cdb[0] !== 0x10 || step.files > 0,
      };
    }
    if (!sense?.endOfMedium) return 'none';
    return sense.asc === 0x00 && sense.ascq === 0x07 ? 'programmable' : 'early';
  }

  async #move(request: Request, what: string, signal: AbortSignal): Promise<void> {
    this.#lose();
    const { sense } = await this.unit.send(request, signal);
    if (!isDone(sense)) throw this.#error(sense, what, 'MEDIUM_UNREADABLE');
  }

  async #reportPosition(signal: AbortSignal): Promise<ReportedPosition> {
    const request = {
      cdb: [0x34, 0x06, 0, 0, 0, 0, 0, 0, 0, 0],
      dataIn: Buffer.alloc(READ_POSITION_LONG_BYTES),
    };
    const { sense, data } = await this.unit.send(request, signal);
    if (!isDone(sense)) {
      this.#lose();
      throw this.#error(sense, 'asking for its position');
    }
    const reported = parsePosition(data);
    if (reported && reported.partition === 0) return reported;
    this.#lose();
    throw new CodedError(
      'POSITION_LOST',
      `${this.name} does not know where the tape stands; rewind or locate first`,
      {
        device: this.name,
      },
    );
  }

  /** For commands that a unit attention may precede without harm: they are simply said again. */
  async #doPastAttentions(request: Request, what: string, signal: AbortSignal): Promise<Answer> {
    for (let attempt = 1; ; attempt += 1) {
      const answer = await this.unit.send(request, signal);
      if (isDone(answer.sense)) return answer;
      const again = answer.sense?.key === SENSE_KEY.unitAttention && attempt < UNIT_ATTENTIONS_MAX;
      if (!again) throw this.#error(answer.sense, what);
    }
  }

  #lose(): void {
    this.#position = UNKNOWN;
    this.#overwriteAllowedAt = undefined;
  }

  #arrive(at: { block: number; file: number }, atEndOfData: boolean): void {
    this.#position = { proven: true, block: at.block, file: at.file, atEndOfData };
  }

  #pass(before: Position, what: 'block' | 'filemark'): void {
    if (!before.proven) return;
    const file = before.file + (what === 'filemark' ? 1 : 0);
    this.#arrive({ block: before.block + 1, file }, false);
  }

  #empty(): CodedError {
    return new CodedError('DRIVE_EMPTY', `${this.name} is empty: load a cartridge first`, {
      device: this.name,
    });
  }

  #error(
    sense: Sense | undefined,
    doing: string,
    onMediumError: FailureCode = 'DRIVE_FAILED',
  ): CodedError {
    if (!sense) return this.unit.fail(`${doing} failed`);
    if (sense.key === SENSE_KEY.notReady && sense.asc === 0x3a) return this.#empty();
    const code = failureOf(sense, onMediumError);
    const advice = ADVICE[code];
    const sentence = `${this.name}: ${doing}: ${describeSense(sense)}${advice ? `; ${advice}` : ''}`;
    return new CodedError(code, sentence, { device: this.name });
  }
}

const ADVICE: Partial<Record<FailureCode, string>> = {
  DRIVE_RESET:
    'somebody else reset the drive or changed the cartridge; what was confirmed before is safe',
  MEDIUM_FULL: 'the cartridge is full: take another',
  REMOVAL_PREVENTED: 'a job holds the drive, or a program left it locked',
  MEDIUM_PROTECTED:
    'nothing was written; check the write-protect tab and whether the cartridge may be written',
  MEDIUM_UNREADABLE: 'clean the drive and try again, or use another copy',
  MEDIUM_UNWRITABLE:
    'clean the drive, or take another cartridge; what was confirmed before is safe',
};

function failureOf(sense: Sense, onMediumError: FailureCode): FailureCode {
  if (sense.deferred)
    return sense.key === SENSE_KEY.mediumError ? 'MEDIUM_UNWRITABLE' : 'DRIVE_FAILED';
  switch (sense.key) {
    case SENSE_KEY.notReady:
      return sense.asc === 0x30 ? 'DRIVE_NEEDS_CLEANING' : 'DRIVE_NOT_READY';
    case SENSE_KEY.mediumError:
      return onMediumError;
    case SENSE_KEY.unitAttention:
      return 'DRIVE_RESET';
    case SENSE_KEY.dataProtect:
      return 'MEDIUM_PROTECTED';
    case SENSE_KEY.blankCheck:
      return 'MEDIUM_UNREADABLE';
    case SENSE_KEY.volumeOverflow:
      return 'MEDIUM_FULL';
    case SENSE_KEY.illegalRequest:
      return sense.asc === 0x53 ? 'REMOVAL_PREVENTED' : 'DRIVE_FAILED';
    default:
      return 'DRIVE_FAILED';
  }
}

/** What drives answer to a write over data on write-once media and in append-only mode: 7h 30h/0Ch. */
function isOverwriteRefused(sense: Sense): boolean {
  return sense.key === SENSE_KEY.dataProtect && sense.asc === 0x30 && sense.ascq === 0x0c;
}

/** 00h/05h; 00h/00h comes from older drives. 14h/03h, end of data not found, is damage and not an end. */
function isEndOfData(sense: Sense): boolean {
  if (sense.deferred) return false;
  return sense.asc === 0x00 && (sense.ascq === 0x05 || sense.ascq === 0x00);
}
