/** Hosts and directories: the identity of paths. A row here says nothing about whether the directory exists. */
import { strict as assert } from 'node:assert';
import { joinRaw, type Raw, rawOf } from '../../base/raw.ts';
import type { Catalog } from '../catalog.ts';

/** Where the roots of hosts stand; no directory has this id. */
export const PLACE_OF_HOSTS = 0;
/** Paths kept in memory each way; a walk in order of path needs a few, a random one is answered from the file. */
const CACHED_PATHS = 10_000;

export type Host = { readonly id: number; readonly name: string; readonly directoryId: number };

export class Directories {
  readonly #catalog: Catalog;
  readonly #child;
  readonly #insert;
  readonly #parent;
  readonly #hosts;
  readonly #insertHost;
  readonly #hostsById = new Map<number, Host>();
  readonly #byPath = new Map<string, number>();
  readonly #pathOf = new Map<number, Raw>();

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
    this.#child = catalog.prepare<[number]>(
      'SELECT id FROM directories WHERE parent = ? AND name = ?',
    );
    this.#parent = catalog.prepare<[number, Raw]>(
      'SELECT parent, name FROM directories WHERE id = ?',
    );
    this.#hosts = catalog.prepare<[number, string, number]>(
      'SELECT id, name, directory FROM hosts ORDER BY name',
    );
    this.#insert = catalog.prepare('INSERT INTO directories VALUES(?, ?, ?)');
    this.#insertHost = catalog.prepare<[number]>(
      'INSERT INTO hosts(name, directory) VALUES(?, ?) RETURNING id',
    );
    catalog.onRollback(() => {
      this.#hostsById.clear();
      this.#byPath.clear();
      this.#pathOf.clear();
    });
  }

  hosts(): Host[] {
    return this.#hosts.all().map(([id, name, directoryId]) => ({ id, name, directoryId }));
  }

  /** The host of this name, made where there is none yet. */
  ensureHost(name: string): Host {
    assert(name.length > 0 && !name.includes('/') && !name.includes('\0'), 'not a host name');
    const known = this.hosts().find((host) => host.name === name);
    if (known) return known;
    return this.#catalog.write(() => {
      const again = this.hosts().find((host) => host.name === name);
      if (again) return again;
      const directoryId = this.#ensureChild(PLACE_OF_HOSTS, rawOf(name));
      const id = this.#insertHost.get(name, directoryId)?.[0];
      assert(id !== undefined);
      return { id, name, directoryId };
    });
  }

  /** The directory of an absolute path without `.`, `..` or doubled slashes; undefined when it never was one. */
  find(hostId: number, path: Raw): number | undefined {
    const names = pathNames(path);
    let known = names.length;
    let id: number | undefined;
    // The longest path above that is remembered: in a sorted walk it is the parent.
    for (let end = path.length; known > 0; end = path.lastIndexOf('/', end - 1), known -= 1) {
      id = this.#byPath.get(`${hostId}:${path.slice(0, end)}`);
      if (id !== undefined) break;
    }
    id ??= this.#host(hostId).directoryId;
    for (const name of names.slice(known)) {
      id = this.#child.get(id, name)?.[0];
      if (id === undefined) return undefined;
    }
    if (known < names.length) remember(this.#byPath, `${hostId}:${path}`, id);
    return id;
  }

  /** Makes rows for the path and all above it. Part of the caller's `write`, where there is one. */
  ensure(hostId: number, path: Raw): number {
    const found = this.find(hostId, path);
    if (found !== undefined) return found;
    return this.#catalog.write(() => this.#ensure(hostId, path));
  }

  #ensure(hostId: number, path: Raw): number {
    let id = this.#host(hostId).directoryId;
    const names = pathNames(path);
    const name = names.pop();
    if (name === undefined) return id;
    // In a sorted walk the parent is remembered.
    const parent = `/${names.join('/')}` as Raw;
    const known = this.find(hostId, parent);
    if (known !== undefined) id = known;
    else for (const above of names) id = this.#ensureChild(id, above);
    id = this.#ensureChild(id, name);
    remember(this.#byPath, `${hostId}:${path}`, id);
    return id;
  }

  /** The place of an entry: its parent directory and its name; of `/`, the place of hosts and the host's name. */
  place(hostId: number, path: Raw): { directoryId: number; name: Raw } | undefined {
    const names = pathNames(path);
    const name = names.pop();
    if (name === undefined)
      return { directoryId: PLACE_OF_HOSTS, name: rawOf(this.#host(hostId).name) };
    const directoryId = this.find(hostId, `/${names.join('/')}` as Raw);
    return directoryId === undefined ? undefined : { directoryId, name };
  }

  child(directoryId: number, name: Raw): number | undefined {
    return this.#child.get(directoryId, name)?.[0];
  }

  /** The path on its host; `/` for a host's root. */
  path(directoryId: number): Raw {
    const names: Raw[] = [];
    let above: Raw | undefined;
    for (let id = directoryId; ; ) {
      above = this.#pathOf.get(id);
      if (above !== undefined) break;
      const row = this.#parent.get(id);
      assert(row, `no directory ${id}`);
      if (row[0] === PLACE_OF_HOSTS) break;
      names.push(row[1]);
      id = row[0];
    }
    if (above !== undefined && names.length === 0) return above;
    const path = `${above === undefined || above === '/' ? '' : above}/${names.reverse().join('/')}`;
    remember(this.#pathOf, directoryId, path as Raw);
    return path as Raw;
  }

  /** Of a host's root the place of hosts. */
  parent(directoryId: number): number {
    const row = this.#parent.get(directoryId);
    assert(row, `no directory ${directoryId}`);
    return row[0];
  }

  /** The root directory of the host a directory belongs to. */
  root(directoryId: number): number {
    for (let id = directoryId; ; ) {
      const row = this.#parent.get(id);
      assert(row, `no directory ${id}`);
      if (row[0] === PLACE_OF_HOSTS) return id;
      id = row[0];
    }
  }

  /** The path of an entry in a directory; `/` for the root of a host. */
  entryPath(directoryId: number, name: Raw): Raw {
    return directoryId === PLACE_OF_HOSTS ? ('/' as Raw) : joinRaw(this.path(directoryId), name);
  }

  #host(hostId: number): Host {
    const known = this.#hostsById.get(hostId);
    if (known) return known;
    const host = this.hosts().find(({ id }) => id === hostId);
    assert(host, `no host ${hostId}`);
    this.#hostsById.set(hostId, host);
    return host;
  }

  #ensureChild(parent: number, name: Raw): number {
    const known = this.#child.get(parent, name)?.[0];
    if (known !== undefined) return known;
    const id = this.#catalog.nextId('directories');
    this.#insert.run(id, parent, name);
    return id;
  }
}

/** @throws AssertionError where the path is not absolute and normal: that is the caller's mistake */
export function pathNames(path: Raw): Raw[] {
  assert(path.startsWith('/'), 'a path of the catalog is absolute');
  if (path === '/') return [];
  const names = path.slice(1).split('/');
  assert(
    names.every((name) => name !== '' && name !== '.' && name !== '..' && !name.includes('\0')),
    'a path of the catalog is normal',
  );
  return names as Raw[];
}

/** Forgets all when full: a walk in order of path fills it again with what it needs. */
function remember<Key, Value>(cache: Map<Key, Value>, key: Key, value: Value): void {
  if (cache.size >= CACHED_PATHS) cache.clear();
  cache.set(key, value);
}
