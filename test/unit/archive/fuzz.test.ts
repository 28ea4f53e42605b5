/** Hostile and damaged archives: a result or a CodedError, never another error, never memory without bound. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { paxRecord } from '../../../src/archive/pax.ts';
import { readMembers } from '../../../src/archive/reader.ts';
import { headerSum } from '../../../src/archive/ustar.ts';
import { CodedError } from '../../../src/base/errors.ts';
import { member } from './arbitrary.ts';
import { memberBytes, readAll, sourceOf, tarOf } from './stream.ts';

/** Puts a right checksum into a header that was changed. */
function seal(block: Buffer): void {
  block.write(`${headerSum(block).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
}

/** A member with a header of any kind before it, its checksum right. */
function headed(type: string, data: Buffer, change: (header: Buffer) => void = () => {}): Buffer {
  const header = Buffer.alloc(512);
  header.write('name', 0);
  header.write(`${data.length.toString(8).padStart(11, '0')}`, 124);
  header.write(type, 156);
  header.write('ustar\x0000', 257, 'latin1');
  change(header);
  seal(header);
  return Buffer.concat([header, data, Buffer.alloc((512 - (data.length % 512)) % 512)]);
}
const pax = (...records: readonly [string, string][]) =>
  headed('x', Buffer.from(records.map(([key, value]) => paxRecord(key, value)).join(''), 'latin1'));
const file = (data = Buffer.alloc(0), change?: (header: Buffer) => void) =>
  headed('0', data, change);

async function outcome(bytes: Buffer): Promise<'read' | CodedError> {
  try {
    await readAll(bytes);
    return 'read';
  } catch (error) {
    if (error instanceof CodedError) return error;
    throw error;
  }
}

describe('mutated archives', () => {
  test('bytes exchanged, headers sealed again or not, cut anywhere', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(member, { minLength: 1, maxLength: 3 }),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 12 }),
        fc.boolean(),
        fc.option(fc.nat()),
        async (members, changes, isSealed, cut) => {
          const bytes = tarOf(members.map((one) => memberBytes(one)));
          for (const [at, byte] of changes) {
            const place = at % bytes.length;
            bytes[place] = byte;
            const block = bytes.subarray(place - (place % 512), place - (place % 512) + 512);
            if (isSealed && block.toString('latin1', 257, 262) === 'ustar') seal(block);
          }
          await outcome(cut === null ? bytes : bytes.subarray(0, cut % bytes.length));
        },
      ),
      { numRuns: 2000 },
    ));

  test('every cut of an archive is torn or, between members, still torn', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(member, { minLength: 1, maxLength: 3 }),
        fc.nat(),
        async (members, at) => {
          const bytes = tarOf(members.map((one) => memberBytes(one)));
          const cut = at % (bytes.length - 512);
          expect(await outcome(bytes.subarray(0, cut))).toMatchObject({ code: 'ARCHIVE_TORN' });
        },
      ),
      { numRuns: 300 },
    ));
});

describe('what is refused', () => {
  test.each<[string, Buffer]>([
    ['a broken checksum', file().fill(1, 0, 1)],
    ['a single block of zeros', Buffer.concat([Buffer.alloc(512), file()])],
    ['a type that is not known', headed('M', Buffer.alloc(0))],
    ['an extended header above 1 MiB', headed('x', Buffer.alloc(2 ** 20 + 1, 'a'))],
    ['a long name above 64 KiB', headed('L', Buffer.alloc(65_537, 'a'))],
    ['a name above 64 KiB', Buffer.concat([pax(['path', 'a'.repeat(65_537)]), file()])],
    ['an empty name', file(Buffer.alloc(0), (header) => header.fill(0, 0, 4))],
    ['a name with a NUL', Buffer.concat([pax(['path', 'a\0b']), file()])],
    ['a size that is none', file(Buffer.alloc(0), (header) => header.write('9', 124))],
    ['a negative size', file(Buffer.alloc(0), (header) => header.fill(0xff, 124, 136))],
    ['a size above 2^53', Buffer.concat([pax(['size', '9007199254740993']), file()])],
    [
      'a size whose padding exceeds 2^53',
      Buffer.concat([pax(['size', '9007199254740991']), file()]),
    ],
    ['a time that is none', Buffer.concat([pax(['mtime', 'now']), file()])],
    ['records without end', Buffer.concat([headed('x', Buffer.from('9999 a=b\n')), file()])],
    ['a record of length 0', Buffer.concat([headed('x', Buffer.from('0 a=b\n')), file()])],
    ['extended headers for ever', Buffer.concat(Array.from({ length: 10 }, () => pax(['a', 'b'])))],
    [
      'an extended header with nothing behind',
      Buffer.concat([pax(['a', 'b']), Buffer.alloc(1024)]),
    ],
    ['data of a symlink', headed('2', Buffer.from('x'))],
    [
      'part 3 of 2',
      Buffer.concat([
        pax(
          ['SHELFS.part.number', '3'],
          ['SHELFS.part.count', '2'],
          ['SHELFS.part.offset', '0'],
          ['SHELFS.part.total', '9'],
        ),
        file(),
      ]),
    ],
    [
      'a part without its offset',
      Buffer.concat([pax(['SHELFS.part.number', '1'], ['SHELFS.part.count', '2']), file()]),
    ],
    [
      'a sparse map of two million runs',
      Buffer.concat([
        pax(['GNU.sparse.major', '1'], ['GNU.sparse.minor', '0'], ['GNU.sparse.realsize', '9']),
        file(Buffer.from('2000000\n'.padEnd(512, '0'))),
      ]),
    ],
    [
      'a sparse map with overlapping runs',
      Buffer.concat([
        pax(['GNU.sparse.map', '0,5,3,5'], ['GNU.sparse.size', '10']),
        file(Buffer.alloc(10)),
      ]),
    ],
    [
      'a sparse map beyond its file',
      Buffer.concat([
        pax(['GNU.sparse.map', '0,50'], ['GNU.sparse.size', '10']),
        file(Buffer.alloc(50)),
      ]),
    ],
    [
      'a sparse map of other bytes than stored',
      Buffer.concat([
        pax(['GNU.sparse.map', '0,5'], ['GNU.sparse.size', '10']),
        file(Buffer.alloc(6)),
      ]),
    ],
    [
      'a sparse format that is not known',
      Buffer.concat([
        pax(['GNU.sparse.major', '2'], ['GNU.sparse.minor', '0'], ['GNU.sparse.realsize', '9']),
        file(),
      ]),
    ],
  ])('%s', async (_, bytes) => {
    const result = await outcome(Buffer.concat([bytes, Buffer.alloc(1024)]));
    expect(result).toMatchObject({ code: 'ARCHIVE_INVALID' });
  });

  test('a promise of petabytes is not allocated', async () => {
    const source = sourceOf(
      Buffer.concat([pax(['size', String(2 ** 50)]), file(), Buffer.alloc(4096)]),
    );
    const members = readMembers(source);
    expect((await members.next()).value).toMatchObject({ lengthBytes: 2 ** 50 });
    await expect(members.next()).rejects.toMatchObject({ code: 'ARCHIVE_TORN' });
    expect(source.largestBytes).toBeLessThanOrEqual(2 ** 20);
  });

  test('a sparse map of many runs is read whole', async () => {
    let map = '';
    const runs = 200_000;
    for (let run = 0; run < runs; run += 1) map += `${run * 2}\n1\n`;
    const data = Buffer.from(`${runs}\n${map}`);
    const padded = Buffer.concat([data, Buffer.alloc((512 - (data.length % 512)) % 512)]);
    const bytes = Buffer.concat([
      pax(
        ['GNU.sparse.major', '1'],
        ['GNU.sparse.minor', '0'],
        ['GNU.sparse.realsize', String(runs * 2)],
      ),
      file(Buffer.concat([padded, Buffer.alloc(runs)])),
      Buffer.alloc(1024),
    ]);
    const [read] = await readAll(bytes);
    expect(read?.ranges).toHaveLength(runs);
    expect(read?.bytes).toHaveLength(runs);
  });
});

test('a member not read is passed over; one half read too', async () => {
  const big = Buffer.alloc(3 * 2 ** 20, 7);
  const bytes = Buffer.concat([
    file(big),
    file(big),
    file(Buffer.from('last')),
    Buffer.alloc(1024),
  ]);
  let index = 0;
  for await (const one of readMembers(sourceOf(bytes))) {
    index += 1;
    if (index === 2) {
      for await (const chunk of one.data()) {
        expect(chunk.length).toBeGreaterThan(0);
        break;
      }
    }
    if (index === 3) for await (const chunk of one.data()) expect(chunk.toString()).toBe('last');
  }
  expect(index).toBe(3);
});
