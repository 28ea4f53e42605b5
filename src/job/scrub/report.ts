/** What a scrub says: what happens, what it finds, and the report at its end. */
import type { FailureCode } from '../../base/errors.ts';

/**
 * `files`: bytes of files. `transient`: read wrong once, and right when it was read again. `between`: in what stands between
 * the files, nobody can say where. `label`, `opening`, `header`, `padding`, `journal`, `digest`: no file is lost by it.
 * `place`, `end-of-data`: the tape is not as long as the catalog says, or its filemarks are elsewhere. `more`: archives that
 * the catalog does not know.
 */
export type FindingKind =
  | 'files'
  | 'unreadable'
  | 'transient'
  | 'label'
  | 'opening'
  | 'header'
  | 'padding'
  | 'stale'
  | 'journal'
  | 'digest'
  | 'between'
  | 'place'
  | 'end-of-data'
  | 'more';

export type Finding = {
  readonly kind: FindingKind;
  /** For people. */
  readonly sentence: string;
  /** Blocks of the cartridge, where it is about some. */
  readonly blocks?: { readonly first: number; readonly count: number };
};

/** Kinds that say something of the drive or of the catalog, and are no damage of the medium. */
export const HARMLESS: ReadonlySet<FindingKind> = new Set(['transient', 'more']);

export type FoundOn = Finding & {
  readonly barcode: string;
  /** Number of the tape file; 0 is the label; undefined where it is about the medium. */
  readonly file?: number;
  readonly archive?: string;
};

/** A file that is not whole on a medium. */
export type DamagedName = {
  readonly barcode: string;
  /** For people. */
  readonly path: string;
  readonly host: string;
  readonly bytes: number;
  /** Snapshots that show it so: the first and the last of them. */
  readonly first: string;
  readonly last: string;
  /** Good copies: barcodes, and where those cartridges are. */
  readonly elsewhere: readonly { readonly barcode: string; readonly location: string | null }[];
  /** All of it lies well on other media. */
  readonly isSafe: boolean;
};

export type ScrubbedMedium = {
  readonly barcode: string;
  /** What it is now. */
  readonly state: string;
  /** Archives that were read, or looked at. */
  readonly archives: number;
  readonly bytes: number;
  readonly findings: number;
};

export type NotRead = {
  readonly barcode: string;
  readonly reason: string;
  readonly code: FailureCode;
};

export type ScrubReport = {
  readonly job: number;
  readonly state: 'finished' | 'partial';
  readonly media: readonly ScrubbedMedium[];
  /** Media that were to be read and were not. */
  readonly notRead: readonly NotRead[];
  readonly archives: number;
  readonly damagedArchives: number;
  readonly bytes: number;
  /** All there were, and the first of them; each is an event too. */
  readonly findings: number;
  readonly found: readonly FoundOn[];
  readonly damagedFiles: number;
  /** Of those: without another good copy. */
  readonly lostFiles: number;
  readonly damaged: readonly DamagedName[];
  readonly seconds: number;
};

export type ScrubEvent =
  | {
      readonly event: 'begin';
      readonly job: number;
      readonly resumed: boolean;
      readonly media: readonly string[];
      readonly archives: number;
      readonly bytes: number;
    }
  | { readonly event: 'medium'; readonly barcode: string; readonly drive: string }
  | {
      readonly event: 'progress';
      readonly barcode: string;
      readonly file: number;
      readonly bytes: number;
      readonly bytesTotal: number;
      readonly seconds: number;
    }
  | {
      readonly event: 'archive';
      readonly barcode: string;
      readonly file: number;
      readonly archive: string;
      readonly state: 'right' | 'damaged' | 'unreadable';
      readonly bytes: number;
    }
  | ({ readonly event: 'finding' } & FoundOn)
  | ({ readonly event: 'damaged' } & DamagedName)
  | { readonly event: 'waiting'; readonly reason: string }
  | { readonly event: 'warning'; readonly message: string }
  | ({ readonly event: 'end' } & ScrubReport);
