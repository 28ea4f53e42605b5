/** LOG SENSE pages (SPC-4 7.3, SSC-4 8.2): counters and alerts a drive keeps about itself and its cartridge. */
import { readUInt } from '../base/bytes.ts';

export const LOG_PAGE = {
  writeErrors: 0x02,
  readErrors: 0x03,
  sequentialAccess: 0x0c,
  volumeStatistics: 0x17,
  tapeAlert: 0x2e,
  tapeCapacity: 0x31,
} as const;

/** Parameter code to value, as sent. */
export type LogPage = ReadonlyMap<number, Buffer>;

/** Undefined where the answer is not the page asked for, or is cut in the middle of a parameter. */
export function parseLogPage(bytes: Buffer, page: number): LogPage | undefined {
  if (bytes.length < 4 || (bytes.readUInt8(0) & 0x3f) !== page) return undefined;
  const end = 4 + bytes.readUInt16BE(2);
  if (end > bytes.length) return undefined;
  const parameters = new Map<number, Buffer>();
  for (let at = 4; at < end; ) {
    if (at + 4 > end) return undefined;
    const lengthBytes = bytes.readUInt8(at + 3);
    if (at + 4 + lengthBytes > end) return undefined;
    parameters.set(bytes.readUInt16BE(at), bytes.subarray(at + 4, at + 4 + lengthBytes));
    at += 4 + lengthBytes;
  }
  return parameters;
}

/** A counter; undefined where the page lacks it or it holds more than a Number can (then it is not to be trusted). */
export function counter(page: LogPage, code: number): number | undefined {
  const value = page.get(code);
  if (value === undefined || value.length === 0 || value.length > 8) return undefined;
  const count = readUInt(value);
  return Number.isSafeInteger(count) ? count : undefined;
}
