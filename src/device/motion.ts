/** Moves a drive's tape: to its beginning, to a block, over filemarks, to the end of its data; where it stands is proven then. */
import { strict as assert } from 'node:assert';
import { readBlock } from './block-read.ts';
import type { Head } from './head.ts';
import { isDone, type Request, type Send } from './logical-unit.ts';
import { driveFailure, isEndOfData } from './refusal.ts';
import { SENSE_KEY } from './sense.ts';

export function rewind(head: Head, signal: AbortSignal): Promise<void> {
  return head.unit.exclusively(async (send) => {
    const order = { request: { cdb: [0x01, 0, 0, 0, 0, 0] }, what: 'rewinding' };
    await move(head, { send, ...order }, signal);
    head.arrive({ block: 0, file: 0 }, { atEndOfData: false });
  });
}

/** @param block up to end of data @throws CodedError MEDIUM_UNREADABLE when it lies beyond */
export function locate(head: Head, block: number, signal: AbortSignal): Promise<void> {
  assert(Number.isSafeInteger(block) && block >= 0, `no block number: ${block}`);
  const cdb = Buffer.alloc(16);
  cdb.writeUInt8(0x92, 0);
  cdb.writeBigUInt64BE(BigInt(block), 4);
  return head.unit.exclusively(async (send) => {
    const order = { request: { cdb: [...cdb] }, what: `locating block ${block}` };
    await move(head, { send, ...order }, signal);
    const reported = await head.prove(send, signal);
    if (reported.block !== block) {
      throw head.lost(`went to block ${reported.block} instead of ${block}`, block);
    }
  });
}

/**
 * Behind the last thing written. Then a read must find the end of the data, and the drive must stand where it said: resets
 * between motion and question, their unit attentions swallowed by somebody, would otherwise make the beginning of the tape
 * pass for its end.
 * @throws CodedError POSITION_LOST when there are data, or the tape was moved meanwhile
 */
export function spaceToEndOfData(head: Head, signal: AbortSignal): Promise<void> {
  const { unit } = head;
  return unit.exclusively(async (send) => {
    head.lose();
    const { sense } = await send({ cdb: [0x11, 0x03, 0, 0, 0, 0] }, signal);
    // On a blank cartridge some drives answer BLANK CHECK instead: end of data is where it stands.
    const isBlank = sense?.key === SENSE_KEY.blankCheck && isEndOfData(sense);
    if (sense && !isDone(sense) && !isBlank) {
      throw driveFailure(unit, sense, 'going to end of data');
    }
    const reported = await head.report(send, signal);
    head.arrive(reported, { atEndOfData: false });
    const { kind } = await readBlock(head, { send, buffer: Buffer.alloc(1) }, signal);
    if (kind !== 'end-of-data') {
      const where = `stands at block ${reported.block}, where data follow, after it was sent behind them`;
      throw head.lost(`${where}: somebody else moved the tape or reset the drive`, reported.block);
    }
    await head.check(send, signal);
    head.arrive(reported, { atEndOfData: true });
  });
}

/** @param count negative: backwards; the tape stops behind the last one passed */
export function spaceFilemarks(head: Head, count: number, signal: AbortSignal): Promise<void> {
  assert(
    Number.isInteger(count) && Math.abs(count) < 2 ** 23,
    `not a count of filemarks: ${count}`,
  );
  const cdb = Buffer.from([0x11, 0x01, 0, 0, 0, 0]);
  cdb.writeIntBE(count, 2, 3);
  return head.unit.exclusively(async (send) => {
    const order = { request: { cdb: [...cdb] }, what: `spacing over ${count} filemarks` };
    await move(head, { send, ...order }, signal);
    await head.prove(send, signal);
  });
}

async function move(
  head: Head,
  order: { readonly send: Send; readonly request: Request; readonly what: string },
  signal: AbortSignal,
): Promise<void> {
  head.lose();
  const { sense } = await order.send(order.request, signal);
  if (!isDone(sense)) throw driveFailure(head.unit, sense, order.what, 'MEDIUM_UNREADABLE');
}
