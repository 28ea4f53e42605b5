import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromHex } from '../../../src/base/bytes.ts';
import { parsePosition } from '../../../src/device/position.ts';

const REST = '0000000000000000';

describe('READ POSITION, long form (SSC-4 table 76)', () => {
  test.each<[string, string, object]>([
    [
      'beginning',
      `80 000000 00000000 0000000000000000 0000000000000000 ${REST}`,
      { atBeginning: true, pastEarlyWarning: false, block: 0, file: 0, partition: 0 },
    ],
    [
      'block 12 behind 3 marks',
      `00 000000 00000000 000000000000000c 0000000000000003 ${REST}`,
      { atBeginning: false, pastEarlyWarning: false, block: 12, file: 3, partition: 0 },
    ],
    [
      'near the end of partition 1',
      `40 000000 00000001 00000000022551ff 0000000000000010 ${REST}`,
      { atBeginning: false, pastEarlyWarning: true, block: 36000255, file: 16, partition: 1 },
    ],
    [
      'programmable early warning alone says nothing about early warning',
      `01 000000 00000000 0000000000000001 0000000000000000 ${REST}`,
      { atBeginning: false, pastEarlyWarning: false, block: 1, file: 0, partition: 0 },
    ],
    [
      'the largest block a Number holds',
      `00 000000 00000000 001fffffffffffff 0000000000000000 ${REST}`,
      {
        block: Number.MAX_SAFE_INTEGER,
        atBeginning: false,
        pastEarlyWarning: false,
        file: 0,
        partition: 0,
      },
    ],
  ])('%s', (_, hex, position) => expect(parsePosition(fromHex(hex))).toEqual(position));

  test.each([
    ['marks unknown', `08 000000 00000000 000000000000000c 0000000000000003 ${REST}`],
    ['block unknown', `04 000000 00000000 000000000000000c 0000000000000003 ${REST}`],
    ['a block no tape has', `00 000000 00000000 0020000000000000 0000000000000000 ${REST}`],
    ['a file no tape has', `00 000000 00000000 0000000000000001 ffffffffffffffff ${REST}`],
    ['one byte short', `00 000000 00000000 000000000000000c 0000000000000003 00000000000000`],
    ['nothing', ''],
  ])('no position: %s', (_, hex) => expect(parsePosition(fromHex(hex))).toBeUndefined());
});

test('never throws; a position it gives can be counted on', () =>
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const position = parsePosition(Buffer.from(bytes));
      return (
        position === undefined ||
        (Number.isSafeInteger(position.block) && Number.isSafeInteger(position.file))
      );
    }),
    { numRuns: 1000 },
  ));
