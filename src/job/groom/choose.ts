/** Which media are groomed, and what that brings and takes. */
import { CodedError } from '../../base/errors.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { fillOfMedia } from '../../catalog/shelf/capacity.ts';
import { Media, type Medium } from '../../catalog/shelf/media.ts';
import { parseGeneration } from '../../domain/generation.ts';
import { tapeTimes } from '../../pack/forecast.ts';
import type { GroomPlan, PlannedMedium } from './report.ts';

/** One that has just been begun frees next to nothing, whatever share of that is live. */
const WRITTEN_SHARE_MIN = 0.25;
const STATES: ReadonlySet<string> = new Set(['filling', 'full']);
/** By name, those too that nobody should count on. */
const NAMED_STATES: ReadonlySet<string> = new Set([...STATES, 'suspect', 'retired']);

/** Whether one that was chosen is still to be groomed. */
export function isToGroom(state: string): boolean {
  return NAMED_STATES.has(state);
}

/**
 * Those named, else those of whose bytes too few are live; the least live first.
 * @param options.pool only its media, where none are named
 * @throws CodedError USAGE naming one that is not to be groomed
 */
export function chooseMedia(
  catalog: Catalog,
  options: {
    readonly named: readonly Medium[];
    readonly belowPercent: number;
  },
): Medium[] {
  const { named, belowPercent } = options;
  const fill = fillOfMedia(catalog);
  const share = ({ id, writtenBytes }: Medium) =>
    writtenBytes === 0 ? 0 : (fill.get(id)?.liveBytes ?? 0) / writtenBytes;
  const order = (a: Medium, b: Medium) => share(a) - share(b) || (a.barcode < b.barcode ? -1 : 1);
  for (const { kind, state, barcode } of named)
    if (kind !== 'tape' || !NAMED_STATES.has(state))
      throw new CodedError('USAGE', `${barcode} is ${state}: it is not groomed`);
  if (named.length > 0) return [...new Map(named.map((one) => [one.id, one])).values()].sort(order);
  return new Media(catalog)
    .list()
    .filter(
      (medium) =>
        medium.kind === 'tape' &&
        STATES.has(medium.state) &&
        (medium.state === 'full' ||
          medium.writtenBytes >= medium.capacityBytes * WRITTEN_SHARE_MIN) &&
        share(medium) * 100 < belowPercent,
    )
    .sort(order);
}

/** @param options.drives with one, cartridges are changed twice for each spool that is filled */
export function planOf(
  catalog: Catalog,
  media: readonly Medium[],
  options: { readonly drives: number; readonly spoolBytes: number },
): GroomPlan {
  const fill = fillOfMedia(catalog);
  const planned = media.map((medium): PlannedMedium => {
    const liveBytes = fill.get(medium.id)?.liveBytes ?? 0;
    const times = tapeTimes(parseGeneration(medium.generation ?? '')?.name ?? 'LTO-9');
    const changeSeconds = times.loadSeconds + times.unloadSeconds;
    const spools = Math.max(1, Math.ceil(liveBytes / options.spoolBytes));
    const changes = options.drives > 1 ? 2 : 2 * spools;
    // Read here, written there, in two drives at once; read back there.
    const passes = options.drives > 1 ? 2 : 3;
    const seconds = changes * changeSeconds + (passes * liveBytes) / times.rateBytes;
    const { barcode, writtenBytes } = medium;
    const livePercent = writtenBytes === 0 ? 0 : (100 * liveBytes) / writtenBytes;
    const freedBytes = Math.max(0, writtenBytes - liveBytes);
    return { barcode, livePercent, liveBytes, freedBytes, seconds };
  });
  const sum = (of: (one: PlannedMedium) => number) =>
    planned.reduce((total, one) => total + of(one), 0);
  return {
    media: planned,
    freedBytes: sum(({ freedBytes }) => freedBytes),
    seconds: sum(({ seconds }) => seconds),
  };
}
