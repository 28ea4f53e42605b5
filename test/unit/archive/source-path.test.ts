import fc from 'fast-check';
import { expect, test } from 'vitest';
import { memberPath, storedName } from '../../../src/archive/member.ts';
import { sourcePath } from '../../../src/archive/source-path.ts';
import { CodedError } from '../../../src/base/errors.ts';
import type { Raw } from '../../../src/base/raw.ts';
import { rawName, rawPath } from './arbitrary.ts';

const part = { number: 2, count: 12_345, offset: 0, totalBytes: 9 };
const path = fc.oneof(
  rawPath,
  rawName().map((name) => `/.shelfs/${name}` as Raw),
  fc.constantFrom('/' as Raw, '/.shelfs' as Raw, '/a.shelfs-part-0001-of-0002' as Raw),
);

test('the inverse of naming a member', () =>
  fc.assert(
    fc.property(
      path,
      fc.constantFrom(undefined, 'web', 'n\u00e4s'),
      fc.boolean(),
      (source, host, isPart) => {
        const isDirectory = source === '/' || !isPart;
        const name = storedName(
          memberPath(source, host),
          isDirectory ? 'directory' : 'file',
          isDirectory ? undefined : part,
        );
        expect(sourcePath(name, isDirectory ? undefined : part)).toEqual({ path: source, host });
        if (source !== '/' && !isPart)
          expect(sourcePath(memberPath(source, host), undefined)).toEqual({ path: source, host });
      },
    ),
  ));

test.each(['.shelfs/archives/x/journal', '.shelfs', '.shelfs/segments/abc'])(
  '%s is the archive’s own',
  (name) => expect(sourcePath(name as Raw, undefined)).toBeUndefined(),
);

test.each([
  '../a',
  'a/../b',
  'a//b',
  'a/.',
  '/a',
  '.shelfs/tree/..',
  '.shelfs/hosts/web/../x',
  '.shelfs/hosts/web',
  '..',
])('%s is refused', (name) => expect(() => sourcePath(name as Raw, undefined)).toThrow(CodedError));
