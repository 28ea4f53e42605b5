import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatTable, printable } from '../../../src/base/text.ts';

describe('printable', () => {
  test.each([
    ['ABC001L9', 'ABC001L9'],
    ['Müller 東京 ελ', 'Müller 東京 ελ'],
    ['\x1b[2J', '\\x1b[2J'],
    ['a\nb\tc\0', 'a\\x0ab\\x09c\\x00'],
    ['\x7f\u009b', '\\x7f\\x9b'],
    ['\u202egpj.exe', '\\u{202e}gpj.exe'], // turns the direction of writing
    ['\u200b\ufeff', '\\u{200b}\\u{feff}'],
    ['\u2028\u2029', '\\u{2028}\\u{2029}'],
    ['\ud800', '\\u{d800}'],
    ['\u{e0041}', '\\u{e0041}'],
    ['\u{1f4fc}', '\u{1f4fc}'],
    ['', ''],
  ])('%j', (text, printed) => expect(printable(text)).toBe(printed));

  const anything = fc.string({
    unit: fc.oneof(
      fc.constantFrom('\x1b', '\r', '\u202e', '\u0085'),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    ),
  });

  test('leaves nothing that steers a terminal, and is content with itself', () =>
    fc.assert(
      fc.property(anything, (text) => {
        const printed = printable(text);
        expect(printed).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
        expect(printable(printed)).toBe(printed);
      }),
      { numRuns: 500 },
    ));

  test('a table neither, and every row is one line', () =>
    fc.assert(
      fc.property(fc.array(fc.tuple(anything, anything)), (rows) => {
        const lines = formatTable(['A', 'B'], rows).split('\n');
        expect(lines).toHaveLength(rows.length + 1);
        for (const line of lines) expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}]/u);
      }),
    ));
});

describe('formatTable', () => {
  test('columns are as wide as their widest, numbers stand to the right, lines end without blanks', () =>
    expect(
      formatTable(
        ['PLACE', 'N', 'MEDIUM'],
        [
          ['slot 1', 5, 'LTO-9'],
          ['slot 10', 1234, ''],
        ],
      ),
    ).toBe(['PLACE       N  MEDIUM', 'slot 1      5  LTO-9', 'slot 10  1234'].join('\n')));

  test('no rows', () => expect(formatTable(['A', 'B'], [])).toBe('A  B'));

  test('a row that is short', () => expect(formatTable(['A', 'B'], [['x']])).toBe('A  B\nx'));

  test('a column is of numbers only when every row says so', () =>
    expect(formatTable(['N'], [[1], ['-']])).toBe('N\n1\n-'));

  test('what is made printable counts with the width it has then', () =>
    expect(formatTable(['A', 'B'], [['\x1b', 'x']])).toBe('A     B\n\\x1b  x'));
});
