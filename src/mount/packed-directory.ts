/**
 * A directory of the catalog as READDIRPLUS shows it, all of it in one piece: SQLite writes the entries out (catalog/tree/records.ts),
 * here is filled in what it cannot know: owners, and whole entries of what is more than a plain file.
 */
import { strict as assert } from 'node:assert';
import { type Raw, toRaw } from '../base/raw.ts';
import { type ListedRecords, type RecordField, recordLayout } from '../catalog/tree/records.ts';
import { CONTENTS_END } from './inode-number.ts';
import { FIRST_FILE, XATTRS_BIT } from './node-id.ts';
import { BLOCK_BYTES } from './protocol/attributes.ts';
import { type EntryReply, replaceEntry } from './protocol/entry.ts';
import { DIRENT_BYTES, ENTRY_BYTES } from './protocol/opcodes.ts';

/** Larger ones are read page by page in order of name. */
export const PACKED_ENTRIES_MAX = 20_000;
/** Before these, `.` and `..`; the place said of an entry is that of the next. */
const DOTS = 2;
const WORD = 2 ** 32;

/** struct fuse_direntplus: a fuse_entry_out with its fuse_attr from 40 on, then a fuse_dirent. */
const AT = {
  nodeId: 0,
  entrySeconds: 16,
  attributeSeconds: 24,
  attributes: 40,
  content: 44,
  mode: 100,
  owner: 108,
  group: 112,
  blockBytes: 120,
  dirent: ENTRY_BYTES,
  place: ENTRY_BYTES + 8,
  nameLength: ENTRY_BYTES + 16,
  type: ENTRY_BYTES + 20,
  name: ENTRY_BYTES + DIRENT_BYTES,
} as const;

/** Of the upper half of a node id: its inode's. */
const HIGH_END = 2 ** XATTRS_BIT / WORD;
const XATTRS_BYTE = Math.floor(XATTRS_BIT / 8);
const SECTOR_SHIFT = 9;
const TYPE_SHIFT = 12;

const FIELDS: readonly RecordField[] = [
  { column: 'inode', at: AT.nodeId, bytes: 8, add: FIRST_FILE },
  { column: 'hasXattrs', at: AT.nodeId + XATTRS_BYTE, bytes: 1, shift: -(XATTRS_BIT % 8) },
  { column: 'inode', at: AT.attributes, bytes: 4 },
  { column: 'content', at: AT.content, bytes: 4 },
  { column: 'size', at: 48, bytes: 8 },
  { column: 'size', at: 56, bytes: 8, add: 2 ** SECTOR_SHIFT - 1, shift: SECTOR_SHIFT },
  { column: 'mtime', at: 64, bytes: 8 },
  { column: 'mtime', at: 72, bytes: 8 },
  { column: 'ctime', at: 80, bytes: 8 },
  { column: 'mtimeNs', at: 88, bytes: 4 },
  { column: 'mtimeNs', at: 92, bytes: 4 },
  { column: 'ctimeNs', at: 96, bytes: 4 },
  { column: 'mode', at: AT.mode, bytes: 4 },
  { column: 'links', at: 104, bytes: 4 },
  // Until its numbers take its place.
  { column: 'owner', at: AT.owner, bytes: 4 },
  { column: 'inode', at: AT.dirent, bytes: 4 },
  { column: 'content', at: AT.dirent + 4, bytes: 4 },
  { column: 'mode', at: AT.type, bytes: 4, shift: TYPE_SHIFT },
];

/** File types of mode: regular, named pipe, socket. Their entries are as SQLite writes them, but for holes. */
const PLAIN: ReadonlySet<number> = new Set([0o10, 0o01, 0o14]);

export type PackedTools = {
  readonly records: ListedRecords;
  owner(ownerId: number): readonly [uid: number, gid: number];
};

