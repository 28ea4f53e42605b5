/**
 * Code 39 (ISO/IEC 16388; AIM USS-39): each character is five bars and four spaces, three of the nine wide. A star begins and
 * ends it. LTO libraries read no check character.
 */

/** Bar, space, bar, ... of each character; `w` is wide. */
const PATTERNS: Readonly<Record<string, string>> = {
  ...{ '0': 'nnnwwnwnn', '1': 'wnnwnnnnw', '2': 'nnwwnnnnw', '3': 'wnwwnnnnn', '4': 'nnnwwnnnw' },
  ...{ '5': 'wnnwwnnnn', '6': 'nnwwwnnnn', '7': 'nnnwnnwnw', '8': 'wnnwnnwnn', '9': 'nnwwnnwnn' },
  ...{ A: 'wnnnnwnnw', B: 'nnwnnwnnw', C: 'wnwnnwnnn', D: 'nnnnwwnnw', E: 'wnnnwwnnn' },
  ...{ F: 'nnwnwwnnn', G: 'nnnnnwwnw', H: 'wnnnnwwnn', I: 'nnwnnwwnn', J: 'nnnnwwwnn' },
  ...{ K: 'wnnnnnnww', L: 'nnwnnnnww', M: 'wnwnnnnwn', N: 'nnnnwnnww', O: 'wnnnwnnwn' },
  ...{ P: 'nnwnwnnwn', Q: 'nnnnnnwww', R: 'wnnnnnwwn', S: 'nnwnnnwwn', T: 'nnnnwnwwn' },
  ...{ U: 'wwnnnnnnw', V: 'nwwnnnnnw', W: 'wwwnnnnnn', X: 'nwnnwnnnw', Y: 'wwnnwnnnn' },
  ...{ Z: 'nwwnwnnnn', '*': 'nwnnwnwnn' },
};

export type Bar = { readonly at: number; readonly width: number };

/**
 * The bars of a text, start and stop characters included, from 0.
 * @param text capital letters and digits
 * @param sizes.narrow of a bar, a space and the gap between characters, in any unit
 * @param sizes.ratio of wide to narrow, 2 to 3
 */
export function code39(
  text: string,
  { narrow, ratio }: { readonly narrow: number; readonly ratio: number },
): { readonly bars: readonly Bar[]; readonly width: number } {
  const bars: Bar[] = [];
  let at = 0;
  for (const character of `*${text}*`) {
    const pattern = PATTERNS[character] ?? '';
    for (const [index, element] of [...pattern].entries()) {
      const width = element === 'w' ? narrow * ratio : narrow;
      if (index % 2 === 0) bars.push({ at, width });
      at += width;
    }
    at += narrow;
  }
  return { bars, width: at - narrow };
}
