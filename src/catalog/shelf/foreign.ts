/** Cartridges that other programs wrote: media without a label of ours, on hold for good, and archives without a journal. */
import { strict as assert } from 'node:assert';
import type { ForeignTape } from '../../domain/foreign.ts';
import type { Catalog } from '../catalog.ts';

export type ForeignMedium = {
  readonly barcode: string;
  /** Made for it. */
  readonly uuid: string;
  readonly tape: ForeignTape;
  readonly generation: string | undefined;
  readonly capacityBytes: number;
  readonly nextFile: number;
  readonly nextBlock: number;
};

export type ForeignArchive = {
  readonly uuid: string;
  readonly jobNumber: number;
  /** From 1. */
  readonly sequence: number;
  readonly mediumId: number;
  readonly blockBytes: number;
  readonly fileNumber: number;
  readonly startBlock: number;
  readonly lengthBlocks: number;
  readonly lengthBytes: number;
  readonly blake3: Buffer;
};

/** What `media.label` keeps of one: `{"foreign": ...}`. */
export function foreignOf(label: unknown): ForeignTape | undefined {
  if (typeof label !== 'object' || label === null || !('foreign' in label)) return undefined;
  const { foreign } = label;
  if (typeof foreign !== 'object' || foreign === null) return undefined;
  if (!('blockBytes' in foreign) || !('firstBlock' in foreign)) return undefined;
  const { blockBytes, firstBlock } = foreign;
  if (typeof blockBytes !== 'number' || typeof firstBlock !== 'string') return undefined;
  return { blockBytes, firstBlock };
}

/** One that is registered and was never labelled becomes it; else it is new. @returns its id */
export function addForeignMedium(catalog: Catalog, medium: ForeignMedium): number {
  const { barcode, uuid, tape, generation, capacityBytes, nextFile, nextBlock } = medium;
  return catalog.write(() => {
    catalog
      .prepare(
        `INSERT INTO media(barcode, kind, generation, state, capacity_bytes, written_bytes, next_file, next_block,
           write_generation, created_ms) VALUES(?, 'tape', ?, 'unlabelled', ?, 0, 0, 0, 0, ?) ON CONFLICT DO NOTHING`,
      )
      .run(barcode, generation ?? null, capacityBytes, Math.floor(catalog.clock.nowMs()));
    const id = catalog
      .prepare<[number]>(
        `UPDATE media SET uuid = ?, pool = NULL, state = 'hold', held_from = NULL, block_bytes = ?, next_file = ?,
           next_block = ?, written_bytes = ?, label = ? WHERE barcode = ? AND state = 'unlabelled' RETURNING id`,
      )
      .get(
        uuid,
        tape.blockBytes,
        nextFile,
        nextBlock,
        nextBlock * tape.blockBytes,
        JSON.stringify({ foreign: tape }),
        barcode,
      )?.[0];
    assert(id !== undefined, 'it holds nothing of ours');
    return id;
  });
}

/** @returns its id */
export function addForeignArchive(catalog: Catalog, archive: ForeignArchive): number {
  const nowMs = Math.floor(catalog.clock.nowMs());
  return catalog.write(() => {
    const id = catalog
      .prepare<[number]>(
        `INSERT INTO archives(uuid, job, sequence, state, block_bytes, length_bytes, length_blocks, blake3, created_ms,
           committed_ms, journal_bytes) VALUES(?, ?, ?, 'good', ?, ?, ?, ?, ?, ?, 0) RETURNING id`,
      )
      .get(
        ...[archive.uuid, archive.jobNumber, archive.sequence, archive.blockBytes],
        ...[archive.lengthBytes, archive.lengthBlocks, archive.blake3, nowMs, nowMs],
      )?.[0];
    assert(id !== undefined);
    // It has no digest, as one that another vouches for; whoever read it does.
    catalog.prepare('UPDATE archives SET completed_by = id WHERE id = ?').run(id);
    // Every byte of it was read a moment ago.
    catalog
      .prepare("INSERT INTO archive_copies VALUES(?, ?, ?, ?, 'good', ?, ?)")
      .run(id, archive.mediumId, archive.fileNumber, archive.startBlock, nowMs, nowMs);
    return id;
  });
}
