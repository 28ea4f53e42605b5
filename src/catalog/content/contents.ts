/** Contents: bytes by their hash, the extents that hold them, and how many good copies there are. */
import { strict as assert } from 'node:assert';
import type { Content } from '../../domain/content.ts';
import type { DataRange } from '../../domain/entry.ts';
import type { Catalog } from '../catalog.ts';
import { EMPTY_CONTENT } from '../schema.ts';
import { IS_EMPTY } from '../shelf/capacity.ts';
import { BAD_MEDIUM_STATES } from '../shelf/media.ts';
import { expiredMeanwhile } from '../tree/snapshots.ts';
import { type ContentColumns, type ContentKey, ContentKeys } from './keys.ts';
import { type ArchiveCopy, type LocatedExtent, LocatedExtents, leastCopies } from './located.ts';
import { decodeRanges } from './ranges.ts';

/** `ranges`: where its data lie; undefined where there are no holes. */
export type KnownContent = Content & { readonly ranges: readonly DataRange[] | undefined };

export type LocatedContent = {
  /** As `Contents.get`. */
  readonly content: KnownContent | undefined;
  /** As `Contents.extentsOf`. */
  readonly extents: readonly LocatedExtent[];
};

/** Who knows where many contents lie, as of one moment (locator.ts). */
export interface ContentLocator {
  locate(contentId: number): LocatedContent;
}

/** What of a run's policy decides whether a content counts as stored. */
export type CopyPolicy = { readonly copies: number; readonly poolId?: number | undefined };

export type FoundContent = { readonly contentId: number; readonly goodCopies: number };

