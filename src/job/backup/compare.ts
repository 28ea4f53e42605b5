/** One directory against what the catalog knows of it: two lists in order of name, merged. */
import type { Raw } from '../../base/raw.ts';
import type { EntryType, Moment } from '../../domain/entry.ts';
import { type Change, type ChangePolicy, type Compared, changeOf } from '../../pack/change.ts';
import type { ScannedEntry } from '../../source/directory.ts';

/** What the catalog tells of an entry; of what has not changed nothing else is asked. */
export type Known = {
  readonly name: Raw;
  readonly type: EntryType;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly mtime: Moment;
  readonly ctime: Moment;
  readonly inode: number;
};

/** Told of each entry in order of name: without an object for each, for there are millions. */
export type Differences<K extends Known> = {
  same(entry: ScannedEntry, known: K): void;
  found(entry: ScannedEntry, kind: Exclude<Change, 'same'>, known: K | undefined): void;
  gone(known: K): void;
};

/** @param sides ascending by the bytes of their names */
export function compareDirectory<K extends Known>(
  sides: { readonly found: readonly ScannedEntry[]; readonly known: readonly K[] },
  policy: ChangePolicy,
  tell: Differences<K>,
): void {
  const { known } = sides;
  let at = 0;
  for (const entry of sides.found) {
    const { name } = entry;
    for (let gone = known[at]; gone && gone.name < name; gone = known[at]) {
      tell.gone(gone);
      at += 1;
    }
    const same = known[at]?.name === name ? known[at] : undefined;
    if (same === undefined) {
      tell.found(entry, 'new', undefined);
      continue;
    }
    at += 1;
    const kind = changeOf(entry.type === 'file' ? entry : withoutSize(entry), same, policy);
    if (kind === 'same') tell.same(entry, same);
    else tell.found(entry, kind, same);
  }
  for (; at < known.length; at += 1) {
    const gone = known[at];
    if (gone) tell.gone(gone);
  }
}

/** The length of a link's target, or of a directory, is no size of a content. */
function withoutSize({ type, mode, uid, gid, mtime, ctime, inode }: ScannedEntry): Compared {
  return { type, mode, uid, gid, sizeBytes: 0, mtime, ctime, inode };
}
