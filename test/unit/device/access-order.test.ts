import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromHex, toHex } from '../../../src/base/bytes.ts';
import { SimClock } from '../../../src/base/clock.ts';
import {
  ORDERED_SEGMENTS_MAX,
  parseAccessOrder,
  segmentList,
  type TapeSegment,
} from '../../../src/device/access-order.ts';
import { Drive } from '../../../src/device/drive.ts';
import { supportedOperationCodes } from '../../../src/device/virtual/operation-codes.ts';
import {
  GOOD,
  positionData,
  refusal,
  type Script,
  type Scripted,
  type ScriptedPort,
  scriptedDevice,
} from '../../sim/scripted-port.ts';

const go = new AbortController().signal;
const GENERATE = 0xa4;
const RECEIVE = 0xa3;
const POSITION = 0x34;

const SEGMENTS: readonly TapeSegment[] = [
  { firstBlock: 5, lastBlock: 9 },
  { firstBlock: 0x100, lastBlock: 0x1ff },
  { firstBlock: 20, lastBlock: 21 },
];

/** A descriptor as a drive returns it: what it says beyond our own fields is its own. */
const descriptor = (name: string, range: string, { extra = '', partition = '00' } = {}) => {
  const length = (30 + extra.length / 2).toString(16).padStart(4, '0');
  const named = toHex(Buffer.from(name.padStart(10, '0'), 'latin1'));
  return `${length} 000000 ${named} ${partition} ${range} ${extra}`;
};
const FIRST = descriptor('0', '0000000000000005 0000000000000009');
const SECOND = descriptor('1', '0000000000000100 00000000000001ff');
const THIRD = descriptor('2', '0000000000000014 0000000000000015');

function answer(descriptors: readonly string[], head = '02 01 0000'): Buffer {
  const body = fromHex(descriptors.join(''));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([fromHex(head), length, body]);
}

test('segments go out with their index for a name', () => {
  expect(toHex(segmentList(SEGMENTS.slice(1, 2)))).toBe(
    '00 00 00 00 00 00 00 20 00 1e 00 00 00 30 30 30 30 30 30 30 30 30 30 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00 01 ff',
  );
});

test.each<[string, Buffer, readonly number[] | undefined]>([
  ['an order', answer([THIRD, FIRST, SECOND]), [2, 0, 1]],
  [
    'longer descriptors, as with the time to get there',
    answer([
      SECOND,
      descriptor('2', '0000000000000014 0000000000000015', { extra: '00000000000003e8' }),
      FIRST,
    ]),
    [1, 2, 0],
  ],
  [
    'more behind the list',
    Buffer.concat([answer([FIRST, SECOND, THIRD]), SECOND_BYTES()]),
    [0, 1, 2],
  ],
  ['one is missing', answer([FIRST, SECOND]), undefined],
  ['one is there twice', answer([FIRST, FIRST, THIRD]), undefined],
  ['one twice beside all', answer([FIRST, SECOND, THIRD, FIRST]), undefined],
  [
    'a name that was not sent',
    answer([FIRST, SECOND, descriptor('7', '00'.repeat(16))]),
    undefined,
  ],
  [
    'a name that is no number',
    answer([FIRST, SECOND, descriptor('__proto__', '00'.repeat(16))]),
    undefined,
  ],
  [
    'another place',
    answer([FIRST, SECOND, descriptor('2', '0000000000000014 0000000000000016')]),
    undefined,
  ],
  [
    'a place beyond all counts',
    answer([FIRST, SECOND, descriptor('2', 'ffffffffffffffff ffffffffffffffff')]),
    undefined,
  ],
  [
    'another partition',
    answer([
      FIRST,
      SECOND,
      descriptor('2', '0000000000000014 0000000000000015', { partition: '01' }),
    ]),
    undefined,
  ],
  ['not put into order', answer([FIRST, SECOND, THIRD], '01 01 0000'), undefined],
  ['never generated', answer([], '02 00 0000'), undefined],
  ['nothing', Buffer.alloc(0), undefined],
  ['a head alone', answer([]), undefined],
  ['a list longer than what came', answer([FIRST, SECOND, THIRD]).subarray(0, 103), undefined],
  ['a descriptor shorter than itself', answer([FIRST, SECOND, `0000${THIRD.slice(4)}`]), undefined],
  [
    'a descriptor longer than the list',
    answer([FIRST, SECOND, `ffff${THIRD.slice(4)}`]),
    undefined,
  ],
])('%s', (_, bytes, order) => expect(parseAccessOrder(bytes, SEGMENTS)).toEqual(order));

function SECOND_BYTES(): Buffer {
  return fromHex(SECOND);
}

test('whatever comes, an order has each segment once, or there is none', () => {
  const swap = fc.record({ at: fc.nat(103), value: fc.nat(255) });
  const base = answer([THIRD, FIRST, SECOND]);
  fc.assert(
    fc.property(fc.array(swap, { maxLength: 4 }), fc.nat(104), (swaps, cut) => {
      const bytes = Buffer.from(base);
      for (const { at, value } of swaps) bytes[at] = value;
      const order = parseAccessOrder(bytes.subarray(0, cut > 80 ? bytes.length : cut), SEGMENTS);
      return order === undefined || order.toSorted().join() === '0,1,2';
    }),
    { numRuns: 2000 },
  );
});

