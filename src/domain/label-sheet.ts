/**
 * Sheets of stickers for cartridges, as shapes on pages: what a printer draws of them is label-drawing.ts.
 *
 * Sizes are those of the IBM LTO Ultrium Cartridge Label Specification, revision 3: a label of 79 x 17 mm, its corners rounded
 * by 1.5 mm, quiet zones of ten narrow elements; and of IBM's "Bar code label specifications" (Diamondback library): narrow
 * elements of 0.423 mm, wide ones 2.75 times that, bars of at least 11.1 mm.
 */
import { strict as assert } from 'node:assert';
import type { Barcode } from './barcode.ts';
import { code39 } from './code39.ts';

/** In mm, from the upper left corner of the page. */
export type Shape =
  | {
      readonly kind: 'box';
      readonly x: number;
      readonly y: number;
      readonly width: number;
      readonly height: number;
      /** `#rrggbb`; undefined: its outline alone, as thin as can be. */
      readonly fill: string | undefined;
      readonly radius: number;
    }
  | {
      readonly kind: 'text';
      /** The middle of it, and its base line. */
      readonly x: number;
      readonly y: number;
      /** Of the font. */
      readonly size: number;
      readonly text: string;
    };

export type Page = {
  readonly width: number;
  readonly height: number;
  readonly shapes: readonly Shape[];
};

export const PAPERS = { a4: [210, 297], letter: [215.9, 279.4] } as const;
export type Paper = keyof typeof PAPERS;

const LABEL = { width: 79, height: 17, radius: 1.5 };
const NARROW = 0.423;
const RATIO = 2.75;
const BARS_HEIGHT = 11.1;
const QUIET = 10 * NARROW;
/** Of the sheet, where most printers print nothing. */
const MARGIN = 10;
/** Between labels, for the knife. */
const GAP = 2;
/** Above the bars. */
const TEXT_HEIGHT = 5.2;
const FONT = 4;

/**
 * A colour a media type, light, so that black text stays readable on it; where the bars are it stays white. The eye finds the
 * generation on the shelf by it.
 */
const COLOURS: Readonly<Record<string, string>> = {
  ...{ L5: '#ffd0d0', L6: '#ffe2b8', L7: '#fff6a8', M8: '#e4f2a6', L8: '#c6ecc6' },
  ...{ L9: '#bfe3f7', LA: '#d6ccf5' },
};
const COLOUR_OTHER = '#dddddd';
const BLACK = '#000000';

/** Labels in rows, from the upper left, on as many pages as it takes. */
export function labelSheet(
  barcodes: readonly Barcode[],
  { paper, isColoured }: { readonly paper: Paper; readonly isColoured: boolean },
): Page[] {
  const [width, height] = PAPERS[paper];
  const columns = fitting(width, LABEL.width);
  const rows = fitting(height, LABEL.height);
  const left = (width - columns * LABEL.width - (columns - 1) * GAP) / 2;
  const pages: Page[] = [];
  for (let first = 0; first < barcodes.length; first += columns * rows) {
    const shapes = barcodes.slice(first, first + columns * rows).flatMap((barcode, index) => {
      const x = left + (index % columns) * (LABEL.width + GAP);
      const y = MARGIN + Math.floor(index / columns) * (LABEL.height + GAP);
      return labelAt({ x, y }, barcode, isColoured ? colourOf(barcode) : undefined);
    });
    pages.push({ width, height, shapes });
  }
  return pages;
}

function fitting(room: number, size: number): number {
  return Math.floor((room - 2 * MARGIN + GAP) / (size + GAP));
}

function colourOf(barcode: Barcode): string {
  return COLOURS[barcode.slice(6)] ?? COLOUR_OTHER;
}

function labelAt(
  { x, y }: { readonly x: number; readonly y: number },
  barcode: Barcode,
  colour: string | undefined,
): Shape[] {
  const { bars, width } = code39(barcode, { narrow: NARROW, ratio: RATIO });
  const start = x + (LABEL.width - width) / 2;
  assert(start - x >= QUIET, 'the quiet zone fits');
  const plain = { kind: 'box', fill: BLACK, radius: 0 } as const;
  const cell = width / barcode.length;
  const band = { ...plain, x: start, y: y + 0.4, width, height: TEXT_HEIGHT - 0.8 };
  return [
    { kind: 'box', ...LABEL, x, y, fill: undefined },
    ...(colour === undefined ? [] : [{ ...band, fill: colour }]),
    ...[...barcode].map(
      (text, index): Shape => ({
        ...{ kind: 'text', text, size: FONT, x: start + (index + 0.5) * cell },
        y: y + TEXT_HEIGHT - 1.2,
      }),
    ),
    ...bars.map(
      (bar): Shape => ({
        ...{ ...plain, x: start + bar.at, y: y + TEXT_HEIGHT },
        ...{ width: bar.width, height: BARS_HEIGHT },
      }),
    ),
  ];
}
