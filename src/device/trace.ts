/**
 * A port that tells what passes through it: one line a command, for -vv and for a maker's support.
 *
 * Only CDB, status and sense are shown, never data: they may be somebody's files, and SECURITY PROTOCOL OUT carries keys.
 */
import type { Clock } from '../base/clock.ts';
import { CodedError } from '../base/errors.ts';
import type { ScsiPort, ScsiReply } from './port.ts';

/** Operation codes that tape drives and media changers share in meaning or do not share (SPC-5, SSC-5, SMC-3). */
const OPCODES: ReadonlyMap<number, string> = new Map([
  [0x00, 'TEST UNIT READY'],
  [0x01, 'REWIND'],
  [0x03, 'REQUEST SENSE'],
  [0x05, 'READ BLOCK LIMITS'],
  [0x07, 'INITIALIZE ELEMENT STATUS'],
  [0x08, 'READ'],
  [0x0a, 'WRITE'],
  [0x10, 'WRITE FILEMARKS'],
  [0x11, 'SPACE'],
  [0x12, 'INQUIRY'],
  [0x13, 'VERIFY'],
  [0x15, 'MODE SELECT(6)'],
  [0x16, 'RESERVE'],
  [0x17, 'RELEASE'],
  [0x19, 'ERASE'],
  [0x1a, 'MODE SENSE(6)'],
  [0x1b, 'LOAD UNLOAD'],
  [0x1d, 'SEND DIAGNOSTIC'],
  [0x1e, 'PREVENT ALLOW MEDIUM REMOVAL'],
  [0x2b, 'LOCATE(10) or POSITION TO ELEMENT'],
  [0x34, 'READ POSITION'],
  [0x37, 'INITIALIZE ELEMENT STATUS WITH RANGE'],
  [0x3b, 'WRITE BUFFER'],
  [0x3c, 'READ BUFFER'],
  [0x44, 'REPORT DENSITY SUPPORT'],
  [0x4c, 'LOG SELECT'],
  [0x4d, 'LOG SENSE'],
  [0x55, 'MODE SELECT(10)'],
  [0x5a, 'MODE SENSE(10)'],
  [0x5e, 'PERSISTENT RESERVE IN'],
  [0x5f, 'PERSISTENT RESERVE OUT'],
  [0x82, 'ALLOW OVERWRITE'],
  [0x8c, 'READ ATTRIBUTE'],
  [0x8d, 'WRITE ATTRIBUTE'],
  [0x91, 'SPACE(16)'],
  [0x92, 'LOCATE(16)'],
  [0xa0, 'REPORT LUNS'],
  [0xa2, 'SECURITY PROTOCOL IN'],
  [0xa3, 'MAINTENANCE IN'],
  [0xa4, 'MAINTENANCE OUT'],
  [0xa5, 'MOVE MEDIUM'],
  [0xa6, 'EXCHANGE MEDIUM'],
  [0xb5, 'SECURITY PROTOCOL OUT'],
  [0xb6, 'SEND VOLUME TAG'],
  [0xb8, 'READ ELEMENT STATUS'],
]);

/** SAM-5 status codes. */
const STATUSES: ReadonlyMap<number, string> = new Map([
  [0x00, 'GOOD'],
  [0x02, 'CHECK CONDITION'],
  [0x08, 'BUSY'],
  [0x18, 'RESERVATION CONFLICT'],
  [0x28, 'TASK SET FULL'],
  [0x40, 'TASK ABORTED'],
]);

/** Gives `write` one line without its end for each command, when its reply is there. */
export function tracePort(port: ScsiPort, write: (line: string) => void, clock: Clock): ScsiPort {
  return {
    name: port.name,
    async execute(command, signal) {
      const name = OPCODES.get(command.cdb[0] ?? 0) ?? 'unknown command';
      const moves = transfer('in', command.dataIn) + transfer('out', command.dataOut);
      const asked = `${port.name} ${name}: ${hex(command.cdb)}${moves}`;
      const startMs = clock.monotonicMs();
      const tell = (outcome: string) => {
        write(`${asked} -> ${outcome}, ${(clock.monotonicMs() - startMs).toFixed(1)} ms`);
      };
      try {
        const reply = await port.execute(command, signal);
        tell(describe(reply));
        return reply;
      } catch (error) {
        tell(error instanceof CodedError ? error.code : 'not sent');
        throw error;
      }
    },
    close: () => port.close(),
  };
}

function describe(reply: ScsiReply): string {
  const parts = [STATUSES.get(reply.status) ?? `status ${byteHex(reply.status)}h`];
  if (reply.hostStatus !== 0) parts.push(`host ${byteHex(reply.hostStatus)}h`);
  // 08h only says that there is sense.
  if ((reply.driverStatus & ~0x08) !== 0) parts.push(`driver ${byteHex(reply.driverStatus)}h`);
  if (reply.residualBytes > 0) parts.push(`residual ${reply.residualBytes}`);
  if (reply.sense.length > 0) parts.push(`sense ${hex(reply.sense)}`);
  return parts.join(', ');
}

function transfer(direction: string, data: Uint8Array | undefined): string {
  return data === undefined ? '' : ` ${direction} ${data.byteLength}`;
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, byteHex).join(' ');
}

function byteHex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}
