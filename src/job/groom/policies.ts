/** Copies that pools ask for, as the config says it, and what is below that. */
import type { Catalog } from '../../catalog/catalog.ts';
import {
  copiesOf,
  type PoolPolicy,
  type Shortage,
  shortageOf,
} from '../../catalog/content/copies-policy.ts';
import { Media } from '../../catalog/shelf/media.ts';
import type { Config } from '../../config.ts';

/** Of each pool that the config names, and of the one that backups write to. */
export function policiesOf({ pools, backup }: Pick<Config, 'pools' | 'backup'>): PoolPolicy[] {
  const names = [...new Set([backup.pool, ...Object.keys(pools)])];
  return names.map((pool) => {
    const policy = pools[pool];
    return {
      pool,
      copies: policy?.copies ?? backup.copies,
      offsite: policy?.offsite ?? 0,
      readBackMs: policy?.['read-back'],
    };
  });
}

export type PoolShortage = Shortage & { readonly pool: string };

/** Pools that have less than they ask for; of one copy, wherever and however old, backups take care. */
export function shortages(catalog: Catalog, policies: readonly PoolPolicy[]): PoolShortage[] {
  const pools = new Media(catalog).pools();
  return policies.flatMap((policy) => {
    const { pool, copies, offsite, readBackMs } = policy;
    const known = pools.find(({ name }) => name === pool);
    if (!known || (copies <= 1 && offsite === 0 && readBackMs === undefined)) return [];
    const shortage = shortageOf(catalog, { ...policy, poolId: known.id });
    return shortage.contents > 0 ? [{ ...shortage, pool }] : [];
  });
}

export type PoolCopiesOf = {
  readonly pool: string;
  readonly copies: number;
  readonly copiesWanted: number;
  readonly offsite: number;
  readonly offsiteWanted: number;
};

/** Of one content, in each pool that has some of it. */
export function copiesInPools(
  catalog: Catalog,
  contentId: number,
  options: { readonly policies: readonly PoolPolicy[]; readonly poolIds: ReadonlySet<number> },
): PoolCopiesOf[] {
  const pools = new Media(catalog).pools();
  return options.policies.flatMap((policy) => {
    const { pool } = policy;
    const known = pools.find(({ name }) => name === pool);
    if (!known || !options.poolIds.has(known.id)) return [];
    const found = copiesOf(catalog, contentId, { ...policy, poolId: known.id });
    const wanted = { copiesWanted: policy.copies, offsiteWanted: policy.offsite };
    return [{ pool, ...found, ...wanted }];
  });
}
