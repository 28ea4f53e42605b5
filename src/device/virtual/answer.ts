/** What a virtual device answers: data, or sense data in fixed format (SPC-4 4.5.3). */
import type { ScsiCommand, ScsiReply } from '../port.ts';
import { SENSE_KEY } from '../sense.ts';

export type Answer = {
  /** Sent to the host, cut to its buffer. Data already placed in the host's buffer are counted by `placedBytes`. */
  readonly data?: Buffer;
  readonly placedBytes?: number;
  /** CHECK CONDITION with these sense data. */
  readonly sense?: Buffer;
};

export type SenseFacts = {
  readonly key: number;
  /** `asc << 8 | ascq`. */
  readonly code: number;
  readonly deferred?: boolean | undefined;
  readonly filemark?: boolean;
  readonly endOfMedium?: boolean;
  readonly incorrectLength?: boolean;
  readonly information?: number;
};

export const GOOD: Answer = {};

export function check(facts: SenseFacts, placedBytes = 0): Answer {
  return { sense: encodeSense(facts), placedBytes };
}

export function encodeSense(facts: SenseFacts): Buffer {
  const sense = Buffer.alloc(18);
  const valid = facts.information === undefined ? 0 : 0x80;
  sense.writeUInt8((facts.deferred ? 0x71 : 0x70) | valid, 0);
  const flags =
    (facts.filemark ? 0x80 : 0) |
    (facts.endOfMedium ? 0x40 : 0) |
    (facts.incorrectLength ? 0x20 : 0);
  sense.writeUInt8(flags | facts.key, 2);
  sense.writeInt32BE(facts.information ?? 0, 3);
  sense.writeUInt8(sense.length - 8, 7);
  sense.writeUInt16BE(facts.code, 12);
  return sense;
}

export function illegalRequest(code: number): Answer {
  return check({ key: SENSE_KEY.illegalRequest, code });
}

/** 20h/00h, 24h/00h and 26h/00h of SPC-4 annex D. */
export const UNKNOWN_COMMAND = illegalRequest(0x2000);
export const INVALID_FIELD = illegalRequest(0x2400);
export const INVALID_PARAMETER = illegalRequest(0x2600);

/** Status, sense and residual as the kernel hands them over. */
export function reply(answer: Answer, command: ScsiCommand): ScsiReply {
  const buffer = command.dataIn ?? command.dataOut;
  const data = answer.data;
  const copied = data && command.dataIn ? data.copy(command.dataIn) : 0;
  const moved = command.dataIn ? (answer.placedBytes ?? copied) : (buffer?.byteLength ?? 0);
  return {
    status: answer.sense ? 0x02 : 0x00,
    hostStatus: 0,
    driverStatus: answer.sense ? 0x08 : 0x00,
    sense: answer.sense ?? Buffer.alloc(0),
    residualBytes: Math.max(0, (buffer?.byteLength ?? 0) - moved),
  };
}
