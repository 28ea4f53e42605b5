/**
 * Recommended access order (SSC-5): a drive is told segments of the tape and says in which order reading them takes least. It
 * knows where on the tape its blocks lie, which no host does. IBM's full-height drives have it from LTO-9 on.
 *
 * An order is advice: where there is anything odd about it there is none, and the drive is not asked again.
 */
import { strict as assert } from 'node:assert';
import { readUInt64, writeUInt64 } from '../base/bytes.ts';
import { CodedError } from '../base/errors.ts';
import { isDone, type LogicalUnit, type Send } from './logical-unit.ts';

/** Logical objects from one to another, both included: blocks and filemarks are counted alike. */
export type TapeSegment = { readonly firstBlock: number; readonly lastBlock: number };

/** MAINTENANCE IN and OUT; the service action of both (SSC-5 table of commands). */
const RECEIVE = 0xa3;
const GENERATE = 0xa4;
const ACCESS_ORDER = 0x1d;
/** RECEIVE: how many segments an order may have, instead of an order. */
const LIMITS = 0x80;
/** RAO PROCESS 010b: put into the recommended order, from where the tape stands. */
const REORDER = 2;
/** STATUS 001b: the list has a descriptor for each segment that was sent. */
const GENERATED = 1;

const HEAD_BYTES = 8;
/** Length of what follows (2), reserved (3), name (10), partition (1), first and last logical object (8 each). */
const SEGMENT_BYTES = 32;
const NAME_BYTES = 10;
/** What is said of a segment beyond that, as the time to get there, is less. */
const ANSWER_SEGMENT_BYTES_MAX = 64;
/**
 * Both lists stay within 64 KiB, which any adapter moves in one command: a drive may take 2730 (IBM LTO-9), but what to do
 * with an offset into an answer is read differently.
 */
export const ORDERED_SEGMENTS_MAX = 1000;

/** Asks the drive where it stands. */
export type Prove = (send: Send, signal: AbortSignal) => Promise<unknown>;

/** What a drive has to say about orders, as long as it is attached. */
export class AccessOrders {
  readonly #unit: LogicalUnit;
  readonly #prove: Prove;
  /** Segments it takes at once; 0: it gives no orders, or none to be believed. Undefined until it was asked. */
  #segmentsMax: number | undefined;

  constructor(unit: LogicalUnit, prove: Prove) {
    this.#unit = unit;
    this.#prove = prove;
  }

  /**
   * Indices of the segments in the order recommended, from where the tape stands now; undefined where the drive does not say.
   * @param segments on the only partition, none empty; they may overlap
   * @throws the signal's reason
   */
  async of(
    segments: readonly TapeSegment[],
    signal: AbortSignal,
  ): Promise<readonly number[] | undefined> {
    const sent = segments.map(withoutBinding);
    try {
      this.#segmentsMax ??= await this.#askLimit(signal);
      if (sent.length === 0 || sent.length > this.#segmentsMax) return undefined;
      const order = await this.#unit.exclusively(async (send) => {
        const answer = await exchange(send, sent, signal);
        // A question moves nothing. Of a tape that moved all the same another block would pass for the one that is wanted.
        await this.#prove(send, signal);
        return answer;
      });
      if (!order) this.#segmentsMax = 0;
      return order;
    } catch (error) {
      if (!(error instanceof CodedError) || signal.aborted) throw error;
      // A drive that fails at this may do all else; what ails it beyond is met by the next command.
      this.#segmentsMax = 0;
      return undefined;
    }
  }

  async #askLimit(signal: AbortSignal): Promise<number> {
    const unit = this.#unit;
    if (!unit.supports(GENERATE, ACCESS_ORDER) || !unit.supports(RECEIVE, ACCESS_ORDER)) return 0;
    const cdb = receiveCdb(LIMITS, 4);
    const { sense, data } = await unit.send({ cdb, dataIn: Buffer.alloc(4) }, signal);
    if (!isDone(sense) || data.length < 4) return 0;
    return Math.min(ORDERED_SEGMENTS_MAX, data.readUInt16BE(0));
  }
}

