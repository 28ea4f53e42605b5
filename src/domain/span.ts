/** Spans of the calendar as policies say them: `720h`, `180d`, `8w`, `24mo`, `10y`. All of it is UTC. */

export type Span = { readonly count: number; readonly unit: 'h' | 'd' | 'w' | 'mo' | 'y' };

const SECONDS = { h: 3600, d: 86_400, w: 7 * 86_400 } as const;
const UNITS = ['h', 'd', 'w', 'mo', 'y'] as const;
/** Ten thousand years, in each unit: no policy means more, and what is computed of it stays a date. */
const COUNT_MAX = { h: 87_660_000, d: 3_652_500, w: 521_786, mo: 120_000, y: 10_000 } as const;

/** Undefined where the text is none. */
export function parseSpan(text: string): Span | undefined {
  const match = /^\s*(\d{1,9})\s*(h|d|w|mo|y)\s*$/i.exec(text);
  const unit = UNITS.find((candidate) => candidate === match?.[2]?.toLowerCase());
  const count = Number(match?.[1]);
  return unit === undefined || count < 1 || count > COUNT_MAX[unit] ? undefined : { count, unit };
}

/**
 * The moment a span before another, in seconds since the epoch. A day that the earlier month does not have is taken for the
 * end of that month, so that a later moment never leads to an earlier one.
 */
export function lessSpan(seconds: number, { count, unit }: Span): number {
  if (unit !== 'mo' && unit !== 'y') return seconds - count * SECONDS[unit];
  const months = unit === 'mo' ? count : count * 12;
  const date = new Date(seconds * 1000);
  const month = date.getUTCMonth() - months;
  const first = dateOf(date.getUTCFullYear(), month, 1);
  const next = dateOf(date.getUTCFullYear(), month + 1, 1);
  const midnight = dateOf(date.getUTCFullYear(), date.getUTCMonth(), 1);
  return Math.min(first + (seconds - midnight), next);
}

/** Years below 100 are those, not the 20th century's. */
function dateOf(year: number, month: number, day: number): number {
  const date = new Date(0);
  date.setUTCFullYear(year, month, day);
  return date.getTime() / 1000;
}
