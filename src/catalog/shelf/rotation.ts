/** What rotation asks of the catalog: where the media of a pool are since when, and what they alone hold. */
import type { RotatedMedium } from '../../domain/rotation.ts';
import type { Catalog } from '../catalog.ts';
import { BAD_MEDIUM_STATES, Media } from './media.ts';

/** Others are not carried about: empty, or not to be trusted with a copy. */
const CARRIED: ReadonlySet<string> = new Set(['filling', 'full', 'hold']);
/** Not to be had. */
const GONE = 'lost';

const GOOD_ARCHIVES = `SELECT k.archive FROM archive_copies k CROSS JOIN archives a ON a.id = k.archive
  WHERE k.medium = ? AND k.state = 'good' AND a.state = 'good' ORDER BY k.archive`;

/** In order of barcode. */
export function rotatedMedia(catalog: Catalog, pool: string, vault: string): RotatedMedium[] {
  const media = new Media(catalog);
  const archives = catalog.prepare<[number]>(GOOD_ARCHIVES);
  return media
    .list()
    .filter((medium) => medium.pool === pool && medium.state !== GONE)
    .map(({ id, barcode, location, state }) => ({
      ...{ id, barcode, location },
      arrivedMs:
        location === vault ? media.moves(id).findLast(({ to }) => to === vault)?.timeMs : undefined,
      isCarried: CARRIED.has(state),
      archives: archives.all(id).map(([archive]) => archive),
    }));
}

/** When something of the pool was last brought there. */
export function lastTripMs(catalog: Catalog, pool: string, vault: string): number | undefined {
  return (
    catalog
      .prepare<[number | null]>(
        `SELECT max(v.time_ms) FROM media_moves v CROSS JOIN media m ON m.id = v.medium
         WHERE m.pool = (SELECT id FROM pools WHERE name = @pool)
           AND v.to_location = (SELECT id FROM locations WHERE name = @vault)`,
      )
      .get({ pool, vault })?.[0] ?? undefined
  );
}

/**
 * Whether a medium holds a part of a content that is still needed, and of which no good copy lies on one of
 * the others. What is cut differently there counts as not being there. Goes through all extents once.
 */
export function holdsAlone(catalog: Catalog, mediumId: number, others: readonly number[]): boolean {
  const row = catalog
    .prepare<[number]>(
      `SELECT 1 FROM archive_copies k CROSS JOIN extents e ON e.archive = k.archive
       WHERE k.medium = @mediumId AND k.state = 'good' AND NOT EXISTS(
         SELECT 1 FROM extents o CROSS JOIN archives a ON a.id = o.archive
           CROSS JOIN archive_copies c ON c.archive = o.archive CROSS JOIN media m ON m.id = c.medium
         WHERE o.content = e.content AND o.content_offset = e.content_offset AND o.length IS e.length
           AND a.state = 'good' AND c.state = 'good' AND m.state NOT IN ${BAD_MEDIUM_STATES}
           AND m.id IN (SELECT value FROM json_each(@others))
           AND NOT EXISTS(SELECT 1 FROM damages d WHERE d.archive = a.id AND d.medium = m.id))
       LIMIT 1`,
    )
    .get({ mediumId, others: JSON.stringify(others) });
  return row !== undefined;
}
