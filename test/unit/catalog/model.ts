/** A naive file system in memory, its random changes, and a backup of it that may crash anywhere. */
import { createHash } from 'node:crypto';
import type { Random } from '../../../src/base/random.ts';
import { joinRaw, type Raw, rawOf } from '../../../src/base/raw.ts';
import type { Catalog } from '../../../src/catalog/catalog.ts';
import { columnsOf } from '../../../src/catalog/content/keys.ts';
import type { KnownEntry } from '../../../src/catalog/pending/known.ts';
import type { AddedEntry } from '../../../src/catalog/run/findings.ts';
import type { Run } from '../../../src/catalog/run/run.ts';
import type { StoredEntry } from '../../../src/catalog/run/stored-rows.ts';
import type { Attributes } from '../../../src/domain/entry.ts';
import { attributes, beginArchive, commit, storedEntries } from './scratch.ts';

type Node = {
  readonly inode: number;
  readonly type: 'file' | 'directory' | 'symlink';
  text: string;
  mode: number;
  links: number;
  mtime: number;
  ctime: number;
};

/** What a snapshot must show of one path. */
export type Shown = { type: string; mode: number; text: string; group: number };

const NAMES = ['a', 'a.b', 'B', 'ä', '\u0001', 'zz zz', 'a-', '\\', '😀'].map(rawOf);

export class ModelTree {
  readonly nodes = new Map<Raw, Node>();
  #next = 100;
  #time = 1000;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
    this.#make('/' as Raw, 'directory');
  }

  change(times: number): void {
    for (let count = 0; count < times; count += 1) this.#changeOnce();
  }

  /** Directly below a directory, in order of name. */
  children(path: Raw): [Raw, Node][] {
    const prefix = path === '/' ? '/' : `${path}/`;
    return [...this.nodes]
      .filter(([other]) => other !== '/' && other.startsWith(prefix))
      .filter(([other]) => !other.slice(prefix.length).includes('/'))
      .sort(([a], [b]) => (a < b ? -1 : 1));
  }

  shown(): Map<Raw, Shown> {
    return new Map(
      [...this.nodes].map(([path, { type, mode, text, inode }]) => [
        path,
        { type, mode, text, group: inode },
      ]),
    );
  }

  #changeOnce(): void {
    const paths = [...this.nodes.keys()];
    const path = this.#pick(paths);
    const node = this.nodes.get(path);
    const directory = this.#pick(
      paths.filter((other) => this.nodes.get(other)?.type === 'directory'),
    );
    const free = joinRaw(directory, this.#pick(NAMES));
    this.#time += 1;
    switch (this.#random.below(8)) {
      case 0:
      case 1:
        if (!this.nodes.has(free)) this.#make(free, 'file');
        break;
      case 2:
        if (!this.nodes.has(free))
          this.#make(free, this.#random.below(3) ? 'directory' : 'symlink');
        break;
      case 3:
        if (node?.type !== 'file') break;
        node.text = this.#text();
        node.mtime = this.#time;
        node.ctime = this.#time;
        break;
      case 4:
        if (!node) break;
        node.mode = 0o600 + this.#random.below(64);
        node.ctime = this.#time;
        break;
      case 5:
        if (path !== '/') this.#remove(path);
        break;
      case 6:
        if (node?.type !== 'file' || this.nodes.has(free)) break;
        node.links += 1;
        node.ctime = this.#time;
        this.nodes.set(free, node);
        break;
      default:
        if (path !== '/' && !this.nodes.has(free) && !`${free}/`.startsWith(`${path}/`))
          this.#move(path, free);
    }
  }

  #make(path: Raw, type: Node['type']): void {
    const text = type === 'directory' ? '' : this.#text() || (type === 'symlink' ? 'x' : '');
    const inode = this.#next;
    this.#next += 1;
    const time = this.#time;
    this.nodes.set(path, { inode, type, text, mode: 0o755, links: 1, mtime: time, ctime: time });
  }

  #remove(path: Raw): void {
    for (const [other, node] of [...this.nodes]) {
      if (!`${other}/`.startsWith(`${path}/`)) continue;
      node.links -= 1;
      node.ctime = this.#time;
      this.nodes.delete(other);
    }
    // As often as not something else takes the name at once: a file where a directory was.
    if (this.#random.below(2)) this.#make(path, this.#random.below(2) ? 'file' : 'directory');
  }

  #move(from: Raw, to: Raw): void {
    for (const [other, node] of [...this.nodes]) {
      if (!`${other}/`.startsWith(`${from}/`)) continue;
      this.nodes.delete(other);
      this.nodes.set((to + other.slice(from.length)) as Raw, node);
      if (other === from) node.ctime = this.#time;
    }
  }

  /** Few different ones, so that duplicates and equal sizes abound. */
  #text(): string {
    return this.#pick(['', 'one', 'two', 'four', 'five', 'seventeen', `${this.#random.below(40)}`]);
  }

  #pick<T>(items: readonly T[]): T {
    const item = items[this.#random.below(items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }
}

