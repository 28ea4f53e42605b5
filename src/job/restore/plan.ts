/** Which copies a restore reads, from which media, in what order. Pure but for the questions to the catalog. */
import type { ArchiveCopy, Contents, LocatedExtent } from '../../catalog/contents.ts';
import type { Content, Extent } from '../../domain/content.ts';
import type { DataRange } from '../../domain/entry.ts';
import { parseGeneration } from '../../domain/generation.ts';
import { tapeTimes } from '../../pack/forecast.ts';

/** One extent on the medium chosen for it. */
export type ChosenExtent = {
  readonly contentId: number;
  readonly archiveId: number;
  readonly extent: Extent;
  readonly mediumId: number;
  readonly barcode: string;
  readonly startBlock: number;
};

export type WantedContent = {
  readonly contentId: number;
  readonly content: Content & { readonly ranges: readonly DataRange[] | undefined };
  /** In order of offset, without gaps. */
  readonly extents: readonly ChosenExtent[];
};

export type Unobtainable = { readonly contentId: number; readonly reason: 'no-good-copy' };

/** A copy that failed may have failed by chance: it is read once more where there is no other. */
const TRIES_MAX = 2;

type Choice = Omit<ChosenExtent, 'contentId'> & { readonly rank: number };

/**
 * Chooses a copy of every extent: of a medium that is read anyway where there is one, so that few are loaded.
 *
 * Copies that count come first. One that is damaged, or lies on a suspect or retired medium, does not count as stored, but
 * its bytes are proven like all others: before a file is given up, they are tried.
 * @param media.isPresent whether a medium is at hand; others are chosen only where no copy is
 * @param media.isOffline whether a medium was asked for in vain
 */
export class CopyChooser {
  readonly #contents: Contents;
  readonly #media: { isPresent(barcode: string): boolean; isOffline(barcode: string): boolean };
  /** Media read anyway. */
  readonly #chosen = new Set<number>();
  readonly #tries: ReadonlyMap<string, number>;

  constructor(
    contents: Contents,
    media: { isPresent(barcode: string): boolean; isOffline(barcode: string): boolean },
    /** How often a copy of an extent (`attemptKey`) has failed by now. */
    tries: ReadonlyMap<string, number> = new Map(),
  ) {
    this.#contents = contents;
    this.#media = media;
    this.#tries = tries;
  }

  choose(contentId: number): WantedContent | Unobtainable {
    const content = this.#contents.get(contentId);
    const located = this.#contents.extentsOf(contentId);
    const isUntried = (choice: Choice) => this.#triesOf(contentId, choice) === 0;
    const choices = located.flatMap((extent) => this.#choicesOf(extent));
    const sound = choices.filter((choice) => choice.rank < DOUBTFUL && isUntried(choice));
    const left = choices.filter((choice) => this.#triesOf(contentId, choice) < TRIES_MAX);
    const path =
      content && (pathOf(sound, content.sizeBytes) ?? pathOf(left, content.sizeBytes, isUntried));
    if (!content || !path) return { contentId, reason: 'no-good-copy' };
    for (const { mediumId } of path) this.#chosen.add(mediumId);
    return { contentId, content, extents: path.map((choice) => ({ contentId, ...choice })) };
  }

  #triesOf(contentId: number, choice: Choice): number {
    return this.#tries.get(attemptKey({ contentId, ...choice })) ?? 0;
  }

  #choicesOf({ archiveId, archiveState, extent, copies }: LocatedExtent): Choice[] {
    return copies
      .filter((copy) => isReadable(copy, archiveState) && !this.#media.isOffline(copy.barcode))
      .map(({ isGood, mediumId, barcode, startBlock }) => ({
        archiveId,
        extent,
        mediumId,
        barcode,
        startBlock,
        rank:
          (isGood ? 0 : DOUBTFUL) +
          (this.#media.isPresent(barcode) ? 0 : 2) +
          (this.#chosen.has(mediumId) ? 0 : 1),
      }));
  }
}

/** Ranks from here on are of copies that do not count. */
const DOUBTFUL = 4;

/** One copy of one extent. */
export function attemptKey({ contentId, archiveId, mediumId, extent }: ChosenExtent): string {
  return `${contentId}:${archiveId}:${mediumId}:${extent.contentOffset}`;
}

/** Its bytes may be there, whatever is thought of the medium. */
function isReadable({ state, mediumState }: ArchiveCopy, archiveState: string): boolean {
  return archiveState === 'good' && state === 'good' && mediumState !== 'lost';
}

/**
 * Choices that follow each other from the content's first byte to its last; undefined where there are none. Copies may be
 * cut differently, so a choice counts only where others lead on from its end.
 */
function pathOf(
  choices: readonly Choice[],
  sizeBytes: number,
  isFirstChoice: (choice: Choice) => boolean = () => true,
): Choice[] | undefined {
  const order = (a: Choice, b: Choice) =>
    Number(!isFirstChoice(a)) - Number(!isFirstChoice(b)) ||
    a.rank - b.rank ||
    (a.barcode < b.barcode ? -1 : 1);
  const descending = choices.toSorted((a, b) => b.extent.contentOffset - a.extent.contentOffset);
  const leadsOn = new Set([sizeBytes]);
  const best = new Map<number, Choice>();
  for (const choice of descending) {
    const { contentOffset, lengthBytes } = choice.extent;
    if (lengthBytes === 0 || !leadsOn.has(contentOffset + lengthBytes)) continue;
    leadsOn.add(contentOffset);
    const known = best.get(contentOffset);
    if (!known || order(choice, known) < 0) best.set(contentOffset, choice);
  }
  const path: Choice[] = [];
  for (let offset = 0; offset < sizeBytes; ) {
    const next = best.get(offset);
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
  extents: readonly ChosenExtent[],
): number {
  const name = parseGeneration(generation ?? '')?.name ?? GENERATION_DEFAULT;
  const { rateBytes, loadSeconds, unloadSeconds } = tapeTimes(name);
  const bytes = extents.reduce((sum, { extent }) => sum + extent.storedBytes, 0);
  const archives = new Set(extents.map(({ archiveId }) => archiveId)).size;
  const seconds = loadSeconds + unloadSeconds + archives * LOCATE_SECONDS + bytes / rateBytes;
  return Math.ceil(seconds / 60);
}

/** By medium, in the order in which they are to be loaded; within one in tape order. */
export function byMedium(wanted: readonly WantedContent[]): Map<string, ChosenExtent[]> {
  const media = new Map<string, ChosenExtent[]>();
  for (const { extents } of wanted) {
    for (const chosen of extents) {
      const list = media.get(chosen.barcode);
      if (list) list.push(chosen);
      else media.set(chosen.barcode, [chosen]);
    }
  }
  return new Map([...media].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
