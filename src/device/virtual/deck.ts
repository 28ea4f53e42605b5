/**
 * The tape transport of a virtual drive: a threaded cartridge, a position, and what reading, writing and moving do to
 * them (SSC-4). It knows no CDBs and no seconds.
 *
 * Blocks are of variable length only: a fixed-length READ or WRITE is refused above.
 */
import { SENSE_KEY } from '../sense.ts';
import { type Answer, check, GOOD } from './answer.ts';
import type { VirtualCartridge } from './cartridge.ts';

/** How writing is guarded, from the mode pages. */
export type WriteGuard = {
  readonly appendOnly: boolean;
  readonly programmableEarlyWarningMb: number;
};

/** Early warning: the last 2 %, at least 2 MiB, so that small test cartridges have room to finish. */
const EARLY_WARNING_SHARE = 0.02;
const EARLY_WARNING_BYTES_MIN = 2 * 2 ** 20;

export class Deck {
  readonly cartridge: VirtualCartridge;
  /** Logical objects before the head. */
  position: number;
  /** The list that was made last for RECEIVE RECOMMENDED ACCESS ORDER. */
  accessOrder: Buffer | undefined;
  #overwriteAllowedAt: number | undefined;
  /** The change reference has grown for what is written now. */
  #isChangeCounted = false;
  /** The programmable warning was given and the tape has not left its zone since. */
  #isWarned = false;
  /** Sense of a write that failed on the tape after it had been accepted. */
  #lateError: { sense: Answer; afterCommands: number } | undefined;
  /** Accepted since then, and lost: a drive counts what is in its buffer as written. */
  #lost = { blocks: 0, files: 0 };

  constructor(cartridge: VirtualCartridge, position: number) {
    this.cartridge = cartridge;
    this.position = Math.min(position, cartridge.tape.end.block);
  }

  /** Data bytes between the beginning of the tape and the head: where it stands for the clock model. */
  get bytesBefore(): number {
    return this.cartridge.tape.placeOf(this.position).bytes;
  }

  get file(): number {
    return this.cartridge.tape.placeOf(this.position).file;
  }

