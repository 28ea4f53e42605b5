import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromHex } from '../../../src/base/bytes.ts';
import { describeSense, parseSense, type Sense } from '../../../src/device/sense.ts';
import { encodeSense } from '../../../src/device/virtual/answer.ts';

const NOTHING: Sense = {
  key: 0,
  asc: 0,
  ascq: 0,
  deferred: false,
  filemark: false,
  endOfMedium: false,
  incorrectLength: false,
  information: undefined,
};

describe('fixed format (SPC-4 4.5.3)', () => {
  test.each<[string, string, Partial<Sense>]>([
    ['filemark', '70 00 80 00000000 0a 00000000 00 01 00000000', { ascq: 0x01, filemark: true }],
    ['early warning', '70 00 40 00000000 0a 00000000 00 02', { ascq: 0x02, endOfMedium: true }],
    [
      'shorter block, residue valid',
      'f0 00 20 00000200 0a 00000000 00 00 00 000000',
      { incorrectLength: true, information: 512 },
    ],
    [
      'longer block, residue negative',
      'f0 00 20 fffff448 0a 00000000 00 00',
      { incorrectLength: true, information: -3000 },
    ],
    [
      'residue there but not marked valid',
      '70 00 20 00000200 0a 00000000 00 00',
      { incorrectLength: true },
    ],
    ['no medium', '70 00 02 00000000 0a 00000000 3a 00', { key: 2, asc: 0x3a }],
    ['deferred', '71 00 03 00000000 0a 00000000 0c 00', { key: 3, asc: 0x0c, deferred: true }],
    [
      'blank check at end of data',
      'f0 00 08 00000100 0a 00000000 00 05',
      { key: 8, ascq: 0x05, information: 256 },
    ],
    [
      'all flags',
      '70 00 ed 00000000 0a 00000000 00 02',
      { key: 0xd, ascq: 2, filemark: true, endOfMedium: true, incorrectLength: true },
    ],
    ['three bytes are enough for the key', '70 00 04', { key: 4 }],
    ['a valid bit without the field', 'f0 00 04 0000', { key: 4 }],
    ['cut before the code', '70 00 05 00000000 0a 00000000', { key: 5 }],
    ['cut between code and qualifier', '70 00 05 00000000 0a 00000000 24', { key: 5, asc: 0x24 }],
    [
      'additional length 0: nothing behind it was sent',
      '70 00 05 00000000 00 00000000 24 00',
      { key: 5 },
    ],
  ])('%s', (_, hex, sense) => expect(parseSense(fromHex(hex))).toEqual({ ...NOTHING, ...sense }));
});

describe('descriptor format (SPC-4 4.5.2)', () => {
  test.each<[string, string, Partial<Sense>]>([
    ['no descriptors', '72 05 24 00 00000000', { key: 5, asc: 0x24 }],
    ['deferred', '73 03 0c 00 00000000', { key: 3, asc: 0x0c, deferred: true }],
    [
      'information and stream flags',
      '72 00 00 00 000000 10 00 0a 80 00 fffffffffffffff8 04 02 00 20',
      { incorrectLength: true, information: -8 },
    ],
    ['filemark', '72 00 00 01 000000 04 04 02 00 80', { ascq: 1, filemark: true }],
    ['information not valid', '72 00 00 00 000000 0c 00 0a 00 00 0000000000000008', {}],
    [
      'an unknown descriptor in between is passed over',
      '72 00 00 02 000000 0a 80 04 ffffffff 04 02 00 40',
      { ascq: 2, endOfMedium: true },
    ],
    ['a descriptor longer than the rest is not read', '72 00 00 00 000000 04 04 06 00 80', {}],
    [
      'additional length beyond the bytes sent',
      '72 00 00 01 000000 f0 04 02 00 80',
      { ascq: 1, filemark: true },
    ],
    [
      'additional length 0: the descriptor behind was not sent',
      '72 00 00 01 000000 00 04 02 00 80',
      { ascq: 1 },
    ],
    ['a residue no Number holds is none', '72 00 00 00 000000 0c 00 0a 80 00 7fffffffffffffff', {}],
  ])('%s', (_, hex, sense) => expect(parseSense(fromHex(hex))).toEqual({ ...NOTHING, ...sense }));
});

