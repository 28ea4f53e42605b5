/** Stickers are read back from what is drawn, by a reader that knows Code 39 by its rule and not by our table. */
import { expect, test } from 'vitest';
import { type Barcode, barcodeSeries } from '../../../src/domain/barcode.ts';
import { pdfOf, svgOf } from '../../../src/domain/label-drawing.ts';
import { labelSheet, type Page } from '../../../src/domain/label-sheet.ts';

type Box = { x: number; y: number; width: number; height: number };

/** The black boxes of a drawing, in mm. */
function svgBoxes(svg: string): Box[] {
  const rect =
    /<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)" fill="#000000"\/>/g;
  return [...svg.matchAll(rect)].map(([, x, y, width, height]) => ({
    ...{ x: Number(x), y: Number(y), width: Number(width), height: Number(height) },
  }));
}

function pdfBoxes(pdf: string, pageHeight: number): Box[] {
  const box = /^0\.000 0\.000 0\.000 rg ([\d.]+) ([\d.]+) ([\d.]+) ([\d.]+) re f$/gm;
  return [...pdf.matchAll(box)].map((found) => {
    const [x = 0, y = 0, width = 0, height = 0] = found
      .slice(1)
      .map((pt) => (Number(pt) * 25.4) / 72);
    return { x, y: pageHeight - y - height, width, height };
  });
}

/** One scan line at 600 dots an inch: true is black. Labels are white apart from what is drawn. */
function scanLine(boxes: readonly Box[], at: { y: number; from: number; to: number }): boolean[] {
  const dots = Math.round(((at.to - at.from) * 600) / 25.4);
  return Array.from({ length: dots }, (_, dot) => {
    const x = at.from + ((dot + 0.5) * 25.4) / 600;
    return boxes.some(
      (box) => x >= box.x && x < box.x + box.width && at.y > box.y && at.y < box.y + box.height,
    );
  });
}

/** Of the five bars two are wide, by weights 1, 2, 4, 7 and 0; which space is wide tells the row. */
const ROWS: Readonly<Record<number, string>> = {
  1: '1234567890',
  2: 'ABCDEFGHIJ',
  3: 'KLMNOPQRST',
  0: 'UVWXYZ-. *',
};

function decode(line: readonly boolean[]): { text: string; quietDots: number; narrow: number } {
  const runs: number[] = [];
  for (const [at, dot] of line.entries())
    if (at > 0 && dot === line[at - 1]) runs[runs.length - 1] = (runs.at(-1) ?? 0) + 1;
    else runs.push(1);
  const [left = 0, ...inner] = line[0] ? [0, ...runs] : runs;
  const elements = inner.slice(0, -1);
  const narrow = Math.min(...elements);
  let text = '';
  for (let at = 0; at < elements.length; at += 10) {
    const wide = elements.slice(at, at + 9).map((run) => run > narrow * 1.8);
    expect(wide.filter(Boolean)).toHaveLength(3);
    const weights = [1, 2, 4, 7, 0];
    const sum = weights.reduce((total, weight, bar) => total + (wide[bar * 2] ? weight : 0), 0);
    const space = [1, 3, 5, 7].findIndex((position) => wide[position]);
    text += ROWS[space]?.[(sum === 11 ? 10 : sum) - 1] ?? '?';
  }
  return { text, quietDots: Math.min(left, inner.at(-1) ?? 0), narrow };
}

function readPage(page: Page, boxes: readonly Box[]): string[] {
  const outlines = page.shapes.flatMap((shape) =>
    shape.kind === 'box' && shape.fill === undefined ? [shape] : [],
  );
  return outlines.map(({ x, y, width, height }) => {
    const { text, quietDots, narrow } = decode(
      scanLine(boxes, { y: y + height - 5, from: x, to: x + width }),
    );
    expect(quietDots).toBeGreaterThanOrEqual(10 * narrow);
    return text;
  });
}

const EVERY = [
  'ABCDEFL9',
  'GHIJKLM8',
  'MNOPQRLA',
  'STUVWXL5',
  'YZ0123L6',
  '456789L7',
  'CLN001L1',
] as Barcode[];

test.each(['a4', 'letter'] as const)(
  'every character is read back from the drawing and from the document: %s',
  (paper) => {
    const pages = labelSheet(EVERY, { paper, isColoured: true });
    const [page] = pages;
    if (!page) return expect.fail('a page');
    const wanted = EVERY.map((barcode) => `*${barcode}*`);
    expect(readPage(page, svgBoxes(svgOf(page)))).toEqual(wanted);
    expect(readPage(page, pdfBoxes(pdfOf(pages).toString('latin1'), page.height))).toEqual(wanted);
  },
);

test('labels have the size of a cartridge, stay on the sheet and apart from each other', () => {
  const barcodes = barcodeSeries('BUP001L8' as Barcode, 40) ?? [];
  const pages = labelSheet(barcodes, { paper: 'a4', isColoured: false });
  expect(pages).toHaveLength(2);
  for (const page of pages) {
    const boxes = page.shapes.filter((shape) => shape.kind === 'box');
    const outlines = boxes.filter(({ fill }) => fill === undefined);
    for (const { x, y, width, height } of boxes) {
      expect(x).toBeGreaterThanOrEqual(10);
      expect(x + width).toBeLessThanOrEqual(page.width - 10);
      expect(y).toBeGreaterThanOrEqual(10);
      expect(y + height).toBeLessThanOrEqual(page.height - 10);
    }
    for (const [index, one] of outlines.entries()) {
      expect([one.width, one.height]).toEqual([79, 17]);
      for (const other of outlines.slice(index + 1))
        expect(Math.abs(one.x - other.x) >= 79 || Math.abs(one.y - other.y) >= 17).toBe(true);
    }
  }
  const bars = pages.flatMap((page) => svgBoxes(svgOf(page)));
  expect(bars).toHaveLength(40 * 10 * 5);
  expect(Math.min(...bars.map(({ height }) => height))).toBeGreaterThanOrEqual(11.1);
  expect(new Set(bars.map(({ width }) => width))).toEqual(new Set([0.423, 1.1632]));
});

test('every object of the document stands where its table says', () => {
  const pdf = pdfOf(labelSheet(EVERY, { paper: 'a4', isColoured: true })).toString('latin1');
  const start = Number(/startxref\n(\d+)\n/.exec(pdf)?.[1]);
  expect(pdf.slice(start, start + 4)).toBe('xref');
  const offsets = [...pdf.slice(start).matchAll(/^(\d{10}) 00000 n $/gm)].map(([, at]) =>
    Number(at),
  );
  expect(offsets).toHaveLength(5);
  for (const [index, at] of offsets.entries())
    expect(pdf.slice(at)).toMatch(new RegExp(`^${index + 1} 0 obj\n`));
  const [, length = '', content = ''] =
    /\/Length (\d+) >>\nstream\n([\s\S]*?)\nendstream/.exec(pdf) ?? [];
  expect(content.length).toBe(Number(length));
});
