/**
 * Giving up what lies on a medium, by a person's word: its copies count no more, and the next journal says so. The medium is not
 * touched; `media erase` makes it scratch, if that is wanted.
 *
 * Guards, each by itself enough to refuse: the barcode typed once more beside --yes; a hold; an open alarm; a job that runs and may
 * count on it; the catalog, where it is the last copy of something a snapshot shows; and the cartridges that hold the other copies,
 * which must be what the catalog takes them for. For the last two a person has a word that goes further.
 */
import { formatSize } from '../base/bytes.ts';
import { CodedError, usage } from '../base/errors.ts';
import { type Raw, rawText } from '../base/raw.ts';
import { dataVersion, disown, type Loss, lossOf } from '../catalog/care/loss.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { Expiries } from '../catalog/expiry/expiries.ts';
import { Alarms } from '../catalog/job/alarms.ts';
import { OtherJobs } from '../catalog/job/other-jobs.ts';
import { Media, type Medium } from '../catalog/shelf/media.ts';
import { isHeldWhenFound } from '../catalog/shelf/medium-state.ts';
import type { Library } from '../storage/library.ts';
import { findMedium } from './media.ts';
import { proveOthers, type SurvivorTools } from './survivors.ts';

export type MediaExpireRequest = {
  readonly name: string;
  /** `--yes` was said. */
  readonly isMeant: boolean;
  /** Its barcode once more, as the person typed it. */
  readonly confirm: string | undefined;
  /** Also what no other medium holds. */
  readonly losesLast: boolean;
};

export type MediaExpired = {
  readonly medium: Medium;
  /** What was lost, and what has a copy less. */
  readonly loss: Loss;
};

export type MediaExpireTools = Pick<SurvivorTools, 'catalog' | 'clock' | 'operator'> & {
  /** Only where other cartridges are to be looked at. */
  openLibrary(): Promise<Library>;
};

/**
 * As `expireMedium`, once the cartridges that hold what this one does were looked at: a catalog that was set back to an older day
 * counts copies that were written over since. Takes minutes.
 * @throws CodedError as `expireMedium`; MEDIUM_MISMATCH where they are not what they were, or not to be had; the library's failures
 */
export async function expireProven(
  tools: MediaExpireTools,
  request: MediaExpireRequest,
  signal: AbortSignal,
): Promise<MediaExpired> {
  const { catalog, clock, operator, openLibrary } = tools;
  const { medium, loss } = examine(catalog, request);
  if (loss.reduced.contents > 0 && !request.losesLast) {
    const who = `giving up ${medium.barcode}`;
    const library = await openLibrary();
    await proveOthers({ catalog, clock, operator, library, who }, medium, signal);
  }
  return expireMedium(catalog, request);
}

/** By what the catalog says alone. @throws CodedError USAGE, MEDIUM_MISMATCH naming what would be lost, ALARM_OPEN, SOURCE_BUSY; nothing is changed then */
export function expireMedium(catalog: Catalog, request: MediaExpireRequest): MediaExpired {
  const others = new OtherJobs(catalog, 0);
  const stamp = others.stamp();
  const version = dataVersion(catalog);
  const { medium, loss } = examine(catalog, request);
  const { id, barcode, state, uuid } = medium;
  return catalog.write(() => {
    const job = others.writing() ?? (others.stamp() === stamp ? undefined : others.newest());
    if (job !== undefined)
      throw new CodedError(
        'SOURCE_BUSY',
        `job ${job} runs, or has run meanwhile; it may need what is on ${barcode}: try again when it has ended`,
      );
    // Whoever erases or gives up another medium is no job.
    if (dataVersion(catalog) !== version)
      throw new CodedError(
        'SOURCE_BUSY',
        'somebody wrote to the catalog meanwhile, and may have given up what else holds it; nothing was changed: try again',
      );
    new Alarms(catalog).refuseOpen();
    const media = new Media(catalog);
    if (media.get(id).state !== state)
      throw usage(`${barcode} is ${media.get(id).state} by now; nothing was changed`);
    disown(catalog, id);
    // What would be appended would be given up with the rest: whoever reads its journals alone cannot tell them apart.
    // One that is lost is not to become one to be filled when it is found.
    media.worsen(id, 'full');
    new Expiries(catalog).add(undefined, { kind: 'medium', uuid, name: barcode });
    return { medium: media.get(id), loss };
  });
}

/** What would be lost, where nothing speaks against it. */
function examine(
  catalog: Catalog,
  request: MediaExpireRequest,
): MediaExpired & { readonly medium: Medium & { readonly uuid: string } } {
  const medium = findMedium(catalog, request.name);
  const { id, barcode, state, uuid } = medium;
  if (state === 'hold' || isHeldWhenFound(catalog, id))
    throw usage(`${barcode} is on hold; \`shelfs media release ${barcode}\` ends that`);
  if (uuid === undefined || state === 'scratch' || state === 'unlabelled')
    throw usage(`${barcode} is ${state}: nothing lies on it`);
  new Alarms(catalog).refuseOpen();
  const loss = lossOf(catalog, id);
  if (!request.isMeant || request.confirm?.trim().toUpperCase() !== barcode)
    throw usage(
      `${tellLoss(medium, loss)}; \`--yes --confirm ${barcode}\` says that you mean it, nothing was changed`,
    );
  if (loss.lost.contents > 0 && !request.losesLast)
    throw new CodedError(
      'MEDIUM_MISMATCH',
      `${tellLoss(medium, loss)}; --lose-last-copies gives them up as well, nothing was changed`,
      { volser: barcode.slice(0, 6) },
    );
  return { medium: { ...medium, uuid }, loss };
}

/** In a sentence, for people. */
export function tellLoss(
  { barcode }: Medium,
  { lost, reduced, paths, isOnlyRecord }: Loss,
): string {
  const parts: string[] = [];
  if (lost.contents > 0)
    parts.push(
      `it alone holds ${formatSize(lost.bytes)} in ${lost.contents} contents that snapshots show: ${some(paths, lost.contents)}`,
    );
  if (reduced.contents > 0)
    parts.push(`${reduced.contents} contents (${formatSize(reduced.bytes)}) have a copy less then`);
  if (isOnlyRecord) parts.push('its journals tell what no other medium does');
  const [first = 'nothing that a snapshot shows would be missed', ...more] = parts;
  return `${barcode}: ${[first, ...more].join('; ')}`;
}

function some(paths: readonly Raw[], count: number): string {
  return `${paths.map(rawText).join(', ')}${count > paths.length ? ' and others' : ''}`;
}
