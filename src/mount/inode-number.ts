/**
 * Inode numbers as programs see them (st_ino, d_ino): ascending as contents lie on tape, for tools that walk a directory by
 * them (`cp -r`) then read a cartridge forward once.
 *
 * Contents get their ids in the order in which archives hold them, so the content's id is the upper half; the inode's id in
 * the lower half tells duplicates from hard links. What has no bytes comes first, directories come last. What is only a name has
 * a number made from that name, so that it is the same at each look though nobody remembers it.
 */
import { strict as assert } from 'node:assert';

const WORD = 2 ** 32;
const DIRECTORIES = 2 ** 30;
/** Ids of contents are lower. */
export const CONTENTS_END = DIRECTORIES;
/** Above all directories, whose node ids stay below 2^52; below 2^31, for there are programs that take numbers to be signed. */
const NAMES = 2 ** 30 + 2 ** 29;

export function highOfFile(contentId: number | null): number {
  assert(contentId === null || contentId < DIRECTORIES, 'too many contents for inode numbers');
  return contentId ?? 0;
}

/** Inodes 2^32 apart would share a number only if their content is one too: such are as good as links. */
export const lowOfFile = (inodeId: number): number => inodeId % WORD;

/** Two halves of 32 bits. */
export type InodeNumber = { readonly inoHigh: number; readonly inoLow: number };

export const numberOfNode = (nodeId: number): InodeNumber => ({
  inoHigh: highOfDirectory(nodeId),
  inoLow: lowOfDirectory(nodeId),
});

/** Of 61 bits: two of ten million names share one in a thousandth of all cases, and then they only look alike. */
export function numberOfName(name: string): InodeNumber {
  let [high, low] = [0x811c9dc5, 0x9e3779b9];
  for (let at = 0; at < name.length; at += 1) {
    const character = name.charCodeAt(at);
    // FNV-1a, and the same with the multiplier of MurmurHash2.
    high = Math.imul(high ^ character, 0x01000193);
    low = Math.imul(low ^ character, 0x5bd1e995);
    low ^= low >>> 15;
  }
  return { inoHigh: NAMES + (high >>> 3), inoLow: low >>> 0 };
}

/** Node ids of directories stay below 2^52. */
export const highOfDirectory = (nodeId: number): number => DIRECTORIES + Math.floor(nodeId / WORD);
export const lowOfDirectory = (nodeId: number): number => nodeId % WORD;
