/** Mode parameters of a tape drive: the header, the block descriptor and the three pages we set (SSC-4 8.3). */
import { strict as assert } from 'node:assert';

/** How a drive is to behave while we use it. */
export type DriveMode = {
  /** Bytes of every block; 0 = variable, one WRITE is one block. */
  readonly blockLengthBytes: number;
  /** Writes are confirmed from the drive's buffer; a synchronous filemark empties it. */
  readonly buffered: boolean;
  readonly compression: boolean;
  /** The drive itself refuses to write anywhere but at end of data. Undefined: the drive has no such page. */
  readonly appendOnly: boolean | undefined;
  /** Megabytes (10^6) before early warning at which the drive speaks up. Undefined: the drive has no such page. */
  readonly programmableEarlyWarningMb: number | undefined;
};

/** What MODE SENSE says beside the settings. */
export type ModeReport = DriveMode & {
  readonly writeProtected: boolean;
  /** Density code of the cartridge, 0 without one. */
  readonly densityCode: number;
  /** The cartridge may be written once only. Undefined: the drive has no medium configuration page. */
  readonly worm: boolean | undefined;
};

/** `lengthBytesMin`: up to the last field we read or set; a shorter page says nothing. */
export const MODE_PAGE = {
  dataCompression: { page: 0x0f, subpage: 0, lengthBytesMin: 3 },
  deviceConfigurationExtension: { page: 0x10, subpage: 1, lengthBytesMin: 8 },
  mediumConfiguration: { page: 0x1d, subpage: 0, lengthBytesMin: 3 },
} as const;

const HEADER_BYTES = 8;
const BLOCK_DESCRIPTOR_BYTES = 8;

export type ModeParameters = {
  readonly deviceSpecific: number;
  readonly densityCode: number;
  readonly blockLengthBytes: number;
  /** The pages that follow, each whole with its header, as sent. */
  readonly pages: readonly Buffer[];
};

/** Takes apart the answer to MODE SENSE(10). Undefined where lengths contradict each other. */
export function parseModeParameters(bytes: Buffer): ModeParameters | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  const end = Math.min(bytes.length, bytes.readUInt16BE(0) + 2);
  const descriptorBytes = bytes.readUInt16BE(6);
  let at = HEADER_BYTES + descriptorBytes;
  if (at > end) return undefined;
  const hasDescriptor = descriptorBytes >= BLOCK_DESCRIPTOR_BYTES;
  const pages: Buffer[] = [];
  while (at + 2 <= end) {
    const isSubpage = (bytes.readUInt8(at) & 0x40) !== 0;
    if (isSubpage && at + 4 > end) return undefined;
    const lengthBytes = isSubpage ? 4 + bytes.readUInt16BE(at + 2) : 2 + bytes.readUInt8(at + 1);
    if (at + lengthBytes > end) return undefined;
    pages.push(bytes.subarray(at, at + lengthBytes));
    at += lengthBytes;
  }
  return {
    deviceSpecific: bytes.readUInt8(3),
    densityCode: hasDescriptor ? bytes.readUInt8(HEADER_BYTES) : 0,
    blockLengthBytes: hasDescriptor ? bytes.readUIntBE(HEADER_BYTES + 5, 3) : 0,
    pages,
  };
}

/** Mode parameters for MODE SELECT(10): header, block descriptor and at most one page. */
export function encodeModeParameters(options: {
  buffered: boolean;
  blockLengthBytes: number;
  page?: Buffer;
}): Buffer {
  const { buffered, blockLengthBytes, page } = options;
  assert(blockLengthBytes >= 0 && blockLengthBytes < 2 ** 24, 'a block length has 24 bits');
  const head = Buffer.alloc(HEADER_BYTES + BLOCK_DESCRIPTOR_BYTES);
  // SSC-4 table 121: buffered mode is bits 6 to 4 of the device-specific parameter.
  head.writeUInt8(buffered ? 0x10 : 0x00, 3);
  head.writeUInt16BE(BLOCK_DESCRIPTOR_BYTES, 6);
  // Density 7Fh: no change from the current one (SSC-4 8.3.1).
  head.writeUInt8(0x7f, HEADER_BYTES);
  head.writeUIntBE(blockLengthBytes, HEADER_BYTES + 5, 3);
  return page ? Buffer.concat([head, forSelect(page)]) : head;
}

export function isWriteProtected(deviceSpecific: number): boolean {
  return (deviceSpecific & 0x80) !== 0;
}

export function isBuffered(deviceSpecific: number): boolean {
  return (deviceSpecific & 0x70) !== 0;
}

/** Page 0Fh: byte 2 bit 7 DCE compresses on writing, bit 6 DCC says whether the drive can. */
export function isCompressing(page: Buffer): boolean {
  return page.length > 2 && (page.readUInt8(2) & 0x80) !== 0;
}

/** The page as sensed, with compression switched on or off. */
export function withCompression(page: Buffer, compression: boolean): Buffer {
  const changed = Buffer.from(page);
  changed.writeUInt8((page.readUInt8(2) & 0x7f) | (compression ? 0x80 : 0), 2);
  return changed;
}

/** Page 10h subpage 01h: byte 5 bits 7 to 4 WRITE MODE (1 = append only), bytes 6 and 7 PEWS in megabytes. */
export function parseDeviceConfigurationExtension(
  page: Buffer,
): { appendOnly: boolean; programmableEarlyWarningMb: number } | undefined {
  if (page.length < 8) return undefined;
  return {
    appendOnly: page.readUInt8(5) >> 4 === 1,
    programmableEarlyWarningMb: page.readUInt16BE(6),
  };
}

/** The page as sensed, with append-only mode and programmable early warning set. */
export function withDeviceConfigurationExtension(
  page: Buffer,
  options: { appendOnly: boolean; programmableEarlyWarningMb: number },
): Buffer {
  const changed = Buffer.from(page);
  changed.writeUInt8((page.readUInt8(5) & 0x0f) | (options.appendOnly ? 0x10 : 0), 5);
  changed.writeUInt16BE(options.programmableEarlyWarningMb, 6);
  return changed;
}

/** Page 1Dh: byte 2 bit 0 WORMM. */
export function isWorm(page: Buffer): boolean {
  return page.length > 2 && (page.readUInt8(2) & 0x01) !== 0;
}

/** PS, the saveable bit of byte 0, is reserved in MODE SELECT. */
function forSelect(page: Buffer): Buffer {
  const sent = Buffer.from(page);
  sent.writeUInt8(page.readUInt8(0) & 0x7f, 0);
  return sent;
}
