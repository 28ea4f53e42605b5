/**
 * Node ids: what the kernel calls a file by. They are made from the catalog's own ids, so nothing has to be remembered for them
 * and the kernel may cache for ever: an inode's row never changes, and its id is never given to another.
 *
 * Below 2^53, so that a Number holds one:
 * ```
 * bit 52   virtual: not in the catalog; a table counts the kernel's references (native: passes its FORGETs on)
 * bit 51   has extended attributes of its own, or may have (native: without it, security.* and system.* are answered there)
 * bit 50   a directory: 20 bits of view, 30 bits of directory id; else 50 bits of inode id
 * ```
 * A directory has a node for each view, because the kernel knows a directory by one path only.
 */
import { strict as assert } from 'node:assert';
import { CodedError } from '../base/errors.ts';

/** FUSE_ROOT_ID (linux/fuse.h). */
export const ROOT_NODE = 1;

/** Of an inode's id to its node. */
export const FIRST_FILE = 1;
export const XATTRS_BIT = 51;

const VIRTUAL = 2 ** 52;
const XATTRS = 2 ** XATTRS_BIT;
const DIRECTORY = 2 ** 50;
const VIEW = 2 ** 30;
export const VIEWS_MAX = 2 ** 20;

export type NodeRef =
  | { readonly kind: 'file'; readonly inodeId: number }
  | { readonly kind: 'directory'; readonly viewNumber: number; readonly directoryId: number }
  | { readonly kind: 'virtual'; readonly number: number };

/** The root of the mount is known by no id of its own: `ROOT_NODE` is virtual number 1. */
export function fileNode(inodeId: number, { hasXattrs }: { readonly hasXattrs: boolean }): number {
  assert(inodeId > 0 && inodeId < DIRECTORY, `no inode id: ${inodeId}`);
  // Inode 1 would be the root: files have their bit 51 or not, but never a number below 2.
  const id = inodeId + FIRST_FILE;
  return hasXattrs ? id + XATTRS : id;
}

/** @throws CodedError FAILED for what its number has no room for: the billionth directory, the half-millionth medium */
export function directoryNode(viewNumber: number, directoryId: number): number {
  assert(viewNumber >= 0 && directoryId > 0, `no directory: ${viewNumber} ${directoryId}`);
  if (viewNumber >= VIEWS_MAX || directoryId >= VIEW) {
    const sentence = `a mount has no number for directory ${directoryId} in view ${viewNumber}; restore brings it back`;
    throw new CodedError('FAILED', sentence);
  }
  // Attributes of a directory come and go with its versions while its node stays: it may always have some.
  return XATTRS + DIRECTORY + viewNumber * VIEW + directoryId;
}

export function virtualNode(number: number, { hasXattrs = false } = {}): number {
  assert(number > ROOT_NODE && number < XATTRS, `no virtual number: ${number}`);
  return (hasXattrs ? VIRTUAL + XATTRS : VIRTUAL) + number;
}

/** @param nodeId one that was made here, or `ROOT_NODE` */
export function nodeRef(nodeId: number): NodeRef {
  if (nodeId === ROOT_NODE) return { kind: 'virtual', number: ROOT_NODE };
  if (nodeId >= VIRTUAL) return { kind: 'virtual', number: nodeId % XATTRS };
  const rest = nodeId % XATTRS;
  if (rest < DIRECTORY) return { kind: 'file', inodeId: rest - FIRST_FILE };
  const place = rest - DIRECTORY;
  return { kind: 'directory', viewNumber: Math.floor(place / VIEW), directoryId: place % VIEW };
}
