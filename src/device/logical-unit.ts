/**
 * One SCSI logical unit: sends commands and sorts what comes back.
 *
 * GOOD and CHECK CONDITION are answers for the caller. Busy is waited out here, and nowhere else. Whatever leaves it
 * unknown what the device did (host status, sense that cannot be read) is a failure.
 */
import type { Clock } from '../base/clock.ts';
import { CodedError, type FailureCode } from '../base/errors.ts';
import { DEVICE_TYPE, INQUIRY_BYTES, type Inquiry, parseInquiry, parseSerial } from './inquiry.ts';
import type { ScsiPort, ScsiReply } from './port.ts';
import { parseSense, SENSE_KEY, type Sense } from './sense.ts';
import {
  parseSupportedCommands,
  type RecommendedTimeouts,
  recommendedTimeouts,
  timeoutMs,
} from './timeouts.ts';

export type Request = {
  readonly cdb: readonly number[];
  readonly dataIn?: Uint8Array;
  readonly dataOut?: Uint8Array;
  /** Not to be said again when the device is busy: whoever sends it has to look first what happened meanwhile. */
  readonly once?: boolean;
};

export type Answer = {
  /** Undefined for GOOD. */
  readonly sense: Sense | undefined;
  /** The part of `dataIn` that the device filled. */
  readonly data: Buffer;
  /** Bytes of the buffer that were not transferred. */
  readonly residualBytes: number;
  /** The device did not take the command, which was to be sent once. */
  readonly isBusy: boolean;
};

/** Sends one command. @throws CodedError DRIVE_BUSY (reserved), DEVICE_MISSING, or the unit's failure code */
export type Send = (request: Request, signal: AbortSignal) => Promise<Answer>;

export type Identity = Inquiry & {
  /** Unit serial number; undefined for a device that has none. */
  readonly serial: string | undefined;
};

const STATUS = {
  good: 0x00,
  checkCondition: 0x02,
  busy: 0x08,
  reservationConflict: 0x18,
  taskSetFull: 0x28,
} as const;

/** Linux DID_* values that say more than "unknown" (include/scsi/scsi_status.h). */
const HOST_STATUS: ReadonlyMap<number, string> = new Map([
  [0x01, 'the device is no longer connected'],
  [0x02, 'the bus stayed busy'],
  [0x03, 'the device did not answer in time'],
  [0x05, 'the command was aborted'],
  [0x07, 'the adapter reported an internal error'],
  [0x08, 'the bus was reset'],
  [0x0e, 'the connection was disturbed'],
]);

/** DRIVER_SENSE only says that sense data are there; the upper half is advice (include/scsi/scsi.h before 5.14). */
const DRIVER_STATUS_MASK = 0x0f;
const DRIVER_SENSE = 0x08;

const BUSY_WAIT_MS = 1000;
/** A device may answer BUSY while it resets itself, some minutes on a library. */
export const BUSY_WAITS_MAX = 300;

export class LogicalUnit {
  readonly #port: ScsiPort;
  readonly #clock: Clock;
  readonly #failure: FailureCode;
  #recommended: RecommendedTimeouts = new Map();
  /** Opcodes with the service actions that the device says it has. */
  readonly #actions = new Set<string>();
  #tail: Promise<unknown> = Promise.resolve();
  /** Told of every unit attention, not ready, deferred error and failure, whoever sent the command that met it. */
  onDisturbance: () => void = () => {};

  /** @param failure the code for a device that misbehaves: DRIVE_FAILED or CHANGER_FAILED */
  constructor(port: ScsiPort, clock: Clock, failure: FailureCode) {
    this.#port = port;
    this.#clock = clock;
    this.#failure = failure;
  }

  get name(): string {
    return this.#port.name;
  }

  get clock(): Clock {
    return this.#clock;
  }

  readonly send: Send = (request, signal) => this.exclusively((send) => send(request, signal));

  /**
   * Runs `work` with the unit to itself: no other command goes out between those it sends. It must send by what it is
   * given; `send` of the unit would wait for `work` to end.
   */
  exclusively<T>(work: (send: Send) => Promise<T>): Promise<T> {
    const done = this.#tail.then(() => work(this.#sendHeeding));
    this.#tail = done.catch(() => undefined);
    return done;
  }

