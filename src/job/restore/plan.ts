/** Which copies a restore reads, from which media. Pure. */
import type { ExtentCopy, WantedContent } from '../../catalog/wanted.ts';
import { parseGeneration } from '../../domain/generation.ts';
import { tapeTimes } from '../../pack/forecast.ts';

/** A copy that failed may have failed by chance: it is read once more where there is no other. */
const TRIES_MAX = 2;

type Choice = { readonly copy: ExtentCopy; readonly rank: number };

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
  readonly #chosen = new Set<number>();

  constructor(media: MediaAtHand) {
    this.#media = media;
  }

  /** In order of offset, without gaps; undefined where no copy is left to be tried. */
  choose({ sizeBytes, copies }: WantedContent): readonly ExtentCopy[] | undefined {
    const choices = this.#choicesOf(copies);
    const sound = choices.filter(({ copy, rank }) => rank < DOUBTFUL && copy.tries === 0);
    const path = pathOf(sound, sizeBytes) ?? pathOf(choices, sizeBytes);
    for (const { mediumId } of path ?? []) this.#chosen.add(mediumId);
    return path;
  }

  #choicesOf(copies: readonly ExtentCopy[]): Choice[] {
    const choices: Choice[] = [];
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
function order(a: Choice, b: Choice): number {
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
function pathOf(choices: readonly Choice[], sizeBytes: number): ExtentCopy[] | undefined {
  const [only] = choices;
  if (only && choices.length === 1) {
    const { contentOffset, lengthBytes } = only.copy.extent;
    return contentOffset === 0 && lengthBytes === sizeBytes ? [only.copy] : undefined;
  }
  const descending = choices.toSorted(
    (a, b) => b.copy.extent.contentOffset - a.copy.extent.contentOffset,
  );
  const leadsOn = new Set([sizeBytes]);
  const best = new Map<number, Choice>();
  for (const choice of descending) {
    const { contentOffset, lengthBytes } = choice.copy.extent;
    if (lengthBytes === 0 || !leadsOn.has(contentOffset + lengthBytes)) continue;
    leadsOn.add(contentOffset);
    const known = best.get(contentOffset);
    if (!known || order(choice, known) < 0) best.set(contentOffset, choice);
  }
  const path: ExtentCopy[] = [];
  for (let offset = 0; offset < sizeBytes; ) {
    const next = best.get(offset)?.copy;
    if (!next) return undefined;
    path.push(next);
    offset += next.extent.lengthBytes;
  }
  return path;
}

/** Between two archives of one cartridge; half of an LTO-9 drive's mean locate, which is over the whole tape. */
const LOCATE_SECONDS = 30;
const GENERATION_DEFAULT = 'LTO-9';

/** At worst each archive is located anew; what lies between is passed over no faster than it is read. */
export function readMinutes(
  generation: string | undefined,
  { bytes, archives }: { readonly bytes: number; readonly archives: number },
): number {
  const name = parseGeneration(generation ?? '')?.name ?? GENERATION_DEFAULT;
  const { rateBytes, loadSeconds, unloadSeconds } = tapeTimes(name);
  const seconds = loadSeconds + unloadSeconds + archives * LOCATE_SECONDS + bytes / rateBytes;
  return Math.ceil(seconds / 60);
}
