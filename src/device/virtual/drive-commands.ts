/** The commands a virtual drive knows, by operation code (SPC-4, SSC-4). What moves the tape itself is deck-commands.ts. */
import { canRead, canWrite, type DriveGeneration } from '../../domain/generation.ts';
import { DEVICE_TYPE } from '../inquiry.ts';
import type { ScsiCommand } from '../port.ts';
import { SENSE_KEY } from '../sense.ts';
import { ACCESS_ORDER, generateOrder, hasAccessOrder, receiveOrder } from './access-order.ts';
import { type Answer, check, encodeSense, GOOD, INVALID_FIELD, illegalRequest } from './answer.ts';
import type { Condition } from './condition.ts';
import type { Deck } from './deck.ts';
import {
  allowOverwrite,
  locate,
  readAttribute,
  readPosition,
  space,
  writeAttribute,
} from './deck-commands.ts';
import { logPage, modeSense, productOf, standardInquiry, vitalProductData } from './drive-pages.ts';
import { isRefusal, modeSelect } from './mode-select.ts';
import { supportedOperationCodes } from './operation-codes.ts';

const NO_MEDIUM = check({ key: SENSE_KEY.notReady, code: 0x3a00 });

export type Handler = (command: ScsiCommand, cdb: Buffer) => Promise<Answer> | Answer;

export class DriveCommands {
  readonly #condition: Condition;
  readonly #drive: { readonly serial: string; readonly generation: DriveGeneration };
  readonly #handlers: ReadonlyMap<number, Handler>;

  constructor(
    condition: Condition,
    drive: { readonly serial: string; readonly generation: DriveGeneration },
  ) {
    this.#condition = condition;
    this.#drive = drive;
    this.#handlers = this.#table();
  }

  /** Undefined: no such command. */
  find(opcode: number): Handler | undefined {
    return this.#handlers.get(opcode);
  }