const codes = (generation: 'LTO-8' | 'LTO-9') =>
  supportedOperationCodes(fromHex('a30c80000000000020000000'), { generation }).data ??
  Buffer.alloc(0);

/** A drive that says it has both commands, and what it answers. */
async function asked(
  { limit = 2730, order, generated = GOOD }: { limit?: number; order?: Script; generated?: Script },
  generation: 'LTO-8' | 'LTO-9' = 'LTO-9',
): Promise<{ port: ScriptedPort; drive: Drive }> {
  const limits = Buffer.from([limit >> 8, limit & 0xff, 0, 32]);
  const receive = (cdb: Uint8Array): Scripted => {
    if ((cdb[1] ?? 0) === 0x0c) return { data: codes(generation) };
    if (((cdb[1] ?? 0) & 0x80) !== 0) return { data: limits };
    return (order as Scripted | undefined) ?? { data: answer([THIRD, FIRST, SECOND]) };
  };
  const port = scriptedDevice('tape')
    .on(RECEIVE, ({ cdb }) => receive(cdb))
    .on(GENERATE, generated)
    .on(POSITION, positionData(17, 2));
  return { port, drive: await Drive.open(port, new SimClock(), go) };
}

describe('a drive', () => {
  test('that has both commands is asked', async () => {
    const { drive, port } = await asked({});
    expect(await drive.accessOrder(SEGMENTS, go)).toEqual([2, 0, 1]);
    expect(port.sentWith(GENERATE)).toEqual(['a4 1d 02 00 00 00 00 00 00 68 00 00']);
    expect(port.sentWith(RECEIVE).slice(1)).toEqual([
      'a3 9d 00 00 00 00 00 00 00 04 00 00',
      'a3 1d 00 00 00 00 00 00 00 c8 00 00',
    ]);
    // Where it stands is asked anew: whatever was thought before.
    expect(port.sent.at(-1)).toMatch(/^34/);
    expect(drive.position).toMatchObject({ proven: true, block: 17, file: 2 });
    const timeouts = port.commands.slice(-3, -1).map(({ timeoutMs }) => timeoutMs);
    expect(timeouts).toEqual([3_600_000, 120_000]);
    // Its limits are known.
    await drive.accessOrder(SEGMENTS, go);
    expect(port.sentWith(RECEIVE)).toHaveLength(4);
  });

  test('that has none of them is not', async () => {
    const { drive, port } = await asked({}, 'LTO-8');
    expect(await drive.accessOrder(SEGMENTS, go)).toBeUndefined();
    expect(port.sentWith(GENERATE)).toEqual([]);
    expect(port.sentWith(RECEIVE)).toHaveLength(1);
  });

  test('is sent no segment of a single object, which would bind the ends of its order', async () => {
    const { drive, port } = await asked({});
    await drive.accessOrder([{ firstBlock: 7, lastBlock: 7 }], go);
    const list = port.commands.find(({ cdb }) => cdb[0] === GENERATE)?.dataOut ?? [];
    expect(toHex(Uint8Array.from(list).subarray(24))).toBe(
      '00 00 00 00 00 00 00 07 00 00 00 00 00 00 00 08',
    );
  });

  test('is not asked for more than it takes, nor than one command carries', async () => {
    const { drive, port } = await asked({ limit: 2 });
    expect(await drive.accessOrder(SEGMENTS, go)).toBeUndefined();
    expect(port.sentWith(GENERATE)).toEqual([]);
    const many = Array.from({ length: ORDERED_SEGMENTS_MAX + 1 }, (_, index) => ({
      firstBlock: index * 10,
      lastBlock: index * 10 + 1,
    }));
    const able = await asked({ limit: 0xffff });
    expect(await able.drive.accessOrder(many, go)).toBeUndefined();
    expect(able.port.sentWith(GENERATE)).toEqual([]);
    // Fewer it may be asked for afterwards.
    expect(await able.drive.accessOrder(SEGMENTS, go)).toEqual([2, 0, 1]);
  });

  test.each<[string, { order?: Script; generated?: Script }]>([
    ['refuses to generate one', { generated: refusal(5, 0x2600) }],
    ['was reset meanwhile', { generated: refusal(6, 0x2900) }],
    ['does not answer in time', { generated: { hostStatus: 3 } }],
    ['answers nonsense', { order: { data: answer([FIRST, FIRST, FIRST]) } }],
    ['answers nothing', { order: { data: Buffer.alloc(0) } }],
    ['refuses to tell it', { order: refusal(5, 0x2400) }],
  ])('that %s is not believed, and not asked again', async (_, script) => {
    const { drive, port } = await asked(script);
    expect(await drive.accessOrder(SEGMENTS, go)).toBeUndefined();
    expect(await drive.accessOrder(SEGMENTS, go)).toBeUndefined();
    expect(port.sentWith(GENERATE)).toHaveLength(1);
  });

  test('that then does not know where it stands is not believed, and the position is unknown', async () => {
    const { drive, port } = await asked({});
    port.on(POSITION, positionData(17, 2, 0x04));
    expect(await drive.accessOrder(SEGMENTS, go)).toBeUndefined();
    expect(drive.position).toEqual({ proven: false });
  });

  test('asking can be stopped', async () => {
    const { drive } = await asked({});
    const reason = new Error('enough');
    await expect(drive.accessOrder(SEGMENTS, AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});
