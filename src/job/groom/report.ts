/** What a groom tells, while it runs and at its end. */

export type GroomPlan = {
  readonly media: readonly PlannedMedium[];
  /** All of them together. */
  readonly freedBytes: number;
  readonly seconds: number;
};

export type PlannedMedium = {
  readonly barcode: string;
  /** Of what is written, 0 to 100. */
  readonly livePercent: number;
  readonly liveBytes: number;
  /** What the cartridge can take afterwards, less what is moved. */
  readonly freedBytes: number;
  /** Reading, writing, reading back, and changing cartridges. */
  readonly seconds: number;
};

export type GroomedMedium = {
  readonly barcode: string;
  /** `kept`: it is not given up, for the reason told; what was moved counts. */
  readonly state: 'scratch' | 'suspect' | 'retired' | 'kept';
  readonly reason: string | null;
  readonly contents: number;
  readonly bytes: number;
};

export type LostFile = { readonly path: string; readonly barcode: string; readonly reason: string };

/** Copies that a pool's policy asks for. */
export type CopiedPool = {
  readonly pool: string;
  readonly archives: number;
  /** Stored anew, each as often as a copy of it was missing: what no whole archive gives. */
  readonly contents: number;
  readonly bytes: number;
  /** Contents that have too few still. */
  readonly missing: number;
};

export type GroomReport = {
  readonly job: number;
  readonly state: 'finished' | 'partial';
  readonly media: readonly GroomedMedium[];
  readonly copied: readonly CopiedPool[];
  /** Contents that no medium gives back: their medium is kept. */
  readonly lost: readonly LostFile[];
  readonly lostMore: number;
  readonly seconds: number;
};

export type GroomEvent =
  | { readonly event: 'begin'; readonly job: number; readonly media: readonly string[] }
  | { readonly event: 'medium'; readonly barcode: string; readonly drive: string | null }
  | { readonly event: 'waiting'; readonly reason: string }
  | { readonly event: 'warning'; readonly message: string }
  | {
      readonly event: 'archive';
      readonly media: readonly string[];
      readonly entries: number;
      readonly bytes: number;
    }
  | {
      readonly event: 'progress';
      readonly barcode: string;
      readonly contents: number;
      readonly bytes: number;
      readonly bytesTotal: number;
    }
  | ({ readonly event: 'done' } & GroomedMedium)
  | ({ readonly event: 'end' } & GroomReport);
