/** st_mode as stat(2) has it: the type of an entry in the upper bits, its permissions in the lower twelve. */
import { strict as assert } from 'node:assert';
import type { EntryType } from '../../domain/entry.ts';

/** inode(7). */
const TYPE_BITS = {
  fifo: 0o010000,
  character: 0o020000,
  directory: 0o040000,
  block: 0o060000,
  file: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
} as const satisfies Record<EntryType, number>;

const TYPES = new Map<number, EntryType>(
  (['fifo', 'character', 'directory', 'block', 'file', 'symlink', 'socket'] as const).map(
    (type) => [TYPE_BITS[type], type],
  ),
);

export function toMode(type: EntryType, permissions: number): number {
  assert(permissions >= 0 && permissions <= 0o7777, `not permissions: ${permissions}`);
  return TYPE_BITS[type] | permissions;
}

export function typeOf(mode: number): EntryType {
  const type = TYPES.get(mode & 0o170000);
  assert(type, `no type has mode ${mode.toString(8)}`);
  return type;
}

/** SQL for "the inode of this alias is a regular file"; 32768 is 0100000. */
export const isFileSql = (alias: string) => `(${alias}.mode & 61440) = 32768`;

export const isFile = (mode: number) => (mode & 0o170000) === TYPE_BITS.file;
