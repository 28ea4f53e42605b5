/** WHERE of a journal's entry: the copies of a content and their extents (FORMAT.md section 5.2). */
import type { Raw } from '../base/raw.ts';
import { escapeMedium, unescapeValue } from './journal-field.ts';
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

export function formatWhere(copies: readonly (readonly Place[])[]): string {
  if (copies.length === 0) return '-';
  return copies.map((places) => places.map(formatPlace).join(';')).join(',');
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

function formatPlace(place: Place): string {
  const { file, block, skipBytes, storedBytes, contentOffset } = place;
  const where = `${escapeMedium(place.medium)}:${file}:${block}+${skipBytes}/${storedBytes}@${contentOffset}`;
  return place.form === 'plain' ? where : `~${where}^${place.lengthBytes}`;
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
