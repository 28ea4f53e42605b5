/** Durations as people write them. */

const FACTORS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/**
 * Reads a duration such as `12h`, `90 s`, `1.5 min` or `2d`, into ms. Undefined where the text is none, or is longer than
 * a Number counts exactly.
 */
export function parseDuration(text: string): number | undefined {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)\s*$/i.exec(text);
  const factor = FACTORS_MS[match?.[2]?.toLowerCase() ?? ''];
  if (match?.[1] === undefined || factor === undefined) return undefined;
  const durationMs = Math.round(Number(match[1]) * factor);
  return Number.isSafeInteger(durationMs) ? durationMs : undefined;
}
