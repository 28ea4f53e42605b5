/** Text for people: nothing that came from a tape, a file name or a device may steer their terminal. */

/** Replaces control, format and surrogate characters by `\xNN` or `\u{N}`. Letters of all scripts stay. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    const hex = code.toString(16);
    return code < 0x100 ? `\\x${hex.padStart(2, '0')}` : `\\u{${hex}}`;
  });
}

/** As `formatTable`, without the columns in which no row says anything. */
export function formatFilled(
  head: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const isFilled = head.map((_, column) => rows.some((row) => (row[column] ?? '') !== ''));
  const filled = <Cell>(row: readonly Cell[]) => row.filter((_, column) => isFilled[column]);
  return formatTable(filled(head), rows.map(filled));
}

/** Left-aligned columns, two blanks apart; numbers right-aligned. Every cell is made printable. */
export function formatTable(
  head: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const cells = [head, ...rows.map((row) => row.map((cell) => printable(String(cell))))];
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const isNumber = head.map(
    (_, column) => rows.length > 0 && rows.every((row) => typeof row[column] === 'number'),
  );
  return cells
    .map((row) => {
      const padded = widths.map((width, column) => {
        const cell = row[column] ?? '';
        return isNumber[column] ? cell.padStart(width) : cell.padEnd(width);
      });
      return padded.join('  ').trimEnd();
    })
    .join('\n');
}
