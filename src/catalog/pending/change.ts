/** What a run found about an entry, and how `pending` writes it. */
import { strict as assert } from 'node:assert';

export const CHANGES = {
  new: 1,
  changed: 2,
  /** Known content at another path. */
  moved: 3,
  /** A further name of an inode. */
  linked: 4,
  /** Content that another file has too. */
  duplicate: 5,
  /** The content stayed. */
  attributes: 6,
  gone: 7,
  /** Nothing changed, but the content's copies are lost: it is stored again, with no new version. */
  again: 8,
} as const;

export type Change = keyof typeof CHANGES;

const NAMES = new Map<number, Change>(
  (['new', 'changed', 'moved', 'linked', 'duplicate', 'attributes', 'gone', 'again'] as const).map(
    (change) => [CHANGES[change], change],
  ),
);

export function changeOf(code: number): Change {
  const change = NAMES.get(code);
  assert(change, `no change has code ${code}`);
  return change;
}
