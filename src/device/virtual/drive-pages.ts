/** What a virtual drive says about itself and its cartridge: INQUIRY, mode, log and attribute pages. */
import { asciiField, writeUInt64 } from '../../base/bytes.ts';
import type { DriveGeneration } from '../../domain/generation.ts';
import { type Attribute, type AttributeFormat, MAM } from '../attribute.ts';
import { LOG_PAGE } from '../log.ts';
import type { VirtualCartridge } from './cartridge.ts';
import type { Deck } from './deck.ts';

/** Settings by MODE SELECT; a reset or power cycle brings the defaults back. */
export type ModeState = {
  buffered: boolean;
  compression: boolean;
  appendOnly: boolean;
  programmableEarlyWarningMb: number;
};

export function defaultMode(): ModeState {
  return { buffered: true, compression: true, appendOnly: false, programmableEarlyWarningMb: 0 };
}

/** INQUIRY, standard data (SPC-4 table 142). `product` has up to 16 characters. */
export function standardInquiry(deviceType: number, product: string): Buffer {
  const data = Buffer.alloc(96);
  data.writeUInt8(deviceType, 0);
  data.writeUInt8(0x80, 1); // removable medium
  data.writeUInt8(0x06, 2); // SPC-4
  data.writeUInt8(0x02, 3); // response data format
  data.writeUInt8(data.length - 5, 4);
  asciiField('SHELFS', 8).copy(data, 8);
  asciiField(product, 16).copy(data, 16);
  asciiField('0100', 4).copy(data, 32);
  return data;
}

/** INQUIRY, vital product data: supported pages, serial number, device identification. */
export function vitalProductData(
  page: number,
  deviceType: number,
  serial: string,
): Buffer | undefined {
  const header = (body: Buffer) =>
    Buffer.concat([Buffer.from([deviceType, page, 0, body.length]), body]);
  if (page === 0x00) return header(Buffer.from([0x00, 0x80, 0x83]));
  if (page === 0x80) return header(Buffer.from(serial, 'latin1'));
  if (page === 0x83) {
    // A T10 vendor identification designator: code set ASCII, type 1 (SPC-4 7.8.6.4).
    const name = Buffer.concat([asciiField('SHELFS', 8), Buffer.from(serial, 'latin1')]);
    return header(Buffer.concat([Buffer.from([0x02, 0x01, 0, name.length]), name]));
  }
  return undefined;
}

/** MODE SENSE(10) data; undefined for a page the drive does not have. `control` is PC: 0 current, 1 changeable, 2 default. */
export function modeSense(
  at: { page: number; subpage: number; control: number; withDescriptor: boolean },
  mode: ModeState,
  cartridge: VirtualCartridge | undefined,
): Buffer | undefined {
  const pages = modePages(at.control === 2 ? defaultMode() : mode, cartridge, at.control === 1);
  const wanted = pages.filter(({ page, subpage }) => {
    const isPage = at.page === 0x3f || at.page === page;
    return isPage && (at.subpage === 0xff || at.subpage === subpage);
  });
  if (wanted.length === 0 && at.page !== 0) return undefined;
  const header = Buffer.alloc(8);
  const protectedBit = cartridge?.record.writeProtected ? 0x80 : 0;
  header.writeUInt8(protectedBit | (mode.buffered ? 0x10 : 0), 3);
  const descriptor = Buffer.alloc(at.withDescriptor ? 8 : 0);
  if (at.withDescriptor) {
    header.writeUInt16BE(8, 6);
    descriptor.writeUInt8(cartridge?.generation.densityCode ?? 0, 0);
  }
  const data = Buffer.concat([header, descriptor, ...wanted.map(({ bytes }) => bytes)]);
  data.writeUInt16BE(data.length - 2, 0);
  return data;
}

type ModePage = { readonly page: number; readonly subpage: number; readonly bytes: Buffer };

/** `mask`: all ones where MODE SELECT may change a bit, as PC = 01b asks. */
function modePages(
  mode: ModeState,
  cartridge: VirtualCartridge | undefined,
  mask: boolean,
): ModePage[] {
  const compression = Buffer.alloc(16);
  compression.set([0x0f, 14]);
  // DCE, DCC; decompression enabled (SSC-4 8.3.2)
  compression.writeUInt8(mask ? 0x80 : 0x40 | (mode.compression ? 0x80 : 0), 2);
  if (!mask) compression.writeUInt8(0x80, 3);

  const configuration = Buffer.alloc(16);
  configuration.set([0x10, 14]);

  const extension = Buffer.alloc(32);
  extension.set([0x50, 0x01, 0x00, 28]);
  extension.writeUInt8(mask || mode.appendOnly ? (mask ? 0xf0 : 0x10) : 0, 5);
  extension.writeUInt16BE(mask ? 0xffff : mode.programmableEarlyWarningMb, 6);

  const medium = Buffer.alloc(32);
  medium.set([0x1d, 30]);
  if (!mask) medium.writeUInt8(cartridge?.record.kind === 'worm' ? 1 : 0, 2);
  if (!mask) medium.set([0x01, 0x02], 4); // WORM label and filemark restrictions

  return [
    { page: 0x0f, subpage: 0, bytes: compression },
    { page: 0x10, subpage: 0, bytes: configuration },
    { page: 0x10, subpage: 1, bytes: extension },
    { page: 0x1d, subpage: 0, bytes: medium },
  ];
}

/** A drive's own counters since power on, for the log pages. */
export type DriveCounters = {
  readonly bytesWritten: number;
  readonly bytesRead: number;
  readonly backhitches: number;
  readonly uncorrectedWrites: number;
  readonly uncorrectedReads: number;
  readonly needsCleaning: boolean;
};