export type PackedPlace = {
  readonly directoryId: number;
  readonly snapshotId: number;
  readonly entrySeconds: number;
  readonly attributeSeconds: number;
  /** Each plain file is told here. */
  note(inodeId: number): void;
  /** The entry of what is no plain file, or has holes. */
  toEntry(name: Raw, inodeId: number): EntryReply;
};

export class PackedDirectories {
  readonly #tools: PackedTools;
  readonly #layouts = new Map<number, Buffer>();

  constructor(tools: PackedTools) {
    this.#tools = tools;
  }

  /** All entries but `.` and `..`, in tape order; undefined where there are too many. */
  read(place: PackedPlace): Buffer | undefined {
    const { directoryId, snapshotId } = place;
    const { records } = this.#tools;
    const bytes = records.list(this.#layout(place), { directoryId, snapshotId });
    if (!bytes) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const { count, first, last } = this.#complete(view, place);
    const isSparse = last > 0 ? records.sparseAmong(first, last, count) : undefined;
    if (isSparse) this.#showHoles(view, place, isSparse);
    return bytes;
  }

  /** @returns how many there are, and between which contents they lie */
  #complete(view: DataView, place: PackedPlace): { count: number; first: number; last: number } {
    let [count, first, last] = [0, CONTENTS_END, 0];
    let [ownerId, uid, gid] = [-1, 0, 0];
    for (let at = 0; at < view.byteLength; at += lengthOf(view, at)) {
      count += 1;
      const type = view.getUint32(at + AT.type, true);
      if (!PLAIN.has(type)) {
        this.#replace(view, at, place);
        continue;
      }
      const owner = view.getUint32(at + AT.owner, true);
      if (owner !== ownerId) {
        [uid, gid] = this.#tools.owner(owner);
        ownerId = owner;
      }
      view.setUint32(at + AT.owner, uid, true);
      view.setUint32(at + AT.group, gid, true);
      const content = view.getUint32(at + AT.content, true);
      if (content > 0 && content < first) first = content;
      if (content > last) last = content;
      place.note(inodeOf(view, at));
    }
    assert(last < CONTENTS_END, 'too many contents for inode numbers');
    return { count, first, last };
  }

  #showHoles(view: DataView, place: PackedPlace, isSparse: (contentId: number) => boolean): void {
    for (let at = 0; at < view.byteLength; at += lengthOf(view, at)) {
      if (!PLAIN.has(view.getUint32(at + AT.type, true))) continue;
      if (isSparse(view.getUint32(at + AT.content, true))) this.#replace(view, at, place);
    }
  }

  #replace(view: DataView, at: number, place: PackedPlace): void {
    const { buffer, byteOffset } = view;
    const length = view.getUint32(at + AT.nameLength, true);
    const name = toRaw(Buffer.from(buffer, byteOffset + at + AT.name, length));
    replaceEntry(view, at, place.toEntry(name, inodeOf(view, at)));
  }

  #layout({ entrySeconds, attributeSeconds }: PackedPlace): Buffer {
    const known = this.#layouts.get(entrySeconds);
    if (known) return known;
    const template = Buffer.alloc(AT.name);
    template.writeUInt32LE(entrySeconds, AT.entrySeconds);
    template.writeUInt32LE(attributeSeconds, AT.attributeSeconds);
    template.writeUInt32LE(BLOCK_BYTES, AT.blockBytes);
    const layout = recordLayout({
      template,
      lengthAt: AT.nameLength,
      placeAt: AT.place,
      firstPlace: DOTS + 1,
      recordsMax: PACKED_ENTRIES_MAX,
      fields: FIELDS,
    });
    this.#layouts.set(entrySeconds, layout);
    return layout;
  }
}

/** With its padding to 8 bytes. */
const lengthOf = (view: DataView, at: number): number =>
  (AT.name + view.getUint32(at + AT.nameLength, true) + 7) & ~7;

function inodeOf(view: DataView, at: number): number {
  const high = view.getUint32(at + AT.nodeId + 4, true) % HIGH_END;
  return high * WORD + view.getUint32(at + AT.nodeId, true) - FIRST_FILE;
}
