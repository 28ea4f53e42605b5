/** What the snapshots of a catalog show, beside what the naive model keeps of it; and a crash at any transaction. */
import { expect } from 'vitest';
import type { Raw } from '../../../src/base/raw.ts';
import type { Catalog } from '../../../src/catalog/catalog.ts';
import { Contents } from '../../../src/catalog/content/contents.ts';
import { Tree } from '../../../src/catalog/tree/tree.ts';
import { hashOf, type ModelTree, type Shown } from './model.ts';

export class Crash extends Error {}

/** The n-th transaction, or call within one, does not happen, and nothing after it until the result is called. */
export function crashAt(catalog: Catalog, call: number): () => void {
  let left = call;
  const write = catalog.write.bind(catalog);
  catalog.write = (work) => {
    left -= 1;
    if (left <= 0) throw new Crash();
    return write(work);
  };
  return () => {
    catalog.write = write;
  };
}

export function shownBy(catalog: Catalog, hostId: number, snapshotId: number): Map<Raw, Shown> {
  const tree = new Tree(catalog);
  const contents = new Contents(catalog);
  const shown = new Map<Raw, Shown>();
  for (const { path, inode } of tree.walk(hostId, '/' as Raw, snapshotId)) {
    const { type, mode, contentId } = inode;
    let text: string = inode.target ?? '';
    if (type === 'file') {
      if (contentId === undefined) throw new Error(`${path} has no content`);
      expect(contents.goodCopies(contentId)).toBeGreaterThan(0);
      text = contents.get(contentId)?.hash.toString('hex') ?? '';
    }
    shown.set(path, { type, mode, text, group: inode.sourceInode.inode });
  }
  return shown;
}

export const expected = (model: ModelTree) =>
  new Map(
    [...model.shown()].map(([path, entry]) => [
      path,
      { ...entry, text: entry.type === 'file' ? hashOf(entry.text).toString('hex') : entry.text },
    ]),
  );

export function inPathOrder(paths: Raw[]): Raw[] {
  return paths.toSorted((a, b) => {
    const [left, right] = [a.split('/'), b.split('/')];
    for (const [index, name] of left.entries()) {
      const other = right[index];
      if (other === undefined) return 1;
      if (name !== other) return name < other ? -1 : 1;
    }
    return -1;
  });
}
