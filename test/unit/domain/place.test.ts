import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatPlace, parsePlace } from '../../../src/domain/place.ts';

describe('parsePlace', () => {
  test.each([
    ['slot 3', { kind: 'slot', number: 3 }],
    ['slot3', { kind: 'slot', number: 3 }],
    ['SLOT:12', { kind: 'slot', number: 12 }],
    [' Port1 ', { kind: 'port', number: 1 }],
    ['drive 0', { kind: 'drive', number: 0 }],
    ['7', { kind: 'slot', number: 7 }],
    ['00007', { kind: 'slot', number: 7 }],
    ['abc001', { kind: 'cartridge', name: 'ABC001' }],
    [' abc001l9 ', { kind: 'cartridge', name: 'ABC001L9' }],
    ['123456', { kind: 'cartridge', name: '123456' }],
    // a place comes before a name
    ['drive1', { kind: 'drive', number: 1 }],
    ['SLOT12', { kind: 'slot', number: 12 }],
    ['SLOT12L9', { kind: 'cartridge', name: 'SLOT12L9' }],
  ])('%j', (text, place) => expect(parsePlace(text)).toEqual(place));

  test.each([
    '',
    ' ',
    'slot',
    'slot -1',
    'slot 1.5',
    'shelf 3',
    'ABC-01',
    'ABC001L',
    'ABC001L99',
    'ABC001\x1b',
    'slot 3 4',
    '٣',
  ])('no place: %j', (text) => expect(parsePlace(text)).toBeUndefined());

  test('never throws', () =>
    fc.assert(
      fc.property(fc.string(), (text) => {
        const place = parsePlace(text);
        return place === undefined || place.kind === 'cartridge' || Number.isInteger(place.number);
      }),
    ));

  test('what is formatted is read back', () =>
    fc.assert(
      fc.property(
        fc.constantFrom('slot' as const, 'port' as const, 'drive' as const),
        fc.nat(99_999),
        (kind, number) => {
          expect(parsePlace(formatPlace({ kind, number }))).toEqual({ kind, number });
        },
      ),
    ));
});
