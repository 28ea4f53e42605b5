/** What is to be carried where: the config's rotation, applied to what the catalog knows. */
import { CodedError } from '../base/errors.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { Media } from '../catalog/shelf/media.ts';
import { holdsAlone, lastTripMs, rotatedMedia } from '../catalog/shelf/rotation.ts';
import { planRotation, type RotationPlan, type RotationRule } from '../domain/rotation.ts';

/**
 * A plan for each rule, the one that is due first before the others. Nothing is changed: `moveMedia` records what was
 * carried.
 * @throws CodedError CONFIG_INVALID where a rule names a pool that nobody knows
 */
export function mediaDue(catalog: Catalog, rules: readonly RotationRule[]): RotationPlan[] {
  const pools = new Set(new Media(catalog).pools().map(({ name }) => name));
  const plans = rules.map((rule) => {
    const { pool, vault } = rule;
    if (!pools.has(pool))
      throw new CodedError('CONFIG_INVALID', `rotation.${pool}: there is no pool of this name`);
    return planRotation(rule, rotatedMedia(catalog, pool, vault), {
      nowMs: catalog.clock.nowMs(),
      lastTripMs: lastTripMs(catalog, pool, vault),
      isAlone: (mediumId, others) => holdsAlone(catalog, mediumId, others),
    });
  });
  return plans.toSorted((a, b) => a.dueMs - b.dueMs);
}
