/** Archives that journals name and nobody has seen: on cartridges that are known by name alone, or hold something else by now. */
import { strict as assert } from 'node:assert';
import type { Catalog } from '../catalog.ts';

/** Names of cartridges that nobody has seen; more are somebody's game. */
const NAMED_MAX = 10_000;

/** An archive of which a journal says that it was there. */
type Named = {
  readonly barcode: string;
  readonly file: number;
  readonly blockBytes: number;
  readonly createdMs: number;
};

export class UnseenArchives {
  readonly #catalog: Catalog;
  readonly #missing = new Set<string>();

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  /** Cartridges that somebody has to bring, by name. */
  get missing(): readonly string[] {
    return [...this.#missing].toSorted();
  }

  /** The archive's id; it and its cartridge, which is lost until then, are made where they are not known. Part of the caller's write. */
  at(named: Named): number {
    const { barcode, file, blockBytes, createdMs } = named;
    const isNamed = this.#missing.has(barcode) || this.#missing.size < NAMED_MAX;
    const name = isNamed ? `lost:${file}:${barcode}` : 'lost:0:';
    const known = this.#catalog
      .prepare<[number]>('SELECT id FROM archives WHERE uuid = ?')
      .get(name)?.[0];
    if (known !== undefined) return known;
    const id = this.#catalog
      .prepare<[number]>(
        `INSERT INTO archives(uuid, sequence, state, block_bytes, created_ms)
         VALUES(?, 1, 'good', ?, ?) RETURNING id`,
      )
      .get(name, blockBytes, createdMs)?.[0];
    assert(id !== undefined);
    if (!isNamed) return id;
    const medium = this.#catalog
      .prepare<[number, string]>('SELECT id, state FROM media WHERE barcode = ?')
      .get(barcode);
    if (medium && medium[1] !== 'lost') return id;
    this.#missing.add(barcode);
    const mediumId =
      medium?.[0] ??
      this.#catalog
        .prepare<[number]>(
          `INSERT INTO media(barcode, kind, state, capacity_bytes, written_bytes, block_bytes, next_file, next_block,
             write_generation, created_ms) VALUES(?, 'tape', 'lost', 0, 0, ?, 0, 0, 0, ?) RETURNING id`,
        )
        .get(barcode, blockBytes, createdMs)?.[0];
    assert(mediumId !== undefined);
    // Block numbers count from the start of the tape: so they mean the same, whatever archive it is.
    this.#catalog
      .prepare("INSERT INTO archive_copies VALUES(?, ?, ?, 0, 'good', ?, NULL)")
      .run(id, mediumId, file, createdMs);
    return id;
  }
}
