import { describe, expect, test } from 'vitest';
import { requestOf } from '../../../src/cli/init.ts';

const VIRTUAL = {
  kind: 'virtual',
  cartridges: 4,
  drives: 1,
  generation: 'LTO-9',
  capacityBytes: undefined,
};

describe('a virtual library', () => {
  test.each([
    [{}, VIRTUAL],
    [{ virtual: 0 }, { ...VIRTUAL, cartridges: 0 }],
    [
      { virtual: 10_000, drives: 64 },
      { ...VIRTUAL, cartridges: 10_000, drives: 64 },
    ],
    [{ generation: 'lto 8' }, { ...VIRTUAL, generation: 'LTO-8' }],
    [{ generation: 'LA' }, { ...VIRTUAL, generation: 'LTO-10' }],
    [{ capacity: '2GB' }, { ...VIRTUAL, capacityBytes: 2e9 }],
    [{ capacity: '8MiB' }, { ...VIRTUAL, capacityBytes: 8 * 2 ** 20 }],
    [{ drive: [] }, VIRTUAL],
  ])('%j', (args, request) => expect(requestOf(args)).toEqual(request));
});

describe('hardware', () => {
  test.each([
    [{ drive: ['/dev/nst0'] }, { kind: 'hardware', changer: undefined, drives: ['/dev/nst0'] }],
    [
      { changer: '/dev/sch0', drive: ['/dev/nst0', '/dev/nst1'] },
      { kind: 'hardware', changer: '/dev/sch0', drives: ['/dev/nst0', '/dev/nst1'] },
    ],
  ])('%j', (args, request) => expect(requestOf(args)).toEqual(request));
});

describe('refused, with what to say instead', () => {
  test.each([
    [{ virtual: -1 }, /--virtual: say a whole number from 0 to 10000/],
    [{ virtual: 10_001 }, /--virtual/],
    [{ virtual: 1.5 }, /--virtual/],
    [{ virtual: Number.NaN }, /--virtual/],
    [{ virtual: Number.POSITIVE_INFINITY }, /--virtual/],
    [{ drives: 0 }, /--drives: say a whole number from 1 to 64/],
    [{ drives: 65 }, /--drives/],
    [{ generation: 'LTO-4' }, /--generation LTO-4: say LTO-5/],
    [{ generation: 'M8' }, /--generation M8/], // there is no M8 drive
    [{ generation: '' }, /--generation/],
    [{ capacity: '7MiB' }, /--capacity 7MiB: say a size of at least 8 MiB/],
    [{ capacity: 'much' }, /--capacity much/],
    [{ capacity: '-2GB' }, /--capacity/],
    [{ capacity: '' }, /--capacity/],
    [{ changer: '/dev/sch0' }, /a changer needs a drive/],
    [{ changer: '/dev/sch0', drive: [] }, /a changer needs a drive/],
    [{ drive: ['/dev/nst0'], virtual: 4 }, /do not go with/],
    [{ drive: ['/dev/nst0'], drives: 1 }, /do not go with/],
    [{ changer: '/dev/sch0', capacity: '2GB' }, /do not go with/],
    [{ drive: ['/dev/nst0'], generation: 'LTO-9' }, /do not go with/],
  ])('%j', (args, words) =>
    expect(() => requestOf(args)).toThrow(
      expect.objectContaining({ code: 'USAGE', message: expect.stringMatching(words) }),
    ),
  );
});
