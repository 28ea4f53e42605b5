/** One entry of the catalog, as a line and as a document. */
import { formatSize } from '../base/bytes.ts';
import { type Raw, rawText } from '../base/raw.ts';
import { ACL_ACCESS, ACL_DEFAULT, type Attributes, type EntryType } from '../domain/entry.ts';
import { documentMoment, documentPath, documentText, formatTime } from './format.ts';

const LETTERS = {
  file: '-',
  directory: 'd',
  symlink: 'l',
  fifo: 'p',
  character: 'c',
  block: 'b',
  socket: 's',
} as const satisfies Record<EntryType, string>;

/** `drwxr-xr-t`, as ls(1) has it. */
export function formatMode(type: EntryType, mode: number): string {
  const letters = [6, 3, 0].map((shift, index) => {
    const bits = (mode >> shift) & 7;
    const isSpecial = (mode & (0o4000 >> index)) !== 0;
    const special = index === 2 ? 't' : 's';
    const last = (bits & 1) !== 0 ? (isSpecial ? special : 'x') : undefined;
    const without = isSpecial ? special.toUpperCase() : '-';
    return `${bits & 4 ? 'r' : '-'}${bits & 2 ? 'w' : '-'}${last ?? without}`;
  });
  return `${LETTERS[type]}${letters.join('')}`;
}

export function formatOwner({ user, uid, group, gid }: Attributes): string {
  return `${user === '' ? uid : rawText(user)}:${group === '' ? gid : rawText(group)}`;
}

/** `-rw-r--r--  me:us  4.10 kB  2026-11-20 09:00:00Z  name` */
export function formatEntry(name: Raw, attributes: Attributes): string {
  const { type, mode, sizeBytes, mtime, target, device } = attributes;
  const size = device
    ? `${device.major}, ${device.minor}`
    : type === 'file'
      ? formatSize(sizeBytes)
      : '';
  const columns = [
    formatMode(type, mode),
    formatOwner(attributes).padEnd(12),
    size.padStart(8),
    formatTime(mtime.seconds * 1000),
    `${rawText(name)}${target === undefined ? '' : ` -> ${rawText(target)}`}`,
  ];
  return columns.join('  ');
}

export function documentEntry(attributes: Attributes) {
  const { type, mode, uid, gid, user, group, sizeBytes, mtime, ctime, target, device } = attributes;
  return {
    type,
    mode: mode.toString(8).padStart(4, '0'),
    uid,
    gid,
    user: documentText(user) ?? rawText(user),
    group: documentText(group) ?? rawText(group),
    size: sizeBytes,
    mtime: documentMoment(mtime),
    ctime: documentMoment(ctime),
    ...(target !== undefined && documentTarget(target)),
    ...(device && { device }),
  };
}

function documentTarget(target: Raw) {
  const { path, pathBase64 } = documentPath(target);
  return { target: path, ...(pathBase64 !== undefined && { targetBase64: pathBase64 }) };
}

/** Names of extended attributes, ACLs in words. */
export function formatXattrs({ xattrs }: Attributes): string {
  return xattrs
    .map(({ name }) => {
      if (name === ACL_ACCESS) return 'ACL';
      return name === ACL_DEFAULT ? 'default ACL' : rawText(name);
    })
    .join(', ');
}
