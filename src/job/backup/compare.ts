/** One directory against what the catalog knows of it: two lists in order of name, merged. */
import type { Raw } from '../../base/raw.ts';
import type { EntryType, Moment } from '../../domain/entry.ts';
import { type ChangePolicy, type Compared, changeOf } from '../../pack/change.ts';
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

export type Difference<K extends Known> =
  | { readonly kind: 'same'; readonly entry: ScannedEntry; readonly known: K }
  | { readonly kind: 'new'; readonly entry: ScannedEntry }
  | { readonly kind: 'changed' | 'attributes'; readonly entry: ScannedEntry; readonly known: K }
  | { readonly kind: 'gone'; readonly known: K };

/** @param found,known ascending by the bytes of their names */
export function* compareDirectory<K extends Known>(
  found: readonly ScannedEntry[],
  known: readonly K[],
  policy: ChangePolicy,
): Generator<Difference<K>> {
  let at = 0;
  for (const entry of found) {
    for (let gone = known[at]; gone && gone.name < entry.name; gone = known[at]) {
      yield { kind: 'gone', known: gone };
      at += 1;
    }
    const same = known[at]?.name === entry.name ? known[at] : undefined;
    if (same) at += 1;
    const kind = changeOf(entry.type === 'file' ? entry : withoutSize(entry), same, policy);
    if (kind === 'new' || same === undefined) yield { kind: 'new', entry };
    else yield { kind, entry, known: same };
  }
  for (const gone of known.slice(at)) yield { kind: 'gone', known: gone };
}

/** The length of a link's target, or of a directory, is no size of a content. */
function withoutSize({ type, mode, uid, gid, mtime, ctime, inode }: ScannedEntry): Compared {
  return { type, mode, uid, gid, sizeBytes: 0, mtime, ctime, inode };
}
