/** An extended attribute as pax records; a POSIX ACL both as text and as the kernel's bytes (FORMAT.md section 4.3). */
import { ACL_ACCESS, ACL_DEFAULT, type Xattr } from '../domain/entry.ts';
import { aclText } from './acl.ts';
import { paxRecord } from './pax.ts';

/** Never stored: what a mount of ours shows of itself. */
const IGNORED_XATTRS = 'user.shelfs.';

/** Empty for an attribute that is not stored. */
export function xattrRecord({ name, value }: Xattr): string {
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
