/** `backup --dry-run`: the same plan as the run would make, counted instead of written. */
import type { Run } from '../../catalog/run/run.ts';
import type { GenerationName } from '../../domain/generation.ts';
import { type Forecast, Forecaster, tapeTimes } from '../../pack/forecast.ts';
import type { PlanLimits } from '../../pack/limits.ts';
import type { MediumRoom } from '../../pack/place.ts';
import { Planner } from '../../pack/plan.ts';
import { planItem } from './items.ts';
import type { Outgoing } from './outgoing.ts';
import type { OutgoingEntry } from './outgoing-entry.ts';
import type { ByteCounts, Damage, FileCounts } from './report.ts';

export type DryRunReport = {
  readonly files: Readonly<FileCounts>;
  readonly bytes: Readonly<ByteCounts>;
  readonly unreadable: readonly Damage[];
  readonly excluded: readonly {
    readonly rule: string;
    readonly entries: number;
    readonly bytes: number;
  }[];
  readonly forecast: Forecast & {
    /** Cartridges that are not there yet. */
    readonly mediaMissing: number;
  };
};

/** So many further cartridges a plan may ask for. */
const MISSING_MAX = 10_000;
/** Sorts behind every barcode: what is there is filled first. */
const MISSING = '~ scratch';

export function forecastRun(order: {
  readonly entries: Iterable<OutgoingEntry>;
  readonly rooms: readonly MediumRoom[];
  readonly limits: PlanLimits;
  readonly copies: number;
  readonly drives: number;
  readonly generation: GenerationName;
}): DryRunReport['forecast'] {
  const { limits, copies } = order;
  const { labelBytes } = limits.bounds;
  const roomBytes = limits.freshBytes + labelBytes;
  const missing = Array.from({ length: MISSING_MAX }, (_, index): MediumRoom => {
    const key = `${MISSING} ${String(index + 1).padStart(String(MISSING_MAX).length, '0')}`;
    return { key, state: 'scratch', roomBytes };
  });
  const media = [...order.rooms, ...missing];
  const forecaster = new Forecaster<OutgoingEntry>({
    media,
    labelBytes,
    drives: Math.max(1, order.drives),
    copies,
    times: tapeTimes(order.generation),
  });
  const planner = new Planner<OutgoingEntry>({ media, copies, limits });
  for (const entry of order.entries) {
    for (const step of planner.add(planItem(entry, copies))) forecaster.take(step);
  }
  for (const step of planner.finish()) forecaster.take(step);
  const forecast = forecaster.forecast();
  const mediaMissing = forecast.media.filter(({ key }) => key.startsWith(MISSING)).length;
  return { ...forecast, mediaMissing };
}

export function* entriesOf(run: Run, outgoing: Outgoing): Generator<OutgoingEntry> {
  for (const row of run.entries('unstored')) {
    const entry = outgoing.of(row, { isFinal: false });
    if (entry) yield entry;
  }
}
