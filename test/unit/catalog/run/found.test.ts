/** What is summed up while a run is recorded is what the tables say; where it may not be, they are asked. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Raw, rawOf } from '../../../../src/base/raw.ts';
import type { AddedEntry } from '../../../../src/catalog/run/findings.ts';
import { Run } from '../../../../src/catalog/run/run.ts';
import { untold } from '../../../../src/catalog/run/untold.ts';
import { EMPTY_CONTENT } from '../../../../src/catalog/schema.ts';
import { attributes, content, source, storeAll, world } from '../scratch.ts';

const entry = fc.record({
  name: fc.stringMatching(/^[a-z]{1,9}$/).map(rawOf),
  directory: fc.constantFrom('/', '/home', '/home/a b'),
  change: fc.constantFrom('new' as const, 'changed' as const, 'attributes' as const),
  type: fc.constantFrom('file', 'file', 'directory', 'symlink', 'fifo', 'socket', 'character'),
  sizeBytes: fc.constantFrom(0, 1, 5000),
  links: fc.constantFrom(1, 1, 1, 2),
  inode: fc.integer({ min: 1, max: 4 }),
  xattrs: fc.constantFrom([], [{ name: rawOf('user.x'), value: Buffer.from('value') }]),
  movedFrom: fc.constantFrom(undefined, undefined, rawOf('/home/before')),
});

/** Each place once; a second row of one place replaces the first, which still counts. */
const entries = fc
  .uniqueArray(entry, {
    minLength: 1,
    maxLength: 12,
    selector: ({ directory, name }) => `${directory}/${name}`,
  })
  .map((all) =>
    all.map(({ directory, type, sizeBytes, links, inode, xattrs, ...more }, index) => {
      const isFile = type === 'file';
      const facts = {
        type,
        sizeBytes: isFile ? sizeBytes : 0,
        xattrs,
        ...(type === 'symlink' && { target: rawOf('to') }),
        ...(type === 'character' && { device: { major: 1, minor: 2 ** 31 } }),
      };
      const isLinked = links > 1 && type !== 'directory';
      return {
        directory: directory as Raw,
        ...{ name: more.name, change: more.change, movedFrom: more.movedFrom },
        attributes: attributes(facts as Partial<AddedEntry['attributes']>),
        sourceInode: source(isLinked ? inode : 100 + index, links),
      };
    }),
  );

test('rows as they were found', () => {
  fc.assert(
    fc.property(entries, (all) => {
      const { catalog, hostId, begin } = world();
      const run = begin();
      run.add(
        all.map(({ directory, ...found }) => ({
          directoryId: run.directory(directory, hostId),
          ...found,
        })),
      );
      const again = new Run(catalog, run.jobNumber);
      expect(again.untold).toBeUndefined();
      expect(run.outstanding()).toEqual(again.outstanding());
      const asked = untold(catalog, run.jobNumber);
      const summed = untold(catalog, run.jobNumber, run.untold);
      for (const key of ['rows', 'nameBytes', 'xattrBytes', 'extents'] as const)
        expect(summed[key], key).toBeGreaterThanOrEqual(asked[key]);
      expect([...run.candidates.bySize(1)].map(({ path }) => path)).toEqual(
        [...again.candidates.bySize(1)].map(({ path }) => path),
      );
    }),
    { numRuns: 25 },
  );
});

test('a further name of a file whose bytes are stored needs no medium', () => {
  const { hostId, begin } = world();
  const run = begin();
  const directoryId = run.directory(rawOf('/home'), hostId);
  const common = { directoryId, attributes: attributes(), sourceInode: source(3, 2) };
  run.add([
    { ...common, name: rawOf('a'), change: 'attributes', contentId: EMPTY_CONTENT },
    { ...common, name: rawOf('b'), change: 'new' },
  ]);
  expect(run.outstanding()).toEqual({ rows: 2, waitingBytes: 0, needsMedium: false });
});

test('what has become of rows since is asked of the tables', () => {
  const { catalog, hostId, media, begin } = world();
  const run = begin();
  const directoryId = run.directory(rawOf('/home'), hostId);
  const added = { directoryId, change: 'new' as const, attributes: attributes() };
  const names = ['a', 'b', 'c'].map(rawOf);
  run.add(names.map((name, index) => ({ ...added, name, sourceInode: source(3 + index) })));
  const isAsTables = () =>
    expect(run.outstanding()).toEqual(new Run(catalog, run.jobNumber).outstanding());
  isAsTables();
  run.forget(directoryId, rawOf('c'));
  isAsTables();
  expect(run.untold).toBeUndefined();
  storeAll(run, media.slice(0, 1), () => content('0123456789'));
  isAsTables();
  run.gone(directoryId, rawOf('b'));
  isAsTables();
});
