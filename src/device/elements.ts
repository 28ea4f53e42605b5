/** A changer's elements: slots, ports, drives, picker, and what stands in them (SMC-3 READ ELEMENT STATUS). */
import { readAscii } from '../base/bytes.ts';

/** SMC-3 element type codes 1h to 4h. */
export const ELEMENT_TYPES = ['picker', 'slot', 'port', 'drive'] as const;
export type ElementType = (typeof ELEMENT_TYPES)[number];

export type Element = {
  readonly type: ElementType;
  readonly address: number;
  /** A cartridge is here, or so the changer believes. */
  readonly full: boolean;
  /** The barcode read by the scanner, blanks removed; undefined for an empty element or an unreadable sticker. */
  readonly barcode: string | undefined;
  /** The slot it was last moved from. */
  readonly sourceAddress: number | undefined;
  /** The picker can reach it: false for a drive whose cartridge is threaded, or an open port. */
  readonly accessible: boolean;
  /** A port whose cartridge was put there by a person, not by the picker. */
  readonly importedByOperator: boolean;
  /** Serial number of the drive in this element, where the changer tells. */
  readonly driveSerial: string | undefined;
  /** The element is in an abnormal state; `asc << 8 | ascq` says which. */
  readonly exception: number | undefined;
};

/** First address and count of each type, from mode page 1Dh (SMC-3 7.3.4). */
export type ElementRanges = Readonly<Record<ElementType, { start: number; count: number }>>;

/** Reads the element address assignment page; undefined where it is short. */
export function parseElementRanges(page: Buffer): ElementRanges | undefined {
  if (page.length < 18) return undefined;
  const range = (at: number) => ({
    start: page.readUInt16BE(at),
    count: page.readUInt16BE(at + 2),
  });
  return { picker: range(2), slot: range(6), port: range(10), drive: range(14) };
}

/**
 * Reads the answer to READ ELEMENT STATUS. Undefined where lengths contradict each other: a changer that answers so is
 * not understood, and nothing is moved on a guess.
 */
export function parseElements(bytes: Buffer): Element[] | undefined {
  if (bytes.length < 8) return undefined;
  const end = 8 + bytes.readUIntBE(5, 3);
  if (end > bytes.length) return undefined;
  const elements: Element[] = [];
  for (let at = 8; at < end; ) {
    if (at + 8 > end) return undefined;
    const type = ELEMENT_TYPES[bytes.readUInt8(at) - 1];
    const hasVolumeTag = (bytes.readUInt8(at + 1) & 0x80) !== 0;
    const hasAlternateTag = (bytes.readUInt8(at + 1) & 0x40) !== 0;
    const descriptorBytes = bytes.readUInt16BE(at + 2);
    const pageEnd = at + 8 + bytes.readUIntBE(at + 5, 3);
    const tagBytes = (hasVolumeTag ? 36 : 0) + (hasAlternateTag ? 36 : 0);
    if (type === undefined || pageEnd > end || descriptorBytes < 12 + tagBytes) return undefined;
    for (at += 8; at + descriptorBytes <= pageEnd; at += descriptorBytes) {
      const descriptor = bytes.subarray(at, at + descriptorBytes);
      elements.push(parseDescriptor(descriptor, { type, hasVolumeTag, tagBytes }));
    }
    if (at !== pageEnd) return undefined;
  }
  return elements;
}

function parseDescriptor(
  descriptor: Buffer,
  page: { type: ElementType; hasVolumeTag: boolean; tagBytes: number },
): Element {
  const flags = descriptor.readUInt8(2);
  const full = (flags & 0x01) !== 0;
  const sourceValid = (descriptor.readUInt8(9) & 0x80) !== 0;
  const barcode = full && page.hasVolumeTag ? readAscii(descriptor.subarray(12, 44)) : '';
  return {
    type: page.type,
    address: descriptor.readUInt16BE(0),
    full,
    barcode: barcode || undefined,
    sourceAddress: sourceValid ? descriptor.readUInt16BE(10) : undefined,
    accessible: (flags & 0x08) !== 0,
    importedByOperator: page.type === 'port' && (flags & 0x02) !== 0,
    driveSerial:
      page.type === 'drive' ? readSerial(descriptor.subarray(12 + page.tagBytes)) : undefined,
    exception: (flags & 0x04) !== 0 ? descriptor.readUInt16BE(4) : undefined,
  };
}

/** DVCID: an identification descriptor (SPC-4 7.8.3). Some changers give the serial alone, some vendor and product before. */
function readSerial(identification: Buffer): string | undefined {
  if (identification.length < 4) return undefined;
  const lengthBytes = identification.readUInt8(3);
  const value = readAscii(identification.subarray(4, 4 + lengthBytes));
  return value.split(/\s+/).at(-1) || undefined;
}
