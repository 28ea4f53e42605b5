/** The media that groom writes to. */
import type { Clock } from '../../base/clock.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { Archives } from '../../catalog/shelf/archives.ts';
import { Media, type Medium } from '../../catalog/shelf/media.ts';
import type { ArchiveConfig, BackupConfig } from '../../config.ts';
import type { DriveHandover } from '../../recall/handover.ts';
import type { Library } from '../../storage/library.ts';
import { absentOperator, type Operator } from '../../storage/operator.ts';
import { MediaSet } from '../backup/media-set.ts';
import type { Survivors } from '../survivors.ts';
import { type KeptTape, releasing } from './kept-tape.ts';

export type TargetOrder = {
  readonly pool: string;
  /** What is to be given up is not filled again. */
  readonly avoid: ReadonlySet<string>;
  /** `groom (job 7)` */
  readonly who: string;
  readonly isPatient: boolean;
  readonly kept: KeptTape;
  readonly survivors: Survivors;
};

export type TargetTools = {
  readonly catalog: Catalog;
  readonly library: Library;
  readonly clock: Clock;
  readonly archive: ArchiveConfig;
  readonly backup: BackupConfig;
  readonly operator?: Operator | undefined;
  readonly handover?: DriveHandover;
  label(barcode: string, pool: string, signal: AbortSignal): Promise<Medium>;
  onWait(reason: string | undefined): void;
  onAttach(barcode: string, drive: string): void;
  warn(message: string): void;
};

export function targetSet(
  { pool, avoid, who, isPatient, kept, survivors }: TargetOrder,
  tools: TargetTools,
): MediaSet {
  const { catalog, library, clock, archive, backup, operator, handover } = tools;
  const { onWait, onAttach, warn } = tools;
  return new MediaSet({
    ...{ library, clock, pool, avoid, who, isPatient, onWait, onAttach, warn },
    media: new Media(catalog),
    archives: new Archives(catalog),
    blockBytes: archive.block,
    autoLabel: backup.label === 'auto',
    verify: true,
    handover: handover && releasing(kept, handover),
    operator: operator ?? absentOperator,
    ordinal: () => ({ number: 1, expected: undefined }),
    onDamage: () => {},
    onProven: (barcode) => survivors.note(barcode),
    label: (barcode, signal) => tools.label(barcode, pool, signal),
  });
}
