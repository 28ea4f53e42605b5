/**
 * What a label will say, recorded before it is written: a crash between tape and catalog leaves a cartridge whose label is
 * known all the same, and two processes that label at once never give one number of a set twice.
 */
import { strict as assert } from 'node:assert';
import type { Catalog } from '../catalog.ts';
import { Media, type Medium } from './media.ts';

/** Tape file 0 is the label (archive/FORMAT.md section 2). */
const FILES_OF_LABEL = 1;

export type LabelPlan = {
  readonly uuid: string;
  readonly setUuid: string;
  /** From 1 within the set. */
  readonly setNumber: number;
};

/**
 * Gives a medium the identity its label will carry; it counts as unlabelled until `Media.setLabelled`. Asked again for
 * one that was planned and never finished, the answer is the same. Media of one pool make one set.
 * @param options.newUuid called for each identity that is needed
 */
export function planLabel(
  catalog: Catalog,
  mediumId: number,
  options: { readonly pool: string; readonly newUuid: () => string },
): LabelPlan {
  return catalog.write(() => {
    const media = new Media(catalog);
    const { uuid, pool, state, setUuid, setNumber } = media.get(mediumId);
    const isPlanned = state === 'unlabelled' && pool === options.pool;
    if (isPlanned && uuid !== undefined && setUuid !== undefined && setNumber !== undefined)
      return { uuid, setUuid, setNumber };
    const { id: poolId } = media.ensurePool(options.pool);
    const last = catalog
      .prepare<[string, number]>(
        `SELECT set_uuid, set_number FROM media WHERE pool = ? AND set_uuid IS NOT NULL
         ORDER BY set_number DESC LIMIT 1`,
      )
      .get(poolId);
    const isMember = pool === options.pool && setUuid !== undefined && setUuid === last?.[0];
    const plan = {
      uuid: options.newUuid(),
      setUuid: last?.[0] ?? options.newUuid(),
      setNumber: isMember && setNumber !== undefined ? setNumber : (last?.[1] ?? 0) + 1,
    };
    const { changes } = catalog
      .prepare(
        `UPDATE media SET uuid = ?, set_uuid = ?, set_number = ?, pool = ?, state = 'unlabelled'
         WHERE id = ? AND NOT EXISTS(SELECT 1 FROM archive_copies WHERE medium = media.id AND state <> 'lost')`,
      )
      .run(plan.uuid, plan.setUuid, plan.setNumber, poolId, mediumId);
    assert(changes === 1, `medium ${mediumId} still holds archives`);
    return plan;
  });
}

/** Nobody needs what is behind its label: a new one goes over it before it is written. */
export function isGivenUp({ state, nextFile }: Pick<Medium, 'state' | 'nextFile'>): boolean {
  return state === 'scratch' && nextFile > FILES_OF_LABEL;
}

/** Whether an archive of the catalog lies on it, good or not; such a medium is never labelled again. */
export function holdsArchives(catalog: Catalog, mediumId: number): boolean {
  const row = catalog
    .prepare("SELECT 1 FROM archive_copies WHERE medium = ? AND state <> 'lost' LIMIT 1")
    .get(mediumId);
  return row !== undefined;
}
