/** Which archive carries a row of a run: told of many at once where they follow each other in the table too. */
import type { Catalog } from '../catalog.ts';
import type { RowPortion, StoredRows } from './stored-rows.ts';

/** Shorter ranges are marked row by row. */
const RANGE_MIN = 3;

export class RowMarks {
  readonly #job: number;
  readonly #mark;
  readonly #countRange;
  readonly #markRange;

  constructor(catalog: Catalog, jobNumber: number) {
    this.#job = jobNumber;
    this.#mark = catalog.prepare(
      'UPDATE pending SET archive = ? WHERE job = ? AND dir = ? AND name = ?',
    );
    const range = 'job = ? AND dir = ? AND name BETWEEN ? AND ? AND inode BETWEEN ? AND ?';
    this.#countRange = catalog.prepare<[number]>(`SELECT count(*) FROM pending WHERE ${range}`);
    this.#markRange = catalog.prepare(`UPDATE pending SET archive = ? WHERE ${range}`);
  }

  /** Part of the caller's `write`. */
  set(archiveId: number, { rows, from, to }: RowPortion): void {
    for (let at = from; at < to; ) {
      const end = endOfRange(rows, at, to);
      if (end - at < RANGE_MIN || !this.#setTogether(archiveId, { rows, from: at, to: end }))
        for (let index = at; index < end; index += 1)
          this.#mark.run(archiveId, this.#job, rows.directoryId(index), rows.name(index));
      at = end;
    }
  }

  /** Not where another row lies between them: a further name of one of their inodes. */
  #setTogether(archiveId: number, { rows, from, to }: RowPortion): boolean {
    const names = [rows.directoryId(from), rows.name(from), rows.name(to - 1)];
    const range = [this.#job, ...names, rows.inodeId(from), rows.inodeId(to - 1)];
    if (this.#countRange.get(range)?.[0] !== to - from) return false;
    this.#markRange.run([archiveId, ...range]);
    return true;
  }
}

/** The end of what has names in order and inodes in a row, in one directory. */
function endOfRange(rows: StoredRows, first: number, to: number): number {
  const directoryId = rows.directoryId(first);
  const inodeId = rows.inodeId(first);
  let name = rows.name(first);
  for (let end = first + 1; end < to; end += 1) {
    const next = rows.name(end);
    const isNext =
      rows.directoryId(end) === directoryId &&
      rows.inodeId(end) === inodeId + end - first &&
      next > name;
    if (!isNext) return end;
    name = next;
  }
  return to;
}
