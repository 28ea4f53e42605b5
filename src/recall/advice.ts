/**
 * The order in which the drive itself would read what is wanted of its cartridge, where it says so: it knows where its blocks
 * lie, the model of order.ts only guesses. What lies so close that the tape runs on is one segment to it.
 */
import { nearBytes, type Span, type TapeShape } from './order.ts';

/** Bytes of one archive on the cartridge in the drive. */
export type AdvisedRun = Span & {
  /** From the beginning of the archive. */
  readonly offset: number;
  readonly lengthBytes: number;
  readonly copy: { readonly startBlock: number; readonly blockBytes: number };
};

/** Blocks and filemarks of a cartridge from one to another, both included. */
export type BlockSegment = { readonly firstBlock: number; readonly lastBlock: number };

/** @returns indices of the segments, or undefined: as `Drive.accessOrder` */
export type AskOrder = (
  segments: readonly BlockSegment[],
) => Promise<readonly number[] | undefined>;

/** Runs that are read without a stop between them, in order of the tape. */
type Group<R> = { readonly runs: R[]; endByte: number };

/** All of the runs as the drive would read them; undefined where there is nothing to choose, or the drive does not say. */
export async function advisedOrder<R extends AdvisedRun>(
  runs: readonly R[],
  shape: TapeShape,
  ask: AskOrder,
): Promise<readonly R[] | undefined> {
  const groups = groupsOf(runs, nearBytes(shape));
  if (groups.length < 2) return undefined;
  const order = await ask(groups.map(({ runs: near }) => segmentOf(near)));
  return order?.flatMap((index) => groups[index]?.runs ?? []);
}

function groupsOf<R extends AdvisedRun>(runs: readonly R[], near: number): Group<R>[] {
  const groups: Group<R>[] = [];
  for (const run of runs.toSorted((a, b) => a.startByte - b.startByte)) {
    const last = groups.at(-1);
    if (!last || run.startByte - last.endByte > near) {
      groups.push({ runs: [run], endByte: run.endByte });
      continue;
    }
    last.runs.push(run);
    last.endByte = Math.max(last.endByte, run.endByte);
  }
  return groups;
}

function segmentOf(runs: readonly AdvisedRun[]): BlockSegment {
  const blockOf = ({ copy }: AdvisedRun, byte: number) =>
    copy.startBlock + Math.floor(byte / copy.blockBytes);
  const firsts = runs.map((run) => blockOf(run, run.offset));
  const lasts = runs.map((run) => blockOf(run, run.offset + Math.max(1, run.lengthBytes) - 1));
  return {
    firstBlock: firsts.reduce((a, b) => Math.min(a, b)),
    lastBlock: lasts.reduce((a, b) => Math.max(a, b)),
  };
}
