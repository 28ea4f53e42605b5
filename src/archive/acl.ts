/** POSIX ACLs: the kernel's bytes (linux/posix_acl_xattr.h) as the text other tars understand (acl(5), short form). */

const VERSION = 2;
const ENTRY_BYTES = 8;
const TAGS: Readonly<Record<number, string>> = {
  1: 'user:',
  2: 'user:',
  4: 'group:',
  8: 'group:',
  16: 'mask:',
  32: 'other:',
};
/** Tags whose entry names somebody. */
const NAMED = new Set([2, 8]);

/** `user::rw-,user:1000:r--,...`; undefined where the bytes are not what a kernel writes. */
export function aclText(bytes: Buffer): string | undefined {
  if (bytes.length < 4 || bytes.readUInt32LE(0) !== VERSION) return undefined;
  if ((bytes.length - 4) % ENTRY_BYTES !== 0) return undefined;
  const entries: string[] = [];
  for (let at = 4; at < bytes.length; at += ENTRY_BYTES) {
    const tag = bytes.readUInt16LE(at);
    const name = TAGS[tag];
    if (name === undefined) return undefined;
    const permissions = bytes.readUInt16LE(at + 2);
    const who = NAMED.has(tag) ? String(bytes.readUInt32LE(at + 4)) : '';
    const bits = [...'rwx'].map((letter, index) => (permissions & (4 >> index) ? letter : '-'));
    entries.push(`${name}${who}:${bits.join('')}`);
  }
  return entries.join(',');
}
