/**
 * Where a drive's tape stands, and whether that is proven.
 *
 * Any error, deferred sense or host status makes it unknown; so does every command that moves the tape, until the drive has
 * said where it stands. Nobody else has a count of their own.
 */
import { strict as assert } from 'node:assert';
import { CodedError } from '../base/errors.ts';
import { isDone, type LogicalUnit, type Send } from './logical-unit.ts';
import { parsePosition, READ_POSITION_LONG_BYTES, type ReportedPosition } from './position.ts';
import { driveFailure } from './refusal.ts';

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

const UNKNOWN: Position = { proven: false };

export class Head {
  readonly unit: LogicalUnit;
  #position: Position = UNKNOWN;
  #overwriteAllowedAt: number | undefined;
  #disturbances = 0;

  constructor(unit: LogicalUnit) {
    this.unit = unit;
    unit.onDisturbance = () => this.disturb();
  }

  get position(): Position {
    return this.#position;
  }

  /** How often somebody may have reset the drive, or exchanged what is in it. */
  get disturbances(): number {
    return this.#disturbances;
  }

  /** The block that may be written over. */
  get overwriteAllowedAt(): number | undefined {
    return this.#overwriteAllowedAt;
  }

  /** Until the tape moves or anything is written. */
  allowOverwrite(): void {
    assert(this.#position.proven);
    this.#overwriteAllowedAt = this.#position.block;
  }

  /** Asks the drive, which proves the position; what was known of end of data stays known only where it stood there already. */
  async prove(send: Send, signal: AbortSignal): Promise<ReportedPosition> {
    const before = this.#position;
    const reported = await this.report(send, signal);
    const same = before.proven && before.block === reported.block && before.file === reported.file;
    this.arrive(reported, { atEndOfData: same && before.atEndOfData });
    return reported;
  }

  /** Compares the drive's word with our own count. @throws CodedError POSITION_LOST when they differ */
  async check(send: Send, signal: AbortSignal): Promise<void> {
    const expected = this.#position;
    assert(expected.proven, 'an unknown position cannot be checked, only proven');
    const { block, file } = await this.report(send, signal);
    if (block === expected.block && file === expected.file) return;
    const where = `stands at block ${block}, not at ${expected.block}`;
    throw this.lost(`${where}: somebody else moved the tape or reset the drive`, block);
  }

  /** What the drive says, believed by nobody yet. @throws CodedError POSITION_LOST when it does not know */
  async report(send: Send, signal: AbortSignal): Promise<ReportedPosition> {
    const dataIn = Buffer.alloc(READ_POSITION_LONG_BYTES);
    const { sense, data } = await send(
      { cdb: [0x34, 0x06, 0, 0, 0, 0, 0, 0, 0, 0], dataIn },
      signal,
    );
    if (!isDone(sense)) {
      this.lose();
      throw driveFailure(this.unit, sense, 'asking for its position');
    }
    const reported = parsePosition(data);
    if (reported && reported.partition === 0) return reported;
    throw this.lost('does not know where the tape stands; rewind or locate first');
  }

  arrive(
    at: { readonly block: number; readonly file: number },
    { atEndOfData }: { readonly atEndOfData: boolean },
  ): void {
    this.#position = { proven: true, block: at.block, file: at.file, atEndOfData };
  }

  /** The tape went over one more; where it was unknown it stays so. */
  pass(before: Position, what: 'block' | 'filemark'): void {
    if (!before.proven) return;
    const file = before.file + (what === 'filemark' ? 1 : 0);
    this.arrive({ block: before.block + 1, file }, { atEndOfData: false });
  }

  /** The command had no effect: all is as it was before it. */
  stay(before: { readonly position: Position; readonly overwriteAllowedAt?: number | undefined }) {
    this.#position = before.position;
    this.#overwriteAllowedAt = before.overwriteAllowedAt;
  }

  lose(): void {
    this.#position = UNKNOWN;
    this.#overwriteAllowedAt = undefined;
  }

  /** Somebody may have reset the drive: neither position nor mode is what it was. */
  disturb(): void {
    this.lose();
    this.#disturbances += 1;
  }

  lost(what: string, block?: number): CodedError {
    this.disturb();
    const { name } = this.unit;
    const rest = 'nothing was written, and nothing will be until the position is proven again';
    return new CodedError('POSITION_LOST', `${name} ${what}; ${rest}`, {
      device: name,
      ...(block !== undefined && { block }),
    });
  }
}
