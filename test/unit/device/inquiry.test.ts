import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromHex } from '../../../src/base/bytes.ts';
import { parseInquiry, parseSerial } from '../../../src/device/inquiry.ts';
import { standardInquiry, vitalProductData } from '../../../src/device/virtual/drive-pages.ts';

const words = (text: string) => Buffer.from(text, 'latin1').toString('hex');

describe('INQUIRY, standard data (SPC-4 table 142)', () => {
  const names = `${words('IBM     ')}${words('ULT3580-TD8     ')}${words('M571')}`;
  test('a tape drive', () =>
    expect(parseInquiry(fromHex(`01 80 06 12 33 001002 ${names}`))).toEqual({
      deviceType: 1,
      vendor: 'IBM',
      product: 'ULT3580-TD8',
      revision: 'M571',
    }));
  test('a changer', () =>
    expect(parseInquiry(fromHex(`08 80 06 12 33 001002 ${names}`))?.deviceType).toBe(8));
  test.each([
    ['nothing connected at this number', `3f 80 06 12 33 001002 ${names}`],
    ['not capable', `61 80 06 12 33 001002 ${names}`],
    ['one byte short', `01 80 06 12 33 001002 ${names.slice(0, -2)}`],
    ['nothing', ''],
  ])('%s', (_, hex) => expect(parseInquiry(fromHex(hex))).toBeUndefined());
});

describe('unit serial number (SPC-4 7.8.15)', () => {
  test.each([
    [`01 80 00 0a ${words('1013000123')}`, '1013000123'],
    [`01 80 00 0c ${words('  HU1234    ')}`, 'HU1234'],
    [`01 80 00 04 ${words('HU1234')}`, 'HU12'],
    [`01 80 00 ff ${words('HU1234')}`, 'HU1234'],
    [`01 80 00 04 ${words('    ')}`, undefined],
    ['01 80 00 00', undefined],
    [`01 83 00 04 ${words('HU12')}`, undefined],
    ['01 80 00', undefined],
    [`01 80 00 03 ${words('A\x1bB')}`, 'A?B'],
  ])('%s', (hex, serial) => expect(parseSerial(fromHex(hex))).toBe(serial));
});

test('never throws, never gives a control byte', () =>
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      const inquiry = parseInquiry(Buffer.from(bytes));
      const said = `${inquiry?.vendor}${inquiry?.product}${inquiry?.revision}`;
      return /^[\x20-\x7e]*$/.test(said + (parseSerial(Buffer.from(bytes)) ?? ''));
    }),
    { numRuns: 500 },
  ));

test('the virtual devices say what is read back', () => {
  expect(parseInquiry(standardInquiry(8, 'VIRTUAL LIBRARY'))).toMatchObject({
    deviceType: 8,
    vendor: 'SHELFS',
    product: 'VIRTUAL LIBRARY',
  });
  expect(parseSerial(vitalProductData(0x80, 1, 'SV12D0') ?? Buffer.alloc(0))).toBe('SV12D0');
  expect(vitalProductData(0xb0, 1, 'SV12D0')).toBeUndefined();
});
