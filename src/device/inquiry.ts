/** INQUIRY: what a device is (SPC-4 6.6 and 7.8). */
import { readAscii } from '../base/bytes.ts';

export type Inquiry = {
  /** Peripheral device type: 01h tape drive, 08h changer. */
  readonly deviceType: number;
  readonly vendor: string;
  readonly product: string;
  readonly revision: string;
};

export const DEVICE_TYPE = { tape: 0x01, changer: 0x08 } as const;

export const INQUIRY_BYTES = 36;

export function parseInquiry(bytes: Buffer): Inquiry | undefined {
  if (bytes.length < INQUIRY_BYTES) return undefined;
  // Qualifier 001b or 011b: nothing is connected at this logical unit.
  if (bytes.readUInt8(0) >> 5 !== 0) return undefined;
  return {
    deviceType: bytes.readUInt8(0) & 0x1f,
    vendor: readAscii(bytes.subarray(8, 16)),
    product: readAscii(bytes.subarray(16, 32)),
    revision: readAscii(bytes.subarray(32, 36)),
  };
}

/** VPD page 80h, the unit serial number; undefined where it is blank or another page. */
export function parseSerial(bytes: Buffer): string | undefined {
  if (bytes.length < 4 || bytes.readUInt8(1) !== 0x80) return undefined;
  return readAscii(bytes.subarray(4, 4 + bytes.readUInt8(3))) || undefined;
}
