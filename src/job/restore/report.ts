/** What a restore says: its plan, what happens, and the report at its end. */
import type { FailureCode } from '../../base/errors.ts';

export type RestorePlan = {
  readonly files: number;
  readonly bytes: number;
  readonly media: readonly {
    readonly barcode: string;
    readonly location: string | null;
    readonly files: number;
    readonly bytes: number;
    /** To load it, go through what is wanted and put it back, by the drives' data sheets. */
    readonly minutes: number;
  }[];
  /** Files without a good copy: how many, and the first of them, printable. */
  readonly lostFiles: number;
  readonly lost: readonly string[];
};

export type RestoreReport = {
  readonly restored: number;
  /** Names that were there. */
  readonly kept: number;
  /** Of them, those of another type, size or time than in the snapshot: nobody asked for them to be replaced. */
  readonly keptOther: number;
  readonly bytes: number;
  readonly media: readonly string[];
  /** How many entries are not there, and the first of them; each is an event too. */
  readonly failures: number;
  readonly failed: readonly RestoreFailure[];
  /** What could not be set, such as owners by an ordinary user: reason and how often. */
  readonly notSet: Readonly<Record<string, number>>;
  readonly seconds: number;
};

export type RestoreFailure = {
  /** For people. */
  readonly path: string;
  readonly reason: string;
  readonly code: FailureCode;
};

export type RestoreEvent =
  | { readonly event: 'plan'; readonly plan: RestorePlan }
  | { readonly event: 'medium'; readonly barcode: string }
  /** Others have all drives, or a person is waited for: why, in a sentence. It goes on by itself. */
  | { readonly event: 'waiting'; readonly reason: string }
  | { readonly event: 'file'; readonly path: string; readonly bytes: number }
  | ({ readonly event: 'failure' } & RestoreFailure)
  | { readonly event: 'warning'; readonly message: string };