/** A LOG SENSE page; undefined where the drive has none such. */
export function logPage(
  page: number,
  counters: DriveCounters,
  alerts: ReadonlySet<number>,
  deck: Deck | undefined,
): Buffer | undefined {
  const parameters = logParameters(page, counters, alerts, deck);
  if (!parameters) return undefined;
  const body = Buffer.concat(parameters);
  const header = Buffer.from([page, 0, body.length >> 8, body.length & 0xff]);
  return Buffer.concat([header, body]);
}

function logParameters(
  page: number,
  counters: DriveCounters,
  alerts: ReadonlySet<number>,
  deck: Deck | undefined,
): Buffer[] | undefined {
  const record = deck?.cartridge.record;
  switch (page) {
    case 0x00:
      return [Buffer.from([0x00, ...Object.values(LOG_PAGE)].sort((a, b) => a - b))];
    case LOG_PAGE.writeErrors:
      return [
        parameter(3, 0, 8),
        parameter(5, counters.bytesWritten, 8),
        parameter(6, counters.uncorrectedWrites, 8),
      ];
    case LOG_PAGE.readErrors:
      return [
        parameter(3, 0, 8),
        parameter(5, counters.bytesRead, 8),
        parameter(6, counters.uncorrectedReads, 8),
      ];
    case LOG_PAGE.sequentialAccess:
      return [
        parameter(0x0000, counters.bytesWritten, 8),
        parameter(0x0001, counters.bytesWritten, 8),
        parameter(0x0002, counters.bytesRead, 8),
        parameter(0x0003, counters.bytesRead, 8),
        parameter(0x0100, counters.needsCleaning ? 1 : 0, 4),
      ];
    case LOG_PAGE.volumeStatistics:
      if (!record || !deck) return [];
      return [
        parameter(0x0000, 1, 4),
        parameter(0x0001, record.loads, 4),
        parameter(0x0005, counters.backhitches, 4),
        parameter(0x0010, Math.floor(record.bytesWritten / 1e6), 8),
        parameter(0x0011, Math.floor(record.bytesRead / 1e6), 8),
        parameter(0x0016, Math.floor(record.capacityBytes / 1e6), 4),
        parameter(0x0017, Math.floor(deck.cartridge.tape.end.bytes / 1e6), 4),
      ];
    case LOG_PAGE.tapeAlert:
      return Array.from({ length: 64 }, (_, index) =>
        parameter(index + 1, alerts.has(index + 1) ? 1 : 0, 1),
      );
    case LOG_PAGE.tapeCapacity:
      if (!record || !deck) return [];
      return [
        parameter(0x0001, toMib(deck.remainingBytes), 4),
        parameter(0x0003, toMib(record.capacityBytes), 4),
      ];
    default:
      return undefined;
  }
}

/** A log parameter, binary list format (SPC-4 table 180). */
function parameter(code: number, value: number, lengthBytes: number): Buffer {
  const bytes = Buffer.alloc(4 + lengthBytes);
  bytes.writeUInt16BE(code, 0);
  bytes.writeUInt8(0x03, 2);
  bytes.writeUInt8(lengthBytes, 3);
  if (lengthBytes === 8) writeUInt64(bytes, value, 4);
  else bytes.writeUIntBE(value, 4, lengthBytes);
  return bytes;
}

/** Attributes the chip keeps itself, then those of the host, ascending (SPC-4 7.4.2). */
export function chipAttributes(deck: Deck, lastDrive: string): Attribute[] {
  const { record, generation } = deck.cartridge;
  const mediumType = record.kind === 'worm' ? 0x80 : record.kind === 'cleaning' ? 0x01 : 0x00;
  return [
    binary(MAM.remainingCapacityMib, toMib(deck.remainingBytes), 8),
    binary(MAM.maximumCapacityMib, toMib(record.capacityBytes), 8),
    binary(MAM.tapeAlertFlags, 0, 8),
    binary(MAM.loadCount, record.loads, 8),
    text(0x0005, 'LTO-CVE', 8),
    binary(0x0006, generation.densityCode, 1),
    binary(MAM.initializationCount, 1, 2),
    binary(MAM.volumeChangeReference, record.changeReference, 4),
    text(0x020a, `SHELFS  ${lastDrive}`, 40),
    binary(MAM.lifetimeMibWritten, toMib(record.bytesWritten), 8),
    binary(MAM.lifetimeMibRead, toMib(record.bytesRead), 8),
    text(MAM.manufacturer, 'SHELFS', 8),
    text(MAM.serialNumber, record.serial, 32),
    binary(MAM.mediumType, mediumType, 1),
    ...deck.cartridge.attributes().sort((a, b) => a.id - b.id),
  ];
}

export function encodeAttribute({ id, format, value }: Attribute): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt16BE(id, 0);
  const formats: readonly AttributeFormat[] = ['binary', 'ascii', 'text'];
  // Bit 7: read only; the host may write its own range.
  head.writeUInt8((id < 0x0800 ? 0x80 : 0) | formats.indexOf(format), 2);
  head.writeUInt16BE(value.length, 3);
  return Buffer.concat([head, value]);
}

export function productOf(generation: DriveGeneration): string {
  return `VIRTUAL ${generation}`;
}

function binary(id: number, value: number, lengthBytes: number): Attribute {
  const bytes = Buffer.alloc(8);
  writeUInt64(bytes, value, 0);
  return { id, format: 'binary', value: bytes.subarray(8 - lengthBytes) };
}

function text(id: number, value: string, lengthBytes: number): Attribute {
  return { id, format: 'ascii', value: asciiField(value, lengthBytes) };
}

function toMib(bytes: number): number {
  return Math.floor(bytes / 2 ** 20);
}
