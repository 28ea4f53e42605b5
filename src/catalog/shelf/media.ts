/** Media, pools, locations and drives: the inventory. */
import { strict as assert } from 'node:assert';
import { CodedError } from '../../base/errors.ts';
import { printable } from '../../base/text.ts';
import type { ForeignTape } from '../../domain/foreign.ts';
import type { MediumKind, MediumState } from '../../domain/medium.ts';
import type { Bound, Catalog } from '../catalog.ts';
import { foreignOf } from './foreign.ts';

export type { MediumKind, MediumState } from '../../domain/medium.ts';

/** A copy on one of these is not counted: SCHEMA.md section 7. */
export const BAD_MEDIUM_STATES = "('suspect', 'retired', 'lost')";

export type NewMedium = {
  readonly barcode: string;
  readonly kind: MediumKind;
  readonly pool?: string | undefined;
  readonly generation?: string | undefined;
  /** What is planned to be filled, in bytes. */
  readonly capacityBytes: number;
  readonly location?: string | undefined;
};

/** What the label on the medium says, as far as the catalog asks for it. */
export type MediumLabel = {
  readonly uuid: string;
  readonly setUuid: string;
  /** From 1 within the set. */
  readonly setNumber: number;
  readonly blockBytes: number;
  /** End of data behind the label. */
  readonly nextFile: number;
  readonly nextBlock: number;
  readonly writeGeneration: number;
  /** Of the label's stream, padding included; left out where it is not known. */
  readonly labelBytes?: number | undefined;
  readonly labelBlake3?: Buffer | undefined;
  /** The whole label, as JSON. */
  readonly label: unknown;
};

export type Medium = {
  readonly id: number;
  readonly uuid: string | undefined;
  readonly barcode: string;
  readonly kind: MediumKind;
  readonly pool: string | undefined;
  readonly poolId: number | undefined;
  readonly setUuid: string | undefined;
  readonly setNumber: number | undefined;
  readonly generation: string | undefined;
  readonly state: MediumState;
  readonly capacityBytes: number;
  readonly writtenBytes: number;
  readonly blockBytes: number | undefined;
  /** End of data as known: the number of the next tape file, and the next logical block. */
  readonly nextFile: number;
  readonly nextBlock: number;
  readonly writeGeneration: number;
  readonly location: string | undefined;
  readonly label: unknown;
  /** Another program wrote it: it is read, and nothing is ever written to it. */
  readonly foreign: ForeignTape | undefined;
  readonly createdMs: number;
};

export type Pool = {
  readonly id: number;
  readonly name: string;
  readonly copies: number;
  /** Kept free at the end of each medium; undefined: by default. */
  readonly marginBytes: number | undefined;
};

export type Move = { readonly timeMs: number; readonly from?: string; readonly to?: string };

type MediumRow = [
  id: number,
  uuid: string | null,
  barcode: string,
  kind: MediumKind,
  pool: string | null,
  poolId: number | null,
  setUuid: string | null,
  setNumber: number | null,
  generation: string | null,
  state: MediumState,
  capacity: number,
  written: number,
  block: number | null,
  nextFile: number,
  nextBlock: number,
  writeGeneration: number,
  location: string | null,
  label: string | null,
  created: number,
];

const SELECT = `SELECT m.id, m.uuid, m.barcode, m.kind, p.name, m.pool, m.set_uuid, m.set_number, m.generation,
  m.state, m.capacity_bytes, m.written_bytes, m.block_bytes, m.next_file, m.next_block, m.write_generation,
  l.name, m.label, m.created_ms
  FROM media m LEFT JOIN pools p ON p.id = m.pool LEFT JOIN locations l ON l.id = m.location`;

/** What becomes of a medium as it is used; it never goes back by itself. */
const COURSE: readonly (string | undefined)[] = [
  'unlabelled',
  'scratch',
  'filling',
  'full',
  'suspect',
];

function isBefore(state: string | undefined, later: 'full' | 'suspect'): boolean {
  return COURSE.includes(state) && COURSE.indexOf(state) < COURSE.indexOf(later);
}

