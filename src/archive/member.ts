/**
 * One member of an archive: the headers before a file's bytes (FORMAT.md section 4). Who reads the bytes and who writes
 * them is not known here.
 *
 * With small files the heads are a good part of the work. So they are written straight into a buffer, many in one, and
 * most over a copy of what they have in common with the one before.
 */
import { strict as assert } from 'node:assert';
import { isUtf8 } from 'node:buffer';
import type { Raw } from '../base/raw.ts';
import {
  type Attributes,
  type DataRange,
  type EntryType,
  hasUsualTimes,
  type Moment,
  type Xattr,
} from '../domain/entry.ts';
import { writeDecimal, writeWord } from './digits.ts';
import { encodeRecords, isUtf8Text, ownerRecords, xattrRecords } from './member-records.ts';
import { MOMENT_BYTES_MAX, writeMoment } from './moment.ts';
import { type Part, partName } from './part.ts';
import { PAX_BYTES_MAX, writeRecord } from './pax.ts';
import { encodeSparseMap } from './sparse.ts';
import {
  fillHeader,
  fillSize,
  headerSum,
  NAME_BYTES,
  OCTAL_8_MAX,
  OCTAL_12_MAX,
  padTo512,
  startHeader,
  TAR_BLOCK_BYTES,
  writeHeader,
} from './ustar.ts';

export type Member = {
  /** As `memberPath` gives it; a part's suffix is added here. */
  readonly path: Raw;
  readonly attributes: Attributes;
  /** Logical length of what this member stores: the file's size, or its part's. */
  readonly lengthBytes: number;
  readonly part?: Part | undefined;
  /** Of a sparse file: its data, counted from the member's first logical byte. Undefined: stored plain. */
  readonly ranges?: readonly DataRange[] | undefined;
  /** Of a hard link: the name of the member of the same archive that has the bytes. */
  readonly link?: Raw | undefined;
};

/** What a head is, and what follows it. */
export type MemberLengths = {
  /** All before the first byte of data, a sparse map included; whole blocks of 512. */
  readonly headBytes: number;
  /** The map's share of the head, at its end; 0 where stored plain. An extent of a sparse file begins with it. */
  readonly mapBytes: number;
  /** Bytes of file data that follow, then zeros to 512. */
  readonly dataBytes: number;
};

export type EncodedMember = Pick<MemberLengths, 'mapBytes' | 'dataBytes'> & {
  readonly head: Buffer;
};

const TYPE_FLAGS: Readonly<Record<Exclude<EntryType, 'socket'>, string>> = {
  file: '0',
  symlink: '2',
  character: '3',
  block: '4',
  directory: '5',
  fifo: '6',
};

/** Before every member stands the same header, but for its size. */
const PAX_BLOCK = makePaxBlock();
const PAX_SUM = headerSum(PAX_BLOCK);
/** What most members are: a header, a block of records, a header. */
const FRAME_BYTES = 3 * TAR_BLOCK_BYTES;
const SECOND_AT = 2 * TAR_BLOCK_BYTES;
const MTIME = ' mtime=';
const CTIME = ' ctime=';
/** Both times, and key and framing of a path. */
const FRONT_BYTES_MAX = 2 * (3 + MTIME.length + MOMENT_BYTES_MAX) + 10;
const LINE_FEED = 0x0a;
const NO_XATTRS: readonly Xattr[] = [];
const NOT_ASCII = /[\x80-\xff]/;

type Owner = Pick<Attributes, 'mode' | 'uid' | 'gid' | 'user' | 'group'>;

/** What the heads of plain files of one owner have in common, for who writes name, size and times over it (native/fs). */
export type Frame = {
  readonly bytes: Uint8Array;
  /** Behind the records of times and name. */
  readonly records: string;
};

/** Makes heads, one after the other. What the last member had, the next mostly has too: it is kept ready. */
export class MemberEncoder {
  /** With owner and mode in its second header. */
  readonly #frame = Buffer.alloc(FRAME_BYTES);
  /** Of the frame's second header. */
  #sum = 0;
  #owner: Owner | undefined;
  #ownerRecords = '';
  #isOwnerUtf8 = false;
  #xattrs: readonly Xattr[] = NO_XATTRS;
  #xattrRecords = '';
  #shared: Frame | undefined;
  #scratch: Buffer = Buffer.alloc(2 * FRAME_BYTES);

