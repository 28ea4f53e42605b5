/** What is to be said of a catalog that was rebuilt. */
import type { Catalog } from '../catalog.ts';
import { BAD_MEDIUM_STATES } from '../shelf/media.ts';

/** Contents that some entry has and of which a part lies on no medium that can be read. */
export function lostContents(catalog: Catalog): {
  readonly contents: number;
  readonly bytes: number;
} {
  const [contents = 0, bytes = 0] =
    catalog
      .prepare<[number, number | null]>(
        `WITH good(archive) AS (SELECT DISTINCT a.id FROM archives a JOIN archive_copies k ON k.archive = a.id
             JOIN media m ON m.id = k.medium
             WHERE a.state = 'good' AND k.state = 'good' AND m.state NOT IN ${BAD_MEDIUM_STATES}),
           held(content, bytes) AS (SELECT e.content, sum(coalesce(e.length, c.size - e.content_offset))
             FROM extents e CROSS JOIN contents c ON c.id = e.content
             WHERE e.archive IN (SELECT archive FROM good) GROUP BY e.content)
         SELECT count(*), sum(c.size) FROM contents c LEFT JOIN held h ON h.content = c.id
         WHERE c.size > 0 AND c.hash IS NOT NULL AND coalesce(h.bytes, 0) < c.size
           AND c.id IN (SELECT content FROM inodes WHERE content IS NOT NULL)`,
      )
      .get() ?? [];
  return { contents, bytes: bytes ?? 0 };
}

/** The latest time that anything on the media shows was seen: a clock that shows less is wrong (SCHEMA.md 9). */
export function touchClock(catalog: Catalog, timeMs: number): void {
  catalog.write(() =>
    catalog
      .prepare("UPDATE counters SET next = max(next, ?) WHERE name = 'clock_ms'")
      .run(Math.floor(timeMs)),
  );
}