  #table(): ReadonlyMap<number, Handler> {
    const ready = (
      handler: (deck: Deck, command: ScsiCommand, cdb: Buffer) => Promise<Answer> | Answer,
    ): Handler => {
      return (command, cdb) => {
        const problem = this.#notReady();
        if (problem || !this.#condition.bay.deck) return problem ?? NO_MEDIUM;
        return handler(this.#condition.bay.deck, command, cdb);
      };
    };
    const { generation } = this.#drive;
    const hasOrder = hasAccessOrder(generation);
    const receive = ready((deck, _, cdb) => receiveOrder(deck, cdb));
    const generate = (deck: Deck, command: ScsiCommand, cdb: Buffer) =>
      generateOrder({ deck, generation }, command, cdb);
    const maintenanceIn: Handler = (command, cdb) => {
      const isOrder = hasOrder && (cdb.readUInt8(1) & 0x1f) === ACCESS_ORDER;
      return isOrder ? receive(command, cdb) : supportedOperationCodes(cdb, this.#drive);
    };
    return new Map<number, Handler>([
      [0x00, ready(() => GOOD)],
      [0x01, ready((deck) => deck.locate(0))],
      [0x03, () => this.#requestSense()],
      [0x05, () => ({ data: Buffer.from([0, 0xff, 0xff, 0xff, 0, 1]) })],
      [0x08, ready((deck, command, cdb) => this.#read(deck, command, cdb))],
      [0x0a, ready((deck, command, cdb) => this.#write(deck, command, cdb))],
      [0x10, ready((deck, _, cdb) => this.#writeFilemarks(deck, cdb))],
      [0x11, ready((deck, _, cdb) => space(deck, cdb.readUInt8(1) & 0x0f, cdb.readIntBE(2, 3)))],
      [0x12, (_, cdb) => this.#inquiry(cdb)],
      [0x19, ready((deck) => deck.erase(this.#condition.mode))],
      [0x1b, (_, cdb) => (cdb.readUInt8(4) & 1 ? this.#load() : this.#unload())],
      [0x1e, (_, cdb) => this.#prevent((cdb.readUInt8(4) & 1) !== 0)],
      [0x34, ready((deck, _, cdb) => readPosition(deck, cdb.readUInt8(1) & 0x1f))],
      [0x4d, (_, cdb) => this.#logSense(cdb)],
      [0x55, (command) => this.#modeSelect(command)],
      [0x5a, (_, cdb) => this.#modeSense(cdb)],
      [0x82, ready((deck, _, cdb) => allowOverwrite(deck, cdb))],
      [0x8c, ready((deck, _, cdb) => readAttribute(deck, cdb, this.#drive.serial))],
      [0x8d, ready((deck, command) => writeAttribute(deck, command))],
      [
        0x91,
        ready((deck, _, cdb) =>
          space(deck, cdb.readUInt8(1) & 0x0f, Number(cdb.readBigInt64BE(4))),
        ),
      ],
      [0x92, ready((deck, _, cdb) => locate(deck, cdb))],
      [0xa3, (command, cdb) => maintenanceIn(command, cdb)],
      ...(hasOrder ? [[0xa4, ready(generate)] as const] : []),
    ]);
  }

  async #read(deck: Deck, command: ScsiCommand, cdb: Buffer): Promise<Answer> {
    const wanted = cdb.readUIntBE(2, 3);
    const isFixed = (cdb.readUInt8(1) & 0x01) !== 0;
    if (isFixed || (wanted > 0 && (command.dataIn?.byteLength ?? 0) < wanted)) return INVALID_FIELD;
    if (wanted === 0 || !command.dataIn) return GOOD;
    const answer = await deck.read(
      command.dataIn.subarray(0, wanted),
      (cdb.readUInt8(1) & 0x02) !== 0,
    );
    this.#condition.session.bytesRead += answer.placedBytes ?? 0;
    return answer;
  }

  async #write(deck: Deck, command: ScsiCommand, cdb: Buffer): Promise<Answer> {
    const lengthBytes = cdb.readUIntBE(2, 3);
    const isFixed = (cdb.readUInt8(1) & 0x01) !== 0;
    if (isFixed || (command.dataOut?.byteLength ?? 0) < lengthBytes) return INVALID_FIELD;
    if (lengthBytes === 0 || !command.dataOut) return GOOD;
    const refused = this.#refuseGeneration(deck);
    if (refused) return refused;
    const answer = await deck.write(command.dataOut.subarray(0, lengthBytes), this.#condition.mode);
    this.#noteProtection(answer);
    if (this.#condition.mode.buffered) return answer;
    const synced = await deck.writeFilemarks(0, false, this.#condition.mode);
    return answer.sense ? answer : synced;
  }

  async #writeFilemarks(deck: Deck, cdb: Buffer): Promise<Answer> {
    const refused = this.#refuseGeneration(deck);
    if (refused) return refused;
    const immediate = (cdb.readUInt8(1) & 0x01) !== 0;
    const answer = await deck.writeFilemarks(cdb.readUIntBE(2, 3), immediate, this.#condition.mode);
    this.#noteProtection(answer);
    return answer;
  }

  #refuseGeneration(deck: Deck): Answer | undefined {
    if (canWrite(this.#drive.generation, deck.cartridge.generation.name)) return undefined;
    return check({ key: SENSE_KEY.dataProtect, code: 0x3005 });
  }

  /** TapeAlert 9 for a protected cartridge, 60 for an attempt to write over a write-once one. */
  #noteProtection(answer: Answer): void {
    if (answer.sense?.readUInt8(2) !== SENSE_KEY.dataProtect) return;
    this.#condition.alerts.add(answer.sense.readUInt16BE(12) === 0x2700 ? 9 : 60);
  }

  #notReady(): Answer | undefined {
    const cartridge = this.#condition.bay.deck?.cartridge;
    if (!cartridge) {
      return this.#condition.bay.present
        ? check({ key: SENSE_KEY.notReady, code: 0x0402 })
        : NO_MEDIUM;
    }
    if (cartridge.record.kind === 'cleaning')
      return check({ key: SENSE_KEY.notReady, code: 0x3003 });
    if (!canRead(this.#drive.generation, cartridge.generation.name)) {
      return check({ key: SENSE_KEY.notReady, code: 0x3000 });
    }
    return undefined;
  }

  #requestSense(): Answer {
    const attention = this.#condition.attentions.shift();
    if (attention !== undefined) {
      return { data: encodeSense({ key: SENSE_KEY.unitAttention, code: attention }) };
    }
    return { data: this.#notReady()?.sense ?? encodeSense({ key: SENSE_KEY.noSense, code: 0 }) };
  }

  #inquiry(cdb: Buffer): Answer {
    const page = cdb.readUInt8(2);
    if ((cdb.readUInt8(1) & 0x01) === 0) {
      const data = standardInquiry(DEVICE_TYPE.tape, productOf(this.#drive.generation));
      return page === 0 ? { data: data.subarray(0, cdb.readUInt16BE(3)) } : INVALID_FIELD;
    }
    const data = vitalProductData(page, DEVICE_TYPE.tape, this.#drive.serial);
    return data ? { data: data.subarray(0, cdb.readUInt16BE(3)) } : INVALID_FIELD;
  }

  #modeSense(cdb: Buffer): Answer {
    const at = {
      page: cdb.readUInt8(2) & 0x3f,
      control: cdb.readUInt8(2) >> 6,
      subpage: cdb.readUInt8(3),
      withDescriptor: (cdb.readUInt8(1) & 0x08) === 0,
    };
    // PC = 3, saved values: this drive saves none.
    if (at.control === 3) return illegalRequest(0x3900);
    const data = modeSense(at, this.#condition.mode, this.#condition.bay.deck?.cartridge);
    return data ? { data: data.subarray(0, cdb.readUInt16BE(7)) } : INVALID_FIELD;
  }

  #modeSelect(command: ScsiCommand): Answer {
    const result = modeSelect(Buffer.from(command.dataOut ?? []), this.#condition.mode);
    if (isRefusal(result)) return result;
    this.#condition.mode = result;
    return GOOD;
  }

  #logSense(cdb: Buffer): Answer {
    const page = cdb.readUInt8(2) & 0x3f;
    const counters = {
      ...this.#condition.session,
      backhitches: this.#condition.bay.usage.statistics.backhitches,
      needsCleaning: this.#condition.needsCleaning,
    };
    const data = logPage(page, counters, this.#condition.alerts, this.#condition.bay.deck);
    if (!data) return INVALID_FIELD;
    const allocation = cdb.readUInt16BE(7);
    // Reading TapeAlert clears it; a look at the header alone does not.
    if (page === 0x2e && allocation > 4) this.#condition.alerts.clear();
    return { data: data.subarray(0, allocation) };
  }

  async #prevent(prevented: boolean): Promise<Answer> {
    await this.#condition.bay.lock(prevented);
    return GOOD;
  }

  async #load(): Promise<Answer> {
    if (!this.#condition.bay.present) return NO_MEDIUM;
    if (this.#condition.bay.deck) return this.#condition.bay.deck.locate(0);
    this.#condition.greet(await this.#condition.bay.load());
    return GOOD;
  }

  async #unload(): Promise<Answer> {
    if (!this.#condition.bay.present) return NO_MEDIUM;
    if (await this.#condition.bay.isLocked()) return illegalRequest(0x5302);
    await this.#condition.bay.unload();
    return GOOD;
  }
}
