/** The media of one run by the config: which it may write, and the sizes that its plan keeps to on them. */
import type { Clock } from '../../base/clock.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import type { Run } from '../../catalog/run/run.ts';
import type { Untold } from '../../catalog/run/untold.ts';
import { Archives } from '../../catalog/shelf/archives.ts';
import { Media, type Medium } from '../../catalog/shelf/media.ts';
import type { ArchiveConfig, BackupConfig } from '../../config.ts';
import { FORMAT_BOUNDS, type PlanLimits, planLimits, roundUp } from '../../pack/limits.ts';
import type { DriveHandover } from '../../recall/handover.ts';
import type { Library } from '../../storage/library.ts';
import { absentOperator, type Operator } from '../../storage/operator.ts';
import { CLOSING_SHARE_MAX, closingReserve } from './closing-reserve.ts';
import { MediaSet, type MediaTools } from './media-set.ts';

/** Of what a backup is asked for; see `BackupRequest`. */
export type MediaRequest = {
  readonly pool: string;
  readonly copies: number;
  readonly avoid: readonly string[];
  readonly verify: boolean;
  readonly wait: boolean;
};

/** Of what a backup works with; see `BackupTools`. */
export type RunMediaTools = {
  readonly catalog: Catalog;
  readonly library: Library;
  readonly clock: Clock;
  readonly archive: ArchiveConfig;
  readonly backup: BackupConfig;
  label(barcode: string, pool: string, signal: AbortSignal): Promise<Medium>;
  readonly handover?: DriveHandover;
  readonly operator?: Operator | undefined;
};

/** Archives that the clock or a warning ends early: their openings and digests, which the plan does not know of. */
const EXTRA_ARCHIVES = 4;

export function mediaSetOf(
  { pool, copies, avoid, verify, wait }: MediaRequest,
  tools: RunMediaTools & { readonly run: Run },
  listeners: Pick<MediaTools, 'onWait' | 'onDamage' | 'onAttach' | 'warn'>,
): MediaSet {
  const { catalog, library, clock, backup, archive, run } = tools;
  const set: MediaSet = new MediaSet({
    ...listeners,
    operator: tools.operator ?? absentOperator,
    who: `backup (job ${run.jobNumber})`,
    ordinal: () => ordinalOf(set, run, { catalog, copies }),
    handover: tools.handover,
    library,
    clock,
    media: new Media(catalog),
    archives: new Archives(catalog),
    pool,
    avoid: new Set(avoid),
    blockBytes: archive.block,
    autoLabel: backup.label === 'auto',
    verify,
    isPatient: wait,
    label: (barcode, signal) => tools.label(barcode, pool, signal),
  });
  return set;
}

/** By what is still to be stored; duplicates and what changes meanwhile make it about. */
function ordinalOf(
  set: MediaSet,
  run: Run,
  { catalog, copies }: { readonly catalog: Catalog; readonly copies: number },
): { readonly number: number; readonly expected: number | undefined } {
  const archives = new Archives(catalog);
  const used = new Set(
    archives
      .ofJob(run.jobNumber)
      .flatMap(({ archiveId }) => archives.copies(archiveId).map(({ mediumId }) => mediumId)),
  );
  // What closes a cartridge takes its share.
  const roomBytes = (set.room.freshBytes() ?? 0) * (1 - CLOSING_SHARE_MAX);
  const bytes = run.outstanding().waitingBytes * copies;
  const more = roomBytes > 0 ? Math.max(1, Math.ceil(bytes / roomBytes)) : undefined;
  return { number: used.size + 1, expected: more && used.size + more };
}

/**
 * By the media and the catalog as they are now.
 * @throws CodedError CONFIG_INVALID where a configured size cannot be
 */
export function limitsOf(
  media: MediaSet,
  options: {
    readonly catalog: Catalog;
    readonly archive: ArchiveConfig;
    readonly jobNumber: number;
    readonly copies: number;
    /** What no journal tells of the run's rows, where that is known. */
    readonly untold?: Untold | undefined;
  },
): PlanLimits {
  const { catalog, archive, jobNumber, copies, untold } = options;
  const freshRoomBytes = media.room.freshBytes() ?? 0;
  const blockBytes = archive.block;
  const labelBytes = roundUp(FORMAT_BOUNDS.labelBytes, blockBytes);
  const fixedBytes = EXTRA_ARCHIVES * (FORMAT_BOUNDS.archiveBytes + blockBytes);
  return planLimits({
    freshRoomBytes,
    configured: {
      ...(archive.size !== undefined && { archiveBytes: archive.size }),
      ...(archive.part !== undefined && { partBytes: archive.part }),
      entriesMax: archive.entries,
    },
    bounds: { ...FORMAT_BOUNDS, blockBytes, labelBytes },
    reserve: closingReserve(catalog, {
      ...{ jobNumber, copies, freshRoomBytes, fixedBytes },
      found: untold,
    }),
  });
}
