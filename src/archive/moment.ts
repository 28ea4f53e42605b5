/** Points in time as text: seconds with nine decimals, as pax and the journal write them. */
import type { Moment } from '../domain/entry.ts';

/** `-0.500000000` is half a second before 1970, though a Moment counts its nanoseconds forward. */
export function formatMoment({ seconds, nanoseconds }: Moment): string {
  if (seconds >= 0 || nanoseconds === 0) return `${seconds}.${nineDigits(nanoseconds)}`;
  return `-${-(seconds + 1)}.${nineDigits(1e9 - nanoseconds)}`;
}

/** Reads decimal seconds; digits beyond nanoseconds are dropped. Undefined where the text is none. */
export function parseMoment(text: string): Moment | undefined {
  const match = /^(-?)(\d{1,16})(?:\.(\d{0,30}))?$/.exec(text);
  if (match?.[2] === undefined) return undefined;
  const seconds = Number(match[2]);
  if (!Number.isSafeInteger(seconds)) return undefined;
  const nanoseconds = Number((match[3] ?? '').slice(0, 9).padEnd(9, '0'));
  if (match[1] !== '-') return { seconds, nanoseconds };
  if (nanoseconds === 0) return { seconds: seconds === 0 ? 0 : -seconds, nanoseconds: 0 };
  return { seconds: -seconds - 1, nanoseconds: 1e9 - nanoseconds };
}

function nineDigits(nanoseconds: number): string {
  return String(nanoseconds + 1e9).slice(1);
}
