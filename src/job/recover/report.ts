/** What a recovery tells while it runs, and at its end. */

export type RecoverEvent =
  | { readonly event: 'begin'; readonly state: string; readonly resumed: boolean }
  | { readonly event: 'medium'; readonly barcode: string; readonly drive: string }
  | { readonly event: 'file'; readonly barcode: string; readonly file: number }
  | { readonly event: 'base'; readonly barcode: string; readonly taken: string }
  | { readonly event: 'no-base' }
  /** The catalog as it was, before anything is merged into it. */
  | { readonly event: 'kept'; readonly path: string }
  | { readonly event: 'entries'; readonly entries: number }
  | { readonly event: 'warning'; readonly message: string }
  | RecoverEnd;

export type RecoverReport = {
  readonly job: number;
  readonly state: string;
  readonly media: readonly string[];
  /** Not read, or nothing of ours. */
  readonly leftOut: readonly string[];
  /** Named by journals or by the catalog, and not among those that were read. */
  readonly missing: readonly string[];
  /** The copy that was built upon; null: from the journals alone. */
  readonly base: { readonly barcode: string; readonly taken: string } | null;
  /** Where the catalog is kept as it was; null: there was none. */
  readonly kept: string | null;
  readonly archives: number;
  readonly journals: number;
  readonly entries: number;
  readonly snapshots: number;
  /** Contents of which nothing was found. */
  readonly lost: { readonly contents: number; readonly bytes: number };
  readonly warnings: number;
};

export type RecoverEnd = RecoverReport & { readonly event: 'end' };
