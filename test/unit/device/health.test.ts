import { describe, expect, test } from 'vitest';
import { fromHex } from '../../../src/base/bytes.ts';
import { SimClock } from '../../../src/base/clock.ts';
import { readHealth, readLogPage } from '../../../src/device/health.ts';
import { LogicalUnit, UNIT_ATTENTIONS_MAX } from '../../../src/device/logical-unit.ts';
import {
  descriptorRefusal,
  GOOD,
  refusal,
  type Script,
  ScriptedPort,
} from '../../sim/scripted-port.ts';

const go = new AbortController().signal;

/** Log pages as drives send them: page code, then parameters (SSC-4 8.2). */
const PAGES: Readonly<Record<number, string>> = {
  46: '0003 03 01 01  0014 03 01 01  0015 03 01 00',
  12: '0000 03 08 00000000000f4240  0100 03 04 00000001',
  23: '0001 03 04 00000007  0005 03 04 00000002  0010 03 08 0000000000000bb8  0011 03 08 ffffffffffffffff',
  49: '0001 03 04 00b6d000  0003 03 04 00b71b00',
  2: '0003 03 08 0000000000000010  0006 03 08 0000000000000000',
  3: '0003 03 02 0020  0006 03 01 01',
};

function make(pages: Readonly<Record<number, string>>, script?: Script) {
  const port = new ScriptedPort().on(
    0x4d,
    script ??
      (({ cdb }) => {
        const page = (cdb[2] ?? 0) & 0x3f;
        const hex = pages[page];
        if (hex === undefined) return refusal(5, 0x2400);
        const body = fromHex(hex);
        return { data: Buffer.concat([Buffer.from([page, 0, 0, body.length]), body]) };
      }),
  );
  return { port, unit: new LogicalUnit(port, new SimClock(), 'DRIVE_FAILED') };
}

test('every page is read once, cumulative values', async () => {
  const { unit, port } = make(PAGES);
  expect(await readHealth(unit, go)).toEqual({
    alerts: [3, 20],
    cleaningRequired: true,
    write: { corrected: 16, uncorrected: 0 },
    read: { corrected: 32, uncorrected: 1 },
    cartridge: {
      loads: 7,
      suspendedWrites: 2,
      writtenMb: 3000,
      readMb: undefined, // more than a Number holds
      remainingMib: 0xb6d000,
      maximumMib: 0xb71b00,
    },
  });
  expect(port.sent.map((cdb) => cdb.slice(0, 8)).sort()).toEqual([
    '4d 00 42',
    '4d 00 43',
    '4d 00 4c',
    '4d 00 57',
    '4d 00 6e',
    '4d 00 71',
  ]);
});

test('a drive that keeps no pages has nothing to say', async () => {
  expect(await readHealth(make({}).unit, go)).toMatchObject({
    alerts: [],
    cleaningRequired: undefined,
    write: { corrected: undefined, uncorrected: undefined },
    cartridge: { loads: undefined, remainingMib: undefined },
  });
});

test('no cleaning wanted is not unknown', async () => {
  const { unit } = make({ ...PAGES, 12: '0100 03 04 00000000' });
  expect((await readHealth(unit, go)).cleaningRequired).toBe(false);
});

describe('one page', () => {
  const read = (...scripts: readonly Script[]) => {
    const port = new ScriptedPort().on(0x4d, ...scripts);
    const unit = new LogicalUnit(port, new SimClock(), 'DRIVE_FAILED');
    return { port, page: readLogPage(unit, 0x31, go) };
  };
  const page = { data: fromHex('31 00 0008 0001 03 04 00000005') };

  test.each([
    ['no such page', refusal(5, 0x2400)],
    ['descriptor format', descriptorRefusal(5, 0x2400)],
    ['no cartridge', refusal(2, 0x3a00)],
  ])('absent: %s', async (_, script) => expect((await read(script).page).size).toBe(0));

  test.each<[string, Script]>([
    ['nothing', GOOD],
    ['another page', { data: fromHex('2e 00 0000') }],
    ['less than it says', { data: fromHex('31 00 0008 0001 03 04 0000') }],
    ['hardware', refusal(4, 0x4400)],
    ['a deferred error', refusal(5, 0x2400, { deferred: true })],
    ['unreadable sense', { status: 2 }],
  ])('a failure: %s', async (_, script) => {
    await expect(read(script).page).rejects.toMatchObject({ code: 'DRIVE_FAILED' });
  });

  test('unit attentions are asked past, up to a storm', async () => {
    const attention = refusal(6, 0x2900);
    const some = read(...new Array<Script>(UNIT_ATTENTIONS_MAX - 1).fill(attention), page);
    expect((await some.page).size).toBe(1);
    const storm = read(attention);
    await expect(storm.page).rejects.toMatchObject({ code: 'DRIVE_FAILED' });
    expect(storm.port.sent).toHaveLength(UNIT_ATTENTIONS_MAX);
  });
});
