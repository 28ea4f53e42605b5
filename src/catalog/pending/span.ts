/**
 * Rows of a run that are as most are, as many as follow each other in one directory: files of one name, without a link's target
 * or extended attributes, that wait for their bytes. They are told of as they come from the table, without an object for each.
 */
import { strict as assert } from 'node:assert';
import type { Raw } from '../../base/raw.ts';
import type { InodeRow } from '../tree/inodes.ts';
import { isFile } from '../tree/mode.ts';
import { CHANGES } from './change.ts';

export type EntryRow = [
  ...inode: InodeRow,
  name: Raw,
  change: number,
  movedFrom: Raw | null,
  archive: number | null,
  dir: number,
  isCandidate: number,
  hash: Buffer | null,
  isFollower: number,
];

/** uid, gid, user, group. */
export type OwnerNames = readonly [number, number, Raw, Raw];

/** What a span asks of who made it. */
export type SpanSource<Entry> = {
  owner(id: number): OwnerNames;
  entry(row: EntryRow): Entry;
};

export class PendingSpan<Entry> {
  readonly directoryId: number;
  readonly hostId: number;
  /** What stands before each name in its path. */
  readonly prefix: string;
  readonly #rows: readonly EntryRow[];
  readonly #source: SpanSource<Entry>;

  constructor(
    place: { readonly directoryId: number; readonly hostId: number; readonly prefix: string },
    rows: readonly EntryRow[],
    source: SpanSource<Entry>,
  ) {
    this.directoryId = place.directoryId;
    this.hostId = place.hostId;
    this.prefix = place.prefix;
    this.#rows = rows;
    this.#source = source;
  }

  get count(): number {
    return this.#rows.length;
  }

  /** The row as all others are told of. */
  entry(index: number): Entry {
    return this.#source.entry(this.#row(index));
  }

  *entries(): Generator<Entry> {
    for (const row of this.#rows) yield this.#source.entry(row);
  }

  inodeId(index: number): number {
    return this.#row(index)[0];
  }

  /** 0 to 07777. */
  mode(index: number): number {
    return this.#row(index)[1] & 0o7777;
  }

  /** Its number; the same for those whose users and groups are the same. */
  ownerId(index: number): number {
    return this.#row(index)[2];
  }

  owner(index: number): OwnerNames {
    return this.#source.owner(this.#row(index)[2]);
  }

  sizeBytes(index: number): number {
    return this.#row(index)[3];
  }

  name(index: number): Raw {
    return this.#row(index)[14];
  }

  change(index: number): 'new' | 'changed' {
    return this.#row(index)[15] === CHANGES.new ? 'new' : 'changed';
  }

  hasUsualTimes(index: number): boolean {
    const row = this.#row(index);
    return row[5] < 1e9 && row[7] < 1e9;
  }

  /** Size, mtime and its nanoseconds, ctime and its nanoseconds, inode of the source. */
  putStamp(index: number, into: Float64Array, at: number): void {
    const row = this.#row(index);
    into[at] = row[3];
    into[at + 1] = row[4];
    into[at + 2] = row[5];
    into[at + 3] = row[6];
    into[at + 4] = row[7];
    into[at + 5] = row[9];
  }

  /** The device of the source. */
  device(index: number): number {
    return this.#row(index)[8];
  }

  #row(index: number): EntryRow {
    const row = this.#rows[index];
    assert(row);
    return row;
  }
}

/** Whether a row is as most are. @param bytesMax of the file */
export function isUsual(row: EntryRow, bytesMax: number): boolean {
  return (
    row[0] !== null &&
    isFile(row[1]) &&
    row[3] > 0 &&
    row[3] <= bytesMax &&
    row[10] === 1 &&
    row[11] === null &&
    row[12] === null &&
    row[13] === null &&
    (row[15] === CHANGES.new || row[15] === CHANGES.changed) &&
    row[16] === null &&
    row[17] === null &&
    // Not asked for, or none.
    (row[20] ?? null) === null
  );
}
