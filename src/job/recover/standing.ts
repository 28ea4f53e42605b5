/** Archives as they were found, put on the shelf of the catalog that is rebuilt. */
import type { FoundFile } from './spool.ts';

/** An archive as it stands on one cartridge. */
export type Standing = FoundFile & {
  readonly opening: NonNullable<FoundFile['opening']>;
  readonly mediumId: number;
  readonly archiveId: number;
  readonly barcode: string;
  readonly blockBytes: number;
};

export const createdMs = ({ opening }: Pick<Standing, 'opening'>) => Date.parse(opening.created);

/** Copies with a journal first. */
export function inOrderOfTime(standing: readonly Standing[]): Standing[] {
  return standing.toSorted(
    (a, b) =>
      createdMs(a) - createdMs(b) ||
      a.opening.sequence - b.opening.sequence ||
      Number(b.journal !== undefined) - Number(a.journal !== undefined),
  );
}

/** UUIDs of jobs that told nothing of their own: what they stored had been stored before. @param known those of the catalog */
export function groomsAmong(
  standing: readonly Standing[],
  known: ReadonlySet<string>,
): ReadonlySet<string> {
  const grooms = new Set(known);
  for (const { opening, journal } of standing) {
    const isByJournal = journal?.isOfOwnRun === false && !journal.isCut;
    if (opening.verb === 'groom' || isByJournal) grooms.add(opening.job.uuid);
  }
  for (const { opening, journal } of standing)
    if (journal?.isOfOwnRun === true) grooms.delete(opening.job.uuid);
  return grooms;
}
