import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Barcode, barcodeSeries, parseBarcode } from '../../../src/domain/barcode.ts';
import { GENERATIONS } from '../../../src/domain/generation.ts';

describe('parseBarcode', () => {
  test.each([
    ['ABC001L9', { volser: 'ABC001', kind: 'data', worm: false, generation: { name: 'LTO-9' } }],
    [' abc001l5 ', { barcode: 'ABC001L5', generation: { name: 'LTO-5' } }],
    ['*ABC001LA*', { barcode: 'ABC001LA', generation: { name: 'LTO-10' } }],
    ['ABC001M8', { generation: { name: 'M8' }, worm: false }],
    ['ABC001LZ', { generation: { name: 'LTO-9' }, worm: true }],
    ['ABC001LV', { generation: { name: 'LTO-5' }, worm: true }],
    ['CLN001L1', { kind: 'cleaning', volser: 'CLN001' }],
    ['CLNU01CU', { kind: 'cleaning' }],
    ['ABC001L4', { kind: 'refused', reason: expect.stringContaining('L4') }],
    ['ABC001LT', { kind: 'refused' }],
    ['ABC001', { kind: 'refused', reason: expect.stringContaining('8 characters') }],
    ['ABC-01L9', { kind: 'refused' }],
    ['ABC001L9\u001b', { kind: 'refused' }],
    ['', { kind: 'refused' }],
  ])('%j', (text, facts) => expect(parseBarcode(text)).toMatchObject(facts));

  test('never throws, and what it accepts it accepts again unchanged', () =>
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.stringMatching(/^[A-Z0-9]{6}(L[5-9AV-Z]|M8)$/)),
        (text) => {
          const facts = parseBarcode(text);
          return facts.kind === 'refused' || parseBarcode(facts.barcode).kind === facts.kind;
        },
      ),
    ));
});

describe('barcodeSeries', () => {
  const first = (text: string) => text as Barcode;
  test('counts up the digits of the name, not those of the media type', () =>
    expect(barcodeSeries(first('BUP011L8'), 3)).toEqual(['BUP011L8', 'BUP012L8', 'BUP013L8']));
  test('ends where the digits do', () => {
    expect(barcodeSeries(first('BUP998L8'), 2)).toEqual(['BUP998L8', 'BUP999L8']);
    expect(barcodeSeries(first('BUP998L8'), 3)).toBeUndefined();
    expect(barcodeSeries(first('ABCDEFL9'), 1)).toBeUndefined();
  });
  test('gives valid barcodes, all different', () =>
    fc.assert(
      fc.property(
        fc.stringMatching(/^[A-Z]{3}[0-9]{3}$/),
        fc.constantFrom(...Object.values(GENERATIONS)),
        fc.integer({ min: 1, max: 50 }),
        (volser, generation, count) => {
          fc.pre(!volser.startsWith('CLN'));
          const series = barcodeSeries(first(volser + generation.suffix), count);
          if (!series) return Number(volser.slice(3)) + count > 1000;
          return (
            new Set(series).size === count && series.every((b) => parseBarcode(b).kind === 'data')
          );
        },
      ),
    ));
});
