import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromHex, toHex } from '../../../src/base/bytes.ts';
import {
  encodeModeParameters,
  isBuffered,
  isCompressing,
  isWorm,
  isWriteProtected,
  parseDeviceConfigurationExtension,
  parseModeParameters,
  withCompression,
  withDeviceConfigurationExtension,
} from '../../../src/device/mode.ts';

const COMPRESSION = '8f 0e c0 80 00000001 00000001 00000000';
const EXTENSION = 'd0 01 001c 00 11 0400 00 0000000000000000000000000000000000000000000000';

describe('MODE SENSE(10) (SPC-4 7.5, SSC-4 8.3)', () => {
  test('header and block descriptor alone', () =>
    expect(parseModeParameters(fromHex('000e 00 10 00 00 0008 5e 000000 00 080000'))).toEqual({
      deviceSpecific: 0x10,
      densityCode: 0x5e,
      blockLengthBytes: 0x80000,
      pages: [],
    }));

  test('no block descriptor', () =>
    expect(parseModeParameters(fromHex('0006 00 90 00 00 0000'))).toMatchObject({
      deviceSpecific: 0x90,
      densityCode: 0,
      blockLengthBytes: 0,
    }));

  test('pages and subpages, each whole', () => {
    const pages = [COMPRESSION, EXTENSION].map((hex) => fromHex(hex));
    const length = pages.reduce((sum, page) => sum + page.length, 14);
    const head = fromHex('0000 00 10 00 00 0008 5e 000000 00 000000');
    head.writeUInt16BE(length, 0);
    const bytes = Buffer.concat([head, ...pages]);
    expect(parseModeParameters(bytes)?.pages.map(toHex)).toEqual(pages.map(toHex));
    // an allocation longer than the data: what lies behind is not a page
    expect(parseModeParameters(Buffer.concat([bytes, Buffer.alloc(99, 7)]))?.pages).toHaveLength(2);
  });

  test.each([
    ['nothing', ''],
    ['a header cut short', '000e 00 10 00 00 00'],
    ['a descriptor longer than the data', '000e 00 10 00 00 0010 5e 000000 00 080000'],
    ['a length that leaves no room for the header', '0000 00 10 00 00 0000'],
    ['a page cut in its middle', '0016 00 10 00 00 0008 5e 000000 00 000000 0f 0e c0 80'],
    ['a subpage cut in its header', '0010 00 10 00 00 0008 5e 000000 00 000000 50 01'],
  ])('not understood: %s', (_, hex) => expect(parseModeParameters(fromHex(hex))).toBeUndefined());

  test('never throws; the pages lie one behind the other within the data', () =>
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 80 }),
          fc.uint8Array({ minLength: 16, maxLength: 80 }).map((bytes) => {
            const like = Buffer.from(bytes);
            like.writeUInt16BE(like.length - 2, 0);
            like.writeUInt16BE(8, 6);
            return like;
          }),
        ),
        (bytes) => {
          const parameters = parseModeParameters(Buffer.from(bytes));
          const used = (parameters?.pages ?? []).reduce((sum, page) => sum + page.length, 0);
          return used <= bytes.length && (parameters?.blockLengthBytes ?? 0) < 2 ** 24;
        },
      ),
      { numRuns: 1000 },
    ));
});

describe('MODE SELECT(10)', () => {
  test('header, descriptor and page, with nothing in reserved fields', () => {
    expect(toHex(encodeModeParameters({ buffered: true, blockLengthBytes: 0 }))).toBe(
      '00 00 00 10 00 00 00 08 7f 00 00 00 00 00 00 00',
    );
    const page = fromHex(COMPRESSION);
    const list = encodeModeParameters({ buffered: false, blockLengthBytes: 0x010203, page });
    expect(toHex(list.subarray(0, 16))).toBe('00 00 00 00 00 00 00 08 7f 00 00 00 00 01 02 03');
    // PS is bit 7 of a page's first byte
    expect(toHex(list.subarray(16))).toBe(`0f ${toHex(page.subarray(1))}`);
    expect(page[0]).toBe(0x8f);
  });

  test('what is selected is what would be sensed', () =>
    fc.assert(
      fc.property(fc.boolean(), fc.integer({ min: 0, max: 2 ** 24 - 1 }), (buffered, length) => {
        const page = fromHex(EXTENSION);
        const list = encodeModeParameters({ buffered, blockLengthBytes: length, page });
        list.writeUInt16BE(list.length - 2, 0);
        const parameters = parseModeParameters(list);
        expect(parameters?.blockLengthBytes).toBe(length);
        expect(isBuffered(parameters?.deviceSpecific ?? 0)).toBe(buffered);
        expect(parameters?.pages).toHaveLength(1);
      }),
    ));

  test('a block length has 24 bits', () => {
    expect(() => encodeModeParameters({ buffered: true, blockLengthBytes: 2 ** 24 })).toThrow();
    expect(() => encodeModeParameters({ buffered: true, blockLengthBytes: -1 })).toThrow();
  });
});

describe('pages', () => {
  test.each([
    [0x80, true, false],
    [0x10, false, true],
    [0x90, true, true],
    [0x20, false, true],
    [0x0f, false, false],
  ])('device-specific parameter %i', (byte, isProtected, buffered) => {
    expect(isWriteProtected(byte)).toBe(isProtected);
    expect(isBuffered(byte)).toBe(buffered);
  });

  test('compression is one bit, the rest stays', () =>
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 3, maxLength: 40 }), fc.boolean(), (bytes, wanted) => {
        const page = Buffer.from(bytes);
        const changed = withCompression(page, wanted);
        expect(isCompressing(changed)).toBe(wanted);
        changed.writeUInt8((changed.readUInt8(2) & 0x7f) | (page.readUInt8(2) & 0x80), 2);
        expect(changed.equals(page)).toBe(true);
      }),
    ));

  test('append-only mode and the programmable warning are set and read, the rest stays', () =>
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 8, maxLength: 40 }),
        fc.record({
          appendOnly: fc.boolean(),
          programmableEarlyWarningMb: fc.integer({ min: 0, max: 0xffff }),
        }),
        (bytes, wanted) => {
          const page = Buffer.from(bytes);
          const changed = withDeviceConfigurationExtension(page, wanted);
          expect(parseDeviceConfigurationExtension(changed)).toEqual(wanted);
          expect(changed.readUInt8(5) & 0x0f).toBe(page.readUInt8(5) & 0x0f);
          page.copy(changed, 5, 5, 8);
          expect(changed.equals(page)).toBe(true);
        },
      ),
    ));

  test('WRITE MODE other than 0 and 1 is not append-only', () =>
    expect(parseDeviceConfigurationExtension(fromHex('50 01 001c 00 20 0000'))).toEqual({
      appendOnly: false,
      programmableEarlyWarningMb: 0,
    }));

  test('pages too short to say anything say nothing', () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 10 }), (bytes) => {
        const page = Buffer.from(bytes);
        expect(isCompressing(page) && page.length < 3).toBe(false);
        expect(isWorm(page) && page.length < 3).toBe(false);
        expect(parseDeviceConfigurationExtension(page) !== undefined).toBe(page.length >= 8);
      }),
    ));
});
