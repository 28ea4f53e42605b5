/**
 * Rebuilds a catalog from what journals tell: into an empty one, or into a copy that is older than they are.
 *
 * Lines come in as journals are read, in order of their time. Contents, extents and inodes are written at once; which entry
 * stood at which path in which run is kept in a temporary table, sorted once, and becomes versions path by path. Memory does
 * not grow with the number of entries. Ids are new; runs that the catalog has finished already keep theirs, and of what is
 * told of them again only the places of bytes are taken.
 */
import { strict as assert } from 'node:assert';
import type { Raw } from '../../base/raw.ts';
import { type Attributes, compareMoments, type SourceInode } from '../../domain/entry.ts';
import type { Catalog } from '../catalog.ts';
import { NULL_NUMBER, Packed } from '../row/packed.ts';
import { EMPTY_CONTENT } from '../schema.ts';
import { Directories } from '../tree/directories.ts';
import { Inodes } from '../tree/inodes.ts';
import { RebuiltExtents, type Teller, type ToldPlace } from './extents.ts';
import { RebuiltRuns, type ToldRun } from './runs.ts';
import { buildVersions } from './versions.ts';

export type ToldEntry = {
  /** `planned`: it was still to be stored, or only parts of it are. `stray`: stored, but nobody knows when it was there. */
  readonly kind: 'stored' | 'gone' | 'planned' | 'stray';
  readonly host: string;
  readonly path: Raw;
  readonly attributes: Attributes;
  readonly inode: SourceInode | undefined;
  readonly group: number | undefined;
  readonly hash: Buffer | undefined;
  /** Each whole, without gaps. */
  readonly copies: readonly (readonly ToldPlace[])[];
};

/** How a path is told of in `temp.told`. */
export const TOLD_KINDS = { stored: 1, gone: 2, planned: 3, stray: 4 } as const;

type OfBytes = ToldEntry & { readonly hash: Buffer };

/** A file that is stored and has bytes. */
function hasBytes(entry: ToldEntry): entry is OfBytes {
  const { kind, attributes, hash } = entry;
  const isStored = kind === 'stored' || kind === 'stray';
  if (!isStored || attributes.type !== 'file' || attributes.sizeBytes === 0) return false;
  assert(hash, 'a file that is stored has a hash');
  return true;
}

const NO_INODE: SourceInode = { device: 0, inode: 0, links: 1 };

