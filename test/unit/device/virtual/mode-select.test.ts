import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromHex } from '../../../../src/base/bytes.ts';
import { parseSense } from '../../../../src/device/sense.ts';
import { defaultMode, modeSense } from '../../../../src/device/virtual/drive-pages.ts';
import { isRefusal, modeSelect } from '../../../../src/device/virtual/mode-select.ts';

const HEAD = '0000 00 10 00 00 0008 7f 000000 00 000000';
const COMPRESSION_OFF = '0f 0e 40 80 00000000 00000000 00000000';
const GUARD = `50 01 001c 00 10 0005 ${'00'.repeat(24)}`;
const BEFORE = { ...defaultMode(), compression: true };

describe('MODE SELECT(10)', () => {
  test.each([
    ['header alone', '0000 00 10 00 00 0000', {}],
    ['header and descriptor', HEAD, {}],
    ['unbuffered', '0000 00 00 00 00 0000', { buffered: false }],
    ['compression', `${HEAD} ${COMPRESSION_OFF}`, { compression: false }],
    [
      'append-only and warning',
      `${HEAD} ${GUARD}`,
      { appendOnly: true, programmableEarlyWarningMb: 5 },
    ],
    [
      'both, and a page without consequence',
      `${HEAD} ${COMPRESSION_OFF} 10 02 0000 ${GUARD}`,
      { compression: false, appendOnly: true, programmableEarlyWarningMb: 5 },
    ],
  ])('%s', (_, hex, change) =>
    expect(modeSelect(fromHex(hex), BEFORE)).toEqual({ ...BEFORE, ...change }),
  );

  test.each([
    ['nothing', '', 0x1a],
    ['a header cut short', '0000 00 10 00 00 00', 0x1a],
    ['a descriptor cut short', '0000 00 10 00 00 0008 7f 000000', 0x1a],
    ['fixed blocks', '0000 00 10 00 00 0008 7f 000000 00 000200', 0x26],
    ['a buffered mode for several initiators', '0000 00 20 00 00 0000', 0x26],
    ['a page cut short', `${HEAD} 0f 0e 40`, 0x1a],
    ['a page header cut short', `${HEAD} 0f`, 0x1a],
    ['a subpage header cut short', `${HEAD} 50 01 00`, 0x1a],
    ['a page it does not have', `${HEAD} 11 02 0000`, 0x26],
    ['a compression page without its field', `${HEAD} 0f 00`, 0x26],
    ['write mode 2', `${HEAD} 50 01 001c 00 20 0000 ${'00'.repeat(24)}`, 0x26],
    ['a good page before a bad one', `${HEAD} ${COMPRESSION_OFF} 11 02 0000`, 0x26],
  ])('refused: %s', (_, hex, asc) => {
    const before = { ...BEFORE };
    const result = modeSelect(fromHex(hex), before);
    expect(before).toEqual(BEFORE);
    expect(isRefusal(result) && parseSense(result.sense ?? new Uint8Array(0))).toMatchObject({
      key: 5,
      asc,
    });
  });

  test('never throws', () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        modeSelect(Buffer.from(bytes), BEFORE);
        modeSelect(Buffer.concat([fromHex(HEAD), bytes]), BEFORE);
      }),
      { numRuns: 1000 },
    ));

  test('what is sensed can be selected and changes nothing', () =>
    fc.assert(
      fc.property(
        fc.record({
          buffered: fc.boolean(),
          compression: fc.boolean(),
          appendOnly: fc.boolean(),
          programmableEarlyWarningMb: fc.integer({ min: 0, max: 0xffff }),
        }),
        fc.constantFrom(
          { page: 0, subpage: 0 },
          { page: 0x0f, subpage: 0 },
          { page: 0x10, subpage: 1 },
          { page: 0x10, subpage: 0xff },
        ),
        (mode, at) => {
          const sensed = modeSense({ ...at, control: 0, withDescriptor: true }, mode, undefined);
          expect(modeSelect(sensed ?? Buffer.alloc(0), mode)).toEqual(mode);
        },
      ),
    ));
});
