/**
 * A virtual LTO drive: takes CDBs, answers with status, data and sense as a drive does (SPC-4, SSC-4).
 *
 * It is powered by the process that holds its lock. When that process ends cleanly the drive keeps its position for the
 * next one; when it is killed, the next one finds a drive that has lost power: rewound, with a unit attention.
 */
import { strict as assert } from 'node:assert';
import type { ScsiCommand, ScsiPort, ScsiReply } from '../port.ts';
import { SENSE_KEY } from '../sense.ts';
import { type Answer, check, GOOD, reply, UNKNOWN_COMMAND } from './answer.ts';
import { Bay, type BayOptions } from './bay.ts';
import { Condition } from './condition.ts';
import { DriveCommands } from './drive-commands.ts';
import type { FaultContext, FaultPlan } from './faults.ts';
import { blameMedium, suffer } from './mishap.ts';
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

export class VirtualDrive implements ScsiPort {
  readonly name: string;
  readonly #options: DriveOptions;
  readonly #bay: Bay;
  readonly #condition: Condition;
  readonly #commands: DriveCommands;
  #idleSinceMs: number;
  #tail: Promise<unknown> = Promise.resolve();
  #closed = false;

  private constructor(options: DriveOptions) {
    this.name = `virtual drive ${options.index}`;
    this.#options = options;
    this.#idleSinceMs = options.clock.monotonicMs();
    this.#bay = new Bay(options);
    this.#condition = new Condition(this.#bay, options.clock);
    this.#commands = new DriveCommands(this.#condition, options);
  }

  /** Powers the drive on: takes up what stands in it. */
  static async open(options: DriveOptions): Promise<VirtualDrive> {
    const drive = new VirtualDrive(options);
    const { arrival, lostPower } = await drive.#bay.powerOn();
    drive.#condition.greet(arrival);
    if (lostPower) drive.#condition.loseSettings(0x2901);
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
    const isWrite = operation === 'write' || operation === 'filemark' || opcode === ERASE;
    const effect = operation && faults.due(this.#context(operation, command));
    try {
      const host =
        effect && (await suffer(effect, this.#condition, { clock, timeoutMs: command.timeoutMs }));
      if (typeof host === 'number') return { ...reply(GOOD, command), hostStatus: host };
      if (host) return reply(host, command);
      const answer = await this.#answer(opcode, cdb, command, lateSeconds);
      if (effect?.kind === 'bit-flip') flip(command, effect);
      return reply(answer, command);
    } catch (error) {
      return reply(blameMedium(this.#condition, { isWrite }, error), command);
    } finally {
      // Whoever asks where the tape stands does not keep it streaming.
      if (operation && operation !== 'position') this.#idleSinceMs = clock.monotonicMs();
    }
  }

  async #answer(
    opcode: number,
    cdb: Buffer,
    command: ScsiCommand,
    lateSeconds: number,
  ): Promise<Answer> {
    const handler = this.#commands.find(opcode);
    if (!handler) return UNKNOWN_COMMAND;
    // INQUIRY and REQUEST SENSE are answered past unit attentions (SPC-4 5.15).
    if (opcode === 0x12 || opcode === 0x03) return handler(command, cdb);
    if (!this.#bay.deck || opcode === 0x00 || opcode === 0x1b) {
      const arrival = await this.#bay.notice();
      this.#condition.greet(arrival);
      if (arrival === 'loaded') this.#condition.attentions = [0x2800];
      await this.#condition.endCleaning();
    }
    const attention = this.#condition.attentions.shift();
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
    if (operation === 'write') this.#condition.session.bytesWritten += movedBytes;
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
