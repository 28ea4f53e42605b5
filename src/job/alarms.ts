/** Alarms as a person sees and settles them. */
import { CodedError } from '../base/errors.ts';
import { type Alarm, Alarms } from '../catalog/alarms.ts';
import type { Catalog } from '../catalog/catalog.ts';

export type { Alarm } from '../catalog/alarms.ts';

/** Oldest first. */
export function listAlarms(catalog: Catalog): Alarm[] {
  return new Alarms(catalog).list();
}

/** @throws CodedError USAGE where no such alarm is open */
export function settleAlarm(catalog: Catalog, id: number | undefined): void {
  if (id === undefined || !Number.isSafeInteger(id))
    throw new CodedError('USAGE', 'say which alarm: `shelfs alarms settle ID`');
  new Alarms(catalog).settle(id);
}
