/**
 * Files of a run of which only some parts are stored so far: a content without a hash, which `segments` then serves for
 * another purpose (SCHEMA.md section 6). A run that goes on in another process finds the file anew, under another inode,
 * and takes over the parts in front that are good.
 */
import type { Extent } from '../../domain/content.ts';
import type { Catalog } from '../catalog.ts';
import { Contents, type CopyPolicy } from '../content/contents.ts';
import type { LocatedExtent } from '../content/located.ts';
import { CHANGES } from './change.ts';

/** The first parts of a file, without a gap, each with as many good copies as the policy asks. */
export type StoredParts = {
  readonly lengthBytes: number;
  /** Of each part of the file but its last. */
  readonly partBytes: number;
  /** BLAKE3 of all these bytes. */
  readonly hash: Buffer;
  readonly extents: readonly LocatedExtent[];
};

type Mark = { readonly end: number; readonly hash: Buffer };

type PartialRow = readonly [inode: number, content: number, marks: Buffer | null];

const HASH_BYTES = 32;
/** An offset, big-endian, and the hash of all bytes before it. */
const MARK_BYTES = 8 + HASH_BYTES;

export class Partials {
  readonly #catalog: Catalog;
  readonly #job: number;
  readonly #contents: Contents;

  constructor(catalog: Catalog, jobNumber: number) {
    this.#catalog = catalog;
    this.#job = jobNumber;
    this.#contents = new Contents(catalog);
  }

  /** Inodes of which a good archive holds something, and which wait for the rest. */
  begun(): ReadonlySet<number> {
    return new Set(
      this.#catalog
        .prepare<[number]>(
          `SELECT r.inode FROM run_partials r JOIN contents c ON c.id = r.content JOIN inodes i ON i.id = r.inode
           WHERE r.job = ? AND c.hash IS NULL AND i.content IS NULL AND EXISTS(
             SELECT 1 FROM extents e JOIN archives a ON a.id = e.archive WHERE e.content = c.id AND a.state = 'good')`,
        )
        .all(this.#job)
        .flat(),
    );
  }

  /**
   * What earlier processes have stored of files that are as they were then, by the inode that the file has now. What is
   * good for nothing is forgotten. Call it when everything is added, and before anything is stored.
   */
  adopt(policy: CopyPolicy): ReadonlyMap<number, StoredParts> {
    const adopted = new Map<number, StoredParts>();
    for (const [inode, content, marks] of this.#rows()) {
      const stored = this.#inFront(content, marks, policy);
      const now = stored && this.#inodeNow(inode);
      this.#catalog.write(() => {
        if (stored === undefined || now === undefined || adopted.has(now)) {
          this.#drop(inode, content);
          if (now !== inode) this.#removeInode(inode);
          return;
        }
        adopted.set(now, stored);
        if (now === inode) return;
        this.#catalog
          .prepare('UPDATE run_partials SET inode = ? WHERE job = ? AND inode = ?')
          .run(now, this.#job, inode);
        this.#removeInode(inode);
      });
    }
    return adopted;
  }

  /** The parts of a file are of no use: what is stored of it next begins anew. */
  forget(inodeId: number): void {
    this.#catalog.write(() => {
      for (const [inode, content] of this.#rows())
        if (inode === inodeId) this.#drop(inode, content);
    });
  }

  #rows(): PartialRow[] {
    return this.#catalog
      .prepare<[number, number, Buffer | null]>(
        `SELECT r.inode, r.content, c.segments FROM run_partials r JOIN contents c ON c.id = r.content
         WHERE r.job = ? AND c.hash IS NULL`,
      )
      .all(this.#job);
  }

  #inFront(content: number, marks: Buffer | null, policy: CopyPolicy): StoredParts | undefined {
    const extents = this.#contents.extentsOf(content);
    const partBytes = extents[0]?.extent.lengthBytes ?? 0;
    let good = 0;
    for (;;) {
      const media = extents
        .filter(({ extent }) => extent.contentOffset === good && extent.lengthBytes === partBytes)
        .flatMap(({ copies }) => copies)
        .filter(({ isGood, poolId }) => isGood && (policy.poolId ?? poolId) === poolId)
        .map(({ mediumId }) => mediumId);
      if (partBytes === 0 || new Set(media).size < policy.copies) break;
      good += partBytes;
    }
    const mark = decodeMarks(marks).findLast(({ end }) => end <= good);
    if (mark === undefined) return undefined;
    const { end: lengthBytes, hash } = mark;
    const inFront = extents.filter(
      ({ extent }) => extent.lengthBytes === partBytes && extent.contentOffset < lengthBytes,
    );
    return { lengthBytes, partBytes, hash, extents: inFront };
  }

  /** The inode of the waiting file that is this one; its bytes are compared when they are read. */
  #inodeNow(inode: number): number | undefined {
    return this.#catalog
      .prepare<[number]>(
        `SELECT p.inode FROM inodes o CROSS JOIN pending p CROSS JOIN inodes n ON n.id = p.inode
         WHERE o.id = ? AND p.job = ? AND p.change <> ${CHANGES.again} AND n.content IS NULL
           AND n.size = o.size AND n.device = o.device AND n.inode = o.inode
           AND n.mtime = o.mtime AND n.mtime_ns = o.mtime_ns LIMIT 1`,
      )
      .get(inode, this.#job)?.[0];
  }

  #drop(inode: number, content: number): void {
    this.#catalog.prepare('DELETE FROM extents WHERE content = ?').run(content);
    this.#catalog.prepare('DELETE FROM contents WHERE id = ?').run(content);
    this.#catalog
      .prepare('DELETE FROM run_partials WHERE job = ? AND inode = ?')
      .run(this.#job, inode);
  }

  /** No row names it any more. */
  #removeInode(inode: number): void {
    this.#catalog.prepare('DELETE FROM inodes WHERE id = ? AND content IS NULL').run(inode);
  }
}

/** @param hash of all bytes of the content up to the extent's end */
export function markOf({ contentOffset, lengthBytes }: Extent, hash: Buffer): Mark {
  return { end: contentOffset + lengthBytes, hash };
}

/** So that another process can go on from there. Part of the caller's `write`. */
export function addMark(catalog: Catalog, contentId: number, mark: Mark): void {
  const select = catalog.prepare<[Buffer | null]>('SELECT segments FROM contents WHERE id = ?');
  const [marks] = select.get(contentId) ?? [];
  const before = decodeMarks(marks ?? null).filter(({ end }) => end < mark.end);
  catalog
    .prepare('UPDATE contents SET segments = ? WHERE id = ?')
    .run(Buffer.concat([...before, mark].map(encodeMark)), contentId);
}

function encodeMark({ end, hash }: Mark): Buffer {
  const mark = Buffer.alloc(MARK_BYTES);
  mark.writeBigUInt64BE(BigInt(end));
  hash.copy(mark, MARK_BYTES - HASH_BYTES);
  return mark;
}

function decodeMarks(marks: Buffer | null): Mark[] {
  if (marks === null) return [];
  return Array.from({ length: marks.length / MARK_BYTES }, (_, index) => {
    const mark = marks.subarray(index * MARK_BYTES, (index + 1) * MARK_BYTES);
    return { end: Number(mark.readBigUInt64BE()), hash: mark.subarray(MARK_BYTES - HASH_BYTES) };
  });
}
