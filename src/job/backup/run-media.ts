/** The media of one run by the config: which it may write, and the sizes that its plan keeps to on them. */
import type { Clock } from '../../base/clock.ts';
import { Archives } from '../../catalog/archives.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { Media, type Medium } from '../../catalog/media.ts';
import type { ArchiveConfig, BackupConfig } from '../../config.ts';
import { FORMAT_BOUNDS, type PlanLimits, planLimits, roundUp } from '../../pack/limits.ts';
import type { DriveHandover } from '../../recall/handover.ts';
import type { Library } from '../../storage/library.ts';
import { closingReserve } from './closing-reserve.ts';
import { MediaSet, type MediaTools } from './media-set.ts';

/** Of what a backup is asked for; see `BackupRequest`. */
export type MediaRequest = {
  readonly pool: string;
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
};

/** Archives that the clock or a warning ends early: their openings and digests, which the plan does not know of. */
const EXTRA_ARCHIVES = 4;

export function mediaSetOf(
  { pool, avoid, verify, wait }: MediaRequest,
  tools: RunMediaTools,
  listeners: Pick<MediaTools, 'onWait' | 'onDamage' | 'onAttach' | 'warn'>,
): MediaSet {
  const { catalog, library, clock, backup, archive } = tools;
  return new MediaSet({
    ...listeners,
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
  },
): PlanLimits {
  const { catalog, archive, jobNumber, copies } = options;
  const freshRoomBytes = media.freshRoomBytes() ?? 0;
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
    reserve: closingReserve(catalog, { jobNumber, copies, freshRoomBytes, fixedBytes }),
  });
}
