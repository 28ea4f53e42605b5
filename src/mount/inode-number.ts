/**
 * Inode numbers as programs see them (st_ino, d_ino): ascending as contents lie on tape, for tools that walk a directory by
 * them (`cp -r`) then read a cartridge forward once.
 *
 * Contents get their ids in the order in which archives hold them, so the content's id is the upper half; the inode's id in
 * the lower half tells duplicates from hard links. What has no bytes comes first, directories come last.
 */
import { strict as assert } from 'node:assert';

const WORD = 2 ** 32;
const DIRECTORIES = 2 ** 30;

export function highOfFile(contentId: number | null): number {
  assert(contentId === null || contentId < DIRECTORIES, 'too many contents for inode numbers');
  return contentId ?? 0;
}

/** Inodes 2^32 apart would share a number only if their content is one too: such are as good as links. */
export const lowOfFile = (inodeId: number): number => inodeId % WORD;

/** Node ids of directories stay below 2^52. */
export const highOfDirectory = (nodeId: number): number => DIRECTORIES + Math.floor(nodeId / WORD);
export const lowOfDirectory = (nodeId: number): number => nodeId % WORD;
