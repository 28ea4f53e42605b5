/** What groom has written and nobody has read back yet: a groom that was cut leaves such copies, and none is relied on. */
import type { Catalog } from '../catalog.ts';
import { BAD_MEDIUM_STATES } from '../shelf/media.ts';

export type UnreadCopy = {
  readonly archiveId: number;
  readonly mediumId: number;
  readonly startBlock: number;
  readonly lengthBlocks: number;
  readonly blake3: Buffer;
};

/** Archives of a groom, and copies of others that were written after the archive had been committed. */
const UNREAD = `SELECT k.archive, k.medium, k.start_block, a.length_blocks, a.blake3
  FROM archive_copies k CROSS JOIN archives a ON a.id = k.archive CROSS JOIN media m ON m.id = k.medium
    CROSS JOIN jobs j ON j.number = a.job
  WHERE k.state = 'good' AND a.state = 'good' AND k.verified_ms IS NULL AND k.medium <> ?
    AND m.state NOT IN ${BAD_MEDIUM_STATES} AND (j.verb = 'groom' OR k.written_ms > a.committed_ms)
  ORDER BY k.medium, k.file_number`;

/** In order of medium and tape; those on a medium that is to be given up are left out. */
export function unreadCopies(catalog: Catalog, givenUp: number): UnreadCopy[] {
  return catalog
    .prepare<[number, number, number, number, Buffer]>(UNREAD)
    .all(givenUp)
    .map(([archiveId, mediumId, startBlock, lengthBlocks, blake3]) => ({
      ...{ archiveId, mediumId, startBlock, lengthBlocks, blake3 },
    }));
}
