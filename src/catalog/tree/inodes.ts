/** Inodes: attributes and content of entries. Owners and extended attributes are stored once for all that share them. */
import { strict as assert } from 'node:assert';
import { createHash } from 'node:crypto';
import { type Raw, rawBytes, toRaw } from '../../base/raw.ts';
import type { Attributes, SourceInode, Xattr } from '../../domain/entry.ts';
import type { Bound, Catalog } from '../catalog.ts';
import { NULL_NUMBER, Packed } from '../row/packed.ts';
import { toMode, typeOf } from './mode.ts';

/** An inode as the catalog knows it. */
export type Inode = Attributes & {
  readonly inodeId: number;
  readonly contentId: number | undefined;
  readonly sourceInode: SourceInode;
};

type Owner = Pick<Attributes, 'uid' | 'gid' | 'user' | 'group'>;

export type InodeRow = [
  id: number,
  mode: number,
  owner: number,
  size: number,
  mtime: number,
  mtimeNs: number,
  ctime: number,
  ctimeNs: number,
  device: number,
  inode: number,
  links: number,
  content: number | null,
  target: Raw | null,
  xattrs: number | null,
];

/** The columns of an InodeRow for the alias. */
export const inodeColumns = (alias: string) =>
  `${alias}.id, ${alias}.mode, ${alias}.owner, ${alias}.size, ${alias}.mtime, ${alias}.mtime_ns,
   ${alias}.ctime, ${alias}.ctime_ns, ${alias}.device, ${alias}.inode, ${alias}.links,
   ${alias}.content, ${alias}.target, ${alias}.xattrs`;

const CACHED = 1000;
const NO_XATTRS: readonly Xattr[] = [];
const COLUMNS = 'INSERT INTO inodes SELECT n0, n1, n2, n3, n4, n5, n6, n7, n8, n9';

