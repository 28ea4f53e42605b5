/** Places where media are kept: rooms, boxes, a bank. Names are what people typed. */
import { strict as assert } from 'node:assert';
import type { Catalog } from '../catalog.ts';

export type Location = {
  readonly id: number;
  readonly name: string;
  /** Not in the building that burns: copies there count as off site. */
  readonly isOffsite: boolean;
  /** Kept there now. */
  readonly media: number;
};

export class Locations {
  readonly #catalog: Catalog;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  /** In order of name. */
  list(): Location[] {
    return this.#catalog
      .prepare<[number, string, number, number]>(
        `SELECT id, name, is_offsite, (SELECT count(*) FROM media m WHERE m.location = l.id)
         FROM locations l ORDER BY name`,
      )
      .all()
      .map(([id, name, isOffsite, media]) => ({ id, name, isOffsite: isOffsite !== 0, media }));
  }

  find(name: string): Location | undefined {
    return this.list().find((location) => location.name === name);
  }

  /** Made where there is none of this name yet. */
  set(name: string, { isOffsite }: { readonly isOffsite: boolean }): Location {
    return this.#catalog.write(() => {
      this.#catalog
        .prepare(
          `INSERT INTO locations(name, is_offsite) VALUES(?, ?)
           ON CONFLICT(name) DO UPDATE SET is_offsite = excluded.is_offsite`,
        )
        .run(name, isOffsite ? 1 : 0);
      const location = this.find(name);
      assert(location);
      return location;
    });
  }
}