export class Contents {
  readonly #keys;
  readonly #get;
  readonly #located;
  readonly #inArchive;
  readonly #catalog: Catalog;
  #twins: ReadonlySet<number> | undefined;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
    this.#keys = catalog.part(ContentKeys);
    this.#get = catalog.prepare<ContentRow>(
      'SELECT size, hash, segments, holes FROM contents WHERE id = ?',
    );
    this.#located = new LocatedExtents(catalog);
    this.#inArchive = catalog.prepare('SELECT 1 FROM extents WHERE content = ? AND archive = ?');
  }

  /** Whether some content has this size: only then a file may be a duplicate. */
  sizeIsKnown(sizeBytes: number): boolean {
    return this.#keys.sizeIsKnown(sizeBytes);
  }

  find(sizeBytes: number, hash: Buffer): number | undefined {
    return this.#keys.find(sizeBytes, hash)[0];
  }

  /** The content of these bytes with its number of good copies, by the run's policy; undefined where it was never seen. */
  findStored(key: ContentKey, policy: CopyPolicy): FoundContent | undefined {
    return this.#catalog.read(() => this.#stored(this.#keys.find(key.sizeBytes, key.hash), policy));
  }

  /**
   * As `findStored`, of those that are found, by their place among what is asked for; at a fifth of its cost. @param contents a
   *   hundred or so: they share one view of the catalog
   */
  findStoredEach(contents: ContentColumns, policy: CopyPolicy): ReadonlyMap<number, FoundContent> {
    return this.#catalog.read(() => {
      const stored = new Map<number, FoundContent>();
      for (const [number, ids] of this.#keys.findAll(contents)) {
        const found = this.#stored(ids, policy);
        if (found) stored.set(number, found);
      }
      return stored;
    });
  }

  /** Whether a content has bytes in this archive. */
  isIn(contentId: number, archiveId: number): boolean {
    return this.#inArchive.get(contentId, archiveId) !== undefined;
  }

  /**
   * Undefined while a split file is not complete. `holes`: where its data lie, undefined when there are no holes.
   * @throws CodedError SNAPSHOT_EXPIRED where nothing has it any more
   */
  get(contentId: number): KnownContent | undefined {
    const row = this.#get.get(contentId);
    if (!row) throw expiredMeanwhile();
    return knownContent(row);
  }

  /** As `get`; undefined also where nothing has it any more. */
  getIfThere(contentId: number): KnownContent | undefined {
    const row = this.#get.get(contentId);
    return row && knownContent(row);
  }

  /**
   * In order of content offset, then of archive; torn archives' extents among them. Of all contents with these bytes: what
   * two processes store at the same time is two contents, and each is as safe as both.
   */
  extentsOf(contentId: number): LocatedExtent[] {
    return this.#extentsOfEach(this.withSameBytes(contentId));
  }

  #extentsOfEach(contentIds: readonly number[]): LocatedExtent[] {
    const [first, ...more] = contentIds.map((id) => this.#located.extentsOf(id));
    assert(first);
    if (more.length === 0) return first;
    return [first, ...more]
      .flat()
      .sort((a, b) => a.extent.contentOffset - b.extent.contentOffset || a.archiveId - b.archiveId);
  }

  /**
   * From now on contents are known that may have twins, so that others are not asked for theirs one by one. What gets a twin later has
   * copies that are not seen here.
   */
  rememberTwins(): void {
    const rows = this.#catalog
      .prepare<[number]>(
        `SELECT k.content FROM (SELECT size, key FROM content_keys GROUP BY size, key HAVING count(*) > 1) t
           CROSS JOIN content_keys k ON k.size = t.size AND k.key = t.key`,
      )
      .all();
    this.#twins = new Set(rows.flat());
  }

  /** Whether each byte has a good copy, by extents of its own alone: those of its twins may go with them. */
  isWholeAlone(contentId: number): boolean {
    const size = this.#get.get(contentId)?.[0];
    return size !== undefined && leastCopies(this.#located.extentsOf(contentId), size) > 0;
  }

  /** False where it is known that none has the bytes of this one besides: after `rememberTwins`. */
  mayHaveTwins(contentId: number): boolean {
    return this.#twins?.has(contentId) !== false;
  }

  /** Contents with the bytes of this one, itself among them. */
  withSameBytes(contentId: number): readonly number[] {
    if (!this.mayHaveTwins(contentId)) return [contentId];
    const [sizeBytes = 0, hash] = this.#get.get(contentId) ?? [];
    if (!hash) return [contentId];
    const found = this.#keys.find(sizeBytes, hash);
    return found.includes(contentId) ? found : [contentId, ...found];
  }

  /**
   * Tells contents that have fewer good copies than the policy asks. Asks nothing per content while all archives are well;
   * good for as long as no medium changes.
   */
  weakness(policy: CopyPolicy): (contentId: number) => boolean {
    const pool = policy.poolId ?? null;
    const weak = new Set(
      this.#catalog
        .prepare<[number]>(
          `SELECT a.id FROM archives a WHERE a.state = 'good' AND NOT ${IS_EMPTY} AND (
             SELECT count(*) FROM archive_copies k JOIN media m ON m.id = k.medium
             WHERE k.archive = a.id AND k.state = 'good' AND m.state NOT IN ${BAD_MEDIUM_STATES}
               AND (@pool IS NULL OR m.pool = @pool)) < @copies
           UNION SELECT archive FROM damages`,
        )
        .all({ pool, copies: policy.copies })
        .flat(),
    );
    if (weak.size === 0) return () => false;
    // Media that were given up leave archives without a copy behind, until the sweep: what was moved from there is whole elsewhere.
    const archives = this.#catalog.prepare<[archive: number, isWhole: number]>(
      'SELECT archive, content_offset = 0 AND length IS NULL FROM extents WHERE content = ?',
    );
    return (contentId) => {
      const own = archives.all(contentId);
      const isWell =
        own.some(([archive, isWhole]) => isWhole === 1 && !weak.has(archive)) ||
        (own.length > 0 && own.every(([archive]) => !weak.has(archive)));
      return !isWell && this.goodCopies(contentId, policy.poolId) < policy.copies;
    };
  }

  /** Of several contents with the same bytes the first, with the copies of all. */
  #stored(found: readonly number[], policy: CopyPolicy): FoundContent | undefined {
    const [contentId] = found;
    if (contentId === undefined) return undefined;
    return { contentId, goodCopies: this.#copiesOf(found, policy.poolId) };
  }

  /** The smallest number of distinct media that hold any one byte well; of one pool, where given. */
  goodCopies(contentId: number, poolId?: number): number {
    return this.#copiesOf(this.withSameBytes(contentId), poolId);
  }

  /** As `goodCopies`, of media other than this one. */
  goodCopiesWithout(contentId: number, mediumId: number, poolId?: number): number {
    return this.copiesElsewhere(contentId, mediumId, { poolId, isProven: () => true }).good;
  }

  /**
   * Good copies on media other than this one.
   * @returns `good`: of the pool, where given; `proven`: on media of which that is said, whatever their pool
   */
  copiesElsewhere(
    contentId: number,
    mediumId: number,
    only: {
      readonly poolId: number | undefined;
      isProven(mediumId: number): boolean;
      /** Of a moment in which many are asked for; left out: as it is now. */
      readonly locator?: ContentLocator;
    },
  ): { readonly good: number; readonly proven: number } {
    const all = Number.POSITIVE_INFINITY;
    if (contentId === EMPTY_CONTENT) return { good: all, proven: all };
    const located = only.locator?.locate(contentId);
    const size = located?.content?.sizeBytes ?? this.#get.get(contentId)?.[0];
    assert(size !== undefined, `no content ${contentId}`);
    const extents = located?.extents ?? this.#extentsOfEach(this.withSameBytes(contentId));
    const counted = (isCounted: (copy: ArchiveCopy) => boolean) =>
      extents.map((located) => ({ ...located, copies: located.copies.filter(isCounted) }));
    const others = counted((copy) => copy.mediumId !== mediumId);
    const known = counted((copy) => copy.mediumId !== mediumId && only.isProven(copy.mediumId));
    return { good: leastCopies(others, size, only.poolId), proven: leastCopies(known, size) };
  }

  /** @param contentIds all with the same bytes */
  #copiesOf(contentIds: readonly number[], poolId?: number): number {
    const [contentId] = contentIds;
    assert(contentId !== undefined);
    if (contentId === EMPTY_CONTENT) return Number.POSITIVE_INFINITY;
    const size = this.#get.get(contentId)?.[0];
    if (size === undefined) throw expiredMeanwhile();
    return leastCopies(this.#extentsOfEach(contentIds), size, poolId);
  }
}

type ContentRow = [
  size: number,
  hash: Buffer | null,
  segments: Buffer | null,
  holes: Buffer | null,
];

export function knownContent([sizeBytes, hash, segments, holes]: ContentRow):
  | KnownContent
  | undefined {
  if (!hash) return undefined;
  return {
    sizeBytes,
    hash,
    segments: segments ?? undefined,
    ranges: holes ? decodeRanges(holes) : undefined,
  };
}
