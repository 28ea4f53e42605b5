/** A medium changer: where every cartridge stands, and moving them (SMC-3). */
import type { Clock } from '../base/clock.ts';
import { CodedError, type FailureCode } from '../base/errors.ts';
import {
  ELEMENT_TYPES,
  type Element,
  type ElementRanges,
  type ElementType,
  parseElementRanges,
  parseElements,
} from './elements.ts';
import {
  type Answer,
  type Identity,
  isDone,
  LogicalUnit,
  type Request,
  UNIT_ATTENTIONS_MAX,
} from './logical-unit.ts';
import { parseModeParameters } from './mode.ts';
import type { ScsiPort } from './port.ts';
import { describeSense, SENSE_KEY, type Sense } from './sense.ts';

const READY_POLL_MS = 1000;
/** A large library takes the better part of an hour to look at every slot after power on. */
const READY_TIMEOUT_MS = 3_600_000;
/** Element descriptors are at most 12 + 36 + 36 + 4 + 255 bytes; one header a page, one for the answer. */
const DESCRIPTOR_BYTES_MAX = 343;
/** Adapters move at least 512 KiB in one command; this many descriptors fit whatever a library puts into them. */
const ELEMENTS_PER_COMMAND = 1000;

export class Changer {
  readonly identity: Identity;
  readonly unit: LogicalUnit;
  #ranges: ElementRanges | undefined;

  private constructor(unit: LogicalUnit, identity: Identity) {
    this.unit = unit;
    this.identity = identity;
  }

  /** @throws CodedError DEVICE_UNSUITABLE when it is no changer */
  static async open(port: ScsiPort, clock: Clock, signal: AbortSignal): Promise<Changer> {
    const unit = new LogicalUnit(port, clock, 'CHANGER_FAILED');
    return new Changer(unit, await unit.identify('changer', signal));
  }

  get name(): string {
    return this.unit.name;
  }

  /** Every element, in the order picker, slots, ports, drives, each by address. No cartridge moves for it. */
  async elements(signal: AbortSignal): Promise<Element[]> {
    const ranges = await this.#elementRanges(signal);
    const elements: Element[] = [];
    for (const type of ELEMENT_TYPES) {
      // Addresses have 16 bits, whatever a changer says of its counts.
      const end = Math.min(ranges[type].start + ranges[type].count, 0x10000);
      for (let start = ranges[type].start; start < end; start += ELEMENTS_PER_COMMAND) {
        const count = Math.min(end - start, ELEMENTS_PER_COMMAND);
        elements.push(...(await this.#readStatus(type, { start, count }, signal)));
      }
    }
    return elements;
  }

  /** Lets the changer look at every element again (INITIALIZE ELEMENT STATUS): minutes on a large library. */
  async initializeElementStatus(signal: AbortSignal): Promise<void> {
    await this.#do({ cdb: [0x07, 0, 0, 0, 0, 0] }, 'taking inventory', signal);
  }

  /**
   * Moves a cartridge; `doing` says so in words for a failure. Nothing has moved when this rejects with a CHANGER_ code other than JAMMED and FAILED.
   * A unit attention stops it: ports or slots may hold other cartridges than the caller has seen.
   * @throws CodedError CHANGER_CHANGED, CHANGER_SOURCE_EMPTY, CHANGER_DESTINATION_FULL, REMOVAL_PREVENTED, CHANGER_JAMMED, CHANGER_FAILED
   */
  async move(
    fromAddress: number,
    toAddress: number,
    signal: AbortSignal,
    doing = `moving from element ${fromAddress} to ${toAddress}`,
  ): Promise<void> {
    const { picker } = await this.#elementRanges(signal);
    const cdb = Buffer.alloc(12);
    cdb.writeUInt8(0xa5, 0);
    cdb.writeUInt16BE(picker.start, 2);
    cdb.writeUInt16BE(fromAddress, 4);
    cdb.writeUInt16BE(toAddress, 6);
    await this.#do({ cdb: [...cdb] }, doing, signal, 0);
  }

  /** Sends the picker ahead to an element, for libraries that want it before a port is opened. */
  async positionTo(address: number, signal: AbortSignal): Promise<void> {
    const { picker } = await this.#elementRanges(signal);
    const cdb = Buffer.alloc(10);
    cdb.writeUInt8(0x2b, 0);
    cdb.writeUInt16BE(picker.start, 2);
    cdb.writeUInt16BE(address, 4);
    await this.#do({ cdb: [...cdb] }, `positioning to element ${address}`, signal);
  }

  /** Locks or unlocks the ports and doors against people. */
  async preventRemoval(prevent: boolean, signal: AbortSignal): Promise<void> {
    await this.#do(
      { cdb: [0x1e, 0, 0, 0, prevent ? 1 : 0, 0] },
      prevent ? 'locking' : 'unlocking',
      signal,
    );
  }

  /** Element addresses do not change while a library is powered: asked once. */
  async #elementRanges(signal: AbortSignal): Promise<ElementRanges> {
    if (this.#ranges) return this.#ranges;
    const dataIn = Buffer.alloc(512);
    const cdb = [0x5a, 0x08, 0x1d, 0, 0, 0, 0, dataIn.length >> 8, dataIn.length & 0xff, 0];
    const { data } = await this.#do({ cdb, dataIn }, 'reading its element addresses', signal);
    const page = parseModeParameters(data)?.pages.find(
      (sent) => (sent.readUInt8(0) & 0x3f) === 0x1d,
    );
    this.#ranges = page && parseElementRanges(page);
    if (!this.#ranges) throw this.unit.fail('its element addresses cannot be read');
    return this.#ranges;
  }

  /** DVCID is asked of drives alone: some changers send descriptors of odd length when asked for all types at once. */
  async #readStatus(
    type: ElementType,
    range: { start: number; count: number },
    signal: AbortSignal,
  ): Promise<Element[]> {
    const dataIn = Buffer.alloc(16 + range.count * DESCRIPTOR_BYTES_MAX);
    const cdb = Buffer.alloc(12);
    cdb.writeUInt8(0xb8, 0);
    cdb.writeUInt8(0x10 | (ELEMENT_TYPES.indexOf(type) + 1), 1); // VOLTAG
    cdb.writeUInt16BE(range.start, 2);
    cdb.writeUInt16BE(range.count, 4);
    cdb.writeUInt8(type === 'drive' ? 1 : 0, 6); // DVCID
    cdb.writeUIntBE(dataIn.length, 7, 3);
    const { data } = await this.#do(
      { cdb: [...cdb], dataIn },
      `reading the status of its ${type}s`,
      signal,
    );
    const elements = parseElements(data);
    if (!elements) throw this.unit.fail(`the status of its ${type}s contradicts itself`);
    return elements.filter((element) => element.type === type);
  }

