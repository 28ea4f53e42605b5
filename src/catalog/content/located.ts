/** Extents with the copies of their archives, as they lie on media, and how many media have each byte well. */
import type { Extent } from '../../domain/content.ts';
import type { Catalog } from '../catalog.ts';
import { BAD_MEDIUM_STATES } from '../shelf/media.ts';

/** One copy of an archive on one medium. */
export type ArchiveCopy = {
  readonly mediumId: number;
  readonly barcode: string;
  readonly mediumState: string;
  readonly poolId: number | undefined;
  readonly fileNumber: number;
  /** Logical block of the archive's first byte, as READ POSITION counts. */
  readonly startBlock: number;
  readonly state: string;
  /** Archive, copy and medium are good, and no damage touches the extent. */
  readonly isGood: boolean;
};

export type LocatedExtent = {
  readonly archiveId: number;
  readonly archiveUuid: string;
  readonly archiveState: string;
  readonly blockBytes: number;
  readonly extent: Extent;
  /** Good ones first, then by medium. */
  readonly copies: readonly ArchiveCopy[];
};

type LocatedRow = [
  offset: number,
  length: number,
  position: number,
  stored: number,
  form: number,
  archive: number,
  uuid: string,
  archiveState: string,
  blockBytes: number,
  medium: number | null,
  barcode: string,
  mediumState: string,
  pool: number | null,
  fileNumber: number,
  startBlock: number,
  copyState: string,
  isGood: number,
];

const LOCATED = `
SELECT e.content_offset, coalesce(e.length, c.size - e.content_offset) AS span, e.position,
  coalesce(e.stored, e.length, c.size - e.content_offset) AS bytes, e.form,
  a.id, a.uuid, a.state, a.block_bytes, m.id, m.barcode, m.state, m.pool, k.file_number, k.start_block, k.state,
  a.state = 'good' AND k.state = 'good' AND m.state NOT IN ${BAD_MEDIUM_STATES} AND NOT EXISTS(
    SELECT 1 FROM damages d WHERE d.archive = a.id AND d.medium = m.id
      AND d.position < e.position + coalesce(e.stored, e.length, c.size - e.content_offset)
      AND d.position + d.length > e.position) AS good
FROM extents e JOIN contents c ON c.id = e.content JOIN archives a ON a.id = e.archive
  LEFT JOIN archive_copies k ON k.archive = a.id LEFT JOIN media m ON m.id = k.medium
WHERE e.content = ? ORDER BY e.content_offset, a.id, good DESC, m.id`;

export class LocatedExtents {
  readonly #rows;

  constructor(catalog: Catalog) {
    this.#rows = catalog.prepare<LocatedRow>(LOCATED);
  }

  /** In order of content offset, then of archive; torn archives' extents among them. Of this content alone, not of its twins. */
  extentsOf(contentId: number): LocatedExtent[] {
    const found: (LocatedExtent & { copies: ArchiveCopy[] })[] = [];
    for (const row of this.#rows.all(contentId)) {
      let last = found.at(-1);
      if (last?.extent.contentOffset !== row[0] || last.archiveId !== row[5]) {
        last = locatedExtent(row);
        found.push(last);
      }
      if (row[9] !== null) last.copies.push(archiveCopy(row, row[9]));
    }
    return found;
  }
}

/**
 * The smallest number of distinct media that hold any one byte well, of one pool where given: from extent edge to extent edge.
 * @param size of the content, in bytes
 */
export function leastCopies(
  extents: readonly LocatedExtent[],
  size: number,
  poolId?: number,
): number {
  const spans = extents.map(({ extent, copies }) => ({
    start: extent.contentOffset,
    end: extent.contentOffset + extent.lengthBytes,
    media: copies
      .filter((copy) => copy.isGood && (poolId === undefined || copy.poolId === poolId))
      .map((copy) => copy.mediumId),
  }));
  // Nearly always: a content in one piece, wherever it lies.
  if (spans.length > 0 && spans.every(({ start, end }) => start === 0 && end === size))
    return new Set(spans.flatMap(({ media }) => media)).size;
  const edges = [...new Set(spans.flatMap(({ start, end }) => [start, end]).concat(0, size))]
    .filter((edge) => edge <= size)
    .sort((a, b) => a - b);
  let least = Number.POSITIVE_INFINITY;
  for (const edge of edges.slice(0, -1)) {
    const here = spans.filter(({ start, end }) => start <= edge && edge < end);
    least = Math.min(least, new Set(here.flatMap(({ media }) => media)).size);
  }
  return least;
}

/** Of the columns in which all queries have it. */
export function toExtent(
  row: readonly [offset: number, length: number, position: number, stored: number, form: number],
): Extent {
  return {
    contentOffset: row[0],
    lengthBytes: row[1],
    archiveOffset: row[2],
    storedBytes: row[3],
    form: row[4] === 1 ? 'sparse' : 'plain',
  };
}

function locatedExtent(row: LocatedRow): LocatedExtent & { copies: ArchiveCopy[] } {
  return {
    archiveId: row[5],
    archiveUuid: row[6],
    archiveState: row[7],
    blockBytes: row[8],
    extent: toExtent([row[0], row[1], row[2], row[3], row[4]]),
    copies: [],
  };
}

function archiveCopy(row: LocatedRow, mediumId: number): ArchiveCopy {
  return {
    mediumId,
    barcode: row[10],
    mediumState: row[11],
    poolId: row[12] ?? undefined,
    fileNumber: row[13],
    startBlock: row[14],
    state: row[15],
    isGood: row[16] === 1,
  };
}
