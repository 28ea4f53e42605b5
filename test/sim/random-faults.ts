/** Faults by seed: every kind that a drive can suffer while a job writes, at places that chance picks. */
import type { Random } from '../../src/base/random.ts';
import type { Fault, FaultEffect, FaultOperation } from '../../src/device/virtual/faults.ts';

type Draw = { on: FaultOperation; effect: FaultEffect };

export function randomFault(random: Random, drive: number): Fault {
  const draws: readonly (() => Draw)[] = [
    () => ({ on: 'write', effect: { kind: 'sense', key: 0x3, code: 0x0c00 } }),
    () => ({ on: 'filemark', effect: { kind: 'sense', key: 0x3, code: 0x0c00, deferred: true } }),
    () => ({ on: 'any', effect: { kind: 'sense', key: 0x4, code: 0x4400 } }),
    () => ({ on: 'any', effect: { kind: 'sense', key: 0x6, code: 0x2900 } }),
    () => ({ on: 'any', effect: { kind: 'sense', key: 0xb, code: 0x4300 } }),
    () => ({
      on: 'write',
      effect: { kind: 'late-write-error', key: 0x3, code: 0x0c00, afterCommands: random.below(6) },
    }),
    () => ({ on: 'any', effect: { kind: 'delay', ms: random.below(600_000) } }),
    () => ({ on: 'any', effect: { kind: 'hang' } }),
    () => ({ on: 'any', effect: { kind: 'power-loss', survivors: random.below(6) } }),
    () => ({ on: 'any', effect: { kind: 'reset', swallowed: false } }),
    () => ({ on: 'position', effect: { kind: 'reset', swallowed: true } }),
    () => ({ on: 'any', effect: { kind: 'tape-alert', flag: 1 + random.below(64) } }),
  ];
  const draw = draws[random.below(draws.length)]?.();
  if (!draw) throw new Error('nothing drawn');
  const atCount = 1 + random.below(30);
  return { ...draw, drive, atCount, note: `${draw.effect.kind} on ${draw.on} number ${atCount}` };
}
