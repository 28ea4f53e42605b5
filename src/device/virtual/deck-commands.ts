/** Commands to a threaded tape that need nothing of the drive but its deck: their CDBs taken apart (SSC-4). */
import { readUInt64, writeUInt64 } from '../../base/bytes.ts';
import { parseAttributes } from '../attribute.ts';
import type { ScsiCommand } from '../port.ts';
import { SENSE_KEY } from '../sense.ts';
import {
  type Answer,
  check,
  GOOD,
  INVALID_FIELD,
  INVALID_PARAMETER,
  illegalRequest,
} from './answer.ts';
import type { Deck } from './deck.ts';
import { chipAttributes, encodeAttribute } from './drive-pages.ts';

/** The chip's room for the host (LTO: application data of the medium auxiliary memory). */
const HOST_BYTES_MAX = 1024;
const WRITE_PROTECTED = check({ key: SENSE_KEY.dataProtect, code: 0x2700 });
const NO_SPACE_ON_CHIP = illegalRequest(0x5506);

export function space(deck: Deck, code: number, count: number): Promise<Answer> | Answer {
  if (code === 0) return deck.spaceBlocks(count);
  if (code === 1) return deck.spaceFilemarks(count);
  return code === 3 ? deck.toEndOfData() : INVALID_FIELD;
}

/** LOCATE(16): destination type in bits 5 to 3 of byte 1: object, file, end of data. Partitions do not exist. */
export function locate(deck: Deck, cdb: Buffer): Promise<Answer> | Answer {
  const target = readUInt64(cdb, 4);
  const type = (cdb.readUInt8(1) >> 3) & 0x07;
  if (type === 0) return deck.locate(target);
  if (type === 1) return deck.locateFile(target);
  return type === 3 ? deck.toEndOfData() : INVALID_FIELD;
}

export function allowOverwrite(deck: Deck, cdb: Buffer): Answer {
  const code = cdb.readUInt8(2) & 0x0f;
  if (code === 0) {
    deck.forbidOverwrite();
    return GOOD;
  }
  // 2, format: accepted, and there is nothing to format.
  if (code === 2) return GOOD;
  return code === 1 && deck.allowOverwrite(readUInt64(cdb, 4)) ? GOOD : INVALID_FIELD;
}

/** READ POSITION, short form (00h) and long form (06h). */
export function readPosition(deck: Deck, form: number): Answer {
  const { block, file } = deck.reported;
  const flags = (block === 0 ? 0x80 : 0) | (deck.isPastEarlyWarning ? 0x40 : 0);
  if (form === 0x06) {
    const data = Buffer.alloc(32);
    data.writeUInt8(flags, 0);
    writeUInt64(data, block, 8);
    writeUInt64(data, file, 16);
    return { data };
  }
  if (form !== 0x00) return INVALID_FIELD;
  const data = Buffer.alloc(20);
  data.writeUInt8(flags | 0x30, 0); // counts of buffered objects are not kept
  data.writeUInt32BE(block, 4);
  data.writeUInt32BE(block, 8);
  return { data };
}

/** READ ATTRIBUTE: values (00h) or identifiers (01h), from an identifier on. */
export function readAttribute(deck: Deck, cdb: Buffer, driveSerial: string): Answer {
  const action = cdb.readUInt8(1) & 0x1f;
  if (action > 1) return INVALID_FIELD;
  const first = cdb.readUInt16BE(8);
  const attributes = chipAttributes(deck, driveSerial).filter(({ id }) => id >= first);
  if (attributes.length === 0 && action === 0) return INVALID_FIELD;
  const list = attributes.map((attribute) => {
    const encoded = encodeAttribute(attribute);
    return action === 0 ? encoded : encoded.subarray(0, 2);
  });
  const body = Buffer.concat(list);
  const head = Buffer.alloc(4);
  head.writeUInt32BE(body.length, 0);
  return { data: Buffer.concat([head, body]).subarray(0, cdb.readUInt32BE(10)) };
}

/** WRITE ATTRIBUTE: the host's own range only. */
export async function writeAttribute(deck: Deck, command: ScsiCommand): Promise<Answer> {
  const attributes = [...parseAttributes(Buffer.from(command.dataOut ?? [])).values()];
  if (attributes.some(({ id }) => id < 0x0800 || id > 0x0fff)) return INVALID_PARAMETER;
  if (deck.cartridge.record.writeProtected) return WRITE_PROTECTED;
  const kept = deck.cartridge
    .attributes()
    .filter(({ id }) => !attributes.some((written) => written.id === id));
  const hostBytes = [...kept, ...attributes].reduce((sum, { value }) => sum + value.length, 0);
  if (hostBytes > HOST_BYTES_MAX) return NO_SPACE_ON_CHIP;
  await deck.cartridge.writeAttributes(attributes);
  return GOOD;
}
