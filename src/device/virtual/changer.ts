/** A virtual changer: takes CDBs, moves cartridges between elements, answers as SMC-3 says. */
import { strict as assert } from 'node:assert';
import { asciiField } from '../../base/bytes.ts';
import type { Clock } from '../../base/clock.ts';
import { ELEMENT_TYPES, type ElementType } from '../elements.ts';
import { DEVICE_TYPE } from '../inquiry.ts';
import type { ScsiCommand, ScsiPort, ScsiReply } from '../port.ts';
import { SENSE_KEY } from '../sense.ts';
import {
  type Answer,
  check,
  GOOD,
  INVALID_FIELD,
  illegalRequest,
  reply,
  UNKNOWN_COMMAND,
} from './answer.ts';
import { standardInquiry, vitalProductData } from './drive-pages.ts';
import type { FaultPlan } from './faults.ts';
import { MOVE_SECONDS } from './mechanics.ts';
import type { ElementRecord, FileLock, LibraryRecord, LibraryState } from './state.ts';
import type { Speed } from './usage.ts';

export type ChangerOptions = {
  readonly state: LibraryState;
  readonly clock: Clock;
  readonly speed: Speed;
  readonly faults: FaultPlan;
  /** Makes a drive give up its cartridge and keeps it idle until closed; undefined while locked in or another's. */
  readonly releaseDrive: (index: number) => Promise<FileLock | undefined>;
};

const NO_SUCH_ELEMENT = illegalRequest(0x2101);
const SOURCE_EMPTY = illegalRequest(0x3b0e);
const DESTINATION_FULL = illegalRequest(0x3b0d);
const REMOVAL_PREVENTED = illegalRequest(0x5302);