  constructor() {
    this.#frame.set(PAX_BLOCK);
  }

  /**
   * Writes the head of a member at `at`.
   * @returns undefined where it does not fit before the buffer's end, whose bytes from there on then mean nothing
   * @throws AssertionError for a socket, which tar cannot hold
   */
  encodeInto(target: Buffer, at: number, member: Member): MemberLengths | undefined {
    const { attributes, lengthBytes } = member;
    assert(attributes.type !== 'socket', 'tar has no sockets');
    assert(Number.isSafeInteger(lengthBytes) && lengthBytes >= 0);
    this.#meet(attributes, member.link === undefined ? attributes.xattrs : NO_XATTRS);
    return this.#encodeFrame(target, at, member) ?? this.#encodeAny(target, at, member);
  }

  /**
   * What the head of a file may be written over: undefined where `encodeInto` has to write it. The same object for members
   * one behind the other that share it.
   */
  frameOf({ path, attributes, part, ranges, link }: Member): Frame | undefined {
    const isPlain = part === undefined && ranges === undefined && link === undefined;
    if (!isPlain || attributes.type !== 'file' || !hasUsualTimes(attributes)) return undefined;
    this.#meet(attributes, attributes.xattrs);
    return path.length <= this.#nameBytesMax && isAscii(path) ? this.#sharedFrame() : undefined;
  }

  /**
   * As `frameOf`, for all whole files of an owner that have usual times, no extended attributes and names of ASCII.
   * @returns `nameBytesMax`: of their names; below 0 no name is short enough
   */
  frameFor(owner: Owner): { readonly frame: Frame; readonly nameBytesMax: number } {
    this.#meet(owner, NO_XATTRS);
    return { frame: this.#sharedFrame(), nameBytesMax: this.#nameBytesMax };
  }

  get #nameBytesMax(): number {
    const restBytes = this.#ownerRecords.length + this.#xattrRecords.length;
    return this.#isOwnerUtf8 ? TAR_BLOCK_BYTES - FRONT_BYTES_MAX - restBytes : -1;
  }