export class Media {
  readonly #catalog: Catalog;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  /**
   * Registers media, all or none.
   * @throws CodedError USAGE when a barcode is known already
   */
  add(media: readonly NewMedium[]): void {
    this.#catalog.write(() => {
      for (const medium of media) {
        if (this.find(medium.barcode))
          throw new CodedError('USAGE', `${printable(medium.barcode)} is registered already`);
        this.#run(
          `INSERT INTO media(barcode, kind, pool, generation, state, capacity_bytes, written_bytes,
             next_file, next_block, write_generation, location, created_ms)
           VALUES(?, ?, ?, ?, 'unlabelled', ?, 0, 0, 0, 0, ?, ?)`,
          medium.barcode,
          medium.kind,
          medium.pool === undefined ? null : this.ensurePool(medium.pool).id,
          medium.generation ?? null,
          medium.capacityBytes,
          medium.location === undefined ? null : this.#locationId(medium.location),
          Math.floor(this.#catalog.clock.nowMs()),
        );
      }
    });
  }

  /** In order of barcode. */
  list(): Medium[] {
    return this.#catalog.prepare<MediumRow>(`${SELECT} ORDER BY m.barcode`).all().map(toMedium);
  }

  find(barcode: string): Medium | undefined {
    const row = this.#catalog.prepare<MediumRow>(`${SELECT} WHERE m.barcode = ?`).get(barcode);
    return row && toMedium(row);
  }

  findUuid(uuid: string): Medium | undefined {
    const row = this.#catalog.prepare<MediumRow>(`${SELECT} WHERE m.uuid = ?`).get(uuid);
    return row && toMedium(row);
  }

  get(id: number): Medium {
    const row = this.#catalog.prepare<MediumRow>(`${SELECT} WHERE m.id = ?`).get(id);
    assert(row, `no medium ${id}`);
    return toMedium(row);
  }

  /** The label is on the medium: it is scratch now, and holds nothing else. */
  setLabelled(id: number, label: MediumLabel): void {
    this.#catalog.write(() => {
      const isUsed = this.#catalog
        .prepare("SELECT 1 FROM archive_copies WHERE medium = ? AND state <> 'lost' LIMIT 1")
        .get(id);
      assert(!isUsed, `medium ${id} still holds archives`);
      // What lay there can be read no more.
      this.#run('DELETE FROM archive_copies WHERE medium = ?', id);
      this.#run(
        `UPDATE media SET uuid = ?, set_uuid = ?, set_number = ?, block_bytes = ?, next_file = ?, next_block = ?,
           write_generation = ?, label = ?, label_bytes = ?, label_blake3 = ?, state = 'scratch', written_bytes = 0
         WHERE id = ?`,
        label.uuid,
        label.setUuid,
        label.setNumber,
        label.blockBytes,
        label.nextFile,
        label.nextBlock,
        label.writeGeneration,
        JSON.stringify(label.label),
        label.labelBytes ?? null,
        label.labelBlake3 ?? null,
        id,
      );
    });
  }

  setState(id: number, state: MediumState): void {
    this.#run('UPDATE media SET state = ? WHERE id = ?', state, id);
  }

  /** What a job finds out of it: one that a person has set aside meanwhile stays so, and is this when it is taken back. */
  worsen(id: number, to: 'full' | 'suspect'): void {
    this.#catalog.write(() => {
      const row = this.#catalog
        .prepare<[MediumState, string | null]>('SELECT state, held_from FROM media WHERE id = ?')
        .get(id);
      assert(row, `no medium ${id}`);
      const states = [row[0], ...(row[1] ?? '').split(' ').filter((word) => word !== '')];
      const at = states.findIndex((state) => state !== 'hold' && state !== 'lost');
      if (at === -1) states.push(to);
      else if (isBefore(states[at], to)) states[at] = to;
      const [state = to, ...before] = states;
      this.#run(
        'UPDATE media SET state = ?, held_from = ? WHERE id = ?',
        ...[state, before.length === 0 ? null : before.join(' '), id],
      );
    });
  }

  /** What it was before is kept: `takeBack` of medium-state.ts. Nothing changes where it is so already. */
  setAside(id: number, to: 'hold' | 'lost'): void {
    this.#run(
      `UPDATE media SET held_from = state || coalesce(' ' || held_from, ''), state = @to
       WHERE id = @id AND state <> @to`,
      { id, to },
    );
  }

  setPool(id: number, pool: string): void {
    this.#catalog.write(() =>
      this.#run('UPDATE media SET pool = ? WHERE id = ?', this.ensurePool(pool).id, id),
    );
  }

  setCapacity(id: number, capacityBytes: number): void {
    this.#run('UPDATE media SET capacity_bytes = ? WHERE id = ?', capacityBytes, id);
  }

  /** Records where it is from now on; undefined: not known. */
  move(id: number, location: string | undefined): void {
    this.#catalog.write(() => {
      const to = location === undefined ? null : this.#locationId(location);
      this.#run(
        'INSERT INTO media_moves(medium, time_ms, from_location, to_location) SELECT id, ?, location, ? FROM media WHERE id = ?',
        Math.floor(this.#catalog.clock.nowMs()),
        to,
        id,
      );
      this.#run('UPDATE media SET location = ? WHERE id = ?', to, id);
    });
  }

  /** Oldest first. */
  moves(id: number): Move[] {
    return this.#catalog
      .prepare<[number, string | null, string | null]>(
        `SELECT v.time_ms, f.name, t.name FROM media_moves v LEFT JOIN locations f ON f.id = v.from_location
           LEFT JOIN locations t ON t.id = v.to_location WHERE v.medium = ? ORDER BY v.id`,
      )
      .all(id)
      .map(([timeMs, from, to]) => ({
        timeMs,
        ...(from === null ? {} : { from }),
        ...(to === null ? {} : { to }),
      }));
  }

  pools(): Pool[] {
    return this.#catalog
      .prepare<[number, string, number, number | null]>(
        'SELECT id, name, copies, margin_bytes FROM pools ORDER BY name',
      )
      .all()
      .map(([id, name, copies, margin]) => ({
        id,
        name,
        copies,
        marginBytes: margin ?? undefined,
      }));
  }

  /** The pool of this name, made with one copy and the default margin where there is none. */
  ensurePool(name: string): Pool {
    const known = this.pools().find((pool) => pool.name === name);
    if (known) return known;
    this.#run("INSERT OR IGNORE INTO pools(name, copies, options) VALUES(?, 1, '{}')", name);
    return this.ensurePool(name);
  }

  setPoolPolicy(id: number, policy: { copies: number; marginBytes?: number | undefined }): void {
    this.#run(
      'UPDATE pools SET copies = ?, margin_bytes = ? WHERE id = ?',
      policy.copies,
      policy.marginBytes ?? null,
      id,
    );
  }

  /** A drive that was met; known by its serial whatever its node is called today. */
  seeDrive(drive: { serial: string; path: string; generation?: string; facts: unknown }): void {
    this.#run(
      `INSERT INTO drives(serial, path, generation, facts, seen_ms) VALUES(?, ?, ?, ?, ?)
       ON CONFLICT(serial) DO UPDATE SET path = excluded.path, generation = excluded.generation,
         facts = excluded.facts, seen_ms = excluded.seen_ms`,
      drive.serial,
      drive.path,
      drive.generation ?? null,
      JSON.stringify(drive.facts),
      Math.floor(this.#catalog.clock.nowMs()),
    );
  }

  #locationId(name: string): number {
    this.#run('INSERT OR IGNORE INTO locations(name) VALUES(?)', name);
    const id = this.#catalog
      .prepare<[number]>('SELECT id FROM locations WHERE name = ?')
      .get(name)?.[0];
    assert(id !== undefined);
    return id;
  }

  #run(sql: string, ...parameters: Bound[]): void {
    this.#catalog.write(() => this.#catalog.prepare(sql).run(...parameters));
  }
}

function toMedium(row: MediumRow): Medium {
  const label: unknown = row[17] === null ? undefined : JSON.parse(row[17]);
  return {
    id: row[0],
    uuid: row[1] ?? undefined,
    barcode: row[2],
    kind: row[3],
    pool: row[4] ?? undefined,
    poolId: row[5] ?? undefined,
    setUuid: row[6] ?? undefined,
    setNumber: row[7] ?? undefined,
    generation: row[8] ?? undefined,
    state: row[9],
    capacityBytes: row[10],
    writtenBytes: row[11],
    blockBytes: row[12] ?? undefined,
    nextFile: row[13],
    nextBlock: row[14],
    writeGeneration: row[15],
    location: row[16] ?? undefined,
    label,
    foreign: foreignOf(label),
    createdMs: row[18],
  };
}
