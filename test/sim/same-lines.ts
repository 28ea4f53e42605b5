/** Compares long lists of lines: what one has and the other has not, a few of each, and in words. */

const SHOWN = 6;

export function expectSameLines(found: readonly string[], expected: readonly string[]): void {
  const [inFound, inExpected] = [new Set(found), new Set(expected)];
  const missing = expected.filter((line) => !inFound.has(line));
  const added = found.filter((line) => !inExpected.has(line));
  if (missing.length === 0 && added.length === 0 && found.length === expected.length) return;
  const some = (lines: readonly string[]) => lines.slice(0, SHOWN).join('\n  ');
  throw new Error(
    `${missing.length} lines are missing:\n  ${some(missing)}\n${added.length} are there and should not be:\n  ${some(added)}`,
  );
}
