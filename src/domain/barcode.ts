/**
 * The sticker on a cartridge: Code 39, six characters of VOLSER and two of media identifier.
 *
 * A scanner may add blanks and stars; they are not part of the barcode. Cleaning cartridges carry a VOLSER that begins
 * with CLN, whatever their identifier.
 */
import { GENERATIONS, type Generation } from './generation.ts';

/** Eight characters as scanned, for instance `ABC001L9`. */
export type Barcode = string & { readonly __brand: 'Barcode' };

export type BarcodeFacts = {
  readonly barcode: Barcode;
  /** The first six characters: the cartridge's name. */
  readonly volser: string;
} & (
  | { readonly kind: 'data'; readonly generation: Generation; readonly worm: boolean }
  | { readonly kind: 'cleaning' }
);

/** Why a text is no barcode we can use; the sentence is for people. */
export type BarcodeRefusal = { readonly kind: 'refused'; readonly reason: string };

/** Reads a scanned or typed barcode. Lower case is raised, blanks around it and Code 39's stars are dropped. */
export function parseBarcode(text: string): BarcodeFacts | BarcodeRefusal {
  const scanned = text
    .trim()
    .replace(/^\*|\*$/g, '')
    .toUpperCase();
  if (!/^[A-Z0-9]{8}$/.test(scanned)) {
    return refuse(
      `a barcode has 8 characters, A to Z and 0 to 9: six of name and two of media type`,
    );
  }
  const barcode = scanned as Barcode;
  const volser = scanned.slice(0, 6);
  if (volser.startsWith('CLN')) return { barcode, volser, kind: 'cleaning' };
  const suffix = scanned.slice(6);
  for (const generation of Object.values(GENERATIONS)) {
    if (suffix === generation.suffix)
      return { barcode, volser, kind: 'data', generation, worm: false };
    if (suffix === generation.wormSuffix)
      return { barcode, volser, kind: 'data', generation, worm: true };
  }
  const known = Object.values(GENERATIONS).map((generation) => generation.suffix);
  return refuse(`media type ${suffix} is none of ${known.join(', ')} (or a WORM or cleaning type)`);
}

/**
 * The next barcodes of a series: `BUP011L8` gives BUP012L8, BUP013L8 and so on. Only the digits before the media type
 * count up. Undefined where the VOLSER does not end in digits or the series runs out of them.
 */
export function barcodeSeries(first: Barcode, count: number): Barcode[] | undefined {
  const match = /^([A-Z0-9]*?)(\d+)(..)$/.exec(first);
  if (match?.[2] === undefined) return undefined;
  const [, prefix = '', digits, suffix = ''] = match;
  const last = Number(digits) + count - 1;
  if (String(last).length > digits.length) return undefined;
  return Array.from(
    { length: count },
    (_, index) =>
      `${prefix}${String(Number(digits) + index).padStart(digits.length, '0')}${suffix}` as Barcode,
  );
}

function refuse(reason: string): BarcodeRefusal {
  return { kind: 'refused', reason };
}
