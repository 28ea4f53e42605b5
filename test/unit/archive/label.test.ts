import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { buildLabel, type Label, parseLabel } from '../../../src/archive/label.ts';
import { encodeOpening, type Opening, parseOpening } from '../../../src/archive/opening.ts';
import { ownMember } from '../../../src/archive/own-member.ts';
import { recogniseStart } from '../../../src/archive/recognise.ts';
import { CodedError } from '../../../src/base/errors.ts';
import { readAll } from './stream.ts';

const UUID = '6f1c2a34-0b1d-4c5e-8f90-a1b2c3d4e5f6';
const label: Label = {
  barcode: 'ABC001L9',
  uuid: UUID,
  pool: 'main',
  set: { uuid: UUID, number: 1 },
  generation: 'LTO-9',
  blockBytes: 524_288,
  created: '2026-11-20T09:00:00Z',
  program: 'shelfs 0.1.0',
  host: 'nas',
  writeGeneration: 1,
};
const opening: Opening = {
  uuid: UUID,
  job: { number: 7, uuid: UUID },
  host: 'nas',
  sequence: 1,
  created: '2026-11-20T09:00:00Z',
  program: 'shelfs 0.1.0',
  blockBytes: 524_288,
  copies: [{ barcode: 'ABC001L9', medium: UUID, file: 1, block: 2 }],
  completes: { uuid: UUID, file: 1, block: 2, wholeBytes: 70_000 },
};
const labelWith = (change: (json: Record<string, unknown>) => void) => {
  const json = { format: 'shelfs-label', revision: 1, capabilities: ['blake3'], ...label };
  change(json);
  return Buffer.concat([
    ownMember('label.json', Buffer.from(JSON.stringify(json)), 0),
    Buffer.alloc(1024),
  ]);
};

describe('label', () => {
  test('is read back from its first block, and is a tar of three', async () => {
    const bytes = buildLabel(label);
    expect(bytes.length % label.blockBytes).toBe(0);
    expect(parseLabel(bytes.subarray(0, label.blockBytes))).toEqual(label);
    const members = await readAll(bytes);
    expect(members.map(({ path }) => path)).toEqual(['label.json', 'README.txt', 'restore.sh']);
    expect(members[2]?.attributes.mode).toBe(0o755);
    expect(members[1]?.bytes.toString()).toContain('sha256sum');
    expect(members[1]?.bytes.toString()).toContain('b3sum');
  });

  test('keys from the future are passed over, needs are not', () => {
    expect(
      parseLabel(
        labelWith((json) => {
          json.colour = 'red';
        }),
      ),
    ).toEqual(label);
    expect(() =>
      parseLabel(
        labelWith((json) => {
          json.capabilities = ['blake3', 'age-stream'];
        }),
      ),
    ).toThrow(/needs age-stream/);
    expect(() =>
      parseLabel(
        labelWith((json) => {
          json.revision = 2;
        }),
      ),
    ).toThrow(/revision 2/);
  });

  test.each<[string, Buffer]>([
    ['zeros', Buffer.alloc(1024)],
    ['nothing', Buffer.alloc(0)],
    ['noise', Buffer.alloc(1024, 'x')],
    ['another tar', Buffer.concat([ownMember('hello', Buffer.from('x'), 0), Buffer.alloc(1024)])],
    ['a label cut', buildLabel(label).subarray(0, 1400)],
    [
      'a barcode that is none',
      labelWith((json) => {
        json.barcode = 5;
      }),
    ],
    [
      'blocks of 0 bytes',
      labelWith((json) => {
        json.blockBytes = 0;
      }),
    ],
  ])('%s is no label', (_, bytes) =>
    expect(() => parseLabel(bytes)).toThrow(expect.objectContaining({ code: 'MEDIUM_MISMATCH' })),
  );
});

describe('opening', () => {
  test('is read back, from a whole block too', () => {
    const bytes = encodeOpening(opening);
    expect(parseOpening(bytes)).toEqual(opening);
    expect(parseOpening(Buffer.concat([bytes, Buffer.alloc(4096, 7)]))).toEqual(opening);
    expect(() => parseOpening(buildLabel(label))).toThrow(CodedError);
    expect(() => parseLabel(bytes)).toThrow(CodedError);
  });

  test('mutated: an opening, or a CodedError', () => {
    const good = Buffer.concat([encodeOpening(opening), Buffer.alloc(1024)]);
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), (at, byte) => {
        const bad = Buffer.from(good);
        bad[at] = byte;
        for (const parse of [parseOpening, parseLabel]) {
          try {
            parse(bad);
          } catch (error) {
            expect(error).toBeInstanceOf(CodedError);
          }
        }
        expect(['shelfs', 'foreign', 'tar']).toContain(recogniseStart(bad));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the start of a medium', () => {
  test.each<[string, string, Buffer]>([
    ['a label', 'shelfs', buildLabel(label)],
    ['an archive', 'shelfs', encodeOpening(opening)],
    ['a tar', 'tar', ownMember('x', Buffer.alloc(0), 0).subarray(1024)],
    ['zeros', 'zeros', Buffer.alloc(80)],
    ['an LTFS label', 'ltfs', Buffer.from(`VOL1ABC001L${'LTFS'.padStart(17)}`.padEnd(80))],
    ['another ANSI label', 'foreign', Buffer.from('VOL1ABC001'.padEnd(80))],
    ['noise', 'foreign', Buffer.alloc(65_536, 'noise')],
  ])('%s is %s', (_, start, block) => expect(recogniseStart(block)).toBe(start));
});