  #sharedFrame(): Frame {
    this.#shared ??= {
      bytes: Uint8Array.from(this.#frame),
      records: this.#ownerRecords + this.#xattrRecords,
    };
    return this.#shared;
  }

  /** The head of a member in a buffer of its own. @throws AssertionError as `encodeInto` */
  encode(member: Member): EncodedMember {
    for (;;) {
      const lengths = this.encodeInto(this.#scratch, 0, member);
      if (lengths) {
        const { headBytes, mapBytes, dataBytes } = lengths;
        return { head: Buffer.from(this.#scratch.subarray(0, headBytes)), mapBytes, dataBytes };
      }
      this.#scratch = Buffer.alloc(2 * this.#scratch.length);
    }
  }

  /** Makes ready what the member shares with those behind it. */
  #meet(owner: Owner, xattrs: readonly Xattr[]): void {
    if (!this.#hasOwner(owner)) this.#setOwner(owner);
    if (xattrs === this.#xattrs || xattrs.length + this.#xattrs.length === 0) return;
    this.#xattrs = xattrs;
    this.#xattrRecords = xattrRecords(xattrs);
    this.#shared = undefined;
  }

  #hasOwner({ mode, uid, gid, user, group }: Owner): boolean {
    const owner = this.#owner;
    return (
      owner !== undefined &&
      owner.mode === mode &&
      owner.uid === uid &&
      owner.gid === gid &&
      owner.user === user &&
      owner.group === group
    );
  }

  #setOwner({ mode, uid, gid, user, group }: Owner): void {
    this.#owner = { mode, uid, gid, user, group };
    this.#shared = undefined;
    this.#ownerRecords = ownerRecords(this.#owner);
    this.#isOwnerUtf8 = isUtf8Text(user) && isUtf8Text(group);
    this.#sum = startHeader(this.#frame, SECOND_AT, {
      mode,
      uid: uid > OCTAL_8_MAX ? 0 : uid,
      gid: gid > OCTAL_8_MAX ? 0 : gid,
      user,
      group,
    });
  }

  /** Undefined for what is rare: parts, holes, large files, long links, names that are not UTF-8, many attributes. */
  #encodeFrame(target: Buffer, at: number, member: Member): MemberLengths | undefined {
    const { attributes, path } = member;
    const linkName = linkOf(member);
    const dataBytes = hasData(member) ? member.lengthBytes : 0;
    const name =
      attributes.type === 'directory' ? storedName(path, attributes.type, undefined) : path;
    const restBytes = this.#ownerRecords.length + this.#xattrRecords.length;
    if (
      member.part !== undefined ||
      member.ranges !== undefined ||
      dataBytes > OCTAL_12_MAX ||
      linkName.length > NAME_BYTES ||
      !this.#isOwnerUtf8 ||
      FRONT_BYTES_MAX + name.length + restBytes > TAR_BLOCK_BYTES ||
      at + FRAME_BYTES > target.length
    )
      return undefined;
    target.set(this.#frame, at);
    const secondAt = at + SECOND_AT;
    const isPlain = this.#fillHeader(target, secondAt, { member, name, dataBytes });
    const recordsAt = at + TAR_BLOCK_BYTES;
    let end = writeTimes(target, recordsAt, attributes);
    if (!isPlain || name.length > NAME_BYTES) {
      end = writeRecord(target, end, { key: 'path', value: name });
      // Any text of the link may be what is not plain.
      if (linkName !== '' || !isUtf8(target.subarray(end - 1 - name.length, end))) return undefined;
    }
    if (restBytes > 0) end += target.write(this.#ownerRecords + this.#xattrRecords, end, 'latin1');
    fillSize(target, at, { sizeBytes: end - recordsAt, sum: PAX_SUM });
    return { headBytes: FRAME_BYTES, mapBytes: 0, dataBytes };
  }

  #encodeAny(target: Buffer, at: number, member: Member): MemberLengths | undefined {
    const { attributes, ranges, lengthBytes, part } = member;
    const isData = hasData(member);
    const name = storedName(member.path, attributes.type, part);
    const map = isData && ranges ? encodeSparseMap(ranges, lengthBytes) : undefined;
    const mapBytes = map?.length ?? 0;
    const dataBytes = isData ? (map && ranges ? sum(ranges) : lengthBytes) : 0;
    const storedBytes = mapBytes + dataBytes;
    const records = encodeRecords({
      attributes,
      name,
      linkName: linkOf(member),
      storedBytes,
      part,
      sparseBytes: map && lengthBytes,
      xattrs: this.#xattrRecords,
    });
    const recordsAt = at + TAR_BLOCK_BYTES;
    const secondAt = recordsAt + padTo512(records.length);
    const end = secondAt + TAR_BLOCK_BYTES + mapBytes;
    if (end > target.length) return undefined;
    target.set(PAX_BLOCK, at);
    fillSize(target, at, { sizeBytes: records.length, sum: PAX_SUM });
    target.write(records, recordsAt, 'latin1');
    target.fill(0, recordsAt + records.length, secondAt);
    this.#frame.copy(target, secondAt, SECOND_AT);
    const headerName = map ? `GNUSparseFile.0/${name}` : name;
    this.#fillHeader(target, secondAt, { member, name: headerName, dataBytes: storedBytes });
    if (map) target.set(map, secondAt + TAR_BLOCK_BYTES);
    return { headBytes: end - at, mapBytes, dataBytes };
  }

  /** Completes the second header, a copy of the frame's. Returns whether the texts written are ASCII. */
  #fillHeader(
    target: Buffer,
    at: number,
    { member, name, dataBytes }: { member: Member; name: string; dataBytes: number },
  ): boolean {
    const { attributes, link } = member;
    const { type, mtime, device } = attributes;
    assert(type !== 'socket');
    return fillHeader(target, at, {
      name,
      sizeBytes: dataBytes > OCTAL_12_MAX ? 0 : dataBytes,
      mtimeSeconds: mtime.seconds < 0 || mtime.seconds > OCTAL_12_MAX ? 0 : mtime.seconds,
      type: link === undefined ? TYPE_FLAGS[type] : '1',
      link: linkOf(member),
      major: device?.major ?? 0,
      minor: device?.minor ?? 0,
      sum: this.#sum,
    });
  }
}

/** The head of one member. @throws AssertionError for a socket, which tar cannot hold */
export function encodeMember(member: Member): EncodedMember {
  return new MemberEncoder().encode(member);
}

