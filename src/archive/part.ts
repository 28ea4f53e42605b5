/** Parts: a file stored in pieces, each a member of its own (FORMAT.md section 4.5). */
import type { Raw } from '../base/raw.ts';
import { paxRecord } from './pax.ts';

/** One piece of a file stored in pieces. `offset` and `totalBytes` are logical, holes included. */
export type Part = {
  /** From 1. */
  readonly number: number;
  readonly count: number;
  readonly offset: number;
  readonly totalBytes: number;
};

/** What the part of a file is called. */
export function partName(path: Raw, part: Part): Raw {
  const [number, count] = [part.number, part.count].map((value) => String(value).padStart(4, '0'));
  return `${path}.shelfs-part-${number}-of-${count}` as Raw;
}

export function partRecords({ number, count, offset, totalBytes }: Part): string {
  return (
    paxRecord('SHELFS.part.number', String(number)) +
    paxRecord('SHELFS.part.count', String(count)) +
    paxRecord('SHELFS.part.offset', String(offset)) +
    paxRecord('SHELFS.part.total', String(totalBytes))
  );
}