  readonly #sendHeeding: Send = async (request, signal) => {
    try {
      const answer = await this.#sendOnce(request, signal);
      const { sense } = answer;
      const key = sense?.key;
      const isOther = key === SENSE_KEY.unitAttention || key === SENSE_KEY.notReady;
      if (sense?.deferred || isOther) this.onDisturbance();
      return answer;
    } catch (error) {
      this.onDisturbance();
      throw error;
    }
  };

  async #sendOnce(request: Request, signal: AbortSignal): Promise<Answer> {
    const reply = await this.#sendUntilTaken(request, signal);
    const { residualBytes } = reply;
    const data = transferred(request, reply);
    if (reply.hostStatus !== 0) {
      const cause = HOST_STATUS.get(reply.hostStatus) ?? `host status ${reply.hostStatus}`;
      throw this.fail(`${cause}; check cable, power and adapter`);
    }
    // Before Linux 5.14 a command that timed out has host status 0, status GOOD and DRIVER_TIMEOUT (06h).
    const driverStatus = reply.driverStatus & DRIVER_STATUS_MASK;
    if (driverStatus !== 0 && driverStatus !== DRIVER_SENSE) {
      throw this.fail(`driver status ${driverStatus}; check cable, power and adapter`);
    }
    if (isBusy(reply)) return { sense: undefined, data, residualBytes, isBusy: true };
    if (reply.status === STATUS.good) {
      return { sense: undefined, data, residualBytes, isBusy: false };
    }
    if (reply.status === STATUS.reservationConflict) {
      throw new CodedError('DRIVE_BUSY', `${this.name} is reserved by another host`, {
        device: this.name,
      });
    }
    const sense = reply.status === STATUS.checkCondition ? parseSense(reply.sense) : undefined;
    if (!sense) throw this.fail(`status ${reply.status.toString(16)}h without readable sense data`);
    return { sense, data, residualBytes, isBusy: false };
  }

  /** Whether the device has said, when it was identified, that it has this service action of an opcode. */
  supports(opcode: number, serviceAction: number): boolean {
    return this.#actions.has(`${opcode}/${serviceAction}`);
  }

  /** What the device is; also learns what it supports, and its recommended timeouts. @throws CodedError DEVICE_UNSUITABLE */
  async identify(wanted: keyof typeof DEVICE_TYPE, signal: AbortSignal): Promise<Identity> {
    const standard = await this.#query([0x12, 0, 0, 0, INQUIRY_BYTES, 0], INQUIRY_BYTES, signal);
    const inquiry = standard && parseInquiry(standard);
    if (inquiry?.deviceType !== DEVICE_TYPE[wanted]) {
      const what = wanted === 'tape' ? 'tape drive' : 'changer';
      throw new CodedError(
        'DEVICE_UNSUITABLE',
        `${this.name} is not a ${what}; \`lsscsi -g\` shows what is which`,
        {
          device: this.name,
        },
      );
    }
    const page = await this.#query([0x12, 1, 0x80, 0, 255, 0], 255, signal);
    const codes = await this.#query([0xa3, 0x0c, 0x80, 0, 0, 0, 0, 0, 0x20, 0, 0, 0], 8192, signal);
    const commands = codes ? parseSupportedCommands(codes) : [];
    this.#recommended = recommendedTimeouts(commands);
    for (const { opcode, serviceAction } of commands)
      if (serviceAction !== undefined) this.#actions.add(`${opcode}/${serviceAction}`);
    return { ...inquiry, serial: page && parseSerial(page) };
  }

  fail(what: string, cause?: unknown): CodedError {
    return new CodedError(this.#failure, `${this.name}: ${what}`, { device: this.name, cause });
  }

  /** A question that devices may not know: undefined where it is refused. Unit attentions are asked past. */
  async #query(
    cdb: number[],
    lengthBytes: number,
    signal: AbortSignal,
  ): Promise<Buffer | undefined> {
    for (let attempt = 0; attempt < UNIT_ATTENTIONS_MAX; attempt += 1) {
      const { sense, data } = await this.send({ cdb, dataIn: Buffer.alloc(lengthBytes) }, signal);
      if (!sense || isDone(sense)) return data;
      if (sense.key !== SENSE_KEY.unitAttention) return undefined;
    }
    return undefined;
  }

  async #sendUntilTaken(request: Request, signal: AbortSignal): Promise<ScsiReply> {
    const command = {
      cdb: Uint8Array.from(request.cdb),
      timeoutMs: timeoutMs(request.cdb[0] ?? 0, this.#recommended),
      ...(request.dataIn && { dataIn: request.dataIn }),
      ...(request.dataOut && { dataOut: request.dataOut }),
    };
    for (let waits = 0; ; waits += 1) {
      const reply = await this.#port.execute(command, signal);
      if (!isBusy(reply) || reply.hostStatus !== 0 || request.once) return reply;
      if (waits >= BUSY_WAITS_MAX) throw this.fail('the device has been busy for minutes');
      await this.waitBusy(signal);
    }
  }

  /** The pause before a busy device is asked again. */
  async waitBusy(signal: AbortSignal): Promise<void> {
    await this.#clock.sleepMs(BUSY_WAIT_MS, signal);
  }
}

/** A device may queue several unit attentions (power on, medium changed, parameters changed). */
export const UNIT_ATTENTIONS_MAX = 8;

/** The command was executed: no sense at all, or sense that only comments on success. */
export function isDone(sense: Sense | undefined): boolean {
  if (!sense) return true;
  return (
    !sense.deferred && (sense.key === SENSE_KEY.noSense || sense.key === SENSE_KEY.recoveredError)
  );
}

function isBusy(reply: ScsiReply): boolean {
  return reply.status === STATUS.busy || reply.status === STATUS.taskSetFull;
}

function transferred(request: Request, reply: ScsiReply): Buffer {
  const { dataIn } = request;
  if (!dataIn) return Buffer.alloc(0);
  const lengthBytes = Math.max(0, dataIn.byteLength - reply.residualBytes);
  return Buffer.from(dataIn.buffer, dataIn.byteOffset, lengthBytes);
}
