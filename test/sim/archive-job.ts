/**
 * A backup's way with a tape, without files: blocks, a synchronous filemark, and only then the archive counts. Whatever
 * happens meanwhile, every archive that counted must be on the tape afterwards, whole and in order.
 */
import { expect } from 'vitest';
import type { Drive } from '../../src/device/drive.ts';
import { WRITING_MODE } from '../../src/storage/writing-mode.ts';

const go = new AbortController().signal;
const BLOCKS_PER_ARCHIVE = 3;

export type Ended = {
  /** Names of the archives that counted, in order. */
  readonly counted: readonly number[];
  /** Undefined where the job was asked to stop. */
  readonly failure: unknown;
};

export class ArchiveJob {
  readonly #blockBytes: number;
  #next = 0;

  constructor(blockBytes: number) {
    this.#blockBytes = blockBytes;
  }

  /** Goes behind end of data and writes archives until `isDone` or something fails. */
  async write(drive: Drive, isDone: () => boolean): Promise<Ended> {
    const counted: number[] = [];
    try {
      await drive.waitReady(go);
      await drive.setMode(WRITING_MODE, go);
      await drive.spaceToEndOfData(go);
      await closeTornArchive(drive);
      while (!isDone()) {
        const name = this.#next;
        this.#next += 1;
        for (let index = 0; index < BLOCKS_PER_ARCHIVE; index += 1) {
          await drive.write(this.#block(name, index), go);
        }
        await drive.writeFilemarks(1, { immediate: false }, go);
        await drive.checkPosition(go);
        counted.push(name);
      }
      return { counted, failure: undefined };
    } catch (failure) {
      return { counted, failure };
    }
  }

  /** Reads the whole tape. Torn archives may stand between those that counted, never in place of one. */
  async expectOnTape(drive: Drive, counted: readonly number[]): Promise<void> {
    await drive.waitReady(go);
    // A late write error that nobody has met yet comes out here; what it tells of did not count.
    await drive.rewind(go).catch(() => drive.rewind(go));
    const found: number[] = [];
    let blocks: Buffer[] = [];
    for (;;) {
      const buffer = Buffer.alloc(this.#blockBytes);
      const result = await drive.read(buffer, go);
      if (result.kind === 'end-of-data') break;
      if (result.kind === 'filemark') {
        const name = this.#wholeArchive(blocks);
        if (name !== undefined) found.push(name);
        blocks = [];
      } else {
        expect(result).toEqual({ kind: 'block', lengthBytes: this.#blockBytes });
        blocks.push(buffer);
      }
    }
    // An archive whose filemark was written but never confirmed may be there too.
    expect(found.filter((name) => counted.includes(name))).toEqual(counted);
  }

  #wholeArchive(blocks: readonly Buffer[]): number | undefined {
    const name = blocks[0]?.readUInt32BE(0);
    if (name === undefined || blocks.length !== BLOCKS_PER_ARCHIVE) return undefined;
    for (const [index, block] of blocks.entries()) {
      expect(block.equals(this.#block(name, index)), `archive ${name}, block ${index}`).toBe(true);
    }
    return name;
  }

  #block(name: number, index: number): Buffer {
    const bytes = Buffer.alloc(this.#blockBytes, (name * 7 + index + 1) & 0xff);
    bytes.writeUInt32BE(name, 0);
    bytes.writeUInt32BE(index, 4);
    return bytes;
  }
}

/** What a run that ended badly left behind gets its filemark, so that nothing is ever continued in its middle. */
async function closeTornArchive(drive: Drive): Promise<void> {
  if (!drive.position.proven || drive.position.block === 0) return;
  await drive.locate(drive.position.block - 1, go);
  const last = await drive.read(Buffer.alloc(2 ** 20), go);
  await drive.spaceToEndOfData(go);
  if (last.kind !== 'filemark') await drive.writeFilemarks(1, { immediate: false }, go);
}
