/** Where a content lies, as a journal tells it: copies cut at different places are each whole, and no place that can serve is left out. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatEntry } from '../../../../src/archive/journal.ts';
import { parseLine } from '../../../../src/archive/journal-parse.ts';
import type { Raw } from '../../../../src/base/raw.ts';
import { Contents } from '../../../../src/catalog/content/contents.ts';
import type { Extent } from '../../../../src/domain/content.ts';
import { locateContent } from '../../../../src/job/backup/locate.ts';
import { attributes, beginArchive, commit, content, source, world } from '../../catalog/scratch.ts';

const SIZE = 1000;

/** The parts of one copy, cut at these offsets. */
function cut(offsets: readonly number[]): Extent[] {
  const edges = [...new Set([0, ...offsets, SIZE])].toSorted((a, b) => a - b);
  return edges.slice(0, -1).map((contentOffset, index) => ({
    contentOffset,
    lengthBytes: (edges[index + 1] ?? SIZE) - contentOffset,
    archiveOffset: 512 + contentOffset,
    storedBytes: (edges[index + 1] ?? SIZE) - contentOffset,
    form: 'plain' as const,
  }));
}

/** Stores one content as often as there are copies, each part in an archive of its own on the copy's medium. */
function stored(
  copies: readonly {
    readonly parts: Extent[];
    readonly medium: number;
    /** The rest of it was never stored. */
    readonly isCut?: boolean;
  }[],
) {
  const { catalog, hostId, media, begin } = world();
  const run = begin();
  const place = run.place('/a' as Raw, hostId);
  run.add([
    {
      ...place,
      change: 'new',
      attributes: attributes({ sizeBytes: SIZE }),
      sourceInode: source(1),
    },
  ]);
  const inodeId = [...run.waiting()][0]?.inode?.inodeId ?? 0;
  const bytes = content('the bytes', SIZE);
  for (const { parts, medium, isCut = false } of copies) {
    for (const [index, extent] of parts.entries()) {
      const on = [media[medium] ?? 0];
      const archiveId = beginArchive(run, on);
      const isLast = !isCut && index === parts.length - 1;
      const whole = isLast ? { content: bytes } : {};
      run.archives.store(archiveId, [{ ...place, inodeId, extents: [extent], ...whole }]);
      commit(run, archiveId, on);
    }
  }
  return locateContent(new Contents(catalog), run.candidates.contentOf(inodeId));
}

/** Without a gap, without an overlap, from the first byte to the last. */
function expectWhole(copies: ReturnType<typeof stored>): void {
  for (const places of copies?.copies ?? []) {
    let at = 0;
    for (const { contentOffset, lengthBytes } of places) {
      expect(contentOffset).toBe(at);
      at += lengthBytes;
    }
    expect(at).toBe(SIZE);
  }
  const entry = {
    change: 'duplicate' as const,
    path: '/a' as Raw,
    attributes: attributes({ sizeBytes: SIZE }),
    hash: copies?.hash,
    copies: copies?.copies ?? [],
  };
  expect(parseLine(formatEntry(entry).trimEnd(), 2)).toMatchObject(entry);
}

test.each([
  ['whole, then in halves', [[], [500]]],
  ['in halves, then whole', [[500], []]],
  ['in thirds and halves', [[333, 666], [500]]],
  ['in quarters, and as two of them', [[250, 500, 750], [500]]],
])('%s', (_, cuts) => {
  const located = stored(cuts.map((offsets, medium) => ({ parts: cut(offsets), medium })));
  expect(located?.copies).toHaveLength(2);
  expectWhole(located);
  for (const places of located?.copies ?? [])
    expect(new Set(places.map(({ medium }) => medium)).size).toBe(1);
});

test('a part whose rest lies elsewhere alone is told beside the copy that is whole', () => {
  const located = stored([
    { parts: cut([500]).slice(0, 1), medium: 0, isCut: true },
    { parts: cut([500]), medium: 1 },
  ]);
  expectWhole(located);
  const media = located?.copies.map((places) => places.map(({ medium }) => medium));
  expect(media).toHaveLength(2);
  expect(media).toContainEqual(['AAA001L9', 'AAA002L9']);
  expect(media).toContainEqual(['AAA002L9', 'AAA002L9']);
});

test('copies cut anywhere', () => {
  const cuts = fc.array(fc.array(fc.constantFrom(100, 200, 300, 500, 700), { maxLength: 4 }), {
    minLength: 1,
    maxLength: 3,
  });
  fc.assert(
    fc.property(cuts, (all) => {
      const located = stored(
        all.map((offsets, index) => ({ parts: cut(offsets), medium: index % 2 })),
      );
      expectWhole(located);
      expect(located?.copies.length).toBeGreaterThanOrEqual(1);
    }),
    { numRuns: 15 },
  );
});
