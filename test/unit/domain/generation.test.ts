import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  canRead,
  canWrite,
  GENERATION_NAMES,
  GENERATIONS,
  generationOfDensity,
  isDriveGeneration,
  parseGeneration,
} from '../../../src/domain/generation.ts';

test.each([
  ['LTO-9', 'LTO-9'],
  ['lto9', 'LTO-9'],
  ['LTO 10', 'LTO-10'],
  ['L8', 'LTO-8'],
  ['m8', 'M8'],
  ['LTO-4', undefined],
  ['', undefined],
])('parseGeneration(%j)', (text, name) => expect(parseGeneration(text)?.name).toBe(name));

test.each([
  ['LTO-7', 'LTO-5', true, false],
  ['LTO-7', 'LTO-6', true, true],
  ['LTO-8', 'LTO-6', false, false],
  ['LTO-8', 'M8', true, true],
  ['LTO-9', 'M8', false, false],
  ['LTO-9', 'LTO-8', true, true],
  ['LTO-10', 'LTO-9', false, false],
] as const)('%s drive, %s cartridge', (drive, medium, reads, writes) => {
  expect(canRead(drive, medium)).toBe(reads);
  expect(canWrite(drive, medium)).toBe(writes);
});

test('a drive reads what it writes, and writes its own generation', () =>
  fc.assert(
    fc.property(
      fc.constantFrom(...GENERATION_NAMES),
      fc.constantFrom(...GENERATION_NAMES),
      (drive, medium) => {
        if (!isDriveGeneration(drive)) return true;
        return canWrite(drive, drive) && (!canWrite(drive, medium) || canRead(drive, medium));
      },
    ),
  ));

test('target fill is 94 to 96 % of native, suffixes and density codes are unique', () => {
  const all = Object.values(GENERATIONS);
  for (const { nativeBytes, targetFillBytes } of all) {
    expect(targetFillBytes / nativeBytes).toBeGreaterThan(0.94);
    expect(targetFillBytes / nativeBytes).toBeLessThan(0.96);
  }
  expect(new Set(all.map((g) => g.suffix)).size).toBe(all.length);
  for (const generation of all)
    expect(generationOfDensity(generation.densityCode)).toBe(generation);
});
