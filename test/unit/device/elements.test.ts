import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromHex } from '../../../src/base/bytes.ts';
import { type Element, parseElementRanges, parseElements } from '../../../src/device/elements.ts';

const NOTHING = {
  full: false,
  barcode: undefined,
  sourceAddress: undefined,
  accessible: false,
  importedByOperator: false,
  driveSerial: undefined,
  exception: undefined,
};
const TAG = `${Buffer.from('ABC001L9'.padEnd(32)).toString('hex')} 0000 0000`;
const NO_TAG = '00'.repeat(36);

/** Header and one page around descriptors given in hex (SMC-3 6.11). */
function answer(type: number, tags: number, descriptors: readonly string[]): Buffer {
  const bodies = descriptors.map(fromHex);
  const body = Buffer.concat(bodies);
  const page = Buffer.from([type, tags, 0, bodies[0]?.length ?? 0, 0, 0, 0, 0]);
  page.writeUIntBE(body.length, 5, 3);
  const head = Buffer.alloc(8);
  head.writeUInt16BE(bodies.length, 2);
  head.writeUIntBE(body.length + 8, 5, 3);
  return Buffer.concat([head, page, body]);
}

describe('READ ELEMENT STATUS (SMC-3 6.11)', () => {
  test.each<[string, Buffer, readonly Element[]]>([
    [
      'a full slot with its tag and its source',
      answer(2, 0x80, [`0400 09 00 00 00 000000 80 0401 ${TAG}`]),
      [
        {
          ...NOTHING,
          type: 'slot',
          address: 0x400,
          full: true,
          accessible: true,
          barcode: 'ABC001L9',
          sourceAddress: 0x401,
        },
      ],
    ],
    [
      'an empty slot: the tag that is still there is not believed',
      answer(2, 0x80, [`0400 08 00 00 00 000000 00 0000 ${TAG}`]),
      [{ ...NOTHING, type: 'slot', address: 0x400, accessible: true }],
    ],
    [
      'a port filled by a person, sticker unreadable',
      answer(3, 0x80, [`0300 3b 00 00 00 000000 00 0000 ${NO_TAG}`]),
      [
        {
          ...NOTHING,
          type: 'port',
          address: 0x300,
          full: true,
          accessible: true,
          importedByOperator: true,
        },
      ],
    ],
    [
      'the import bit is a port’s alone',
      answer(2, 0, ['0400 0b 00 00 00 000000 00 0000']),
      [{ ...NOTHING, type: 'slot', address: 0x400, full: true, accessible: true }],
    ],
    [
      'a drive with serial number, vendor and product before it',
      answer(4, 0x80, [
        `0100 08 00 00 00 000000 00 0000 ${NO_TAG} 02 01 00 22 ${Buffer.from('IBM     ULT3580-TD8     1013000123').toString('hex')}`,
      ]),
      [{ ...NOTHING, type: 'drive', address: 0x100, accessible: true, driveSerial: '1013000123' }],
    ],
    [
      'a drive with the serial alone, padded; both tags',
      answer(4, 0xc0, [
        `0100 01 00 00 00 000000 80 0400 ${TAG} ${NO_TAG} 02 00 00 0a ${Buffer.from('HU1234    ').toString('hex')}`,
      ]),
      [
        {
          ...NOTHING,
          type: 'drive',
          address: 0x100,
          full: true,
          barcode: 'ABC001L9',
          sourceAddress: 0x400,
          driveSerial: 'HU1234',
        },
      ],
    ],
    [
      'an identification longer than its descriptor is read as far as it goes',
      answer(4, 0, [
        `0100 08 00 00 00 000000 00 0000 02 00 00 ff ${Buffer.from('HU1').toString('hex')}`,
      ]),
      [{ ...NOTHING, type: 'drive', address: 0x100, accessible: true, driveSerial: 'HU1' }],
    ],
    [
      'an abnormal state says which',
      answer(2, 0, ['0400 04 00 83 00 000000 00 0000']),
      [{ ...NOTHING, type: 'slot', address: 0x400, exception: 0x8300 }],
    ],
    [
      'descriptors longer than we know',
      answer(1, 0, [`0001 00 00 00 00 000000 00 0000 ${'ee'.repeat(9)}`]),
      [{ ...NOTHING, type: 'picker', address: 1 }],
    ],
  ])('%s', (_, bytes, elements) => expect(parseElements(bytes)).toEqual(elements));

  test('several pages, several descriptors', () => {
    const slot = (address: string) => `${address} 08 00 00 00 000000 00 0000`;
    const slots = answer(2, 0, [slot('0400'), slot('0401')]);
    const drives = answer(4, 0, [slot('0100')]);
    const both = Buffer.concat([slots, drives.subarray(8)]);
    both.writeUIntBE(both.length - 8, 5, 3);
    expect(parseElements(both)?.map(({ type, address }) => [type, address])).toEqual([
      ['slot', 0x400],
      ['slot', 0x401],
      ['drive', 0x100],
    ]);
  });

  test('no elements', () => expect(parseElements(fromHex('0000 0000 00 000000'))).toEqual([]));

  const good = answer(2, 0x80, [`0400 09 00 00 00 000000 80 0401 ${TAG}`]);
  test.each([
    ['nothing', Buffer.alloc(0)],
    ['a header cut short', good.subarray(0, 7)],
    ['a page header cut short', Buffer.concat([fromHex('0000 0001 00 000004'), Buffer.alloc(4)])],
    ['an element type there is not', answer(5, 0, ['0400 09 00 00 00 000000 80 0401'])],
    ['element type 0', answer(0, 0, ['0400 09 00 00 00 000000 80 0401'])],
    ['descriptors too short for their tags', answer(2, 0x80, ['0400 09 00 00 00 000000 80 0401'])],
    ['descriptors of no length', answer(2, 0, [''])],
  ])('not understood: %s', (_, bytes) => expect(parseElements(bytes)).toBeUndefined());

  test('a cut anywhere is noticed', () => {
    for (let cut = 0; cut < good.length; cut += 1) {
      expect(parseElements(good.subarray(0, cut))).toBeUndefined();
    }
  });

  test('a page that claims more than the answer has is noticed', () => {
    const bytes = Buffer.from(good);
    bytes.writeUIntBE(9999, 13, 3);
    expect(parseElements(bytes)).toBeUndefined();
  });

  test('never throws, always ends, and no barcode carries a control byte', () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 6 }),
        fc.integer({ min: 0, max: 255 }),
        fc.integer({ min: 0, max: 100 }),
        fc.uint8Array({ maxLength: 200 }),
        (type, tags, descriptorBytes, body) => {
          const bytes = Buffer.concat([Buffer.alloc(16), body]);
          bytes.writeUIntBE(body.length + 8, 5, 3);
          bytes.set([type, tags, 0, descriptorBytes], 8);
          bytes.writeUIntBE(body.length, 13, 3);
          for (const { barcode = '', driveSerial = '' } of parseElements(bytes) ?? []) {
            expect(barcode + driveSerial).toMatch(/^[\x20-\x7e]*$/);
          }
        },
      ),
      { numRuns: 1000 },
    ));

  test('never throws on noise', () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        parseElements(Buffer.from(bytes));
      }),
      { numRuns: 1000 },
    ));
});

describe('element address assignment (SMC-3 7.3.4)', () => {
  test('first address and count of each type', () =>
    expect(
      parseElementRanges(fromHex('1d 12 0001 0001 0400 0018 0300 0001 0100 0002 0000')),
    ).toEqual({
      picker: { start: 1, count: 1 },
      slot: { start: 0x400, count: 24 },
      port: { start: 0x300, count: 1 },
      drive: { start: 0x100, count: 2 },
    }));
  test('a page cut short', () =>
    expect(
      parseElementRanges(fromHex('1d 12 0001 0001 0400 0018 0300 0001 0100')),
    ).toBeUndefined());
});
