/**
 * Writes to a drive, at a proven position and nowhere but at end of data; only a label may be written at the start, once that
 * was allowed. Before every block the drive is asked where it stands, and question and block go out with nothing between them.
 */
import { strict as assert } from 'node:assert';
import type { Head, Position } from './head.ts';
import { type Answer, BUSY_WAITS_MAX, isDone, type Request } from './logical-unit.ts';
import { driveFailure, isOverwriteRefused } from './refusal.ts';
import { SENSE_KEY } from './sense.ts';

/** `programmable` warns that the room set aside is reached, `early` that the end is near: finish, take another medium. */
export type EndWarning = 'none' | 'programmable' | 'early';

/** @param step blocks and filemarks by which the tape is further then */
export function append(
  head: Head,
  order: {
    readonly request: Request;
    readonly step: { readonly blocks: number; readonly files: number };
    isModeSet(): boolean;
  },
  signal: AbortSignal,
): Promise<EndWarning> {
  const { unit } = head;
  const { request, step } = order;
  return unit.exclusively(async (send) => {
    // A drive that was busy may have reset itself meanwhile: it is asked where it stands before each attempt.
    for (let waits = 0; waits <= BUSY_WAITS_MAX; waits += 1) {
      assertWritable(head);
      assert(order.isModeSet(), `${unit.name}: writing in a mode that nobody has set`);
      await head.check(send, signal);
      const { position: before, overwriteAllowedAt } = head;
      assert(before.proven);
      head.lose();
      const answer = await send({ ...request, once: true }, signal);
      if (!answer.isBusy) {
        const { block, file } = before;
        const after = { block: block + step.blocks, file: file + step.files };
        return written(head, answer, {
          before,
          after: { ...after, proven: true, atEndOfData: true },
        });
      }
      head.stay({ position: before, overwriteAllowedAt });
      await unit.waitBusy(signal);
    }
    throw unit.fail('it has been busy for minutes');
  });
}

/** Empties the drive's buffer onto the tape and leaves no mark (WRITE FILEMARKS with count 0). */
export function flush(head: Head, signal: AbortSignal): Promise<EndWarning> {
  return head.unit.exclusively(async (send) => {
    const before = head.position;
    head.lose();
    const answer = await send({ cdb: [0x10, 0, 0, 0, 0, 0] }, signal);
    return written(head, answer, { before, after: before });
  });
}

/** Permits one write over what is there, at the start of the tape and nowhere else; lifts the drive's own guard there too. */
export function allowOverwrite(head: Head, signal: AbortSignal): Promise<void> {
  return head.unit.exclusively(async (send) => {
    await head.check(send, signal);
    const isStart = head.position.proven && head.position.block === 0;
    assert(isStart, 'only a label may overwrite, at block 0');
    const cdb = Buffer.alloc(16);
    cdb.writeUInt8(0x82, 0);
    cdb.writeUInt8(0x01, 2); // current position
    const { sense } = await send({ cdb: [...cdb] }, signal);
    const isUnknownCommand = sense?.key === SENSE_KEY.illegalRequest && sense.asc === 0x20;
    if (!isDone(sense) && !isUnknownCommand) {
      head.lose();
      throw driveFailure(head.unit, sense, 'allowing the label to be overwritten');
    }
    head.allowOverwrite();
  });
}

/** What became of a write: where the tape stands now, and whether the end is near. */
function written(
  head: Head,
  { sense, residualBytes }: Answer,
  { before, after }: { readonly before: Position; readonly after: Position },
): EndWarning {
  const { unit } = head;
  if (sense && isOverwriteRefused(sense) && before.proven && before.atEndOfData) {
    throw head.lost('refused to overwrite: somebody else moved the tape in this moment');
  }
  if (!isDone(sense)) throw driveFailure(unit, sense, 'writing', 'MEDIUM_UNWRITABLE');
  // With early warning the sense data count; some adapters leave the residual of a CHECK CONDITION at the whole.
  const missingBytes = sense?.endOfMedium ? (sense.information ?? 0) : residualBytes;
  if (missingBytes !== 0) throw unit.fail('it took only a part of the block');
  head.stay({ position: after });
  if (!sense?.endOfMedium) return 'none';
  return sense.asc === 0x00 && sense.ascq === 0x07 ? 'programmable' : 'early';
}

function assertWritable({ unit, position, overwriteAllowedAt }: Head): void {
  assert(position.proven, `${unit.name}: writing at an unproven position`);
  assert(
    position.atEndOfData || overwriteAllowedAt === position.block,
    `${unit.name}: writing at block ${position.block}, not at end of data`,
  );
}
