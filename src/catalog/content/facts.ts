/** What the catalog knows of a content's copies, in one look: for people who ask a file where it lies. */
import type { Raw } from '../../base/raw.ts';
import type { Catalog } from '../catalog.ts';
import { BAD_MEDIUM_STATES } from '../shelf/media.ts';

/** The first extent of a content on one medium. */
export type CopyFact = {
  readonly barcode: string;
  readonly mediumUuid: string | undefined;
  /** Undefined while it is in the library, or nobody said. */
  readonly location: string | undefined;
  readonly fileNumber: number;
  /** Logical block in which the data begin. */
  readonly block: number;
  readonly isGood: boolean;
};

export type ContentFacts = {
  readonly hash: Buffer | undefined;
  /** Good ones first, then by medium. */
  readonly copies: readonly CopyFact[];
  /** Of the archive that first held it. */
  readonly jobNumber: number | undefined;
  readonly writtenMs: number | undefined;
};

type CopyRow = [
  barcode: string,
  uuid: string | null,
  location: string | null,
  file: number,
  block: number,
  isGood: number,
  job: number | null,
  committed: number | null,
];

const COPIES = `SELECT m.barcode, m.uuid, l.name, k.file_number, k.start_block + e.position / a.block_bytes,
    a.state = 'good' AND k.state = 'good' AND m.state NOT IN ${BAD_MEDIUM_STATES} AND NOT EXISTS(
      SELECT 1 FROM damages d WHERE d.archive = a.id AND d.medium = m.id AND d.position < e.position +
        coalesce(e.stored, e.length, c.size - e.content_offset) AND d.position + d.length > e.position) AS good,
    a.job, a.committed_ms
  FROM extents e JOIN contents c ON c.id = e.content JOIN archives a ON a.id = e.archive
    JOIN archive_copies k ON k.archive = a.id JOIN media m ON m.id = k.medium
    LEFT JOIN locations l ON l.id = m.location
  WHERE e.content = ? ORDER BY e.content_offset, good DESC, a.id, m.id`;

export class Facts {
  readonly #hash;
  readonly #copies;
  readonly #sources;

  constructor(catalog: Catalog) {
    this.#hash = catalog.prepare<[Buffer | null]>('SELECT hash FROM contents WHERE id = ?');
    this.#copies = catalog.prepare<CopyRow>(COPIES);
    this.#sources = catalog.prepare<[string, Raw]>(
      'SELECT name, original FROM sources WHERE host = ? ORDER BY length(original) DESC',
    );
  }

  ofContent(contentId: number): ContentFacts {
    const rows = this.#copies.all(contentId);
    const copies = new Map<string, CopyFact>();
    for (const [barcode, uuid, location, fileNumber, block, isGood] of rows) {
      const known = copies.get(barcode);
      // A medium is as good as the worst of what it holds.
      if (known) copies.set(barcode, { ...known, isGood: known.isGood && isGood === 1 });
      else
        copies.set(barcode, {
          barcode,
          mediumUuid: uuid ?? undefined,
          location: location ?? undefined,
          fileNumber,
          block,
          isGood: isGood === 1,
        });
    }
    const first = rows.toSorted((a, b) => (a[7] ?? 0) - (b[7] ?? 0))[0];
    return {
      hash: this.#hash.get(contentId)?.[0] ?? undefined,
      copies: [...copies.values()],
      jobNumber: first?.[6] ?? undefined,
      writtenMs: first?.[7] ?? undefined,
    };
  }

  /** Name of the source the path belongs to; undefined where it was removed since. */
  sourceOf(hostId: number, path: Raw): string | undefined {
    const isWithin = (original: Raw) =>
      original === '/' || path === original || path.startsWith(`${original}/`);
    return this.#sources.all(hostId).find(([, original]) => isWithin(original))?.[0];
  }
}