export function isAscii(path: string): boolean {
  return !NOT_ASCII.test(path);
}

/** The name a source path has in an archive. `foreignHost` where the path is not of the archive's own host. */
export function memberPath(path: Raw, foreignHost?: string): Raw {
  assert(path.startsWith('/'), 'source paths are absolute');
  if (foreignHost !== undefined) {
    assert(!/^\.{0,2}$|[/\0]/.test(foreignHost), `no name of a host: ${foreignHost}`);
    return `.shelfs/hosts/${Buffer.from(foreignHost, 'utf8').toString('latin1')}${path}` as Raw;
  }
  if (path === '/.shelfs' || path.startsWith('/.shelfs/')) return `.shelfs/tree${path}` as Raw;
  return (path === '/' ? './' : path.slice(1)) as Raw;
}

/** What the encoder names the member: with a directory's slash, with a part's suffix. */
export function storedName(path: Raw, type: EntryType, part: Part | undefined): Raw {
  if (type === 'directory') return (path.endsWith('/') ? path : `${path}/`) as Raw;
  return part === undefined ? path : partName(path, part);
}

export type MemberFacts = {
  readonly pathBytes: number;
  /** Of a symlink's target or the path linked to. */
  readonly linkBytes: number;
  /** Logical bytes the member stores. */
  readonly lengthBytes: number;
  /** Names of user and group together. */
  readonly ownerBytes: number;
  readonly xattrs: { readonly count: number /** Names and values. */; readonly bytes: number };
  /** May be stored sparse; holes are then taken to be at least 512 bytes, as file systems make them. */
  readonly isSparse: boolean;
};

/** Of times, sizes, ids, parts and sparse keys together: keys, 16 digits, and 10 bytes of framing each. */
const FIXED_RECORDS_BYTES = 768;
/** Key and framing of one attribute, twice for an ACL. */
const XATTR_RECORD_BYTES = 80;
/** A map's count line, two lines of the last runs, and its padding: more would replace a hole larger than itself. */
const MAP_BYTES = 1024;

/** No member made of these facts takes more bytes in the stream: headers, data, padding. */
export function memberLengthMax(facts: MemberFacts): number {
  // The name may stand twice (path, GNU.sparse.name), with a suffix; ACLs also as text, 21 characters for 8 bytes.
  const records =
    FIXED_RECORDS_BYTES +
    2 * (facts.pathBytes + 32) +
    facts.linkBytes +
    facts.ownerBytes +
    Math.min(PAX_BYTES_MAX, facts.xattrs.count * XATTR_RECORD_BYTES + facts.xattrs.bytes * 4);
  const map = facts.isSparse ? MAP_BYTES : 0;
  return 2 * TAR_BLOCK_BYTES + padTo512(records) + padTo512(facts.lengthBytes) + map;
}

function hasData({ attributes, link }: Member): boolean {
  return attributes.type === 'file' && link === undefined;
}

function linkOf({ attributes, link }: Member): string {
  return link ?? (attributes.type === 'symlink' ? (attributes.target ?? '') : '');
}

function writeTimes(into: Buffer, at: number, { mtime, ctime }: Attributes): number {
  return writeTime(into, writeTime(into, at, { key: MTIME, moment: mtime }), {
    key: CTIME,
    moment: ctime,
  });
}

/** Of any moment the length of the record has two digits. Returns where the record ends. */
function writeTime(
  into: Buffer,
  at: number,
  { key, moment }: { readonly key: string; readonly moment: Moment },
): number {
  const end = writeMoment(into, writeWord(into, at + 2, key), moment);
  into[end] = LINE_FEED;
  writeDecimal(into, at, end + 1 - at);
  return end + 1;
}

function makePaxBlock(): Buffer {
  const block = Buffer.alloc(TAR_BLOCK_BYTES);
  writeHeader(block, 0, {
    name: '.shelfs/pax',
    mode: 0o600,
    uid: 0,
    gid: 0,
    sizeBytes: 0,
    mtimeSeconds: 0,
    type: 'x',
    link: '',
    user: '',
    group: '',
    major: 0,
    minor: 0,
  });
  return block;
}

function sum(ranges: readonly DataRange[]): number {
  let lengthBytes = 0;
  for (const range of ranges) lengthBytes += range.lengthBytes;
  return lengthBytes;
}
