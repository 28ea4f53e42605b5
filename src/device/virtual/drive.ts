/**
 * A virtual LTO drive: takes CDBs, answers with status, data and sense as a drive does (SPC-4, SSC-4).
 *
 * It is powered by the process that holds its lock. When that process ends cleanly the drive keeps its position for the
 * next one; when it is killed, the next one finds a drive that has lost power: rewound, with a unit attention.
 */
import { strict as assert } from 'node:assert';
import type { Clock } from '../../base/clock.ts';
import { canRead, canWrite, type DriveGeneration } from '../../domain/generation.ts';
import { DEVICE_TYPE } from '../inquiry.ts';
import type { ScsiCommand, ScsiPort, ScsiReply } from '../port.ts';
import { SENSE_KEY } from '../sense.ts';
import {
  type Answer,
  check,
  encodeSense,
  GOOD,
  INVALID_FIELD,
  illegalRequest,
  reply,
  UNKNOWN_COMMAND,
} from './answer.ts';
import { VirtualCartridge } from './cartridge.ts';
import { Deck } from './deck.ts';
import {
  allowOverwrite,
  locate,
  readAttribute,
  readPosition,
  space,
  writeAttribute,
} from './deck-commands.ts';
import {
  defaultMode,
  logPage,
  modeSense,
  productOf,
  standardInquiry,
  vitalProductData,
} from './drive-pages.ts';
import type { FaultContext, FaultEffect, FaultPlan } from './faults.ts';
import { MECHANICS } from './mechanics.ts';
import { isRefusal, modeSelect } from './mode-select.ts';
import { supportedOperationCodes } from './operation-codes.ts';
import { driveElement, emptyStatistics, type FileLock, type LibraryState } from './state.ts';
import { type Carried, type Speed, Usage } from './usage.ts';

export type DriveOptions = {
  /** Counted from 0. */
  readonly index: number;
  readonly serial: string;
  readonly generation: DriveGeneration;
  readonly directory: string;
  readonly state: LibraryState;
  readonly clock: Clock;
  readonly speed: Speed;
  readonly faults: FaultPlan;
  readonly bootId: string;
  readonly lock: FileLock;
};

const OPERATIONS: ReadonlyMap<number, Carried['operation']> = new Map([
  [0x01, 'rewind'],
  [0x08, 'read'],
  [0x0a, 'write'],
  [0x10, 'filemark'],
  [0x11, 'space'],
  [0x34, 'position'],
  [0x91, 'space'],
  [0x92, 'locate'],
]);

/** Linux DID_NO_CONNECT and DID_TIME_OUT. */
const HOST_GONE = 0x01;
const HOST_TIMEOUT = 0x03;
/** A universal cleaning cartridge is good for 50 cleanings. */
const CLEANINGS_MAX = 50;

type Handler = (command: ScsiCommand, cdb: Buffer) => Promise<Answer> | Answer;

export class VirtualDrive implements ScsiPort {
  readonly name: string;
  readonly #options: DriveOptions;
  readonly #handlers: ReadonlyMap<number, Handler>;
  #deck: Deck | undefined;
  #mode = defaultMode();
  #attentions: number[] = [];
  #alerts = new Set<number>();
  #usage: Usage;
  #session = { bytesWritten: 0, bytesRead: 0, uncorrectedWrites: 0, uncorrectedReads: 0 };
  #idleSinceMs: number;
  #tail: Promise<unknown> = Promise.resolve();
  #closed = false;

  private constructor(options: DriveOptions) {
    this.name = `virtual drive ${options.index}`;
    this.#options = options;
    this.#idleSinceMs = options.clock.monotonicMs();
    this.#usage = new Usage(emptyStatistics(), options.clock, options.speed);
    this.#handlers = this.#table();
  }

  /** Powers the drive on: takes up what stands in it. */
  static async open(options: DriveOptions): Promise<VirtualDrive> {
    const drive = new VirtualDrive(options);
    await drive.#powerOn();
    return drive;
  }

