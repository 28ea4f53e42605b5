/** MAM attributes: the memory chip in the cartridge (SPC-4 7.4, READ ATTRIBUTE and WRITE ATTRIBUTE). */
import { readAscii, readUInt } from '../base/bytes.ts';

/** Attribute identifiers; lengths in bytes as SPC-4 and SSC-4 fix them. */
export const MAM = {
  remainingCapacityMib: 0x0000,
  maximumCapacityMib: 0x0001,
  tapeAlertFlags: 0x0002,
  loadCount: 0x0003,
  initializationCount: 0x0007,
  volumeChangeReference: 0x0009,
  lifetimeMibWritten: 0x0220,
  lifetimeMibRead: 0x0221,
  manufacturer: 0x0400,
  serialNumber: 0x0401,
  mediumType: 0x0408,
  applicationVendor: 0x0800,
  applicationName: 0x0801,
  applicationVersion: 0x0802,
  userText: 0x0803,
  lastWritten: 0x0804,
  textLocalization: 0x0805,
  barcode: 0x0806,
  owningHost: 0x0807,
  mediaPool: 0x0808,
  applicationFormatVersion: 0x080b,
  volumeCoherency: 0x080c,
} as const;

export type AttributeFormat = 'binary' | 'ascii' | 'text';

export type Attribute = {
  /** 0000h to FFFFh. */
  readonly id: number;
  readonly format: AttributeFormat;
  readonly value: Buffer;
};

const FORMATS: readonly AttributeFormat[] = ['binary', 'ascii', 'text'];

/** Reads the answer to READ ATTRIBUTE, service action 00h. A cut last attribute is left out, as allocation lengths cut. */
export function parseAttributes(bytes: Buffer): Map<number, Attribute> {
  const attributes = new Map<number, Attribute>();
  if (bytes.length < 4) return attributes;
  const end = Math.min(bytes.length, 4 + bytes.readUInt32BE(0));
  for (let at = 4; at + 5 <= end; ) {
    const id = bytes.readUInt16BE(at);
    const lengthBytes = bytes.readUInt16BE(at + 3);
    if (at + 5 + lengthBytes > end) break;
    const format = FORMATS[bytes.readUInt8(at + 2) & 0x03] ?? 'binary';
    attributes.set(id, { id, format, value: bytes.subarray(at + 5, at + 5 + lengthBytes) });
    at += 5 + lengthBytes;
  }
  return attributes;
}

/** The parameter list of WRITE ATTRIBUTE. An empty value deletes the attribute. Identifiers ascend, as SPC-4 demands. */
export function encodeAttributes(attributes: readonly Attribute[]): Buffer {
  const parts = attributes
    .toSorted((a, b) => a.id - b.id)
    .map(({ id, format, value }) => {
      const head = Buffer.alloc(5);
      head.writeUInt16BE(id, 0);
      head.writeUInt8(FORMATS.indexOf(format), 2);
      head.writeUInt16BE(value.length, 3);
      return Buffer.concat([head, value]);
    });
  const body = Buffer.concat(parts);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length, 0);
  return Buffer.concat([length, body]);
}

/** A binary attribute as a count; undefined where absent, empty or beyond a Number. */
export function attributeCount(
  attributes: ReadonlyMap<number, Attribute>,
  id: number,
): number | undefined {
  const value = attributes.get(id)?.value;
  if (value === undefined || value.length === 0 || value.length > 8) return undefined;
  const count = readUInt(value);
  return Number.isSafeInteger(count) ? count : undefined;
}

/** An ASCII attribute without padding; undefined where absent or blank. */
export function attributeText(
  attributes: ReadonlyMap<number, Attribute>,
  id: number,
): string | undefined {
  const value = attributes.get(id)?.value;
  return value === undefined ? undefined : readAscii(value) || undefined;
}
