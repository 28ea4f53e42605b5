/** Which copies are read, from which media: of a recall as of a restore. Pure. */
import type { ExtentCopy } from '../catalog/restore/wanted.ts';

/** A copy that failed may have failed by chance: it is read once more where there is no other. */
const TRIES_MAX = 2;

type Choice<C extends ExtentCopy> = { readonly copy: C; readonly rank: number };

/** `isPresent`: at hand; others are chosen only where no copy is. `isOffline`: it was asked for in vain. */
export type MediaAtHand = {
  isPresent(barcode: string): boolean;
  isOffline(barcode: string): boolean;
};

/**
 * Chooses a copy of every extent: of a medium that is read anyway where there is one, so that few are loaded.
 *
 * Copies that count come first. One that is damaged, or lies on a suspect or retired medium, does not count as stored, but
 * its bytes are proven like all others: before a file is given up, they are tried.
 */
export class CopyChooser {
  readonly #media: MediaAtHand;
  /** Media read anyway. */
  readonly #chosen: Set<number>;

  /** @param readAnyway ids of media that will be read whatever is chosen */
  constructor(media: MediaAtHand, readAnyway: Iterable<number> = []) {
    this.#media = media;
    this.#chosen = new Set(readAnyway);
  }

  /** In order of offset, without gaps; undefined where no copy is left to be tried. */
  choose<C extends ExtentCopy>(content: {
    readonly sizeBytes: number;
    readonly copies: readonly C[];
  }): readonly C[] | undefined {
    const { sizeBytes, copies } = content;
    const choices = this.#choicesOf(copies);
    const sound = choices.filter(({ copy, rank }) => rank < DOUBTFUL && copy.tries === 0);
    const path = pathOf(sound, sizeBytes) ?? pathOf(choices, sizeBytes);
    for (const { mediumId } of path ?? []) this.#chosen.add(mediumId);
    return path;
  }

  #choicesOf<C extends ExtentCopy>(copies: readonly C[]): Choice<C>[] {
    const choices: Choice<C>[] = [];
    for (const copy of copies) {
      const { barcode } = copy;
      if (copy.tries >= TRIES_MAX || this.#media.isOffline(barcode)) continue;
      const rank =
        (copy.isGood ? 0 : DOUBTFUL) +
        (this.#media.isPresent(barcode) ? 0 : 2) +
        (this.#chosen.has(copy.mediumId) ? 0 : 1);
      choices.push({ copy, rank });
    }
    return choices;
  }
}

/** Ranks from here on are of copies that do not count. */
const DOUBTFUL = 4;

/** Those never tried first. */
function order(a: Choice<ExtentCopy>, b: Choice<ExtentCopy>): number {
  return (
    Number(a.copy.tries > 0) - Number(b.copy.tries > 0) ||
    a.rank - b.rank ||
    (a.copy.barcode < b.copy.barcode ? -1 : 1)
  );
}

/**
 * Choices that follow each other from the content's first byte to its last; undefined where there are none. Copies may be
 * cut differently, so a choice counts only where others lead on from its end.
 */
function pathOf<C extends ExtentCopy>(
  choices: readonly Choice<C>[],
  sizeBytes: number,
): C[] | undefined {
  const [only] = choices;
  if (only && choices.length === 1) {
    const { contentOffset, lengthBytes } = only.copy.extent;
    return contentOffset === 0 && lengthBytes === sizeBytes ? [only.copy] : undefined;
  }
  const descending = choices.toSorted(
    (a, b) => b.copy.extent.contentOffset - a.copy.extent.contentOffset,
  );
  const leadsOn = new Set([sizeBytes]);
  const best = new Map<number, Choice<C>>();
  for (const choice of descending) {
    const { contentOffset, lengthBytes } = choice.copy.extent;
    if (lengthBytes === 0 || !leadsOn.has(contentOffset + lengthBytes)) continue;
    leadsOn.add(contentOffset);
    const known = best.get(contentOffset);
    if (!known || order(choice, known) < 0) best.set(contentOffset, choice);
  }
  const path: C[] = [];
  for (let offset = 0; offset < sizeBytes; ) {
    const next = best.get(offset)?.copy;
    if (!next) return undefined;
    path.push(next);
    offset += next.extent.lengthBytes;
  }
  return path;
}
