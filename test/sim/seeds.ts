/** How many seeds a story goes through: a few each time, all of them with `npm run soak`. */
import { inject } from 'vitest';

declare module 'vitest' {
  interface ProvidedContext {
    /** `npm run soak`. */
    readonly isSoak: boolean;
  }
}

export function seedCount({
  usual,
  soak,
}: {
  readonly usual: number;
  readonly soak: number;
}): number {
  return inject('isSoak') ? soak : usual;
}
