/** Points in time as text: seconds with nine decimals, as pax and the journal write them. */
import type { Moment } from '../domain/entry.ts';
import { writeDecimal, writeNine } from './digits.ts';

const MINUS = 0x2d;
const POINT = 0x2e;

/** No moment's text is longer: a sign, 16 digits of seconds, the point, nine decimals. */
export const MOMENT_BYTES_MAX = 27;

/**
 * `-0.500000000` is half a second before 1970, though a Moment counts its nanoseconds forward.
 * @returns where the text ends
 */
export function writeMoment(into: Uint8Array, at: number, moment: Moment): number {
  let { seconds, nanoseconds } = moment;
  let end = at;
  if (seconds < 0) {
    into[end] = MINUS;
    end += 1;
    seconds = nanoseconds === 0 ? -seconds : -(seconds + 1);
    nanoseconds = nanoseconds === 0 ? 0 : 1e9 - nanoseconds;
  }
  end = writeDecimal(into, end, seconds);
  into[end] = POINT;
  return writeNine(into, end + 1, nanoseconds);
}

export function formatMoment(moment: Moment): string {
  const bytes = Buffer.allocUnsafe(MOMENT_BYTES_MAX);
  return bytes.toString('latin1', 0, writeMoment(bytes, 0, moment));
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
