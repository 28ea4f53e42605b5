/**
 * Gives an open entry its attributes. In this order, for each step undoes something of those behind it: the owner (takes
 * set-id bits and file capabilities away), extended attributes (need write permission), mode, ACLs (chmod changes their
 * mask), times.
 */
import { type Raw, rawBytes, rawText } from '../base/raw.ts';
import { ACL_ACCESS, ACL_DEFAULT, type Attributes } from '../domain/entry.ts';
import type { ScannedEntry } from './directory.ts';
import { type Answer, errnoName, type FsDoor, UTIME_OMIT } from './door.ts';
import type { OwnerIds } from './owner-ids.ts';

export type Appliance = {
  readonly door: FsDoor;
  readonly owners: OwnerIds;
  /** May be only a place (O_PATH). */
  readonly descriptor: number;
  /** What it is now. */
  readonly present: ScannedEntry;
};

const SELF = Buffer.alloc(0);
/** unistd.h: -1, this one stays as it is. */
const SAME_ID = 0xffffffff;
const SET_UID = 0o4000;
const SET_GID = 0o2000;

/** @returns what could not be set, by name: `owner`, `mode`, `times`, `user.comment` with the reason */
export function applyAttributes(to: Appliance, attributes: Attributes): string[] {
  const { door, descriptor } = to;
  const unset: string[] = [];
  const note = (what: string, answer: Answer) => {
    if (answer < 0) unset.push(`${what} (${errnoName(answer)})`);
    return answer >= 0;
  };
  const lost = applyOwner(to, attributes, note);
  for (const { name, value } of attributes.xattrs) {
    if (!isAcl(name)) note(rawText(name), door.setXattr(descriptor, SELF, rawBytes(name), value));
  }
  if (attributes.type !== 'symlink') {
    const dropped = attributes.mode & lost;
    note('mode', door.changeMode(descriptor, SELF, attributes.mode & ~dropped));
    if (dropped !== 0) unset.push('set-id bits (not the same owner)');
    applyAcls(to, attributes, note);
  }
  const { seconds, nanoseconds } = attributes.mtime;
  note('times', door.setTimes(descriptor, SELF, 0, UTIME_OMIT, seconds, nanoseconds));
  return unset;
}

type Note = (what: string, answer: Answer) => boolean;

/** @returns the set-id bits that would now give somebody else's rights away */
function applyOwner(
  { door, owners, descriptor, present }: Appliance,
  wanted: Attributes,
  note: Note,
) {
  const { uid, gid } = owners.of(wanted);
  if (present.uid === uid && present.gid === gid) return 0;
  if (door.changeOwner(descriptor, SELF, uid, gid) >= 0) return 0;
  // Each by itself: an ordinary user may still give it to another group of theirs.
  const hasGroup =
    present.gid === gid || note('group', door.changeOwner(descriptor, SELF, SAME_ID, gid));
  const hasOwner =
    present.uid === uid || note('owner', door.changeOwner(descriptor, SELF, uid, SAME_ID));
  if (wanted.type === 'directory') return 0;
  return (hasOwner ? 0 : SET_UID) | (hasGroup ? 0 : SET_GID);
}

/** An entry made in a directory with a default ACL has inherited one, which its original did not have. */
function applyAcls({ door, descriptor }: Appliance, wanted: Attributes, note: Note): void {
  const names = wanted.type === 'directory' ? [ACL_ACCESS, ACL_DEFAULT] : [ACL_ACCESS];
  for (const name of names) {
    const acl = wanted.xattrs.find((xattr) => xattr.name === name);
    if (acl !== undefined) {
      note(name, door.setXattr(descriptor, SELF, rawBytes(name), acl.value));
      continue;
    }
    const answer = door.removeXattr(descriptor, SELF, rawBytes(name));
    const isNone = answer < 0 && ['ENODATA', 'ENOTSUP', 'EOPNOTSUPP'].includes(errnoName(answer));
    if (!isNone) note(name, answer);
  }
}

function isAcl(name: Raw): boolean {
  return name === ACL_ACCESS || name === ACL_DEFAULT;
}
