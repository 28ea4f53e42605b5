/** `shelfs alarms`: backups that looked like damage, and saying that one was none. */
import { formatTable, printable } from '../base/text.ts';
import { type Alarm, listAlarms, settleAlarm } from '../job/alarms.ts';
import { command, type OpenContext } from './context.ts';
import { documentTime, formatTime } from './format.ts';

export const alarms = (open: OpenContext) =>
  command(
    {
      command: 'alarms [verb] [id]',
      describe: 'Backups that looked like damage; while one is open nothing is given up',
      builder: (yargs) =>
        yargs
          .positional('verb', {
            choices: ['list', 'settle'] as const,
            default: 'list' as const,
            describe: '`settle`: you have looked, and expiry and groom may go on',
          })
          .positional('id', { type: 'number', describe: 'of the alarm that is settled' }),
      run: async ({ app, output }, { verb, id }) => {
        if (verb === 'settle') settleAlarm(await app.catalog('write'), id);
        const found = listAlarms(await app.catalog('read'));
        output.result({ alarms: found.map(documentAlarm) }, () => formatAlarms(found));
      },
    },
    open,
  );

function documentAlarm({ id, jobNumber, timeMs, signals, settledMs }: Alarm) {
  const settled = settledMs === undefined ? null : documentTime(settledMs);
  return { id, job: jobNumber, time: documentTime(timeMs), signals, settled };
}

function formatAlarms(found: readonly Alarm[]): string {
  if (found.length === 0) return 'no alarm';
  const rows = found.map(({ id, jobNumber, timeMs, signals, settledMs }) => [
    id,
    jobNumber,
    formatTime(timeMs),
    settledMs === undefined ? 'open' : 'settled',
    signals.map(printable).join('; '),
  ]);
  return formatTable(['ID', 'JOB', 'TIME', '', 'WHAT WAS SEEN'], rows);
}
