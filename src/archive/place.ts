/** WHERE of a journal's entry: the copies of a content and their extents (FORMAT.md section 5.2). */
import type { Raw } from '../base/raw.ts';
import { writeDecimal, writeWord } from './digits.ts';
import { unescapeValue } from './journal-field.ts';
import { parseCount } from './pax.ts';
import { invalid } from './ustar.ts';

/** One extent of a content on one medium. */
export type Place = {
  /** The medium's name; of a cartridge its barcode. */
  readonly medium: Raw;
  /** Number of the tape file. */
  readonly file: number;
  /** The drive's number of the block in which the data begin. */
  readonly block: number;
  /** Bytes of that block before them. */
  readonly skipBytes: number;
  /** Bytes on the medium, a sparse map included. */
  readonly storedBytes: number;
  readonly contentOffset: number;
  /** Bytes of the content; equal to `storedBytes` where the form is plain. */
  readonly lengthBytes: number;
  readonly form: 'plain' | 'sparse';
};

/** No place takes more, but for the escaped name of its medium: six numbers of 16 digits and what separates them. */
export const PLACE_BYTES_MAX = 108;

/**
 * @param copies.length not 0: none are `-`
 * @param escaped the name of a medium as `escapeMedium` gives it
 * @returns where the text ends; there must be room for it
 */
export function writeWhere(
  into: Buffer,
  at: number,
  {
    copies,
    escaped,
  }: {
    readonly copies: readonly (readonly Place[])[];
    readonly escaped: (medium: Raw) => string;
  },
): number {
  let end = at;
  for (let copy = 0; copy < copies.length; copy += 1) {
    if (copy > 0) end = writeWord(into, end, ',');
    const places = copies[copy] ?? [];
    for (let index = 0; index < places.length; index += 1) {
      const place = places[index];
      if (place === undefined) continue;
      if (index > 0) end = writeWord(into, end, ';');
      end = writePlace(into, end, { place, medium: escaped(place.medium) });
    }
  }
  return end;
}

/** @throws CodedError ARCHIVE_INVALID */
export function parseWhere(text: string): Place[][] {
  if (text === '-') return [];
  return text.split(',').map((copy) => copy.split(';').map(parsePlace));
}

/** Where a byte of an archive's stream lies on a medium. */
export function blockOf(
  archive: { readonly startBlock: number; readonly blockBytes: number },
  archiveOffset: number,
): { readonly block: number; readonly skipBytes: number } {
  return {
    block: archive.startBlock + Math.floor(archiveOffset / archive.blockBytes),
    skipBytes: archiveOffset % archive.blockBytes,
  };
}

function writePlace(
  into: Buffer,
  at: number,
  { place, medium }: { readonly place: Place; readonly medium: string },
): number {
  const isSparse = place.form === 'sparse';
  let end = isSparse ? writeWord(into, at, '~') : at;
  end += into.write(medium, end, 'latin1');
  end = writeDecimal(into, writeWord(into, end, ':'), place.file);
  end = writeDecimal(into, writeWord(into, end, ':'), place.block);
  end = writeDecimal(into, writeWord(into, end, '+'), place.skipBytes);
  end = writeDecimal(into, writeWord(into, end, '/'), place.storedBytes);
  end = writeDecimal(into, writeWord(into, end, '@'), place.contentOffset);
  return isSparse ? writeDecimal(into, writeWord(into, end, '^'), place.lengthBytes) : end;
}

function parsePlace(text: string): Place {
  const match = /^(~?)([^:]+):(\d+):(\d+)\+(\d+)\/(\d+)@(\d+)(?:\^(\d+))?$/.exec(text);
  const [, tilde = '', medium = '', ...numbers] = match ?? [];
  const [file, block, skipBytes, storedBytes, contentOffset] = numbers.map(parseCount);
  const isSparse = tilde === '~';
  const lengthBytes = isSparse ? parseCount(numbers[5]) : storedBytes;
  if (
    file === undefined ||
    block === undefined ||
    skipBytes === undefined ||
    storedBytes === undefined ||
    contentOffset === undefined ||
    lengthBytes === undefined ||
    isSparse !== (numbers[5] !== undefined)
  )
    throw invalid('a journal with a broken place');
  return {
    medium: unescapeValue(medium),
    file,
    block,
    skipBytes,
    storedBytes,
    contentOffset,
    lengthBytes,
    form: isSparse ? 'sparse' : 'plain',
  };
}
