/** Sense data: what a device says beside CHECK CONDITION (SPC-4 4.5), reduced to what drives and changers act on. */

export type Sense = {
  /** 0h to Fh. */
  readonly key: number;
  /** Additional sense code. */
  readonly asc: number;
  /** Its qualifier. */
  readonly ascq: number;
  /** 71h and 73h: this command was not executed, an earlier one failed. */
  readonly deferred: boolean;
  /** A READ or SPACE stopped at a filemark. */
  readonly filemark: boolean;
  /** On a write with key 0: early warning, the data was still written. */
  readonly endOfMedium: boolean;
  /** The block was not as long as the READ asked for. */
  readonly incorrectLength: boolean;
  /** Requested less actual, negative for a longer block; undefined where not marked valid or beyond a Number. */
  readonly information: number | undefined;
};

export const SENSE_KEY = {
  noSense: 0x0,
  recoveredError: 0x1,
  notReady: 0x2,
  mediumError: 0x3,
  hardwareError: 0x4,
  illegalRequest: 0x5,
  unitAttention: 0x6,
  dataProtect: 0x7,
  blankCheck: 0x8,
  abortedCommand: 0xb,
  volumeOverflow: 0xd,
} as const;

const KEY_NAMES = [
  'no sense',
  'recovered error',
  'not ready',
  'medium error',
  'hardware error',
  'illegal request',
  'unit attention',
  'write protected',
  'blank check',
  'vendor specific',
  'copy aborted',
  'aborted command',
  'reserved',
  'volume overflow',
  'miscompare',
  'completed',
];

/** Additional sense codes that drives and libraries send, in words (SPC-4 annex D). `asc << 8 | ascq`. */
const MEANINGS: ReadonlyMap<number, string> = new Map([
  [0x0001, 'filemark reached'],
  [0x0002, 'end of the medium'],
  [0x0004, 'beginning of the medium'],
  [0x0005, 'end of the data'],
  [0x0007, 'programmable early warning'],
  [0x0401, 'becoming ready'],
  [0x0402, 'a load command is needed'],
  [0x0403, 'manual help is needed at the device'],
  [0x0900, 'the head lost the track'],
  [0x0c00, 'write error'],
  [0x1100, 'unrecovered read error'],
  [0x1101, 'read retries exhausted'],
  [0x1400, 'position on the medium not found'],
  [0x1403, 'end of the data not found'],
  [0x1501, 'mechanical positioning error'],
  [0x1502, 'positioning error seen on reading back'],
  [0x1a00, 'parameter list length'],
  [0x2000, 'command not supported'],
  [0x2101, 'no such element'],
  [0x2400, 'field in the command not supported'],
  [0x2600, 'field in the parameters not supported'],
  [0x2700, 'write protected'],
  [0x2800, 'a medium was inserted or exchanged'],
  [0x2801, 'an import/export port was opened'],
  [0x2900, 'power on or reset'],
  [0x2901, 'power on'],
  [0x2902, 'bus reset'],
  [0x2903, 'device reset'],
  [0x2a01, 'mode parameters changed by somebody else'],
  [0x3000, 'incompatible medium'],
  [0x3003, 'cleaning cartridge in the drive'],
  [0x3007, 'cleaning failed'],
  [0x300c, 'the medium may only be appended to'],
  [0x3100, 'medium format corrupted'],
  [0x3a00, 'no medium'],
  [0x3b08, 'reposition error'],
  [0x3b0d, 'destination full'],
  [0x3b0e, 'source empty'],
  [0x3b12, 'magazine removed'],
  [0x4400, 'internal failure'],
  [0x5200, 'cartridge fault'],
  [0x5300, 'load or eject failed'],
  [0x5302, 'removal prevented'],
  [0x5303, 'removal prevented by a data transfer'],
]);

/**
 * Reads fixed (70h, 71h) and descriptor (72h, 73h) sense data. Undefined where the bytes are neither, or too short to
 * say anything: then nobody knows what happened, and the caller treats it so.
 */
export function parseSense(bytes: Uint8Array): Sense | undefined {
  const sense = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (sense.length < 3) return undefined;
  const responseCode = sense.readUInt8(0) & 0x7f;
  if (responseCode === 0x70 || responseCode === 0x71)
    return parseFixed(sense, responseCode === 0x71);
  if (responseCode === 0x72 || responseCode === 0x73) {
    return parseDescriptors(sense, responseCode === 0x73);
  }
  return undefined;
}

/** `medium error, unrecovered read error (3h 11h/00h)`. */
export function describeSense(sense: Sense): string {
  const meaning = MEANINGS.get((sense.asc << 8) | sense.ascq);
  const words = [
    sense.deferred ? 'an earlier command failed' : undefined,
    sense.key === SENSE_KEY.illegalRequest && meaning !== undefined
      ? undefined
      : KEY_NAMES[sense.key],
    meaning,
  ].filter((word) => word !== undefined);
  const hex = (value: number) => value.toString(16).padStart(2, '0');
  return `${words.join(', ')} (${sense.key.toString(16)}h ${hex(sense.asc)}h/${hex(sense.ascq)}h)`;
}

function parseFixed(bytes: Buffer, deferred: boolean): Sense {
  // Byte 7: additional length. What lies behind it is of an earlier command.
  const sense = bytes.length < 8 ? bytes : bytes.subarray(0, 8 + bytes.readUInt8(7));
  const flags = sense.readUInt8(2);
  const valid = (sense.readUInt8(0) & 0x80) !== 0 && sense.length >= 7;
  return {
    key: flags & 0x0f,
    asc: sense.length > 12 ? sense.readUInt8(12) : 0,
    ascq: sense.length > 13 ? sense.readUInt8(13) : 0,
    deferred,
    filemark: (flags & 0x80) !== 0,
    endOfMedium: (flags & 0x40) !== 0,
    incorrectLength: (flags & 0x20) !== 0,
    information: valid ? sense.readInt32BE(3) : undefined,
  };
}

function parseDescriptors(sense: Buffer, deferred: boolean): Sense | undefined {
  if (sense.length < 8) return undefined;
  let stream = 0;
  let information: number | undefined;
  const end = Math.min(sense.length, 8 + sense.readUInt8(7));
  for (let at = 8; at + 2 <= end; at += 2 + sense.readUInt8(at + 1)) {
    const type = sense.readUInt8(at);
    const lengthBytes = sense.readUInt8(at + 1);
    if (at + 2 + lengthBytes > end) break;
    // SPC-4 4.5.2.2: information descriptor; SSC-4 adds 04h, the stream commands' flags.
    if (type === 0x00 && lengthBytes >= 10 && (sense.readUInt8(at + 2) & 0x80) !== 0) {
      const value = Number(sense.readBigInt64BE(at + 4));
      information = Number.isSafeInteger(value) ? value : undefined;
    }
    if (type === 0x04 && lengthBytes >= 2) stream = sense.readUInt8(at + 3);
  }
  return {
    key: sense.readUInt8(1) & 0x0f,
    asc: sense.readUInt8(2),
    ascq: sense.readUInt8(3),
    deferred,
    filemark: (stream & 0x80) !== 0,
    endOfMedium: (stream & 0x40) !== 0,
    incorrectLength: (stream & 0x20) !== 0,
    information,
  };
}