export class Rebuild {
  readonly runs: RebuiltRuns;
  readonly extents: RebuiltExtents;
  readonly #catalog: Catalog;
  readonly #directories: Directories;
  readonly #inodes: Inodes;
  readonly #tell;
  readonly #findGroup;
  readonly #addGroup;
  readonly #hasInode;
  readonly #firstInode: number;
  #sequence = 0;
  #lastHost: { readonly name: string; readonly id: number } | undefined;
  #lastDirectory:
    | { readonly hostId: number; readonly path: string; readonly id: number }
    | undefined;
  #last: { readonly hash: Buffer; readonly content: number } | undefined;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
    catalog.onRollback(() => {
      this.#lastDirectory = undefined;
    });
    this.#directories = new Directories(catalog);
    this.#inodes = new Inodes(catalog);
    catalog.prepare('CREATE TEMP TABLE told(dir, name, run, sequence, kind, inode)').run();
    catalog
      .prepare(
        'CREATE TEMP TABLE groups(run, number, inode, PRIMARY KEY(run, number)) WITHOUT ROWID',
      )
      .run();
    this.#tell = new Packed(catalog, {
      sql: 'INSERT INTO temp.told SELECT n0, t0, n1, n2, n3, n4',
      numbers: 5,
      texts: 1,
    });
    this.#findGroup = catalog.prepare<[number]>(
      'SELECT inode FROM temp.groups WHERE run = ? AND number = ?',
    );
    this.#hasInode = catalog.prepare('SELECT 1 FROM inodes WHERE id = ?');
    this.#addGroup = catalog.prepare('INSERT OR REPLACE INTO temp.groups VALUES(?, ?, ?)');
    const next = catalog
      .prepare<[number]>("SELECT next FROM counters WHERE name = 'inodes'")
      .get()?.[0];
    assert(next !== undefined);
    this.#firstInode = next;
    this.runs = new RebuiltRuns(catalog);
    this.extents = new RebuiltExtents(catalog);
  }

  /** Entries of one run, in order. One transaction: a few thousand at a time. */
  add(run: ToldRun, teller: Teller, entries: Iterable<ToldEntry>): void {
    this.#catalog.write(() => {
      const all = [...entries];
      const ofBytes = all.filter(hasBytes);
      const ids = this.extents.contents(
        ofBytes.map(({ attributes: { sizeBytes }, hash }) => ({ sizeBytes, hash })),
      );
      const contents = new Map<ToldEntry, number>(
        ofBytes.map((entry, index) => [entry, ids[index] ?? 0]),
      );
      for (const entry of all) this.#add(run, teller, { entry, content: contents.get(entry) });
      this.extents.flushRows();
      this.#inodes.flush();
      this.#tell.flush();
    });
    this.extents.flushIfFull();
  }

  /** Hashes of segments of the content that was told last. */
  addSegments(hash: Buffer, first: number, segments: Buffer): void {
    const last = this.#last;
    if (!last?.hash.equals(hash)) return;
    this.#catalog.write(() => this.extents.addSegments(last.content, first, segments));
  }

  #add(
    run: ToldRun,
    teller: Teller,
    { entry, content: stored }: { readonly entry: ToldEntry; readonly content: number | undefined },
  ): void {
    const { kind, attributes, hash, copies } = entry;
    const { sizeBytes } = attributes;
    const content =
      stored ?? (attributes.type === 'file' && sizeBytes === 0 ? EMPTY_CONTENT : null);
    if (stored !== undefined && hash) {
      this.#last = { hash, content: stored };
      for (const places of copies)
        for (const place of places) this.extents.add({ content: stored, sizeBytes }, place, teller);
    } else for (const place of copies.flat()) this.extents.addPart(place, teller);
    if (run.isKnown) return;
    const { directoryId, name } = this.#place(this.#hostId(entry.host), entry.path);
    const inode = kind === 'gone' ? null : this.#inode(run, entry, content);
    this.#sequence += 1;
    const row = [directoryId, run.index, this.#sequence, TOLD_KINDS[kind], inode ?? NULL_NUMBER];
    this.#tell.add(row, name);
  }

  /** Neighbours have one host. */
  #hostId(name: string): number {
    if (this.#lastHost?.name !== name)
      this.#lastHost = { name, id: this.#directories.ensureHost(name).id };
    return this.#lastHost.id;
  }

  #place(hostId: number, path: Raw): { readonly directoryId: number; readonly name: Raw } {
    if (path !== '/') {
      const slash = path.lastIndexOf('/');
      const above = slash === 0 ? '/' : path.slice(0, slash);
      const last = this.#lastDirectory;
      const name = path.slice(slash + 1) as Raw;
      // Neighbours mostly lie in one directory.
      if (last?.hostId === hostId && last.path === above) return { directoryId: last.id, name };
      const id = this.#directories.ensure(hostId, above as Raw);
      this.#lastDirectory = { hostId, path: above, id };
      return { directoryId: id, name };
    }
    const place = this.#directories.place(hostId, path);
    assert(place);
    return place;
  }

  /** Names of one inode share it, in one run. */
  #inode(run: ToldRun, entry: ToldEntry, content: number | null): number {
    const { attributes, group, kind } = entry;
    const shared = kind === 'stored' ? group : undefined;
    if (shared !== undefined) {
      const known = this.#findGroup.get(run.index, shared)?.[0] ?? this.#ownInode(shared);
      if (known !== undefined && this.#isSame(known, entry, content)) return known;
    }
    const source = entry.inode ?? NO_INODE;
    const id = this.#inodes.add(attributes, source, content ?? undefined);
    if (shared !== undefined) this.#addGroup.run(run.index, shared, id);
    return id;
  }

  /** The number is the inode's in the catalog that wrote the journal: this one, where it is a copy of that. */
  #ownInode(group: number): number | undefined {
    return group < this.#firstInode && this.#hasInode.get(group) ? group : undefined;
  }

  #isSame(inodeId: number, entry: ToldEntry, content: number | null): boolean {
    this.#inodes.flush();
    const { attributes } = entry;
    const source = entry.inode ?? NO_INODE;
    const inode = this.#inodes.get(inodeId);
    return (
      (inode.contentId ?? null) === content &&
      inode.type === attributes.type &&
      inode.sizeBytes === attributes.sizeBytes &&
      inode.sourceInode.device === source.device &&
      inode.sourceInode.inode === source.inode &&
      compareMoments(inode.mtime, attributes.mtime) === 0 &&
      compareMoments(inode.ctime, attributes.ctime) === 0
    );
  }

  /** Whether some run tells of a file of this name and time with its content. One scan of what was told, but for the first. */
  isTold({ host, path, attributes }: Pick<ToldEntry, 'host' | 'path' | 'attributes'>): boolean {
    this.#catalog.prepare('CREATE INDEX IF NOT EXISTS temp.told_by_name ON told(dir, name)').run();
    const { directoryId, name } = this.#place(this.#hostId(host), path);
    const { sizeBytes, mtime } = attributes;
    return (
      this.#catalog
        .prepare(
          `SELECT 1 FROM temp.told t CROSS JOIN inodes i ON i.id = t.inode WHERE t.dir = ? AND t.name = ?
             AND i.content IS NOT NULL AND i.size = ? AND i.mtime = ? AND i.mtime_ns = ?`,
        )
        .get(directoryId, name, sizeBytes, mtime.seconds, mtime.nanoseconds) !== undefined
    );
  }

  /** Strays whose bytes some run names are none. @returns how many are left */
  #sortOutStrays(): number {
    const strays = this.runs.strays();
    if (strays.length === 0) return 0;
    const of = 'SELECT i.content FROM temp.told t CROSS JOIN inodes i ON i.id = t.inode';
    const isStray = `t.kind = ${TOLD_KINDS.stray}`;
    this.#catalog.write(() => {
      this.#catalog
        .prepare(
          `DELETE FROM temp.told AS x WHERE x.kind = ${TOLD_KINDS.stray} AND (SELECT content FROM inodes WHERE id = x.inode) IN (
             ${of} WHERE NOT ${isStray} AND i.content IN (${of} WHERE ${isStray})
             UNION ALL SELECT i.content FROM inodes i WHERE i.id < ? AND i.content IN (${of} WHERE ${isStray}))`,
        )
        .run(this.#firstInode);
    });
    const [left = 0] =
      this.#catalog.prepare<[number]>(`SELECT count(*) FROM temp.told t WHERE ${isStray}`).get() ??
      [];
    for (const run of strays) this.#addDirectories(run, { seconds: 0, kind: 'stray' });
    return left;
  }

  /** Directories above what a run told, of which it told nothing itself: as anybody's who may look into them. */
  addMissingDirectories(run: ToldRun, seconds: number): void {
    this.#addDirectories(run, { seconds, kind: 'stored' });
  }

  #addDirectories(
    run: ToldRun,
    { seconds, kind }: { readonly seconds: number; readonly kind: 'stored' | 'stray' },
  ): void {
    const moment = { seconds, nanoseconds: 0 };
    const owner = { uid: 0, gid: 0, user: '' as Raw, group: '' as Raw };
    const times = { mtime: moment, ctime: moment };
    const attributes: Attributes = {
      ...{ type: 'directory', mode: 0o755, sizeBytes: 0, xattrs: [] },
      ...{ ...owner, ...times },
    };
    const rows = this.#catalog
      .prepare<[number, Raw]>(
        `WITH RECURSIVE above(id) AS (SELECT DISTINCT dir FROM temp.told WHERE run = @run AND dir <> 0
           UNION SELECT d.parent FROM above a CROSS JOIN directories d ON d.id = a.id WHERE d.parent <> 0)
         SELECT d.parent, d.name FROM directories d WHERE d.id IN (SELECT id FROM above)
           AND (d.parent, d.name) NOT IN (SELECT dir, name FROM temp.told WHERE run = @run)`,
      )
      .all({ run: run.index });
    this.#catalog.write(() => {
      for (const [parent, name] of rows) {
        const inode = this.#inodes.add(attributes, NO_INODE, undefined);
        this.#sequence += 1;
        this.#tell.add([parent, run.index, this.#sequence, TOLD_KINDS[kind], inode], name);
      }
      this.#inodes.flush();
      this.#tell.flush();
    });
  }

  /**
   * When all journals are told: places are settled, runs become snapshots in order of time, entries versions.
   * @param job of the recovery itself
   * @param others runs that have not ended: they end, or what they found by now stays theirs
   */
  finish(
    job: number,
    others: 'end' | 'stay',
  ): {
    readonly refused: number;
    readonly missing: readonly string[];
    /** Files that no run names. */
    readonly strays: number;
  } {
    this.extents.flush();
    const settled = this.extents.settle();
    if (others === 'end') this.runs.takePending();
    const strays = this.#sortOutStrays();
    this.runs.order(job);
    buildVersions(this.#catalog);
    this.#catalog.write(() => {
      this.#catalog
        .prepare('DELETE FROM inodes WHERE id >= ? AND id NOT IN (SELECT inode FROM versions)')
        .run(this.#firstInode);
      // Those of a run that the copy found in progress, where a journal told better.
      this.#catalog
        .prepare(
          `DELETE FROM inodes WHERE id IN (SELECT inode FROM temp.told WHERE sequence = 0)
             AND id NOT IN (SELECT inode FROM versions)`,
        )
        .run();
    });
    if (others === 'end') this.runs.expire(job);
    // Cartridges that were not known may tell what was swept long ago, under numbers of jobs that are given now.
    this.#catalog.write(() => this.#catalog.prepare('UPDATE bygones SET job = ?').run(job));
    for (const table of ['told', 'groups', 'rebuilt_runs'])
      this.#catalog.prepare(`DROP TABLE temp.${table}`).run();
    return { ...settled, strays };
  }
}
