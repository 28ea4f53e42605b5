/**
 * Back from being set aside (`Media.setAside`): media that were on hold, or lost, become what they were before. A cartridge
 * that was on hold when it was lost is on hold when it is found.
 */
import { MEDIUM_STATES, type MediumState } from '../../domain/medium.ts';
import type { Catalog } from '../catalog.ts';
import { Media } from './media.ts';

/** @returns what it is now */
export function takeBack(catalog: Catalog, mediumId: number): MediumState {
  return catalog.write(() => {
    const [before, ...rest] = statesBefore(catalog, mediumId);
    const state = before ?? stateByWhatItHolds(catalog, mediumId);
    put(catalog, mediumId, { state, before: rest.length === 0 ? null : rest.join(' ') });
    return state;
  });
}

/** Whether one that is lost was on hold before. */
export function isHeldWhenFound(catalog: Catalog, mediumId: number): boolean {
  return statesBefore(catalog, mediumId).includes('hold');
}

/** For good: it is never what it was before. */
export function setForGood(catalog: Catalog, mediumId: number, state: MediumState): void {
  catalog.write(() => put(catalog, mediumId, { state, before: null }));
}

function put(
  catalog: Catalog,
  mediumId: number,
  { state, before }: { readonly state: MediumState; readonly before: string | null },
): void {
  catalog
    .prepare('UPDATE media SET state = ?, held_from = ? WHERE id = ?')
    .run(state, before, mediumId);
}

/** The last one first. */
function statesBefore(catalog: Catalog, mediumId: number): MediumState[] {
  const row = catalog
    .prepare<[string | null]>('SELECT held_from FROM media WHERE id = ?')
    .get(mediumId);
  const words = (row?.[0] ?? '').split(' ');
  return words.flatMap((word) => MEDIUM_STATES.find((state) => state === word) ?? []);
}

/** Of one whose former state nobody wrote down. */
function stateByWhatItHolds(catalog: Catalog, mediumId: number): MediumState {
  const { label, nextFile, uuid } = new Media(catalog).get(mediumId);
  if (uuid === undefined || label === undefined) return 'unlabelled';
  // Tape file 0 is the label (FORMAT.md section 2).
  return nextFile > 1 ? 'filling' : 'scratch';
}