  execute(command: ScsiCommand, signal: AbortSignal): Promise<ScsiReply> {
    assert(!this.#closed, `${this.name} is closed`);
    const reply = this.#tail.then(() => {
      signal.throwIfAborted();
      return this.#run(command);
    });
    this.#tail = reply.catch(() => undefined);
    return reply;
  }

  /** Keeps position and counters for the next process. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#tail;
    const deck = this.#deck;
    await deck?.cartridge.close();
    this.#deck = undefined;
    const threaded = deck && { cartridge: deck.cartridge.name, position: deck.position };
    await this.#save({ ...(threaded && { threaded }), prevented: false });
    await this.#options.lock.close();
  }

  /** The picker takes the cartridge; `false` while it is locked in. A threaded one is unthreaded first, as libraries do. */
  async release(): Promise<boolean> {
    await this.#tail;
    const record = await this.#record();
    if (record.prevented) return false;
    if (this.#deck) await this.#unthread();
    return true;
  }

  async #run(command: ScsiCommand): Promise<ScsiReply> {
    const { clock, faults } = this.#options;
    const cdb = Buffer.from(command.cdb);
    const opcode = cdb.readUInt8(0);
    const lateSeconds = (clock.monotonicMs() - this.#idleSinceMs) / 1000;
    const operation =
      opcode === 0x1b ? (cdb.readUInt8(4) & 1 ? 'load' : 'unload') : OPERATIONS.get(opcode);
    const effect = operation && faults.due(this.#context(operation, command));
    try {
      const host = effect && (await this.#suffer(effect, command.timeoutMs));
      if (typeof host === 'number') return { ...reply(GOOD, command), hostStatus: host };
      if (host) return reply(host, command);
      const answer = await this.#answer(opcode, cdb, command, lateSeconds);
      if (effect?.kind === 'bit-flip') flip(command, effect);
      return reply(answer, command);
    } finally {
      this.#idleSinceMs = clock.monotonicMs();
    }
  }

  async #answer(
    opcode: number,
    cdb: Buffer,
    command: ScsiCommand,
    lateSeconds: number,
  ): Promise<Answer> {
    const handler = this.#handlers.get(opcode);
    if (!handler) return UNKNOWN_COMMAND;
    // INQUIRY and REQUEST SENSE are answered past unit attentions (SPC-4 5.15).
    if (opcode === 0x12 || opcode === 0x03) return handler(command, cdb);
    if (!this.#deck || opcode === 0x00 || opcode === 0x1b) await this.#notice();
    const attention = this.#attentions.shift();
    if (attention !== undefined) return check({ key: SENSE_KEY.unitAttention, code: attention });
    const operation = OPERATIONS.get(opcode);
    if (operation && operation !== 'position') {
      const late = this.#deck?.takeLateError();
      if (late) return late;
    }
    const fromBytes = this.#deck?.bytesBefore ?? 0;
    const answer = await handler(command, cdb);
    if (operation) await this.#charge(operation, command, { fromBytes, lateSeconds }, answer);
    return answer;
  }

  #table(): ReadonlyMap<number, Handler> {
    const ready = (
      handler: (deck: Deck, command: ScsiCommand, cdb: Buffer) => Promise<Answer> | Answer,
    ): Handler => {
      return (command, cdb) => {
        const problem = this.#notReady();
        if (problem || !this.#deck)
          return problem ?? check({ key: SENSE_KEY.notReady, code: 0x3a00 });
        return handler(this.#deck, command, cdb);
      };
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
      [0x19, ready((deck) => deck.erase(this.#mode))],
      [0x1b, (_, cdb) => (cdb.readUInt8(4) & 1 ? this.#load() : this.#unload())],
      [0x1e, (_, cdb) => this.#prevent((cdb.readUInt8(4) & 1) !== 0)],
      [0x34, ready((deck, _, cdb) => readPosition(deck, cdb.readUInt8(1) & 0x1f))],
      [0x4d, (_, cdb) => this.#logSense(cdb)],
      [0x55, (command) => this.#modeSelect(command)],
      [0x5a, (_, cdb) => this.#modeSense(cdb)],
      [0x82, ready((deck, _, cdb) => allowOverwrite(deck, cdb))],
      [0x8c, ready((deck, _, cdb) => readAttribute(deck, cdb, this.#options.serial))],
      [0x8d, ready((deck, command) => writeAttribute(deck, command))],
      [
        0x91,
        ready((deck, _, cdb) =>
          space(deck, cdb.readUInt8(1) & 0x0f, Number(cdb.readBigInt64BE(4))),
        ),
      ],
      [0x92, ready((deck, _, cdb) => locate(deck, cdb))],
      [0xa3, (_, cdb) => supportedOperationCodes(cdb)],
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
    this.#session.bytesRead += answer.placedBytes ?? 0;
    return answer;
  }

  async #write(deck: Deck, command: ScsiCommand, cdb: Buffer): Promise<Answer> {
    const lengthBytes = cdb.readUIntBE(2, 3);
    const isFixed = (cdb.readUInt8(1) & 0x01) !== 0;
    if (isFixed || (command.dataOut?.byteLength ?? 0) < lengthBytes) return INVALID_FIELD;
    if (lengthBytes === 0 || !command.dataOut) return GOOD;
    const refused = this.#refuseGeneration(deck);
    if (refused) return refused;
    const answer = await deck.write(command.dataOut.subarray(0, lengthBytes), this.#mode);
    this.#noteProtection(answer);
    if (this.#mode.buffered) return answer;
    const synced = await deck.writeFilemarks(0, false, this.#mode);
    return answer.sense ? answer : synced;
  }

  async #writeFilemarks(deck: Deck, cdb: Buffer): Promise<Answer> {
    const refused = this.#refuseGeneration(deck);
    if (refused) return refused;
    const immediate = (cdb.readUInt8(1) & 0x01) !== 0;
    const answer = await deck.writeFilemarks(cdb.readUIntBE(2, 3), immediate, this.#mode);
    this.#noteProtection(answer);
    return answer;
  }

  #refuseGeneration(deck: Deck): Answer | undefined {
    if (canWrite(this.#options.generation, deck.cartridge.generation.name)) return undefined;
    return check({ key: SENSE_KEY.dataProtect, code: 0x3005 });
  }

  /** TapeAlert 9 for a protected cartridge, 60 for an attempt to write over a write-once one. */
  #noteProtection(answer: Answer): void {
    if (answer.sense?.readUInt8(2) !== SENSE_KEY.dataProtect) return;
    this.#alerts.add(answer.sense.readUInt16BE(12) === 0x2700 ? 9 : 60);
  }

  #notReady(): Answer | undefined {
    const cartridge = this.#deck?.cartridge;
    if (!cartridge) {
      return check({ key: SENSE_KEY.notReady, code: this.#present ? 0x0402 : 0x3a00 });
    }
    if (cartridge.record.kind === 'cleaning')
      return check({ key: SENSE_KEY.notReady, code: 0x3003 });
    if (!canRead(this.#options.generation, cartridge.generation.name)) {
      return check({ key: SENSE_KEY.notReady, code: 0x3000 });
    }
    return undefined;
  }

  #requestSense(): Answer {
    const attention = this.#attentions.shift();
    if (attention !== undefined) {
      return { data: encodeSense({ key: SENSE_KEY.unitAttention, code: attention }) };
    }
    return { data: this.#notReady()?.sense ?? encodeSense({ key: SENSE_KEY.noSense, code: 0 }) };
  }

  #inquiry(cdb: Buffer): Answer {
    const page = cdb.readUInt8(2);
    if ((cdb.readUInt8(1) & 0x01) === 0) {
      const data = standardInquiry(DEVICE_TYPE.tape, productOf(this.#options.generation));
      return page === 0 ? { data: data.subarray(0, cdb.readUInt16BE(3)) } : INVALID_FIELD;
    }
    const data = vitalProductData(page, DEVICE_TYPE.tape, this.#options.serial);
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
    const data = modeSense(at, this.#mode, this.#deck?.cartridge);
    return data ? { data: data.subarray(0, cdb.readUInt16BE(7)) } : INVALID_FIELD;
  }

  #modeSelect(command: ScsiCommand): Answer {
    const result = modeSelect(Buffer.from(command.dataOut ?? []), this.#mode);
    if (isRefusal(result)) return result;
    this.#mode = result;
    return GOOD;
  }

  #logSense(cdb: Buffer): Answer {
    const page = cdb.readUInt8(2) & 0x3f;
    const counters = {
      ...this.#session,
      backhitches: this.#usage.statistics.backhitches,
      needsCleaning: this.#alerts.has(20),
    };
    const data = logPage(page, counters, this.#alerts, this.#deck);
    if (!data) return INVALID_FIELD;
    const allocation = cdb.readUInt16BE(7);
    // Reading TapeAlert clears it; a look at the header alone does not.
    if (page === 0x2e && allocation > 4) this.#alerts.clear();
    return { data: data.subarray(0, allocation) };
  }

  async #prevent(prevented: boolean): Promise<Answer> {
    await this.#save({ prevented });
    return GOOD;
  }

  async #load(): Promise<Answer> {
    if (!this.#present) return check({ key: SENSE_KEY.notReady, code: 0x3a00 });
    if (this.#deck) return this.#deck.locate(0);
    await this.#thread(this.#present, undefined);
    return GOOD;
  }

  async #unload(): Promise<Answer> {
    if (!this.#present) return check({ key: SENSE_KEY.notReady, code: 0x3a00 });
    if ((await this.#record()).prevented) return illegalRequest(0x5302);
    if (this.#deck) await this.#unthread();
    return GOOD;
  }

  /** The cartridge in the drive's element, threaded or not. */
  #present: string | undefined;

  /** Takes notice of what the picker, of any process, has put into the drive or taken from it. */
  async #notice(): Promise<void> {
    const { state, index } = this.#options;
    const library = await state.read();
    const element = driveElement(library.elements, index);
    if (element.cartridge === this.#present) return;
    if (this.#deck) await this.#deck.cartridge.close();
    this.#deck = undefined;
    this.#present = element.cartridge;
    if (element.cartridge) {
      await this.#thread(element.cartridge, undefined);
      this.#attentions = [0x2800];
    }
  }

  async #powerOn(): Promise<void> {
    const { state, index } = this.#options;
    const library = await state.read();
    const record = library.drives[index];
    assert(record, `${this.name} has no record`);
    this.#usage = new Usage(record.statistics, this.#options.clock, this.#options.speed);
    this.#present = driveElement(library.elements, index).cartridge;
    const wasLocked = record.prevented;
    if (this.#present && !record.unloaded) {
      const stood =
        record.threaded?.cartridge === this.#present ? record.threaded.position : undefined;
      await this.#thread(this.#present, stood);
    }
    // A cartridge left locked in means that the process before was killed: the drive has lost its power.
    if (wasLocked) this.#loseSettings(0x2901);
    if (wasLocked) await this.#save({ prevented: false });
  }

  /** @param stood where the head stood; undefined when the cartridge has yet to be loaded */
  async #thread(name: string, stood: number | undefined): Promise<void> {
    const { directory, bootId, generation } = this.#options;
    const cartridge = await VirtualCartridge.open(directory, name, bootId);
    this.#deck = new Deck(cartridge, cartridge.wasLeftThreaded ? 0 : (stood ?? 0));
    this.#usage.begin(MECHANICS[generation], cartridge.record.capacityBytes);
    if (cartridge.wasLeftThreaded) this.#attentions = [0x2901];
    if (stood !== undefined) return;
    await this.#usage.load();
    await cartridge.save({ loads: cartridge.record.loads + 1 });
    if (cartridge.record.kind === 'cleaning') {
      this.#alerts.add(cartridge.record.loads > CLEANINGS_MAX ? 22 : 11);
      this.#alerts.delete(20);
    }
    await this.#save({ threaded: { cartridge: name, position: 0 }, unloaded: false });
  }

  async #unthread(): Promise<void> {
    assert(this.#deck);
    await this.#usage.unload(this.#deck.bytesBefore);
    await this.#deck.cartridge.close();
    this.#deck = undefined;
    await this.#save({ threaded: undefined, unloaded: true });
  }

  async #suffer(effect: FaultEffect, timeoutMs: number): Promise<Answer | number | undefined> {
    const { clock } = this.#options;
    const never = new AbortController().signal;
    switch (effect.kind) {
      case 'sense': {
        const { key, code, deferred, endOfMedium = false } = effect;
        if (key === SENSE_KEY.mediumError) this.#alerts.add(3);
        return check({ key, code, deferred, endOfMedium });
      }
      case 'late-write-error': {
        const { key, code, afterCommands } = effect;
        this.#alerts.add(3);
        this.#deck?.failWritesLate(check({ key, code, deferred: true }), afterCommands);
        return undefined;
      }
      case 'delay':
        await clock.sleepMs(effect.ms, never);
        return undefined;
      case 'hang':
        await clock.sleepMs(timeoutMs, never);
        await this.#reset(0x2902);
        return HOST_TIMEOUT;
      case 'power-loss':
        await this.#losePower(effect.survivors);
        return HOST_GONE;
      case 'reset':
        await this.#reset(effect.swallowed ? undefined : 0x2902);
        return undefined;
      case 'tape-alert':
        this.#alerts.add(effect.flag);
        return undefined;
      default:
        return undefined;
    }
  }

  /** A reset by anybody: settings back to their defaults, buffer written, tape rewound. */
  async #reset(attention: number | undefined): Promise<void> {
    await this.#deck?.locate(0);
    this.#loseSettings(attention);
    await this.#save({ prevented: false });
  }

  async #losePower(survivors: number): Promise<void> {
    const deck = this.#deck;
    if (deck) {
      const { tape, name } = deck.cartridge;
      // What was not confirmed is gone from some record on; the records before it made it to the tape.
      await tape.truncate(
        Math.max(tape.syncedBlock, Math.min(tape.end.block, tape.syncedBlock + survivors)),
      );
      await deck.cartridge.close();
      await this.#thread(name, undefined);
    }
    this.#loseSettings(0x2901);
    await this.#save({ prevented: false });
  }

  #loseSettings(attention: number | undefined): void {
    this.#mode = defaultMode();
    this.#deck?.forbidOverwrite();
    this.#attentions = attention === undefined ? [] : [attention];
  }

  /** Charges a command that has been carried out to the clock model. */
  async #charge(
    operation: Carried['operation'],
    command: ScsiCommand,
    before: { fromBytes: number; lateSeconds: number },
    answer: Answer,
  ): Promise<void> {
    const cdb = Buffer.from(command.cdb);
    const isFilemark = operation === 'filemark';
    const movedBytes = command.dataOut?.byteLength ?? answer.placedBytes ?? 0;
    if (operation === 'write') this.#session.bytesWritten += movedBytes;
    await this.#usage.charge({
      operation,
      ...before,
      toBytes: this.#deck?.bytesBefore ?? 0,
      movedBytes,
      filemarks: isFilemark ? cdb.readUIntBE(2, 3) : 0,
      immediate: isFilemark && (cdb.readUInt8(1) & 0x01) !== 0,
    });
  }

  #context(on: FaultContext['on'], command: ScsiCommand): FaultContext {
    return {
      on,
      drive: this.#options.index,
      cartridge: this.#deck?.cartridge.name ?? this.#present,
      block: this.#deck?.position,
      bytes: command.dataIn?.byteLength ?? command.dataOut?.byteLength,
    };
  }

  async #record(): Promise<{ prevented: boolean }> {
    const record = (await this.#options.state.read()).drives[this.#options.index];
    assert(record);
    return record;
  }

  async #save(change: {
    threaded?: { cartridge: string; position: number } | undefined;
    unloaded?: boolean;
    prevented?: boolean;
  }): Promise<void> {
    await this.#options.state.update((library) => {
      const record = library.drives[this.#options.index];
      assert(record);
      Object.assign(record, change, { statistics: { ...this.#usage.statistics } });
    });
  }
}

function flip(command: ScsiCommand, effect: { byte: number; bit: number }): void {
  const { dataIn } = command;
  const byte = dataIn?.[effect.byte];
  if (dataIn && byte !== undefined) dataIn[effect.byte] = byte ^ (1 << effect.bit);
}
