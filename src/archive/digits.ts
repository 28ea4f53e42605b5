/** Numbers and short texts as bytes, straight into a buffer: a string for each would be most of the work of a header. */
import { strict as assert } from 'node:assert';

const ZERO = 0x30;
const BILLION = 1e9;
const OCTAL_LOW = 2 ** 30;
/** Both digits of 0 to 99, so that one division gives two. */
const TENS = Uint8Array.from({ length: 100 }, (_, value) => ZERO + Math.floor(value / 10));
const ONES = Uint8Array.from({ length: 100 }, (_, value) => ZERO + (value % 10));
const HEX = '0123456789abcdef';
const HIGH_HEX = Uint8Array.from({ length: 256 }, (_, byte) => HEX.charCodeAt(byte >> 4));
const LOW_HEX = Uint8Array.from({ length: 256 }, (_, byte) => HEX.charCodeAt(byte & 15));

/** @param value a safe integer, not negative. @returns where it ends */
export function writeDecimal(into: Uint8Array, at: number, value: number): number {
  assert(value >= 0 && value <= Number.MAX_SAFE_INTEGER);
  if (value < BILLION) return writeSmall(into, at, value | 0);
  const high = Math.floor(value / BILLION);
  return writeNine(into, writeSmall(into, at, high), value - high * BILLION);
}

/** Nine digits, with leading zeros. @param value below a billion. @returns where they end */
export function writeNine(into: Uint8Array, at: number, value: number): number {
  let rest = value | 0;
  for (let last = at + 7; last > at; last -= 2) {
    const quotient = (rest / 100) | 0;
    const pair = rest - quotient * 100;
    into[last] = TENS[pair] ?? 0;
    into[last + 1] = ONES[pair] ?? 0;
    rest = quotient;
  }
  into[at] = ZERO + rest;
  return at + 9;
}

/**
 * Right-aligned octal digits ending at `last`, over zeros that stand there.
 * @param value not negative. @returns what the sum of the bytes grows by
 */
export function writeOctal(into: Uint8Array, last: number, value: number): number {
  if (value < OCTAL_LOW) return writeOctalSmall(into, last, value | 0);
  const high = Math.floor(value / OCTAL_LOW);
  return (
    writeOctalSmall(into, last - 10, high) +
    writeOctalSmall(into, last, (value - high * OCTAL_LOW) | 0)
  );
}

/** Two digits a byte, of small letters. @returns where they end */
export function writeHex(into: Uint8Array, at: number, bytes: Uint8Array): number {
  for (let index = 0; index < bytes.length; index += 1) {
    const byte = bytes[index] ?? 0;
    into[at + 2 * index] = HIGH_HEX[byte] ?? 0;
    into[at + 2 * index + 1] = LOW_HEX[byte] ?? 0;
  }
  return at + 2 * bytes.length;
}

/** A few characters; longer texts are faster by `latin1Write`. @returns where they end */
export function writeWord(into: Uint8Array, at: number, word: string): number {
  for (let index = 0; index < word.length; index += 1) into[at + index] = word.charCodeAt(index);
  return at + word.length;
}

function writeSmall(into: Uint8Array, at: number, value: number): number {
  let places = 1;
  for (let limit = 10; value >= limit; limit *= 10) places += 1;
  let rest = value;
  for (let last = at + places - 1; last >= at; last -= 1) {
    const quotient = (rest / 10) | 0;
    into[last] = ZERO + rest - quotient * 10;
    rest = quotient;
  }
  return at + places;
}

function writeOctalSmall(into: Uint8Array, last: number, value: number): number {
  let sum = 0;
  let at = last;
  for (let rest = value; rest > 0; rest >>>= 3) {
    const digit = rest & 7;
    into[at] = ZERO + digit;
    sum += digit;
    at -= 1;
  }
  return sum;
}
