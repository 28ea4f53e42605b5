/** What the config's retention makes of the snapshots there are: which are kept, and as what. */
import type { Catalog } from '../catalog/catalog.ts';
import { type KeptSnapshot, Retention } from '../catalog/expiry/retention.ts';
import type { RetentionConfig } from '../config.ts';
import { chosenOf, decide, type Reason } from '../domain/retention.ts';
import { sourcesOf } from './backup/begin.ts';

export type Retained = KeptSnapshot & {
  /** None: it expires with the next `expire`. */
  readonly reasons: readonly Reason[];
  /** The config holds it: the first complete one of its month or year. */
  readonly isGolden: boolean;
};

/** All that have not expired, oldest first. */
export function retainedSnapshots(catalog: Catalog, config: RetentionConfig): Retained[] {
  const snapshots = new Retention(catalog);
  const kept = snapshots.list();
  const born = snapshots.bornSeconds();
  const golden = goldenIds(kept, config);
  const candidates = kept.map((snapshot) => ({
    ...snapshot,
    witnessedSeconds: born.get(snapshot.id),
    sources: sourcesOf(snapshot),
    pool: poolOf(snapshot.parameters),
    isHeld: snapshot.hold !== undefined || golden.has(snapshot.id),
  }));
  const nowSeconds = Math.floor(catalog.clock.nowMs() / 1000);
  const reasons = new Map(
    decide(candidates, config, nowSeconds).map((decision) => [decision.id, decision.reasons]),
  );
  return kept.map((snapshot) => ({
    ...snapshot,
    reasons: reasons.get(snapshot.id) ?? [],
    isGolden: golden.has(snapshot.id),
  }));
}

function goldenIds(kept: readonly KeptSnapshot[], { golden }: RetentionConfig): Set<number> {
  if (!golden) return new Set();
  const complete = kept.filter(({ isPartial }) => !isPartial);
  return new Set(chosenOf(complete, golden, 'earliest').map(({ id }) => id));
}

function poolOf(parameters: unknown): string | undefined {
  const isObject = typeof parameters === 'object' && parameters !== null;
  const pool = isObject && 'pool' in parameters ? parameters.pool : undefined;
  return typeof pool === 'string' ? pool : undefined;
}
