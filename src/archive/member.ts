/**
 * One member of an archive: the headers before a file's bytes (FORMAT.md section 4). Who reads the bytes and who writes
 * them is not known here.
 */
import { strict as assert } from 'node:assert';
import type { Raw } from '../base/raw.ts';
import {
  ACL_ACCESS,
  ACL_DEFAULT,
  type Attributes,
  type DataRange,
  type EntryType,
  type Xattr,
} from '../domain/entry.ts';
import { aclText } from './acl.ts';
import { formatMoment } from './moment.ts';
import { PAX_BYTES_MAX, paxRecord } from './pax.ts';
import { encodeSparseMap } from './sparse.ts';
import {
  headerSum,
  NAME_BYTES,
  OCTAL_8_MAX,
  OCTAL_12_MAX,
  OWNER_BYTES,
  padTo512,
  TAR_BLOCK_BYTES,
  writeHeader,
  writeSizedHeader,
} from './ustar.ts';

/** One piece of a file stored in pieces. `offset` and `totalBytes` are logical, holes included. */
export type Part = {
  /** From 1. */
  readonly number: number;
  readonly count: number;
  readonly offset: number;
  readonly totalBytes: number;
};

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

export type EncodedMember = {
  /** All before the first byte of data, a sparse map included; whole blocks of 512. */
  readonly head: Buffer;
  /** The map's share of `head`, at its end; 0 where stored plain. An extent of a sparse file begins with it. */
  readonly mapBytes: number;
  /** Bytes of file data that follow, then zeros to 512. */
  readonly dataBytes: number;
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
const IGNORED_XATTRS = 'user.shelfs.';

/** @throws AssertionError for a socket, which tar cannot hold */
export function encodeMember(member: Member): EncodedMember {
  const { attributes, part, link } = member;
  assert(attributes.type !== 'socket', 'tar has no sockets');
  assert(Number.isSafeInteger(member.lengthBytes) && member.lengthBytes >= 0);
  const isData = attributes.type === 'file' && link === undefined;
  const name = storedName(member.path, attributes.type, part);
  const map =
    member.ranges === undefined || !isData
      ? undefined
      : encodeSparseMap(member.ranges, member.lengthBytes);
  const mapBytes = map?.length ?? 0;
  const dataBytes = isData ? (map && member.ranges ? sum(member.ranges) : member.lengthBytes) : 0;
  const linkName = link ?? (attributes.type === 'symlink' ? (attributes.target ?? '') : '');
  const storedBytes = mapBytes + dataBytes;
  const records = encodeRecords(member, {
    name,
    linkName,
    storedBytes,
    isSparse: map !== undefined,
  });

  const headerAt = TAR_BLOCK_BYTES + padTo512(records.length);
  const head = Buffer.allocUnsafe(headerAt + TAR_BLOCK_BYTES + mapBytes);
  writeSizedHeader(head, 0, { block: PAX_BLOCK, sum: PAX_SUM, sizeBytes: records.length });
  head.write(records, TAR_BLOCK_BYTES, 'latin1');
  head.fill(0, TAR_BLOCK_BYTES + records.length, headerAt);
  const seconds = attributes.mtime.seconds;
  writeHeader(head, headerAt, {
    name: map === undefined ? name : `GNUSparseFile.0/${name}`,
    mode: attributes.mode,
    uid: attributes.uid > OCTAL_8_MAX ? 0 : attributes.uid,
    gid: attributes.gid > OCTAL_8_MAX ? 0 : attributes.gid,
    sizeBytes: storedBytes > OCTAL_12_MAX ? 0 : storedBytes,
    mtimeSeconds: seconds < 0 || seconds > OCTAL_12_MAX ? 0 : seconds,
    type: link === undefined ? TYPE_FLAGS[attributes.type] : '1',
    link: linkName,
    user: attributes.user,
    group: attributes.group,
    major: attributes.device?.major ?? 0,
    minor: attributes.device?.minor ?? 0,
  });
  if (map !== undefined) head.set(map, headerAt + TAR_BLOCK_BYTES);
  return { head, mapBytes, dataBytes };
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

/** What `encodeMember` names the member: with a directory's slash, with a part's suffix. */
export function storedName(path: Raw, type: EntryType, part: Part | undefined): Raw {
  if (type === 'directory') return (path.endsWith('/') ? path : `${path}/`) as Raw;
  if (part === undefined) return path;
  const [number, count] = [part.number, part.count].map((value) => String(value).padStart(4, '0'));
  return `${path}.shelfs-part-${number}-of-${count}` as Raw;
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

type Names = {
  readonly name: Raw;
  readonly linkName: string;
  readonly storedBytes: number;
  readonly isSparse: boolean;
};

function encodeRecords(member: Member, names: Names): string {
  const { attributes, part } = member;
  const { name, linkName, storedBytes } = names;
  const { user, group } = attributes;
  const isPlain = isAscii(name) && isAscii(linkName) && isAscii(user) && isAscii(group);
  const fits = (value: string, lengthBytes: number) =>
    value.length <= lengthBytes && (isPlain || isAscii(value));
  let text = isPlain ? '' : charsetRecord([name, linkName, user, group]);
  text += paxRecord('mtime', formatMoment(attributes.mtime));
  text += paxRecord('ctime', formatMoment(attributes.ctime));
  if (names.isSparse) text += sparseRecords(name, member.lengthBytes);
  else if (!fits(name, NAME_BYTES)) text += paxRecord('path', name);
  if (!fits(linkName, NAME_BYTES)) text += paxRecord('linkpath', linkName);
  if (storedBytes > OCTAL_12_MAX) text += paxRecord('size', String(storedBytes));
  if (attributes.uid > OCTAL_8_MAX) text += paxRecord('uid', String(attributes.uid));
  if (attributes.gid > OCTAL_8_MAX) text += paxRecord('gid', String(attributes.gid));
  if (!fits(user, OWNER_BYTES)) text += paxRecord('uname', user);
  if (!fits(group, OWNER_BYTES)) text += paxRecord('gname', group);
  if (part !== undefined) text += partRecords(part);
  if (attributes.xattrs.length === 0 || member.link !== undefined) return text;
  const xattrs = attributes.xattrs.map(xattrRecords).join('');
  if (text.length + xattrs.length > PAX_BYTES_MAX)
    return text + paxRecord('SHELFS.xattrs', 'journal');
  return text + xattrs;
}

function sparseRecords(name: Raw, lengthBytes: number): string {
  return (
    paxRecord('GNU.sparse.major', '1') +
    paxRecord('GNU.sparse.minor', '0') +
    paxRecord('GNU.sparse.name', name) +
    paxRecord('GNU.sparse.realsize', String(lengthBytes))
  );
}

function partRecords({ number, count, offset, totalBytes }: Part): string {
  return (
    paxRecord('SHELFS.part.number', String(number)) +
    paxRecord('SHELFS.part.count', String(count)) +
    paxRecord('SHELFS.part.offset', String(offset)) +
    paxRecord('SHELFS.part.total', String(totalBytes))
  );
}

/** Without it pax texts are UTF-8; readers that know it then take names as bytes. */
function charsetRecord(texts: readonly string[]): string {
  return texts.every(isUtf8) ? '' : paxRecord('hdrcharset', 'BINARY');
}

function xattrRecords({ name, value }: Xattr): string {
  if (name.startsWith(IGNORED_XATTRS)) return '';
  const bytes = value.toString('latin1');
  if (name !== ACL_ACCESS && name !== ACL_DEFAULT) {
    const key = name.includes('%') || name.includes('=') ? escapeXattr(name) : name;
    return paxRecord(`SCHILY.xattr.${key}`, bytes);
  }
  const kind = name === ACL_ACCESS ? 'access' : 'default';
  const text = aclText(value);
  return (
    (text ? paxRecord(`SCHILY.acl.${kind}`, text) : '') + paxRecord(`SHELFS.acl.${kind}`, bytes)
  );
}

/** As GNU tar does: the first `=` of a record ends its key. */
function escapeXattr(name: string): string {
  return name.replaceAll('%', '%25').replaceAll('=', '%3D');
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

function isAscii(text: string): boolean {
  for (let index = 0; index < text.length; index += 1)
    if (text.charCodeAt(index) > 0x7f) return false;
  return true;
}

function isUtf8(text: string): boolean {
  const bytes = Buffer.from(text, 'latin1');
  return bytes.equals(Buffer.from(bytes.toString('utf8'), 'utf8'));
}

function sum(ranges: readonly DataRange[]): number {
  let lengthBytes = 0;
  for (const range of ranges) lengthBytes += range.lengthBytes;
  return lengthBytes;
}