export class Inodes {
  readonly #catalog: Catalog;
  /** One name, no target, no extended attributes: nearly all. */
  readonly #plain;
  readonly #others;
  readonly #get;
  readonly #findOwner;
  readonly #insertOwner;
  readonly #getOwner;
  readonly #findXattrs;
  readonly #insertXattrs;
  readonly #getXattrs;
  readonly #owners = new Map<number, readonly [number, number, Raw, Raw]>();
  readonly #ownerIds = new Map<string, number>();
  readonly #xattrs = new Map<number, readonly Xattr[]>();
  #lastOwner: (Owner & { readonly id: number }) | undefined;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
    this.#plain = new Packed(catalog, { sql: `${COLUMNS}, 1, n10, NULL, NULL`, numbers: 11 });
    this.#others = new Packed(catalog, {
      // No target is empty.
      sql: `${COLUMNS}, n11, n10, nullif(t0, ''), n12`,
      numbers: 13,
      texts: 1,
    });
    this.#get = catalog.prepare<InodeRow>(`SELECT ${inodeColumns('i')} FROM inodes i WHERE id = ?`);
    this.#findOwner = catalog.prepare<[number]>(
      'SELECT id FROM owners WHERE uid = ? AND gid = ? AND user = ? AND group_name = ?',
    );
    this.#insertOwner = catalog.prepare<[number]>(
      'INSERT INTO owners(uid, gid, user, group_name) VALUES(?,?,?,?) RETURNING id',
    );
    this.#getOwner = catalog.prepare<[number, number, Raw, Raw]>(
      'SELECT uid, gid, user, group_name FROM owners WHERE id = ?',
    );
    this.#findXattrs = catalog.prepare<[number]>('SELECT id FROM xattrs WHERE digest = ?');
    this.#insertXattrs = catalog.prepare<[number]>(
      'INSERT INTO xattrs(digest, value) VALUES(?, ?) RETURNING id',
    );
    this.#getXattrs = catalog.prepare<[Buffer]>('SELECT value FROM xattrs WHERE id = ?');
    catalog.onRollback(() => {
      for (const cache of [this.#owners, this.#ownerIds, this.#xattrs]) cache.clear();
      this.#lastOwner = undefined;
    });
  }

  /** Part of the caller's `write`, which calls `flush` before it ends. */
  add(attributes: Attributes, source: SourceInode, contentId: number | undefined): number {
    const id = this.#catalog.nextId('inodes');
    const { sizeBytes } = attributes;
    const { seconds: m, nanoseconds: mn } = attributes.mtime;
    const { seconds: c, nanoseconds: cn } = attributes.ctime;
    const { device, inode, links } = source;
    const target = targetOf(attributes);
    const mode = toMode(attributes.type, attributes.mode);
    const owner = this.#ownerId(attributes);
    const content = contentId ?? NULL_NUMBER;
    const isPlain = links === 1 && target === null && attributes.xattrs.length === 0;
    if (isPlain) {
      const { numbers } = this.#plain;
      const at = this.#plain.next();
      numbers[at] = id;
      numbers[at + 1] = mode;
      numbers[at + 2] = owner;
      numbers[at + 3] = sizeBytes;
      numbers[at + 4] = m;
      numbers[at + 5] = mn;
      numbers[at + 6] = c;
      numbers[at + 7] = cn;
      numbers[at + 8] = device;
      numbers[at + 9] = inode;
      numbers[at + 10] = content;
      return id;
    }
    const xattrs = attributes.xattrs.length === 0 ? NULL_NUMBER : this.#xattrsId(attributes.xattrs);
    const more = [device, inode, content, links, xattrs];
    this.#others.add([id, mode, owner, sizeBytes, m, mn, c, cn, ...more], target ?? '');
    return id;
  }

  flush(): void {
    this.#plain.flush();
    this.#others.flush();
  }

  get(inodeId: number): Inode {
    const row = this.#get.get(inodeId);
    assert(row, `no inode ${inodeId}`);
    return this.fromRow(row);
  }

  /** @param row what stands behind the inode's columns is of no interest */
  fromRow(row: readonly [...InodeRow, ...unknown[]]): Inode {
    const type = typeOf(row[1]);
    const owner = this.owner(row[2]);
    const inode = {
      inodeId: row[0],
      type,
      mode: row[1] & 0o7777,
      uid: owner[0],
      gid: owner[1],
      user: owner[2],
      group: owner[3],
      sizeBytes: row[3],
      mtime: { seconds: row[4], nanoseconds: row[5] },
      ctime: { seconds: row[6], nanoseconds: row[7] },
      sourceInode: { device: row[8], inode: row[9], links: row[10] },
      contentId: row[11] ?? undefined,
      xattrs: row[13] === null ? NO_XATTRS : this.#xattrsOf(row[13]),
    };
    const target = row[12];
    if (target === null) return inode;
    return type === 'symlink' ? { ...inode, target } : { ...inode, device: deviceOf(target) };
  }

  /** uid, gid, user, group. */
  owner(id: number): readonly [number, number, Raw, Raw] {
    const cached = this.#owners.get(id);
    if (cached) return cached;
    const row = this.#getOwner.get(id);
    assert(row, `no owner ${id}`);
    keep(this.#owners, id, row);
    return row;
  }

  /** Neighbours mostly have one owner. */
  #ownerId({ uid, gid, user, group }: Attributes): number {
    const last = this.#lastOwner;
    if (last?.uid === uid && last.gid === gid && last.user === user && last.group === group)
      return last.id;
    const id = this.#findOwnerId({ uid, gid, user, group });
    this.#lastOwner = { id, uid, gid, user, group };
    return id;
  }

  #findOwnerId({ uid, gid, user, group }: Owner): number {
    // A blank cannot stand in the decimal numbers, nor NUL in a name.
    const key = `${uid} ${gid} ${user}\0${group}`;
    const cached = this.#ownerIds.get(key);
    if (cached !== undefined) return cached;
    const values: Bound[] = [uid, gid, user, group];
    const id = (this.#findOwner.get(...values) ?? this.#insertOwner.get(...values))?.[0];
    assert(id !== undefined);
    keep(this.#ownerIds, key, id);
    return id;
  }

  #xattrsId(xattrs: readonly Xattr[]): number {
    const value = encodeXattrs(xattrs);
    const digest = createHash('sha256').update(value).digest();
    const id = (this.#findXattrs.get(digest) ?? this.#insertXattrs.get(digest, value))?.[0];
    assert(id !== undefined);
    return id;
  }

  #xattrsOf(id: number): readonly Xattr[] {
    const cached = this.#xattrs.get(id);
    if (cached) return cached;
    const row = this.#getXattrs.get(id);
    assert(row, `no xattrs ${id}`);
    const xattrs = decodeXattrs(row[0]);
    keep(this.#xattrs, id, xattrs);
    return xattrs;
  }
}

function targetOf({ target, device }: Attributes): string | null {
  return target ?? (device ? `${device.major},${device.minor}` : null);
}

function deviceOf(target: string): { major: number; minor: number } {
  const [major, minor] = target.split(',').map(Number);
  assert(major !== undefined && minor !== undefined, 'a device node without its numbers');
  return { major, minor };
}

/** Length of name (2), name, length of value (4), value; big-endian, in order of name. */
export function encodeXattrs(xattrs: readonly Xattr[]): Buffer {
  return Buffer.concat(
    xattrs.flatMap(({ name, value }) => {
      const head = Buffer.alloc(2);
      const length = Buffer.alloc(4);
      head.writeUInt16BE(name.length);
      length.writeUInt32BE(value.length);
      return [head, rawBytes(name), length, value];
    }),
  );
}

export function decodeXattrs(bytes: Buffer): Xattr[] {
  const xattrs: Xattr[] = [];
  for (let at = 0; at < bytes.length; ) {
    const nameEnd = at + 2 + bytes.readUInt16BE(at);
    const valueEnd = nameEnd + 4 + bytes.readUInt32BE(nameEnd);
    const name = toRaw(bytes.subarray(at + 2, nameEnd));
    xattrs.push({ name, value: bytes.subarray(nameEnd + 4, valueEnd) });
    at = valueEnd;
  }
  return xattrs;
}

function keep<Key, Value>(cache: Map<Key, Value>, id: Key, value: Value): void {
  if (cache.size >= CACHED) cache.clear();
  cache.set(id, value);
}
