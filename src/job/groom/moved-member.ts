/** A content that was read from one medium and is written to another, as a plan sees it and as a member of an archive. */
import { strict as assert } from 'node:assert';
import { type Member, memberPath } from '../../archive/member.ts';
import type { SpooledContent } from '../../catalog/care/spooled.ts';
import type { Contents } from '../../catalog/content/contents.ts';
import type { Content } from '../../domain/content.ts';
import type { DataRange } from '../../domain/entry.ts';
import type { Part, PlanItem } from '../../pack/item.ts';
import { planItem, type SizedEntry } from '../backup/items.ts';

export type MovedEntry = SizedEntry & {
  readonly moved: SpooledContent;
  readonly content: Content;
};

/** @param foreign names of hosts other than the archives' own */
export function movedItem(
  moved: SpooledContent,
  contents: Contents,
  foreign: ReadonlyMap<number, string>,
): PlanItem<MovedEntry> {
  const content = contents.get(moved.contentId);
  assert(content, 'only whole contents are moved');
  const { inode, path } = moved.entry;
  const host = foreign.get(moved.hostId);
  const row = { path, movedFrom: undefined };
  const { ranges } = content;
  const form = 'data' as const;
  return planItem<MovedEntry>({ row, inode, form, host, ranges, moved, content }, 1);
}

/** @param part undefined: the whole content */
export function movedMember({ row, inode, host, ranges }: MovedEntry, part: Part | undefined) {
  const member: Member = {
    path: memberPath(row.path, host),
    attributes: inode,
    lengthBytes: part?.lengthBytes ?? inode.sizeBytes,
    ...(part && { part }),
    ...(ranges && { ranges: part ? rangesWithin(ranges, part) : ranges }),
  };
  return member;
}

/** What of the data lies in a part, counted from its first byte. */
export function rangesWithin(
  ranges: readonly DataRange[],
  part: { readonly offset: number; readonly lengthBytes: number },
): DataRange[] {
  const end = part.offset + part.lengthBytes;
  return ranges.flatMap((range) => {
    const from = Math.max(range.offset, part.offset);
    const to = Math.min(range.offset + range.lengthBytes, end);
    return from < to ? [{ offset: from - part.offset, lengthBytes: to - from }] : [];
  });
}
