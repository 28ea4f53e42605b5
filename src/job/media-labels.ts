/** Stickers for cartridges, written as a drawing or as a document for the printer. */
import { writeFile } from 'node:fs/promises';
import { CodedError, errnoOf, usage } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import { type Barcode, barcodeSeries, parseBarcode } from '../domain/barcode.ts';
import { pdfOf, svgOf } from '../domain/label-drawing.ts';
import { labelSheet, type Paper } from '../domain/label-sheet.ts';

export type LabelSheetRequest = {
  /** Cartridges need not be registered. */
  readonly barcodes: readonly string[];
  readonly series?: { readonly from: string; readonly count: number } | undefined;
  /** Ends in `.svg` or `.pdf`. Several pages of a drawing are `NAME-2.svg` and so on. */
  readonly path: string;
  readonly paper: Paper;
  readonly isColoured: boolean;
};

/** Some three hundred sheets. */
const COUNT_MAX = 10_000;

/**
 * @returns the files that were made; none that is there is written over
 * @throws CodedError USAGE naming what is no barcode; TARGET_EXISTS, TARGET_FAILED
 */
export async function writeLabelSheets(
  request: LabelSheetRequest,
): Promise<{ readonly barcodes: readonly Barcode[]; readonly paths: readonly string[] }> {
  const { path, paper, isColoured } = request;
  const kind = /\.(svg|pdf)$/i.exec(path)?.[1]?.toLowerCase();
  if (kind === undefined)
    throw usage(`--output ${printable(path)}: say a name that ends in .svg or .pdf`);
  const barcodes = barcodesOf(request);
  const pages = labelSheet(barcodes, { paper, isColoured });
  const files =
    kind === 'pdf'
      ? [{ path, bytes: pdfOf(pages) }]
      : pages.map((page, index) => ({ path: numbered(path, index), bytes: svgOf(page) }));
  for (const file of files) await write(file.path, file.bytes);
  return { barcodes, paths: files.map((file) => file.path) };
}

function barcodesOf({ barcodes, series }: LabelSheetRequest): Barcode[] {
  const all = barcodes.map(barcodeOf);
  if (series) {
    const { from, count } = series;
    if (!Number.isInteger(count) || count < 1 || count > COUNT_MAX)
      throw usage(`--count: say a whole number from 1 to ${COUNT_MAX}`);
    const first = barcodeOf(from);
    const rest = barcodeSeries(first, count);
    if (!rest) throw usage(`${first} does not end in digits that count up ${count} times`);
    all.push(...rest);
  }
  if (all.length === 0) throw usage('say which: barcodes, or --count with --from');
  const twice = all.find((barcode, index) => all.indexOf(barcode) < index);
  if (twice) throw usage(`${twice} is named twice: two cartridges never have one barcode`);
  return all;
}

function barcodeOf(text: string): Barcode {
  const parsed = parseBarcode(text);
  if (parsed.kind === 'refused') throw usage(`${printable(text)}: ${parsed.reason}`);
  return parsed.barcode;
}

function numbered(path: string, index: number): string {
  return index === 0 ? path : path.replace(/(\.[^.]+)$/, `-${index + 1}$1`);
}

async function write(path: string, bytes: string | Buffer): Promise<void> {
  try {
    await writeFile(path, bytes, { flag: 'wx' });
  } catch (cause) {
    const why = errnoOf(cause);
    if (why === 'EEXIST')
      throw new CodedError('TARGET_EXISTS', `${printable(path)} is there already`, { path, cause });
    const sentence = `${printable(path)} cannot be written (${why ?? 'error'})`;
    throw new CodedError('TARGET_FAILED', sentence, { path, cause });
  }
}
