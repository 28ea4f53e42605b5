/** The pax records of a member (FORMAT.md section 4.3): what its header cannot say, and the times. */
import { isUtf8 } from 'node:buffer';
import type { Raw } from '../base/raw.ts';
import type { Attributes, Xattr } from '../domain/entry.ts';
import { formatMoment } from './moment.ts';
import { type Part, partRecords } from './part.ts';
import { PAX_BYTES_MAX, paxRecord } from './pax.ts';
import { sparseRecords } from './sparse.ts';
import { NAME_BYTES, OCTAL_8_MAX, OCTAL_12_MAX, OWNER_BYTES } from './ustar.ts';
import { xattrRecord } from './xattr-record.ts';

export type RecordFacts = {
  readonly attributes: Attributes;
  /** As it is stored. */
  readonly name: Raw;
  /** Empty where there is none. */
  readonly linkName: string;
  readonly storedBytes: number;
  readonly part: Part | undefined;
  /** Of a sparse member, holes included. */
  readonly sparseBytes: number | undefined;
  /** Of `xattrRecords`; empty for those that are not stored here. */
  readonly xattrs: string;
};

/** All of them, in their order, one character a byte. */
export function encodeRecords(facts: RecordFacts): string {
  const { attributes, name, linkName, storedBytes, part, sparseBytes, xattrs } = facts;
  const { mtime, ctime, user, group } = attributes;
  let text = [name, linkName, user, group].every(isUtf8Text) ? '' : CHARSET;
  text += paxRecord('mtime', formatMoment(mtime));
  text += paxRecord('ctime', formatMoment(ctime));
  if (sparseBytes !== undefined) text += sparseRecords(name, sparseBytes);
  else if (!isShortAscii(name, NAME_BYTES)) text += paxRecord('path', name);
  if (!isShortAscii(linkName, NAME_BYTES)) text += paxRecord('linkpath', linkName);
  if (storedBytes > OCTAL_12_MAX) text += paxRecord('size', String(storedBytes));
  text += ownerRecords(attributes);
  if (part !== undefined) text += partRecords(part);
  return text + (text.length + xattrs.length > PAX_BYTES_MAX ? XATTRS_ELSEWHERE : xattrs);
}

/** Mostly none. */
export function ownerRecords({
  uid,
  gid,
  user,
  group,
}: Pick<Attributes, 'uid' | 'gid' | 'user' | 'group'>): string {
  return (
    (uid > OCTAL_8_MAX ? paxRecord('uid', String(uid)) : '') +
    (gid > OCTAL_8_MAX ? paxRecord('gid', String(gid)) : '') +
    (isShortAscii(user, OWNER_BYTES) ? '' : paxRecord('uname', user)) +
    (isShortAscii(group, OWNER_BYTES) ? '' : paxRecord('gname', group))
  );
}

export function xattrRecords(xattrs: readonly Xattr[]): string {
  return xattrs.length === 0 ? '' : xattrs.map(xattrRecord).join('');
}

export function isUtf8Text(text: string): boolean {
  return isShortAscii(text, text.length) || isUtf8(Buffer.from(text, 'latin1'));
}

/** Without it pax texts are UTF-8; readers that know it then take names as bytes. */
const CHARSET = paxRecord('hdrcharset', 'BINARY');
const XATTRS_ELSEWHERE = paxRecord('SHELFS.xattrs', 'journal');

function isShortAscii(text: string, lengthBytes: number): boolean {
  if (text.length > lengthBytes) return false;
  for (let index = 0; index < text.length; index += 1)
    if (text.charCodeAt(index) > 0x7f) return false;
  return true;
}
