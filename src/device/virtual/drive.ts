/**
 * A virtual LTO drive: takes CDBs, answers with status, data and sense as a drive does (SPC-4, SSC-4).
 *
 * It is powered by the process that holds its lock. When that process ends cleanly the drive keeps its position for the
 * next one; when it is killed, the next one finds a drive that has lost power: rewound, with a unit attention.
 */
import { strict as assert } from 'node:assert';
import { CodedError } from '../../base/errors.ts';
import { canRead, canWrite } from '../../domain/generation.ts';
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
import { type Arrival, Bay, type BayOptions } from './bay.ts';
import type { Deck } from './deck.ts';
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
import { isRefusal, modeSelect } from './mode-select.ts';
import { supportedOperationCodes } from './operation-codes.ts';
import type { FileLock } from './state.ts';
import type { Carried } from './usage.ts';

export type DriveOptions = BayOptions & {
  readonly serial: string;
  readonly faults: FaultPlan;
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

const ERASE = 0x19;

/** Linux DID_NO_CONNECT and DID_TIME_OUT. */
const HOST_GONE = 0x01;
const HOST_TIMEOUT = 0x03;
/** A universal cleaning cartridge is good for 50 cleanings. */
const CLEANINGS_MAX = 50;
/** Then it is ejected; a real drive takes some minutes. */
const CLEANING_MS = 1000;
/** The TapeAlert flag by which a drive asks for it. */
const CLEAN_NOW = 20;

const NO_MEDIUM = check({ key: SENSE_KEY.notReady, code: 0x3a00 });

type Handler = (command: ScsiCommand, cdb: Buffer) => Promise<Answer> | Answer;

export class VirtualDrive implements ScsiPort {
  readonly name: string;
  readonly #options: DriveOptions;
  readonly #handlers: ReadonlyMap<number, Handler>;
  readonly #bay: Bay;
  #mode = defaultMode();
  #attentions: number[] = [];
  #alerts = new Set<number>();
  /** Until a cleaning cartridge has been at work; reading the flag does not clean the drive. */
  #needsCleaning = false;
  /** Since when a cleaning cartridge is at work, or this process knows of it. */
  #cleaningSinceMs: number | undefined;
  #session = { bytesWritten: 0, bytesRead: 0, uncorrectedWrites: 0, uncorrectedReads: 0 };
  #idleSinceMs: number;
  #tail: Promise<unknown> = Promise.resolve();
  #closed = false;

  private constructor(options: DriveOptions) {
    this.name = `virtual drive ${options.index}`;
    this.#options = options;
    this.#idleSinceMs = options.clock.monotonicMs();
    this.#bay = new Bay(options);
    this.#handlers = this.#table();
  }

  /** Powers the drive on: takes up what stands in it. */
  static async open(options: DriveOptions): Promise<VirtualDrive> {
    const drive = new VirtualDrive(options);
    const { arrival, lostPower } = await drive.#bay.powerOn();
    drive.#greet(arrival);
    if (lostPower) drive.#loseSettings(0x2901);
    return drive;
  }

  async execute(command: ScsiCommand, signal: AbortSignal): Promise<ScsiReply> {
    assert(!this.#closed, `${this.name} is closed`);
    return this.#inTurn(() => {
      signal.throwIfAborted();
      return this.#run(command);
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    try {
      await this.#inTurn(() => this.#bay.powerOff());
    } finally {
      await this.#options.lock.close();
    }
  }

  /**
   * The picker takes the cartridge; undefined while it is locked in. A threaded one is unthreaded first, as libraries do.
   * Until `close` no command is answered, so that none threads it again under the picker's hand.
   */
  async release(): Promise<FileLock | undefined> {
    const taken = Promise.withResolvers<void>();
    const released = this.#inTurn(async () => {
      if (await this.#bay.isLocked()) return false;
      await this.#bay.unload();
      return true;
    });
    void this.#inTurn(async () => {
      if (await released.catch(() => false)) await taken.promise;
    });
    return (await released) ? { close: async () => taken.resolve() } : undefined;
  }

  /** One thing at a time, in the order of the calls. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#tail.then(work);
    this.#tail = done.catch(() => undefined);
    return done;
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
    } catch (error) {
      return reply(this.#blameMedium(opcode, error), command);
    } finally {
      // Whoever asks where the tape stands does not keep it streaming.
      if (operation && operation !== 'position') this.#idleSinceMs = clock.monotonicMs();
    }
  }

  /** The disk below is the tape's medium: what it refuses is answered as a drive does, 0Ch/00h and 11h/00h of SPC-4. */
  #blameMedium(opcode: number, error: unknown): Answer {
    const operation = OPERATIONS.get(opcode);
    const isWrite = operation === 'write' || operation === 'filemark' || opcode === ERASE;
    const code = error instanceof CodedError ? error.code : undefined;
    const isLost = code === 'MEDIUM_UNWRITABLE' || (isWrite && code === 'FAILED');
    if (!isLost && code !== 'MEDIUM_UNREADABLE') throw error;
    this.#alerts.add(3);
    this.#bay.deck?.returnToData();
    if (!isLost) {
      this.#session.uncorrectedReads += 1;
      return check({ key: SENSE_KEY.mediumError, code: 0x1100 });
    }
    this.#session.uncorrectedWrites += 1;
    // A command that only wanted to move has met the error of a write before it.
    return check({ key: SENSE_KEY.mediumError, code: 0x0c00, deferred: !isWrite });
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
    if (!this.#bay.deck || opcode === 0x00 || opcode === 0x1b) {
      const arrival = await this.#bay.notice();
      this.#greet(arrival);
      if (arrival === 'loaded') this.#attentions = [0x2800];
      await this.#endCleaning();
    }
    const attention = this.#attentions.shift();
    if (attention !== undefined) return check({ key: SENSE_KEY.unitAttention, code: attention });
    const operation = OPERATIONS.get(opcode);
    if (opcode === 0x1b || (operation && operation !== 'position')) {
      const empties = operation !== 'write' && operation !== 'filemark';
      const late = this.#bay.deck?.takeLateError(empties);
      if (late) return late;
    }
    const fromBytes = this.#bay.deck?.bytesBefore ?? 0;
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
        if (problem || !this.#bay.deck) return problem ?? NO_MEDIUM;
        return handler(this.#bay.deck, command, cdb);
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
    const cartridge = this.#bay.deck?.cartridge;
    if (!cartridge) {
      return this.#bay.present ? check({ key: SENSE_KEY.notReady, code: 0x0402 }) : NO_MEDIUM;
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
    const data = modeSense(at, this.#mode, this.#bay.deck?.cartridge);
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
      backhitches: this.#bay.usage.statistics.backhitches,
      needsCleaning: this.#needsCleaning,
    };
    const data = logPage(page, counters, this.#alerts, this.#bay.deck);
    if (!data) return INVALID_FIELD;
    const allocation = cdb.readUInt16BE(7);
    // Reading TapeAlert clears it; a look at the header alone does not.
    if (page === 0x2e && allocation > 4) this.#alerts.clear();
    return { data: data.subarray(0, allocation) };
  }

  async #prevent(prevented: boolean): Promise<Answer> {
    await this.#bay.lock(prevented);
    return GOOD;
  }

  async #load(): Promise<Answer> {
    if (!this.#bay.present) return NO_MEDIUM;
    if (this.#bay.deck) return this.#bay.deck.locate(0);
    this.#greet(await this.#bay.load());
    return GOOD;
  }

  async #unload(): Promise<Answer> {
    if (!this.#bay.present) return NO_MEDIUM;
    if (await this.#bay.isLocked()) return illegalRequest(0x5302);
    await this.#bay.unload();
    return GOOD;
  }

  /** A cleaning cartridge goes to work as soon as it is loaded. */
  #greet(arrival: Arrival): void {
    const record = this.#bay.deck?.cartridge.record;
    if (arrival !== 'none' && record?.kind === 'cleaning')
      this.#cleaningSinceMs = this.#options.clock.monotonicMs();
    if (arrival !== 'loaded' || record?.kind !== 'cleaning') return;
    this.#alerts.add(record.loads > CLEANINGS_MAX ? 22 : 11);
    this.#alerts.delete(CLEAN_NOW);
    this.#needsCleaning = false;
  }

  /** A drive ejects a cleaning cartridge by itself, a spent one too. */
  async #endCleaning(): Promise<void> {
    const sinceMs = this.#cleaningSinceMs;
    if (sinceMs === undefined || this.#options.clock.monotonicMs() - sinceMs < CLEANING_MS) return;
    this.#cleaningSinceMs = undefined;
    if (this.#bay.deck?.cartridge.record.kind === 'cleaning') await this.#bay.unload();
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
        this.#bay.deck?.failWritesLate(check({ key, code, deferred: true }), afterCommands);
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
        await this.#bay.losePower(effect.survivors);
        this.#loseSettings(0x2901);
        await this.#bay.lock(false);
        return HOST_GONE;
      case 'reset':
        await this.#reset(effect.swallowed ? undefined : 0x2902);
        return undefined;
      case 'tape-alert':
        this.#alerts.add(effect.flag);
        if (effect.flag === CLEAN_NOW) this.#needsCleaning = true;
        return undefined;
      default:
        return undefined;
    }
  }

  /** A reset by anybody: settings back to their defaults, buffer written, tape rewound. */
  async #reset(attention: number | undefined): Promise<void> {
    await this.#bay.deck?.locate(0);
    this.#loseSettings(attention);
    await this.#bay.lock(false);
  }

  #loseSettings(attention: number | undefined): void {
    this.#mode = defaultMode();
    this.#bay.deck?.forbidOverwrite();
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
    // Key 1h and below comment on success.
    const isRefused = ((answer.sense?.readUInt8(2) ?? 0) & 0x0f) > SENSE_KEY.recoveredError;
    if (isRefused && (operation === 'write' || operation === 'filemark')) return;
    const isFilemark = operation === 'filemark';
    const movedBytes = command.dataOut?.byteLength ?? answer.placedBytes ?? 0;
    if (operation === 'write') this.#session.bytesWritten += movedBytes;
    await this.#bay.usage.charge({
      operation,
      ...before,
      toBytes: this.#bay.deck?.bytesBefore ?? 0,
      movedBytes,
      filemarks: isFilemark ? cdb.readUIntBE(2, 3) : 0,
      immediate: isFilemark && (cdb.readUInt8(1) & 0x01) !== 0,
    });
  }

  #context(on: FaultContext['on'], command: ScsiCommand): FaultContext {
    return {
      on,
      drive: this.#options.index,
      cartridge: this.#bay.deck?.cartridge.name ?? this.#bay.present,
      block: this.#bay.deck?.position,
      bytes: command.dataIn?.byteLength ?? command.dataOut?.byteLength,
    };
  }
}

function flip(command: ScsiCommand, effect: { byte: number; bit: number }): void {
  const { dataIn } = command;
  const byte = dataIn?.[effect.byte];
  if (dataIn && byte !== undefined) dataIn[effect.byte] = byte ^ (1 << effect.bit);
}
