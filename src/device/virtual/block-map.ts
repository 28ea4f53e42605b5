/**
 * Where each block of a virtual cartridge lies in its file, as runs of equal records.
 *
 * A cartridge of 18 TB has 36 million blocks, nearly all of one size: some thousand runs in memory say where each one
 * is, and LOCATE is a binary search. Framing is SIMH's: a record is a 4-byte length, the bytes padded to even, the
 * length again; a filemark is four zero bytes (SIMH Magtape Representation and Handling, section 2).
 */
import { strict as assert } from 'node:assert';

/** `count` records alike; `lengthBytes` 0 means filemarks. */
export type Run = {
  readonly lengthBytes: number;
  count: number;
  /** Logical objects (blocks and filemarks) before this run. */
  readonly startBlock: number;
  /** Filemarks before this run. */
  readonly startFile: number;
  /** Data bytes before this run, framing left out: what counts against the capacity. */
  readonly startBytes: number;
  /** Where the first record begins in the file. */
  readonly offset: number;
};

export type Place = {
  readonly block: number;
  readonly file: number;
  readonly bytes: number;
  readonly offset: number;
};

export type MappedRecord = Place & { readonly lengthBytes: number };

/** Bytes a record occupies in the file. */
export function frameBytes(lengthBytes: number): number {
  return lengthBytes === 0 ? 4 : 8 + lengthBytes + (lengthBytes % 2);
}

export class BlockMap {
  #runs: Run[] = [];

  /** End of data: where the next record goes. */
  get end(): Place {
    const last = this.#runs.at(-1);
    return last ? behind(last, last.count) : { block: 0, file: 0, bytes: 0, offset: 0 };
  }

  append(lengthBytes: number, count = 1): void {
    assert(lengthBytes >= 0 && count > 0);
    const last = this.#runs.at(-1);
    if (last?.lengthBytes === lengthBytes) {
      last.count += count;
      return;
    }
    const { block, file, bytes, offset } = this.end;
    this.#runs.push({
      lengthBytes,
      count,
      startBlock: block,
      startFile: file,
      startBytes: bytes,
      offset,
    });
  }

  /** Forgets everything from `block` on. */
  truncate(block: number): void {
    while (this.#runs.length > 0) {
      const last = this.#runs.at(-1);
      assert(last);
      if (last.startBlock + last.count <= block) return;
      if (last.startBlock < block) {
        last.count = block - last.startBlock;
        return;
      }
      this.#runs.pop();
    }
  }

  /** The record that begins at `block`; undefined at end of data. */
  at(block: number): MappedRecord | undefined {
    const run = this.#find((candidate) => candidate.startBlock <= block);
    if (!run || block >= run.startBlock + run.count) return undefined;
    return { ...behind(run, block - run.startBlock), lengthBytes: run.lengthBytes };
  }

  /** Where block `block` would begin, end of data included. */
  placeOf(block: number): Place {
    return this.at(block) ?? this.end;
  }

  /** The block number of filemark number `index` (0 = the first on the tape); undefined where there are fewer. */
  filemark(index: number): number | undefined {
    if (index < 0 || index >= this.end.file) return undefined;
    // Runs of data carry the file number of what follows them: the last run starting at or before holds the mark.
    const run = this.#find((candidate) => candidate.startFile <= index);
    assert(run && run.lengthBytes === 0);
    return run.startBlock + (index - run.startFile);
  }

  /** Runs and parts of runs from `block` on, for the index file. */
  since(block: number): Run[] {
    return this.#runs
      .filter((run) => run.startBlock + run.count > block)
      .map((run) => {
        if (run.startBlock >= block) return { ...run };
        const place = behind(run, block - run.startBlock);
        const count = run.startBlock + run.count - block;
        return {
          ...run,
          count,
          startBlock: place.block,
          startFile: place.file,
          startBytes: place.bytes,
          offset: place.offset,
        };
      });
  }

  /** The last run for which `holds` is true; it must be true for a prefix of the runs. */
  #find(holds: (run: Run) => boolean): Run | undefined {
    let low = 0;
    let high = this.#runs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const run = this.#runs[middle];
      if (run && holds(run)) low = middle + 1;
      else high = middle;
    }
    return this.#runs[low - 1];
  }
}

function behind(run: Run, count: number): Place {
  return {
    block: run.startBlock + count,
    file: run.startFile + (run.lengthBytes === 0 ? count : 0),
    bytes: run.startBytes + run.lengthBytes * count,
    offset: run.offset + frameBytes(run.lengthBytes) * count,
  };
}
