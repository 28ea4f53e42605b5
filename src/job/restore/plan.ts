/** Which copies a restore reads, from which media, in what order. Pure but for the questions to the catalog. */
import type { Contents, LocatedExtent } from '../../catalog/contents.ts';
import type { Content, Extent } from '../../domain/content.ts';

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
  readonly content: Content;
  /** In order of offset, without gaps. */
  readonly extents: readonly ChosenExtent[];
};

export type Unobtainable = { readonly contentId: number; readonly reason: 'no-good-copy' };

/**
 * Chooses a copy of every extent: of a medium that is read anyway where there is one, so that few are loaded.
 * @param isPresent whether a medium is at hand; others are chosen only where no copy is
 */
export class CopyChooser {
  readonly #contents: Contents;
  readonly #isPresent: (barcode: string) => boolean;
  /** Media read anyway. */
  readonly #chosen = new Set<number>();

  constructor(contents: Contents, isPresent: (barcode: string) => boolean) {
    this.#contents = contents;
    this.#isPresent = isPresent;
  }

  choose(contentId: number): WantedContent | Unobtainable {
    const content = this.#contents.get(contentId);
    const located = this.#contents.extentsOf(contentId);
    const extents: ChosenExtent[] = [];
    let offset = 0;
    while (content && offset < content.sizeBytes) {
      const next = this.#bestAt(located, offset);
      if (!next) return { contentId, reason: 'no-good-copy' };
      extents.push({ contentId, ...next });
      offset += next.extent.lengthBytes;
    }
    if (!content) return { contentId, reason: 'no-good-copy' };
    for (const { mediumId } of extents) this.#chosen.add(mediumId);
    return { contentId, content, extents };
  }

  #bestAt(
    located: readonly LocatedExtent[],
    offset: number,
  ): Omit<ChosenExtent, 'contentId'> | undefined {
    const choices = located
      .filter(({ extent }) => extent.contentOffset === offset)
      .flatMap(({ archiveId, extent, copies }) =>
        copies
          .filter(({ isGood }) => isGood)
          .map(({ mediumId, barcode, startBlock }) => ({
            archiveId,
            extent,
            mediumId,
            barcode,
            startBlock,
          })),
      );
    const rank = (choice: { mediumId: number; barcode: string }) =>
      (this.#isPresent(choice.barcode) ? 0 : 2) + (this.#chosen.has(choice.mediumId) ? 0 : 1);
    return choices.toSorted((a, b) => rank(a) - rank(b) || (a.barcode < b.barcode ? -1 : 1))[0];
  }
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
