/** What lies below a directory on one medium, in the order of its tape: in a temporary table, however much it is. */
import { strict as assert } from 'node:assert';
import { setImmediate as turn } from 'node:timers/promises';
import type { Catalog } from '../catalog.ts';
import { TemporaryTable } from '../row/temporary.ts';
import { EMPTY_CONTENT } from '../schema.ts';
import { Directories } from '../tree/directories.ts';
import { Tree } from '../tree/tree.ts';

/** A directory as of a snapshot. */
export type TreePlace = { readonly directoryId: number; readonly snapshotId: number };

/** A content on the medium that was asked about. */
export type PlacedContent = {
  readonly contentId: number;
  /** In bytes from the beginning of the tape. */
  readonly startByte: number;
};

/** A content has one place, however many names. */
const TABLE =
  '(start INTEGER, content INTEGER, PRIMARY KEY(start, content) ON CONFLICT IGNORE) WITHOUT ROWID';
/** Entries looked at without a turn for others: some 3 ms. */
const ENTRIES_A_TURN = 256;
const ROOTS_MAX = 10_000;

const ON_MEDIUM = `
SELECT k.start_block * a.block_bytes + e.position, coalesce(e.stored, e.length, c.size - e.content_offset)
FROM extents e CROSS JOIN contents c ON c.id = e.content
  CROSS JOIN archives a ON a.id = e.archive AND a.state = 'good'
  CROSS JOIN archive_copies k ON k.archive = a.id AND k.medium = ? AND k.state = 'good'
WHERE e.content = ? ORDER BY 1 LIMIT 1`;

export class Below {
  readonly #directories: Directories;
  readonly #tree: Tree;
  readonly #table: TemporaryTable;
  readonly #onMedium;
  readonly #next;
  readonly #remove;
  readonly #roots = new Map<number, number>();

  /** Begins with nothing. One a connection. */
  constructor(catalog: Catalog) {
    this.#tree = new Tree(catalog);
    this.#directories = new Directories(catalog);
    this.#table = new TemporaryTable(catalog, 'below', TABLE);
    this.#onMedium = catalog.prepare<[number, number]>(ON_MEDIUM);
    this.#next = catalog.prepare<[number, number]>(
      'SELECT start, content FROM temp.below WHERE start >= ? ORDER BY start, content LIMIT 1',
    );
    this.#remove = catalog.prepare('DELETE FROM temp.below WHERE start = ? AND content = ?');
  }

  /** Of its host; rows of directories never change. */
  root(directoryId: number): number {
    const known = this.#roots.get(directoryId);
    if (known !== undefined) return known;
    const root = this.#directories.root(directoryId);
    if (this.#roots.size >= ROOTS_MAX) this.#roots.clear();
    this.#roots.set(directoryId, root);
    return root;
  }

  parent(directoryId: number): number {
    return this.#directories.parent(directoryId);
  }

  /** The lowest directory that both are in, or are; undefined where they are of different hosts. */
  common(a: number, b: number): number | undefined {
    if (a === b) return a;
    const root = this.root(a);
    if (root !== this.root(b)) return undefined;
    const above = new Set(this.#chain(a));
    return this.#chain(b).find((id) => above.has(id)) ?? root;
  }

  /**
   * Adds what lies below the place on the medium, until that is more than `bytesMax`; others get turns meanwhile.
   * @throws the signal's reason when aborted
   */
  async gather(
    place: TreePlace,
    from: { readonly mediumId: number; readonly bytesMax: number },
    signal: AbortSignal,
  ): Promise<void> {
    const { directoryId, snapshotId } = place;
    const root = this.#directories.root(directoryId);
    const host = this.#directories.hosts().find((one) => one.directoryId === root);
    assert(host, 'a directory is of a host');
    const path = this.#directories.path(directoryId);
    let [looked, bytes] = [0, 0];
    for (const { inode } of this.#tree.walkWhatIsLeft(host.id, path, snapshotId)) {
      looked += 1;
      if (looked % ENTRIES_A_TURN === 0) {
        await turn();
        signal.throwIfAborted();
      }
      const { contentId, type } = inode;
      if (type !== 'file' || contentId === undefined || contentId === EMPTY_CONTENT) continue;
      const found = this.#onMedium.get(from.mediumId, contentId);
      if (!found) continue;
      this.#table.add(found[0], contentId);
      bytes += found[1];
      if (bytes > from.bytesMax) break;
    }
    this.#table.flush();
  }

  clear(): void {
    this.#table.clear();
  }

  /** The first of what was gathered that begins there or behind. */
  next(fromByte: number): PlacedContent | undefined {
    const row = this.#next.get(fromByte);
    return row && { startByte: row[0], contentId: row[1] };
  }

  remove({ startByte, contentId }: PlacedContent): void {
    this.#remove.run(startByte, contentId);
  }

  /** Itself, its parent and so on, without the root of the host. */
  #chain(directoryId: number): number[] {
    const root = this.root(directoryId);
    const chain: number[] = [];
    for (let id = directoryId; id !== root; id = this.#directories.parent(id)) chain.push(id);
    return chain;
  }
}
