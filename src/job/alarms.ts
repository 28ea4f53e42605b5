/** Alarms as a person sees and settles them. */
import { CodedError } from '../base/errors.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { type Alarm, Alarms } from '../catalog/job/alarms.ts';
import type { Warning } from '../domain/question.ts';

export type { Alarm } from '../catalog/job/alarms.ts';

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

/** As people are told of it, on every channel. */
export function warningOf({ id, jobNumber, signals }: Alarm): Warning {
  return {
    subject: `backup (job ${jobNumber}) looks like damage to its sources`,
    sentences: [
      ...signals.map((signal) => `${signal}.`),
      'What was stored before is kept: nothing expires and nothing is groomed until you say so.',
    ],
    commands: [
      { command: `shelfs job show ${jobNumber} --files`, does: 'shows what it found' },
      { command: `shelfs alarms settle ${id}`, does: 'you have looked, and it is no damage' },
    ],
  };
}
