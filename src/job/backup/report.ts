/** What a backup tells while it runs and when it has ended. */

export type FileCounts = {
  new: number;
  changed: number;
  moved: number;
  same: number;
  gone: number;
  excluded: number;
  unreadable: number;
};

export type ByteCounts = { scanned: number; hashed: number; written: number; deduplicated: number };

export type Damage = {
  /** For people: printable. */
  readonly path: string;
  readonly reason: string;
};

export type BackupReport = {
  readonly job: number;
  /** Name of the snapshot; null where nothing was to be recorded. */
  readonly snapshot: string | null;
  readonly state: 'finished' | 'partial';
  readonly files: Readonly<FileCounts>;
  readonly bytes: Readonly<ByteCounts>;
  /** Barcodes written to, in order of their first archive. */
  readonly media: readonly string[];
  /** Sources that could not be read, the first of them; `files.unreadable` counts all. */
  readonly unreadable: readonly Damage[];
  readonly warnings: readonly string[];
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakRssBytes: number;
};

export type BackupEvent =
  | {
      readonly event: 'begin';
      readonly job: number;
      readonly resumed: boolean;
      readonly sources: readonly string[];
    }
  | {
      readonly event: 'scan';
      readonly source: string;
      readonly entries: number;
      readonly bytes: number;
    }
  | { readonly event: 'hash'; readonly files: number; readonly bytes: number }
  | {
      readonly event: 'progress';
      /** For people. */
      readonly file: string;
      readonly files: number;
      readonly filesTotal: number;
      readonly bytes: number;
      readonly bytesTotal: number;
      readonly seconds: number;
      readonly media: readonly { readonly barcode: string; readonly filled: number }[];
    }
  /** Other processes have the drives; it goes on by itself. */
  | { readonly event: 'waiting'; readonly reason: string }
  | { readonly event: 'medium'; readonly barcode: string; readonly drive: string }
  | {
      readonly event: 'archive';
      readonly archive: string;
      readonly media: readonly string[];
      readonly entries: number;
      readonly bytes: number;
    }
  /** One that stood on too few media now stands on one more. */
  | { readonly event: 'copy'; readonly media: readonly string[]; readonly bytes: number }
  | { readonly event: 'warning'; readonly message: string }
  | ({ readonly event: 'end' } & BackupReport);

/** Told as it happens; must not throw. */
export type Listen = (event: BackupEvent) => void;

export function emptyCounts(): { files: FileCounts; bytes: ByteCounts } {
  return {
    files: { new: 0, changed: 0, moved: 0, same: 0, gone: 0, excluded: 0, unreadable: 0 },
    bytes: { scanned: 0, hashed: 0, written: 0, deduplicated: 0 },
  };
}
