/** Pages of shapes as a drawing (SVG, one a page) or as a document for the printer (PDF). Both are true to size. */
import type { Page, Shape } from './label-sheet.ts';

/** Of an outline that the knife follows, in mm. */
const HAIRLINE = 0.1;

export function svgOf({ width, height, shapes }: Page): string {
  const lines = shapes.map((shape) => {
    if (shape.kind === 'text')
      return `<text x="${mm(shape.x)}" y="${mm(shape.y)}" font-size="${mm(shape.size)}">${shape.text}</text>`;
    const { x, y, fill, radius } = shape;
    const paint =
      fill === undefined
        ? `fill="none" stroke="#999999" stroke-width="${HAIRLINE}"`
        : `fill="${fill}"`;
    const round = radius > 0 ? ` rx="${mm(radius)}"` : '';
    return `<rect x="${mm(x)}" y="${mm(y)}" width="${mm(shape.width)}" height="${mm(shape.height)}"${round} ${paint}/>`;
  });
  const head = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}mm" height="${height}mm" viewBox="0 0 ${width} ${height}"`;
  return `${head} font-family="Helvetica, Arial, sans-serif" font-weight="bold" text-anchor="middle">
<rect width="100%" height="100%" fill="#ffffff"/>
${lines.join('\n')}
</svg>
`;
}

/** Four digits: a hundredth of what a printer of 2,400 dots an inch can do. */
function mm(length: number): string {
  return String(Number(length.toFixed(4)));
}

/** PDF counts in points, from the lower left corner (ISO 32000-1, 8.3.2.3). */
const POINTS_A_MM = 72 / 25.4;
/** Widths of Helvetica-Bold in thousandths of its size, of letters and digits (Adobe's metrics of the fourteen fonts). */
const CHARACTER_WIDTHS: Readonly<Record<string, number>> = {
  ...{ A: 722, B: 722, C: 722, D: 722, E: 667, F: 611, G: 778, H: 722, I: 278, J: 556, K: 722 },
  ...{ L: 611, M: 833, N: 722, O: 778, P: 667, Q: 778, R: 722, S: 667, T: 611, U: 722, V: 667 },
  ...{ W: 944, X: 667, Y: 667, Z: 611 },
};
const DIGIT_WIDTH = 556;

/** PDF 1.4 with nothing embedded: Helvetica-Bold is one of the fonts that every reader has. */
export function pdfOf(pages: readonly Page[]): Buffer {
  const kids = pages.map((_, index) => `${4 + 2 * index} 0 R`).join(' ');
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R /ViewerPreferences << /PrintScaling /None >> >>',
    `<< /Type /Pages /Kids [${kids}] /Count ${pages.length} >>`,
    '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold >>',
    ...pages.flatMap((page, index) => {
      const content = page.shapes.map((shape) => drawn(shape, page.height)).join('\n');
      const box = `[0 0 ${pt(page.width)} ${pt(page.height)}]`;
      return [
        `<< /Type /Page /Parent 2 0 R /MediaBox ${box} /Resources << /Font << /F 3 0 R >> >> /Contents ${5 + 2 * index} 0 R >>`,
        `<< /Length ${content.length} >>\nstream\n${content}\nendstream`,
      ];
    }),
  ];
  let text = '%PDF-1.4\n';
  const offsets = objects.map((object, index) => {
    const at = text.length;
    text += `${index + 1} 0 obj\n${object}\nendobj\n`;
    return `${String(at).padStart(10, '0')} 00000 n \n`;
  });
  const count = objects.length + 1;
  const table = `xref\n0 ${count}\n0000000000 65535 f \n${offsets.join('')}`;
  const trailer = `trailer\n<< /Size ${count} /Root 1 0 R >>\nstartxref\n${text.length}\n%%EOF\n`;
  return Buffer.from(`${text}${table}${trailer}`, 'latin1');
}

function drawn(shape: Shape, pageHeight: number): string {
  if (shape.kind === 'text') {
    const width = [...shape.text].reduce(
      (sum, character) => sum + (CHARACTER_WIDTHS[character] ?? DIGIT_WIDTH),
      0,
    );
    const x = shape.x - (width / 1000) * (shape.size / 2);
    return `BT 0 g /F ${pt(shape.size)} Tf ${pt(x)} ${pt(pageHeight - shape.y)} Td (${shape.text}) Tj ET`;
  }
  const { x, y, width, height, fill } = shape;
  const box = `${pt(x)} ${pt(pageHeight - y - height)} ${pt(width)} ${pt(height)} re`;
  // Corners are cut square here: no printer cuts, and a knife rounds none.
  return fill === undefined ? `0.6 G ${pt(HAIRLINE)} w ${box} S` : `${colour(fill)} rg ${box} f`;
}

function pt(length: number): string {
  return String(Number((length * POINTS_A_MM).toFixed(4)));
}

function colour(hex: string): string {
  return [1, 3, 5]
    .map((at) => (Number.parseInt(hex.slice(at, at + 2), 16) / 255).toFixed(3))
    .join(' ');
}