export const hashOf = (text: string) =>
  text === ''
    ? Buffer.from('af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262', 'hex')
    : createHash('sha256').update(text).digest();

type Backup = {
  readonly catalog: Catalog;
  readonly run: Run;
  readonly model: ModelTree;
  readonly hostId: number;
  readonly media: readonly number[];
  readonly random: Random;
};

/** Scan, hash, dedup, write in one or more archives, some of them torn. */
export function backUp({ run, model, hostId, media, random }: Backup): void {
  scan(run, model, hostId);
  for (const { inode } of [...run.candidates.bySize()]) {
    if (!inode) continue;
    const hash = hashOf(textOf(model, inode.sourceInode.inode));
    const found = run.candidates.findContent(inode.sizeBytes, hash, { copies: 1 });
    if (found && found.goodCopies >= 1) run.candidates.setContent(inode.inodeId, found.contentId);
    else run.candidates.setHash(inode.inodeId, hash);
  }
  for (let tries = 0; tries < 10; tries += 1) {
    const isTorn = tries < 3 && random.below(3) === 0;
    const archiveId = beginArchive(run, media);
    const entries = someEntries(run, model, random);
    const asked = entries.flatMap(({ content }) => content ?? []);
    if (random.below(2))
      run.archives.areStored(columnsOf(asked), { policy: { copies: 1 }, archiveId });
    run.archives.store(archiveId, entries);
    run.archives.takeForJournal(archiveId);
    if (isTorn) run.archives.tear(archiveId);
    else commit(run, archiveId, media.slice(0, 1 + random.below(media.length)));
    if (!run.hasWaiting()) break;
  }
}

function someEntries(run: Run, model: ModelTree, random: Random): StoredEntry[] {
  const entries = [...run.entries('unstored')];
  const followers = new Set(entries.filter(({ isFollower }) => isFollower).map(({ path }) => path));
  const paths = new Map(entries.map((entry) => [`${entry.directoryId}/${entry.name}`, entry.path]));
  return [
    ...storedEntries(run, (path) => {
      const text = model.nodes.get(path)?.text ?? 'vanished';
      return { sizeBytes: text.length, hash: hashOf(text), segments: undefined };
    }),
  ].filter((entry: StoredEntry) => {
    const { directoryId, name } = entry;
    const path = paths.get(`${directoryId}/${name}`);
    return path !== undefined && !followers.has(path) && random.below(4) > 0;
  });
}

function scan(run: Run, model: ModelTree, hostId: number): void {
  const root = model.nodes.get('/' as Raw);
  if (!root) throw new Error('a tree has a root');
  compare(run, 0, run.known(0), [[rawOf('here'), root]]);
  const left: Raw[] = ['/' as Raw];
  for (let path = left.pop(); path !== undefined; path = left.pop()) {
    const directoryId = run.directory(path, hostId);
    const children = model.children(path);
    const prefix = path === '/' ? 1 : path.length + 1;
    compare(
      run,
      directoryId,
      run.known(directoryId),
      children.map(([child, node]) => [child.slice(prefix) as Raw, node]),
    );
    left.push(
      ...children.flatMap(([child, node]) => (node.type === 'directory' ? [child] : [])).reverse(),
    );
  }
}

function compare(
  run: Run,
  directoryId: number,
  known: readonly KnownEntry[],
  found: readonly [Raw, Node][],
): void {
  const before = new Map(known.map((entry) => [entry.name, entry]));
  const added: AddedEntry[] = [];
  for (const [name, node] of found) {
    const old = before.get(name);
    before.delete(name);
    const isSame =
      old?.inode === node.inode &&
      old.mtime.seconds === node.mtime &&
      old.ctime.seconds === node.ctime;
    if (isSame) continue;
    const keepsContent = old?.inode === node.inode && old.mtime.seconds === node.mtime;
    added.push({
      directoryId,
      name,
      change: !old ? 'new' : keepsContent ? 'attributes' : 'changed',
      attributes: attributesOf(node),
      sourceInode: { device: 1, inode: node.inode, links: node.links },
      contentId: keepsContent ? old?.contentId : undefined,
    });
  }
  run.add(added);
  for (const name of before.keys()) run.gone(directoryId, name);
}

function attributesOf(node: Node): Attributes {
  const isFile = node.type === 'file';
  return attributes({
    type: node.type,
    mode: node.mode,
    sizeBytes: isFile ? node.text.length : 0,
    mtime: { seconds: node.mtime, nanoseconds: 0 },
    ctime: { seconds: node.ctime, nanoseconds: 0 },
    ...(node.type === 'symlink' ? { target: rawOf(node.text) } : {}),
  });
}

function textOf(model: ModelTree, inode: number): string {
  for (const node of model.nodes.values()) if (node.inode === inode) return node.text;
  throw new Error(`no inode ${inode}`);
}
