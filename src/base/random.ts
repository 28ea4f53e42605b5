/** All randomness enters here, so that a test is a seed. */
import { randomInt, randomUUID } from 'node:crypto';

export interface Random {
  /** A whole number from 0 up to, but not including, `limit` (1 to 2^48 - 1). */
  below(limit: number): number;
  /** A version 4 UUID in its usual text form. */
  uuid(): string;
}

export const systemRandom: Random = {
  below: (limit) => randomInt(limit),
  uuid: () => randomUUID(),
};

/** A repeatable source for tests and simulations: the same seed gives the same numbers on every machine. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  // mulberry32: 32 bits of state are plenty for choosing faults, and the whole generator fits in sight.
  const next32 = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  return {
    below: (limit) => Math.floor((((next32() % 2 ** 21) * 2 ** 32 + next32()) / 2 ** 53) * limit),
    uuid: () => {
      const hex = Array.from({ length: 4 }, () => next32().toString(16).padStart(8, '0')).join('');
      const variant = '89ab'.charAt(next32() % 4);
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`;
    },
  };
}
