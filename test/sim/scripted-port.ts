/**
 * A SCSI device that answers from a script, for what no virtual library can be brought to say.
 *
 * Answers are given by opcode, in turn; the last one stays. An opcode without a script is refused as unknown. What was
 * sent is kept for the test to look at.
 */
import { fromHex, toHex } from '../../src/base/bytes.ts';
import type { ScsiCommand, ScsiPort, ScsiReply } from '../../src/device/port.ts';
import { encodeSense, type SenseFacts } from '../../src/device/virtual/answer.ts';
import { standardInquiry, vitalProductData } from '../../src/device/virtual/drive-pages.ts';

export type Scripted = {
  /** Copied into the host's buffer; what it does not fill is residual. */
  readonly data?: Uint8Array;
  /** CHECK CONDITION with these bytes. */
  readonly sense?: Uint8Array;
  readonly status?: number;
  readonly hostStatus?: number;
  readonly driverStatus?: number;
  /** Default: of a buffer to fill, what the data did not fill. */
  readonly residualBytes?: number;
};

/** An answer, a rejection, or what decides between them when the command comes. */
export type Script = Scripted | Error | ((command: ScsiCommand) => Scripted);

export const GOOD: Scripted = {};

export class ScriptedPort implements ScsiPort {
  readonly name = 'scripted device';
  /** Every CDB sent, in hex. */
  readonly sent: string[] = [];
  readonly commands: ScsiCommand[] = [];
  closed = 0;
  readonly #scripts = new Map<number, Script[]>();

  /** From now on `opcode` is answered so, whatever was said before. */
  on(opcode: number, ...scripts: readonly Script[]): this {
    this.#scripts.set(opcode, [...scripts]);
    return this;
  }

  async execute(command: ScsiCommand, signal: AbortSignal): Promise<ScsiReply> {
    signal.throwIfAborted();
    this.sent.push(toHex(command.cdb));
    this.commands.push(command);
    const scripts = this.#scripts.get(command.cdb[0] ?? -1) ?? [refusal(5, 0x2000)];
    const script = scripts.length > 1 ? scripts.shift() : scripts[0];
    const answer = typeof script === 'function' ? script(command) : script;
    if (answer instanceof Error) throw answer;
    const { data, sense, status, hostStatus = 0, driverStatus } = answer ?? GOOD;
    const { dataIn } = command;
    const copied = data && dataIn ? Buffer.from(data).copy(dataIn) : 0;
    return {
      status: status ?? (sense ? 0x02 : 0x00),
      hostStatus,
      driverStatus: driverStatus ?? (sense ? 0x08 : 0x00),
      sense: sense ?? new Uint8Array(0),
      residualBytes: answer?.residualBytes ?? (dataIn ? dataIn.byteLength - copied : 0),
    };
  }

  async close(): Promise<void> {
    this.closed += 1;
  }

  /** CDBs sent with this opcode. */
  sentWith(opcode: number): string[] {
    return this.sent.filter((cdb) => Number.parseInt(cdb.slice(0, 2), 16) === opcode);
  }
}

/** A port that says it is a tape drive (or changer) with serial number `SERIAL1`, and knows nothing else. */
export function scriptedDevice(kind: 'tape' | 'changer'): ScriptedPort {
  const deviceType = kind === 'tape' ? 1 : 8;
  return new ScriptedPort().on(0x12, ({ cdb }) => {
    const isVital = ((cdb[1] ?? 0) & 1) !== 0;
    const data = isVital
      ? vitalProductData(cdb[2] ?? 0, deviceType, 'SERIAL1')
      : standardInquiry(deviceType, 'SCRIPTED');
    return data ? { data: data.subarray(0, Buffer.from(cdb).readUInt16BE(3)) } : refusal(5, 0x2400);
  });
}

/** CHECK CONDITION, fixed format. `code` is `asc << 8 | ascq`. */
export function refusal(
  key: number,
  code: number,
  facts: Omit<SenseFacts, 'key' | 'code'> = {},
): Scripted {
  return { sense: encodeSense({ key, code, ...facts }) };
}

/** CHECK CONDITION, descriptor format (72h), with the descriptors given in hex. */
export function descriptorRefusal(key: number, code: number, descriptors = ''): Scripted {
  const body = fromHex(descriptors);
  const head = Buffer.from([0x72, key, code >> 8, code & 0xff, 0, 0, 0, body.length]);
  return { sense: Buffer.concat([head, body]) };
}

/** The answer to READ POSITION, long form. */
export function positionData(block: number | bigint, file: number | bigint, flags = 0): Scripted {
  const data = Buffer.alloc(32);
  data.writeUInt8(flags | (BigInt(block) === 0n ? 0x80 : 0), 0);
  data.writeBigUInt64BE(BigInt(block), 8);
  data.writeBigUInt64BE(BigInt(file), 16);
  return { data };
}

/** Makes a scripted drive take any mode that wants no page: variable blocks, buffered, without compression or guard. */
export function takesMode(port: ScriptedPort): ScriptedPort {
  const header = fromHex('00 0e 00 10 00 00 00 08 5e 00 00 00 00 00 00 00');
  return port
    .on(0x55, GOOD)
    .on(0x5a, ({ cdb }) => (cdb[2] === 0 ? { data: header } : refusal(5, 0x2400)));
}