test.each([
  ['nothing', ''],
  ['two bytes', '70 00'],
  ['no response code', '00 00 02 00000000 0a 00000000 3a 00'],
  ['vendor format', '7f 00 02 00000000 0a 00000000 3a 00'],
  ['descriptor header cut', '72 05 24 00 0000 00'],
])('unreadable: %s', (_, hex) => expect(parseSense(fromHex(hex))).toBeUndefined());

const likeSense = fc
  .tuple(fc.constantFrom(0x70, 0x71, 0x72, 0x73, 0xf0, 0xf1), fc.uint8Array({ maxLength: 40 }))
  .map(([code, rest]) => Uint8Array.of(code, ...rest));

test('never throws, whatever the bytes; what it says stays in range', () =>
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), likeSense), (bytes) => {
      const sense = parseSense(bytes);
      if (!sense) return true;
      expect(describeSense(sense)).toMatch(/\([0-9a-f]h [0-9a-f]{2}h\/[0-9a-f]{2}h\)$/);
      const { information } = sense;
      return sense.key <= 15 && (information === undefined || Number.isSafeInteger(information));
    }),
    { numRuns: 1000 },
  ));

test('what lies behind the additional length changes nothing', () =>
  fc.assert(
    fc.property(
      fc.constantFrom(0x70, 0x71, 0x72, 0x73, 0xf0),
      fc.uint8Array({ minLength: 6, maxLength: 6 }),
      fc.uint8Array({ maxLength: 24 }),
      fc.uint8Array({ maxLength: 20 }),
      (code, head, body, noise) => {
        const whole = Uint8Array.of(code, ...head, body.length, ...body);
        expect(parseSense(Uint8Array.of(...whole, ...noise))).toEqual(parseSense(whole));
      },
    ),
    { numRuns: 1000 },
  ));

test('reads a view into a larger buffer, not the buffer', () => {
  const large = fromHex('ff ff 70 00 02 00000000 0a 00000000 3a 00 ff');
  expect(parseSense(large.subarray(2, 16))).toMatchObject({ key: 2, asc: 0x3a, ascq: 0 });
});

test('what the virtual devices encode is read back', () =>
  fc.assert(
    fc.property(
      fc.record({
        key: fc.integer({ min: 0, max: 15 }),
        code: fc.integer({ min: 0, max: 0xffff }),
        deferred: fc.boolean(),
        filemark: fc.boolean(),
        endOfMedium: fc.boolean(),
        incorrectLength: fc.boolean(),
        information: fc.integer(),
      }),
      ({ code, ...facts }) => {
        const sense = parseSense(encodeSense({ ...facts, code }));
        expect(sense).toEqual({ ...facts, asc: code >> 8, ascq: code & 0xff });
      },
    ),
  ));

test.each([
  [{ key: 3, asc: 0x11, ascq: 0 }, 'medium error, unrecovered read error (3h 11h/00h)'],
  [{ key: 5, asc: 0x20, ascq: 0 }, 'command not supported (5h 20h/00h)'],
  [{ key: 5, asc: 0x77, ascq: 1 }, 'illegal request (5h 77h/01h)'],
  [{ key: 9, asc: 0x80, ascq: 0xff }, 'vendor specific (9h 80h/ffh)'],
  [
    { key: 4, asc: 0x44, ascq: 0, deferred: true },
    'an earlier command failed, hardware error, internal failure (4h 44h/00h)',
  ],
])('%j in words', (facts, words) => expect(describeSense({ ...NOTHING, ...facts })).toBe(words));
