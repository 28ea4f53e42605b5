import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromHex, toHex } from '../../../src/base/bytes.ts';
import {
  type Attribute,
  attributeCount,
  attributeText,
  encodeAttributes,
  MAM,
  parseAttributes,
} from '../../../src/device/attribute.ts';

describe('READ ATTRIBUTE (SPC-4 6.17)', () => {
  test('identifiers, formats, values', () => {
    const hex =
      '0000002d 0000 80 0008 0000000000b6d000 0400 81 0008 4655 4a49 4649 4c4d 0803 02 0006 66696c6d73 00 0805 00 0001 81';
    const attributes = parseAttributes(fromHex(hex));
    expect([...attributes.values()].map(({ id, format }) => [id, format])).toEqual([
      [0x0000, 'binary'],
      [0x0400, 'ascii'],
      [0x0803, 'text'],
      [0x0805, 'binary'],
    ]);
    expect(attributeCount(attributes, MAM.remainingCapacityMib)).toBe(0xb6d000);
    expect(attributeText(attributes, MAM.manufacturer)).toBe('FUJIFILM');
    expect(attributeText(attributes, MAM.userText)).toBe('films');
    expect(attributeCount(attributes, MAM.textLocalization)).toBe(0x81);
    expect(attributeCount(attributes, MAM.loadCount)).toBeUndefined();
    expect(attributeText(attributes, MAM.barcode)).toBeUndefined();
  });

  test.each([
    ['nothing', '', []],
    ['a length cut short', '000000', []],
    ['an empty list', '00000000', []],
    ['a length beyond the bytes', 'ffffffff 0001 80 0001 07', [1]],
    [
      'the last value cut, as an allocation length cuts',
      '00000020 0001 80 0001 07 0003 80 0008 0000',
      [1],
    ],
    ['the last header cut', '00000020 0001 80 0001 07 0003 80 00', [1]],
    ['more allocated than sent', '00000006 0001 80 0001 07 0003 80 0001 09', [1]],
    ['format 11b is reserved', '00000006 0001 83 0001 07', [1]],
  ])('%s', (_, hex, ids) => expect([...parseAttributes(fromHex(hex)).keys()]).toEqual(ids));

  test('never throws; every cut gives a prefix', () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(100), (bytes, cut) => {
        const all = [...parseAttributes(Buffer.from(bytes)).keys()];
        const some = [...parseAttributes(Buffer.from(bytes.subarray(0, cut))).keys()];
        expect(all.slice(0, some.length)).toEqual(some);
      }),
      { numRuns: 1000 },
    ));
});

const attribute: fc.Arbitrary<Attribute> = fc.record({
  id: fc.integer({ min: 0x0800, max: 0x0fff }),
  format: fc.constantFrom('binary' as const, 'ascii' as const, 'text' as const),
  value: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
});

describe('WRITE ATTRIBUTE (SPC-4 6.42)', () => {
  test('as it goes over the wire, identifiers ascending', () =>
    expect(
      toHex(
        encodeAttributes([
          { id: 0x0806, format: 'ascii', value: Buffer.from('AB') },
          { id: 0x0803, format: 'text', value: Buffer.alloc(0) },
        ]),
      ),
    ).toBe('00 00 00 0c 08 03 02 00 00 08 06 01 00 02 41 42'));

  test('is read back', () =>
    fc.assert(
      fc.property(
        fc.uniqueArray(attribute, { selector: ({ id }) => id, maxLength: 20 }),
        (list) => {
          const read = [...parseAttributes(encodeAttributes(list)).values()];
          expect(read).toEqual(list.toSorted((a, b) => a.id - b.id));
        },
      ),
    ));

  test('the caller’s list keeps its order', () => {
    const list: Attribute[] = [0x0806, 0x0803].map((id) => ({
      id,
      format: 'ascii',
      value: Buffer.from('A'),
    }));
    encodeAttributes(list);
    expect(list.map(({ id }) => id)).toEqual([0x0806, 0x0803]);
  });
});

describe('values', () => {
  const one = (value: Buffer) => new Map([[1, { id: 1, format: 'binary' as const, value }]]);
  test.each([
    ['00', 0],
    ['001fffffffffffff', Number.MAX_SAFE_INTEGER],
    ['0020000000000000', undefined],
    ['ffffffffffffffff', undefined],
    ['000000000000000000', undefined],
    ['', undefined],
  ])('count %s', (hex, count) => expect(attributeCount(one(fromHex(hex)), 1)).toBe(count));

  test('text never carries a control byte', () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) =>
        /^[\x20-\x7e]*$/.test(attributeText(one(Buffer.from(bytes)), 1) ?? ''),
      ),
    ));

  test('blank text is none', () =>
    expect(attributeText(one(Buffer.from('    \0\0')), 1)).toBeUndefined());
});
