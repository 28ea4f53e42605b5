/** REPORT SUPPORTED OPERATION CODES of the virtual drive, with the timeouts a drive recommends (SPC-4 6.27). */
import type { DriveGeneration } from '../../domain/generation.ts';
import { ACCESS_ORDER, hasAccessOrder } from './access-order.ts';
import { type Answer, INVALID_FIELD } from './answer.ts';

/** Opcode, CDB length in bytes, recommended timeout in seconds (an LTO drive's, rounded), service action if it has any. */
type Code = readonly [number, number, number, number?];

const CODES: readonly Code[] = [
  [0x00, 6, 60],
  [0x01, 6, 600],
  [0x03, 6, 60],
  [0x05, 6, 60],
  [0x08, 6, 2340],
  [0x0a, 6, 1560],
  [0x10, 6, 1680],
  [0x11, 6, 2940],
  [0x12, 6, 60],
  [0x19, 6, 19380],
  [0x1b, 6, 9000],
  [0x1e, 6, 60],
  [0x34, 10, 60],
  [0x4d, 10, 60],
  [0x55, 10, 60],
  [0x5a, 10, 60],
  [0x82, 16, 60],
  [0x8c, 16, 120],
  [0x8d, 16, 120],
  [0x91, 16, 2940],
  [0x92, 16, 2940],
  [0xa3, 12, 60, 0x0c],
];
/** Of drives that say in which order they would read. */
const ORDER_CODES: readonly Code[] = [
  [0xa3, 12, 60, ACCESS_ORDER],
  [0xa4, 12, 600, ACCESS_ORDER],
];

/** All commands, byte 2 of the CDB: bit 7 asks for timeouts too. */
export function supportedOperationCodes(
  cdb: Buffer,
  drive: { readonly generation: DriveGeneration } = { generation: 'LTO-8' },
): Answer {
  const options = cdb.readUInt8(2);
  const isThis = (cdb.readUInt8(1) & 0x1f) === 0x0c;
  if (!isThis || (options & 0x07) !== 0) return INVALID_FIELD;
  const withTimeouts = (options & 0x80) !== 0;
  const codes = hasAccessOrder(drive.generation) ? [...CODES, ...ORDER_CODES] : CODES;
  const body = Buffer.concat(codes.map((code) => descriptor(code, withTimeouts)));
  const head = Buffer.alloc(4);
  head.writeUInt32BE(body.length, 0);
  return { data: Buffer.concat([head, body]).subarray(0, cdb.readUInt32BE(6)) };
}

function descriptor(
  [opcode, cdbBytes, seconds, serviceAction]: Code,
  withTimeouts: boolean,
): Buffer {
  const bytes = Buffer.alloc(withTimeouts ? 20 : 8);
  bytes.writeUInt8(opcode, 0);
  bytes.writeUInt16BE(serviceAction ?? 0, 2);
  bytes.writeUInt8((withTimeouts ? 0x02 : 0) | (serviceAction === undefined ? 0 : 0x01), 5);
  bytes.writeUInt16BE(cdbBytes, 6);
  if (withTimeouts) {
    bytes.writeUInt16BE(10, 8);
    bytes.writeUInt32BE(seconds, 16);
  }
  return bytes;
}