  /** What READ POSITION says: the buffer included. */
  get reported(): { block: number; file: number } {
    return { block: this.position + this.#lost.blocks, file: this.file + this.#lost.files };
  }

  get isAtEndOfData(): boolean {
    return this.position === this.cartridge.tape.end.block;
  }

  get isPastEarlyWarning(): boolean {
    return this.bytesBefore > this.#earlyWarningAt;
  }

  get remainingBytes(): number {
    return Math.max(0, this.cartridge.record.capacityBytes - this.cartridge.tape.end.bytes);
  }

  async write(block: Uint8Array, guard: WriteGuard): Promise<Answer> {
    const refused = this.#refuse(guard);
    if (refused) return refused;
    const { tape, record } = this.cartridge;
    if (this.bytesBefore + block.byteLength > record.capacityBytes) {
      return check({
        key: SENSE_KEY.volumeOverflow,
        code: 0x0002,
        endOfMedium: true,
        information: block.byteLength,
      });
    }
    await this.#beginWriting();
    if (this.#lateError) {
      this.#lost.blocks += 1;
      return GOOD; // taken into the buffer, and lost with it
    }
    await tape.append(block);
    this.position = tape.end.block;
    this.cartridge.record.bytesWritten += block.byteLength;
    return this.#warning(guard);
  }

  /** @param count 0 only empties the buffer */
  async writeFilemarks(count: number, immediate: boolean, guard: WriteGuard): Promise<Answer> {
    if (count > 0) {
      const refused = this.#refuse(guard);
      if (refused) return refused;
      await this.#beginWriting();
      if (this.#lateError) {
        this.#lost.blocks += count;
        this.#lost.files += count;
      } else {
        await this.cartridge.tape.appendFilemarks(count);
        this.position = this.cartridge.tape.end.block;
      }
    }
    if (!immediate) {
      if (this.#lateError) return this.#failLate();
      await this.cartridge.tape.sync();
      this.#isChangeCounted = false;
    }
    return count > 0 ? this.#warning(guard) : GOOD;
  }

  /** Ends the data at the head. */
  async erase(guard: WriteGuard): Promise<Answer> {
    const refused = this.#refuse(guard);
    if (refused) return refused;
    await this.#beginWriting();
    await this.cartridge.tape.sync();
    return GOOD;
  }

  /** Reads one block; `suppress` is SILI: a block shorter than asked for is then no news. */
  async read(into: Uint8Array, suppress: boolean): Promise<Answer> {
    await this.settle();
    const wanted = into.byteLength;
    const record = this.cartridge.tape.recordAt(this.position);
    if (!record) return check({ key: SENSE_KEY.blankCheck, code: 0x0005, information: wanted });
    if (record.lengthBytes === 0) {
      this.position += 1;
      return check({ key: SENSE_KEY.noSense, code: 0x0001, filemark: true, information: wanted });
    }
    await this.cartridge.tape.read(record, into);
    this.position += 1;
    const placedBytes = Math.min(wanted, record.lengthBytes);
    this.cartridge.record.bytesRead += placedBytes;
    if (record.lengthBytes === wanted || suppress) return { placedBytes };
    const information = wanted - record.lengthBytes;
    return check(
      { key: SENSE_KEY.noSense, code: 0, incorrectLength: true, information },
      placedBytes,
    );
  }

  async locate(block: number): Promise<Answer> {
    await this.settle();
    const end = this.cartridge.tape.end.block;
    this.#moveTo(Math.min(block, end));
    return block > end ? check({ key: SENSE_KEY.blankCheck, code: 0x0005 }) : GOOD;
  }

  /** Behind filemark number `file`, counted from 1; 0 is the beginning. */
  async locateFile(file: number): Promise<Answer> {
    await this.settle();
    const mark = file === 0 ? -1 : this.cartridge.tape.filemark(file - 1);
    if (mark !== undefined) {
      this.#moveTo(mark + 1);
      return GOOD;
    }
    this.#moveTo(this.cartridge.tape.end.block);
    return check({ key: SENSE_KEY.blankCheck, code: 0x0005 });
  }

  async toEndOfData(): Promise<Answer> {
    await this.settle();
    this.#moveTo(this.cartridge.tape.end.block);
    return GOOD;
  }

  async spaceFilemarks(count: number): Promise<Answer> {
    await this.settle();
    const { tape } = this.cartridge;
    if (count === 0) return GOOD;
    const target = tape.filemark(this.file + count - (count > 0 ? 1 : 0));
    if (target !== undefined) {
      this.#moveTo(count > 0 ? target + 1 : target);
      return GOOD;
    }
    const passed = count > 0 ? tape.end.file - this.file : this.file;
    this.#moveTo(count > 0 ? tape.end.block : 0);
    return endReached(count, Math.abs(count) - passed);
  }

  async spaceBlocks(count: number): Promise<Answer> {
    await this.settle();
    for (let left = Math.abs(count); left > 0; left -= 1) {
      const next = this.cartridge.tape.recordAt(count > 0 ? this.position : this.position - 1);
      if (!next || (count < 0 && this.position === 0)) return endReached(count, left);
      this.#moveTo(this.position + Math.sign(count));
      if (next.lengthBytes === 0) {
        return check({ key: SENSE_KEY.noSense, code: 0x0001, filemark: true, information: left });
      }
    }
    return GOOD;
  }

  /** Empties the buffer before the tape moves; a late error then stays pending for the command that meets it. */
  async settle(): Promise<void> {
    // What a failed disk has lost was reported when it was lost; the tape moves on without it.
    if (!this.#lateError && !this.cartridge.tape.failure) await this.cartridge.tape.sync();
  }

  /** After the disk below has failed: the head cannot stand behind what is left. */
  returnToData(): void {
    this.#moveTo(Math.min(this.position, this.cartridge.tape.end.block));
  }

  /** ALLOW OVERWRITE for the current position. False where `block` is not where the head stands. */
  allowOverwrite(block: number): boolean {
    if (block !== this.position) return false;
    this.#overwriteAllowedAt = block;
    return true;
  }

  forbidOverwrite(): void {
    this.#overwriteAllowedAt = undefined;
  }

  /** From here on writes are accepted and lost; the sense comes with a later command. */
  failWritesLate(sense: Answer, afterCommands: number): void {
    this.#lateError = { sense, afterCommands };
  }

  /** The late error that is due, if any. @param empties the command needs the buffer on tape and cannot go before it */
  takeLateError(empties: boolean): Answer | undefined {
    if (!this.#lateError) return undefined;
    this.#lateError.afterCommands -= 1;
    return empties || this.#lateError.afterCommands < 0 ? this.#failLate() : undefined;
  }

  #failLate(): Answer {
    const sense = this.#lateError?.sense ?? GOOD;
    this.#lateError = undefined;
    this.#lost = { blocks: 0, files: 0 };
    return sense;
  }

  get #earlyWarningAt(): number {
    const { capacityBytes, earlyWarningBytes } = this.cartridge.record;
    const usual = Math.max(capacityBytes * EARLY_WARNING_SHARE, EARLY_WARNING_BYTES_MIN);
    return capacityBytes - (earlyWarningBytes ?? usual);
  }

  /** Why a write here is refused: protection tab, write-once medium, append-only mode. */
  #refuse(guard: WriteGuard): Answer | undefined {
    const { record } = this.cartridge;
    if (record.writeProtected) return check({ key: SENSE_KEY.dataProtect, code: 0x2700 });
    if (this.isAtEndOfData) return undefined;
    const appendOnly = guard.appendOnly && this.#overwriteAllowedAt !== this.position;
    if (appendOnly || (record.kind === 'worm' && !this.#isBetweenLastFilemarks())) {
      return check({ key: SENSE_KEY.dataProtect, code: 0x300c });
    }
    return undefined;
  }

  /** The one place in a write-once tape's data that may be written over: behind a filemark, with only marks to come. */
  #isBetweenLastFilemarks(): boolean {
    const { tape } = this.cartridge;
    if (tape.recordAt(this.position - 1)?.lengthBytes !== 0) return false;
    for (let block = this.position; block < tape.end.block; block += 1) {
      if (tape.recordAt(block)?.lengthBytes !== 0) return false;
    }
    return true;
  }

  async #beginWriting(): Promise<void> {
    this.#overwriteAllowedAt = undefined;
    if (!this.#isChangeCounted) {
      // Durable before the data: a cartridge that was written elsewhere can never look untouched.
      await this.cartridge.save({ changeReference: this.cartridge.record.changeReference + 1 });
      this.#isChangeCounted = true;
    }
    if (!this.isAtEndOfData) await this.cartridge.tape.truncate(this.position);
  }

  #moveTo(block: number): void {
    if (block !== this.position) {
      this.#overwriteAllowedAt = undefined;
      this.#isWarned = false;
    }
    this.position = block;
    this.#lost = { blocks: 0, files: 0 };
  }

  /** What a write that went well says about the end of the tape. */
  #warning(guard: WriteGuard): Answer {
    if (this.isPastEarlyWarning) return nearEnd(0x0002);
    const zoneStart = this.#earlyWarningAt - guard.programmableEarlyWarningMb * 1e6;
    const isInZone = guard.programmableEarlyWarningMb > 0 && this.bytesBefore > zoneStart;
    if (!isInZone || this.#isWarned) return GOOD;
    this.#isWarned = true;
    return nearEnd(0x0007);
  }
}

function nearEnd(code: number): Answer {
  return check({ key: SENSE_KEY.noSense, code, endOfMedium: true, information: 0 });
}

/** SPACE met the end of the data or the beginning of the tape with `left` still to go. */
function endReached(count: number, left: number): Answer {
  return count > 0
    ? check({ key: SENSE_KEY.blankCheck, code: 0x0005, information: left })
    : check({ key: SENSE_KEY.noSense, code: 0x0004, endOfMedium: true, information: left });
}
