/**
 * The order of paths: bytewise by their components, a directory's entries right behind it. It is the order of a sorted
 * walk, of a plan and of a journal. Memory grows with the depth of the tree, not with its size.
 */
import { strict as assert } from 'node:assert';
import type { Raw } from '../../base/raw.ts';

export type Named = { readonly name: Raw };
export type NamedDirectory = { readonly name: Raw; readonly id: number };

/** Both sides in ascending order of name, without equal ones; taken lazily. */
export type OrderedTree<Entry extends Named> = {
  entries(directoryId: number): Iterable<Entry>;
  /** Children to walk into; may name one that is no entry, and leave out entries. */
  directories(directoryId: number): Iterable<NamedDirectory>;
};

export type Placed<Entry> = { readonly directoryId: number; readonly entry: Entry };

type Level<Entry> = {
  readonly directoryId: number;
  readonly entries: Iterator<Entry>;
  readonly directories: Iterator<NamedDirectory>;
  entry: Entry | undefined;
  directory: NamedDirectory | undefined;
};

/** All entries below a directory, in order of path. */
export function* inPathOrder<Entry extends Named>(
  tree: OrderedTree<Entry>,
  rootId: number,
): Generator<Placed<Entry>> {
  const levels = [openLevel(tree, rootId)];
  for (let level = levels.at(-1); level; level = levels.at(-1)) {
    const { entry, directory } = level;
    if (entry && (!directory || entry.name <= directory.name)) {
      yield { directoryId: level.directoryId, entry };
      advanceEntry(level);
    } else if (directory) {
      level.directory = nextOf(level.directories);
      levels.push(openLevel(tree, directory.id));
    } else levels.pop();
  }
}

function openLevel<Entry extends Named>(
  tree: OrderedTree<Entry>,
  directoryId: number,
): Level<Entry> {
  const entries = tree.entries(directoryId)[Symbol.iterator]();
  const directories = tree.directories(directoryId)[Symbol.iterator]();
  return {
    directoryId,
    entries,
    directories,
    entry: nextOf(entries),
    directory: nextOf(directories),
  };
}

function advanceEntry<Entry extends Named>(level: Level<Entry>): void {
  const next = nextOf(level.entries);
  assert(!next || !level.entry || next.name > level.entry.name, 'names ascend');
  level.entry = next;
}

function nextOf<T>(iterator: Iterator<T>): T | undefined {
  const next = iterator.next();
  return next.done ? undefined : next.value;
}

/** Rows of a table page by page, so that no statement stays open between them. */
export function* paged<Row>(
  page: (after: Row | undefined) => readonly Row[],
  pageRows: number,
): Generator<Row> {
  let last: Row | undefined;
  for (;;) {
    const rows = page(last);
    yield* rows;
    if (rows.length < pageRows) return;
    last = rows.at(-1);
  }
}