export class VirtualChanger implements ScsiPort {
  readonly name = 'virtual changer';
  readonly #options: ChangerOptions;
  #jammedMoves = 0;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(options: ChangerOptions) {
    this.#options = options;
  }

  execute(command: ScsiCommand, signal: AbortSignal): Promise<ScsiReply> {
    const done = this.#tail.then(async () => {
      signal.throwIfAborted();
      return reply(await this.#answer(Buffer.from(command.cdb)), command);
    });
    this.#tail = done.catch(() => undefined);
    return done;
  }

  async close(): Promise<void> {
    await this.#tail;
  }

  async #answer(cdb: Buffer): Promise<Answer> {
    switch (cdb.readUInt8(0)) {
      case 0x00: // TEST UNIT READY
      case 0x07: // INITIALIZE ELEMENT STATUS: the scanner sees what it saw
      case 0x1e: // PREVENT ALLOW MEDIUM REMOVAL: there is no door
      case 0x2b: // POSITION TO ELEMENT
      case 0x37: // INITIALIZE ELEMENT STATUS WITH RANGE
        return GOOD;
      case 0x12:
        return this.#inquiry(cdb);
      case 0x5a:
        return this.#modeSense(cdb);
      case 0xa5:
        return this.#move(cdb.readUInt16BE(4), cdb.readUInt16BE(6));
      case 0xb8:
        return this.#elementStatus(cdb);
      default:
        return UNKNOWN_COMMAND;
    }
  }

  async #inquiry(cdb: Buffer): Promise<Answer> {
    const { serial } = await this.#options.state.read();
    const isVital = (cdb.readUInt8(1) & 0x01) !== 0;
    const data = isVital
      ? vitalProductData(cdb.readUInt8(2), DEVICE_TYPE.changer, serial)
      : standardInquiry(DEVICE_TYPE.changer, 'VIRTUAL LIBRARY');
    return data ? { data: data.subarray(0, cdb.readUInt16BE(3)) } : INVALID_FIELD;
  }

  /** Page 1Dh, element address assignment (SMC-3 7.3.4), the one page a host needs. */
  async #modeSense(cdb: Buffer): Promise<Answer> {
    if ((cdb.readUInt8(2) & 0x3f) !== 0x1d) return INVALID_FIELD;
    const { elements } = await this.#options.state.read();
    const data = Buffer.alloc(8 + 20);
    data.writeUInt16BE(data.length - 2, 0);
    data.set([0x1d, 18], 8);
    for (const [index, type] of ELEMENT_TYPES.entries()) {
      const addresses = elements
        .filter((element) => element.type === type)
        .map(({ address }) => address);
      data.writeUInt16BE(addresses.length > 0 ? Math.min(...addresses) : 0, 10 + index * 4);
      data.writeUInt16BE(addresses.length, 12 + index * 4);
    }
    return { data: data.subarray(0, cdb.readUInt16BE(7)) };
  }

  async #elementStatus(cdb: Buffer): Promise<Answer> {
    const library = await this.#options.state.read();
    const type = cdb.readUInt8(1) & 0x0f;
    const options = {
      withTag: (cdb.readUInt8(1) & 0x10) !== 0,
      withSerial: (cdb.readUInt8(6) & 0x01) !== 0,
    };
    const first = cdb.readUInt16BE(2);
    let left = cdb.readUInt16BE(4);
    const pages: Buffer[] = [];
    const reported: number[] = [];
    for (const [index, name] of ELEMENT_TYPES.entries()) {
      if (type !== 0 && type !== index + 1) continue;
      const chosen = library.elements
        .filter((element) => element.type === name && element.address >= first)
        .sort((a, b) => a.address - b.address)
        .slice(0, left);
      left -= chosen.length;
      reported.push(...chosen.map(({ address }) => address));
      if (chosen.length > 0) pages.push(statusPage(name, chosen, library, options));
    }
    const body = Buffer.concat(pages);
    const head = Buffer.alloc(8);
    head.writeUInt16BE(reported.length > 0 ? Math.min(...reported) : 0, 0);
    head.writeUInt16BE(reported.length, 2);
    head.writeUIntBE(body.length, 5, 3);
    return { data: Buffer.concat([head, body]).subarray(0, cdb.readUIntBE(7, 3)) };
  }

  async #move(from: number, to: number): Promise<Answer> {
    const library = await this.#options.state.read();
    const source = library.elements.find(({ address }) => address === from);
    const target = library.elements.find(({ address }) => address === to);
    if (!source || !target || source.type === 'picker' || target.type === 'picker')
      return NO_SUCH_ELEMENT;
    if (!source.cartridge) return SOURCE_EMPTY;
    if (target.cartridge && target.address !== source.address) return DESTINATION_FULL;
    if (source.type !== 'drive') return this.#pick(source, to);
    const index = library.elements.filter(({ type }) => type === 'drive').indexOf(source);
    const released = await this.#options.releaseDrive(index);
    if (!released) return REMOVAL_PREVENTED;
    try {
      return await this.#pick(source, to);
    } finally {
      await released.close();
    }
  }

  /** The picker's part, once a drive has given its cartridge up. */
  async #pick(source: ElementRecord, to: number): Promise<Answer> {
    const { state, faults } = this.#options;
    const effect = faults.due({ on: 'move', cartridge: source.cartridge });
    if (effect?.kind === 'jam') this.#jammedMoves = effect.moves;
    if (this.#jammedMoves > 0) {
      this.#jammedMoves -= 1;
      return check({ key: SENSE_KEY.hardwareError, code: 0x1501 });
    }
    if (effect?.kind === 'sense') return check({ key: effect.key, code: effect.code });
    if (effect?.kind === 'delay')
      await this.#options.clock.sleepMs(effect.ms, new AbortController().signal);
    const moved = await state.update((record) => carry(record, source.address, to));
    if (moved !== GOOD) return moved;
    await this.#wait();
    if (effect?.kind === 'swap' || effect?.kind === 'relabel') {
      await state.update((record) => {
        if (effect.kind === 'swap') swap(record, ...effect.elements);
        else elementAt(record, effect.element).barcode = effect.barcode;
      });
    }
    return GOOD;
  }

  async #wait(): Promise<void> {
    const { clock, speed } = this.#options;
    if (speed === 'real') await clock.sleepMs(MOVE_SECONDS * 1000, new AbortController().signal);
  }
}

