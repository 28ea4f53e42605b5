/**
 * Where contents lie, for whoever asks for many of them in one moment: what is true of an archive is asked once, and a content costs one
 * small query instead of two large ones.
 */
import type { Catalog } from '../catalog.ts';
import { BAD_MEDIUM_STATES } from '../shelf/media.ts';
import {
  type ContentLocator,
  type Contents,
  knownContent,
  type LocatedContent,
} from './contents.ts';
import { type ArchiveCopy, type LocatedExtent, toExtent } from './located.ts';

type ExtentRow = [
  size: number,
  hash: Buffer | null,
  segments: Buffer | null,
  holes: Buffer | null,
  offset: number,
  length: number,
  position: number,
  stored: number,
  form: number,
  archive: number,
];

const EXTENTS = `SELECT c.size, c.hash, c.segments, c.holes, e.content_offset, coalesce(e.length, c.size - e.content_offset),
  e.position, coalesce(e.stored, e.length, c.size - e.content_offset), e.form, e.archive
  FROM contents c CROSS JOIN extents e ON e.content = c.id WHERE c.id = ? ORDER BY e.content_offset, e.archive`;

type CopyRow = [
  uuid: string,
  archiveState: string,
  blockBytes: number,
  isDamaged: number,
  medium: number | null,
  barcode: string,
  mediumState: string,
  pool: number | null,
  fileNumber: number,
  startBlock: number,
  state: string,
  isGood: number,
];

const COPIES = `SELECT a.uuid, a.state, a.block_bytes, EXISTS(SELECT 1 FROM damages d WHERE d.archive = a.id),
  m.id, m.barcode, m.state, m.pool, k.file_number, k.start_block, k.state,
  a.state = 'good' AND k.state = 'good' AND m.state NOT IN ${BAD_MEDIUM_STATES} AS good
  FROM archives a LEFT JOIN archive_copies k ON k.archive = a.id LEFT JOIN media m ON m.id = k.medium
  WHERE a.id = ? ORDER BY good DESC, m.id`;

type OfArchive = Omit<LocatedExtent, 'extent' | 'archiveId'>;

/** Good for as long as nothing is written, and no medium changes. */
export class Locator implements ContentLocator {
  readonly #contents: Contents;
  readonly #extents;
  readonly #copies;
  /** Undefined: something of it is damaged, so that each extent is to be looked at by itself. */
  readonly #archives = new Map<number, OfArchive | undefined>();

  /** @param contents which may know that most contents have no twins */
  constructor(catalog: Catalog, contents: Contents) {
    this.#contents = contents;
    this.#extents = catalog.prepare<ExtentRow>(EXTENTS);
    this.#copies = catalog.prepare<CopyRow>(COPIES);
  }

  /** @throws CodedError SNAPSHOT_EXPIRED where nothing has it any more */
  locate(contentId: number): LocatedContent {
    const rows = this.#contents.mayHaveTwins(contentId) ? [] : this.#extents.all(contentId);
    const extents: LocatedExtent[] = [];
    for (const row of rows) {
      const archive = this.#archive(row[9]);
      if (!archive) break;
      extents.push({
        ...archive,
        archiveId: row[9],
        extent: toExtent([row[4], row[5], row[6], row[7], row[8]]),
      });
    }
    const [first] = rows;
    if (first && extents.length === rows.length)
      return { content: knownContent([first[0], first[1], first[2], first[3]]), extents };
    const content = this.#contents.get(contentId);
    return { content, extents: this.#contents.extentsOf(contentId) };
  }

  #archive(id: number): OfArchive | undefined {
    if (this.#archives.has(id)) return this.#archives.get(id);
    const rows = this.#copies.all(id);
    const [first] = rows;
    const isDamaged = !first || first[3] === 1;
    const [archiveUuid = '', archiveState = '', blockBytes = 0] = first ?? [];
    const of = isDamaged
      ? undefined
      : { archiveUuid, archiveState, blockBytes, copies: rows.flatMap(copyOf) };
    this.#archives.set(id, of);
    return of;
  }
}

function copyOf(row: CopyRow): ArchiveCopy[] {
  if (row[4] === null) return [];
  return [
    {
      mediumId: row[4],
      barcode: row[5],
      mediumState: row[6],
      poolId: row[7] ?? undefined,
      fileNumber: row[8],
      startBlock: row[9],
      state: row[10],
      isGood: row[11] === 1,
    },
  ];
}
