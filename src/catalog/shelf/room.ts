/** How much the media hold and could hold: what `df` shows. */
import type { Catalog } from '../catalog.ts';

export type Room = {
  readonly capacityBytes: number;
  readonly writtenBytes: number;
  /** Entries, roughly: every inode ever recorded. */
  readonly files: number;
};

/** @param pool its media alone; where it has none yet, all media */
export function roomOf(catalog: Catalog, pool: string): Room {
  const sum = (where: string, ...bound: string[]) =>
    catalog
      .prepare<[number, number, number]>(
        `SELECT count(*), coalesce(sum(capacity_bytes), 0), coalesce(sum(written_bytes), 0)
         FROM media m WHERE state NOT IN ('retired', 'lost') ${where}`,
      )
      .get(...bound);
  const ofPool = sum('AND pool = (SELECT id FROM pools WHERE name = ?)', pool);
  const [, capacityBytes = 0, writtenBytes = 0] = (ofPool?.[0] ? ofPool : sum('')) ?? [];
  const next = catalog.prepare<[number]>("SELECT next FROM counters WHERE name = 'inodes'").get();
  return { capacityBytes, writtenBytes, files: next?.[0] ?? 0 };
}