/** With nothing between question and answer: the drive has one list for all who ask. */
async function exchange(
  send: Send,
  segments: readonly TapeSegment[],
  signal: AbortSignal,
): Promise<readonly number[] | undefined> {
  const list = segmentList(segments);
  const cdb = Buffer.from([GENERATE, ACCESS_ORDER, REORDER, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  cdb.writeUInt32BE(list.length, 6);
  const generated = await send({ cdb: [...cdb], dataOut: list }, signal);
  if (!isDone(generated.sense)) return undefined;
  const answer = Buffer.alloc(HEAD_BYTES + segments.length * ANSWER_SEGMENT_BYTES_MAX);
  const received = await send({ cdb: receiveCdb(0, answer.length), dataIn: answer }, signal);
  return isDone(received.sense) ? parseAccessOrder(received.data, segments) : undefined;
}

function receiveCdb(flags: number, allocationBytes: number): number[] {
  const cdb = Buffer.from([RECEIVE, flags | ACCESS_ORDER, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  cdb.writeUInt32BE(allocationBytes, 6);
  return [...cdb];
}

/**
 * A segment of a single object, first or last in the list, would be where the drive has to begin or end (IBM LTO SCSI
 * Reference, binding points). Behind each block of an archive there is another object, a filemark at least.
 */
function withoutBinding({ firstBlock, lastBlock }: TapeSegment): TapeSegment {
  assert(firstBlock >= 0 && lastBlock >= firstBlock, 'a segment has an object at least');
  return { firstBlock, lastBlock: Math.max(lastBlock, firstBlock + 1) };
}

/** The parameter list of GENERATE; each segment's name is its index. */
export function segmentList(segments: readonly TapeSegment[]): Buffer {
  const list = Buffer.alloc(HEAD_BYTES + segments.length * SEGMENT_BYTES);
  list.writeUInt32BE(list.length - HEAD_BYTES, 4);
  for (const [index, { firstBlock, lastBlock }] of segments.entries()) {
    const at = HEAD_BYTES + index * SEGMENT_BYTES;
    list.writeUInt16BE(SEGMENT_BYTES - 2, at);
    list.write(nameOf(index), at + 5, 'latin1');
    writeUInt64(list, firstBlock, at + 16);
    writeUInt64(list, lastBlock, at + 24);
  }
  return list;
}

/** Indices of the segments as the list of RECEIVE has them; undefined unless it has each once, as it was sent. */
export function parseAccessOrder(
  bytes: Buffer,
  segments: readonly TapeSegment[],
): readonly number[] | undefined {
  if (bytes.length < HEAD_BYTES) return undefined;
  const end = HEAD_BYTES + bytes.readUInt32BE(4);
  const isOrder = (bytes.readUInt8(0) & 7) === REORDER && (bytes.readUInt8(1) & 7) === GENERATED;
  if (!isOrder || end > bytes.length) return undefined;
  const indices = new Map(segments.map((_, index) => [nameOf(index), index]));
  const order: number[] = [];
  for (let at = HEAD_BYTES; at < end; ) {
    if (at + SEGMENT_BYTES > end) return undefined;
    const next = at + 2 + bytes.readUInt16BE(at);
    if (next < at + SEGMENT_BYTES || next > end) return undefined;
    const name = bytes.toString('latin1', at + 5, at + 5 + NAME_BYTES);
    const index = indices.get(name);
    const segment = index === undefined ? undefined : segments[index];
    const isSent =
      bytes.readUInt8(at + 15) === 0 &&
      readUInt64(bytes, at + 16) === segment?.firstBlock &&
      readUInt64(bytes, at + 24) === segment.lastBlock;
    if (index === undefined || !isSent) return undefined;
    indices.delete(name);
    order.push(index);
    at = next;
  }
  return indices.size === 0 ? order : undefined;
}

function nameOf(index: number): string {
  return String(index).padStart(NAME_BYTES, '0');
}