/** The move itself, alone among all processes: what was true before the lock is looked at again. */
function carry(record: LibraryRecord, from: number, to: number): Answer {
  const source = elementAt(record, from);
  const target = elementAt(record, to);
  if (!source.cartridge) return SOURCE_EMPTY;
  if (target.cartridge && target !== source) return DESTINATION_FULL;
  const origin = source.type === 'slot' ? source.address : source.source;
  const cargo = { cartridge: source.cartridge, barcode: source.barcode, source: origin };
  clear(source);
  Object.assign(target, cargo);
  if (source.type === 'drive') driveOf(record, source).threaded = undefined;
  if (target.type === 'drive')
    Object.assign(driveOf(record, target), { threaded: undefined, unloaded: false });
  record.moves += 1;
  record.moveSeconds += MOVE_SECONDS;
  return GOOD;
}

function driveOf(record: LibraryRecord, element: ElementRecord): LibraryRecord['drives'][number] {
  const drive =
    record.drives[record.elements.filter(({ type }) => type === 'drive').indexOf(element)];
  assert(drive);
  return drive;
}

function swap(record: LibraryRecord, first: number, second: number): void {
  const a = elementAt(record, first);
  const b = elementAt(record, second);
  const { cartridge, barcode } = a;
  Object.assign(a, { cartridge: b.cartridge, barcode: b.barcode });
  Object.assign(b, { cartridge, barcode });
}

export function elementAt(record: LibraryRecord, address: number): ElementRecord {
  const element = record.elements.find((candidate) => candidate.address === address);
  assert(element, `no element ${address}`);
  return element;
}

export function clear(element: ElementRecord): void {
  Object.assign(element, {
    cartridge: undefined,
    barcode: undefined,
    source: undefined,
    imported: undefined,
  });
}

/** One element status page with its descriptors (SMC-3 6.11). */
function statusPage(
  type: ElementType,
  elements: readonly ElementRecord[],
  library: LibraryRecord,
  options: { withTag: boolean; withSerial: boolean },
): Buffer {
  const descriptors = elements.map((element) => descriptor(element, library, options));
  const body = Buffer.concat(descriptors);
  const head = Buffer.alloc(8);
  head.writeUInt8(ELEMENT_TYPES.indexOf(type) + 1, 0);
  head.writeUInt8(options.withTag ? 0x80 : 0, 1);
  head.writeUInt16BE(descriptors[0]?.length ?? 0, 2);
  head.writeUIntBE(body.length, 5, 3);
  return Buffer.concat([head, body]);
}

function descriptor(
  element: ElementRecord,
  library: LibraryRecord,
  options: { withTag: boolean; withSerial: boolean },
): Buffer {
  const head = Buffer.alloc(12);
  const isFull = element.cartridge !== undefined;
  const isThreaded = element.type === 'drive' && isFull && !driveOf(library, element).unloaded;
  const access = element.type === 'picker' || isThreaded ? 0 : 0x08;
  const port = element.type === 'port' ? 0x30 | (element.imported ? 0x02 : 0) : 0;
  head.writeUInt16BE(element.address, 0);
  head.writeUInt8((isFull ? 0x01 : 0) | access | port, 2);
  if (isFull && element.source !== undefined) {
    head.writeUInt8(0x80, 9);
    head.writeUInt16BE(element.source, 10);
  }
  const parts = [head];
  if (options.withTag) {
    parts.push(
      isFull && element.barcode
        ? Buffer.concat([asciiField(element.barcode, 32), Buffer.alloc(4)])
        : Buffer.alloc(36),
    );
  }
  if (options.withSerial) {
    const serial = element.type === 'drive' ? driveOf(library, element).serial : '';
    // Code set ASCII, vendor-specific identifier, SPC-4 7.8.6
    const name = asciiField(serial, 32);
    parts.push(
      serial ? Buffer.concat([Buffer.from([0x02, 0x00, 0, name.length]), name]) : Buffer.alloc(4),
    );
  }
  return Buffer.concat(parts);
}