  /** A unit attention (reset, port opened) stopped the command before it began: it is said again. Not ready is awaited. */
  async #do(
    request: Request,
    doing: string,
    signal: AbortSignal,
    attentionsMax = UNIT_ATTENTIONS_MAX,
  ): Promise<Answer> {
    const startMs = this.unit.clock.monotonicMs();
    for (let attentions = 0; ; ) {
      const answer = await this.unit.send(request, signal);
      const { sense } = answer;
      if (!sense || isDone(sense)) return answer;
      const isAttention = sense.key === SENSE_KEY.unitAttention && attentions < attentionsMax;
      const waitedMs = this.unit.clock.monotonicMs() - startMs;
      if (isAttention) {
        attentions += 1;
      } else if (isBecomingReady(sense) && waitedMs < READY_TIMEOUT_MS) {
        await this.unit.clock.sleepMs(READY_POLL_MS, signal);
      } else {
        throw this.#error(sense, doing);
      }
    }
  }

  #error(sense: Sense, doing: string): CodedError {
    const refusal = REFUSALS.find(({ matches }) => matches(sense));
    const code = refusal?.code ?? 'CHANGER_FAILED';
    const advice = refusal?.advice ?? 'look at the library itself';
    return new CodedError(code, `${this.name}: ${doing}: ${describeSense(sense)}; ${advice}`, {
      device: this.name,
    });
  }
}

type Refusal = { matches: (sense: Sense) => boolean; code: FailureCode; advice: string };

/** What libraries answer to a move that cannot be (SMC-3 annex; measured on the lab's library). */
const REFUSALS: readonly Refusal[] = [
  {
    matches: ({ key }) => key === SENSE_KEY.unitAttention,
    code: 'CHANGER_CHANGED',
    advice: 'nothing moved; look at `library status`, then say it again',
  },
  {
    matches: ({ asc, ascq }) => asc === 0x3b && ascq === 0x0e,
    code: 'CHANGER_SOURCE_EMPTY',
    advice: 'nothing moved; `library status` shows where the cartridges are',
  },
  {
    matches: ({ asc, ascq }) => asc === 0x3b && ascq === 0x0d,
    code: 'CHANGER_DESTINATION_FULL',
    advice: 'nothing moved; choose another place',
  },
  {
    matches: ({ asc }) => asc === 0x53,
    code: 'REMOVAL_PREVENTED',
    advice: 'nothing moved; a job holds that drive, or a program left it locked',
  },
  {
    matches: ({ key, asc }) => key === SENSE_KEY.hardwareError || asc === 0x15,
    code: 'CHANGER_JAMMED',
    advice: 'look into the library, free the picker, then run `library inventory`',
  },
];

function isBecomingReady(sense: Sense): boolean {
  return (
    sense.key === SENSE_KEY.notReady &&
    sense.asc === 0x04 &&
    (sense.ascq === 0x00 || sense.ascq === 0x01)
  );
}
