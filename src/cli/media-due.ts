/** `shelfs media due`: what is to be carried to which vault, and what comes back. */
import { printable } from '../base/text.ts';
import type { RotatedMedium, RotationPlan } from '../domain/rotation.ts';
import { mediaDue } from '../job/media-due.ts';
import { command, type OpenContext } from './context.ts';
import { countOf, documentTime } from './format.ts';

const NO_RULES = `no rotation is configured; for instance:
  [rotation.main]
  vault = "Bank, box 2"   # where the cartridges of pool main go
  every = "7d"            # and how often
  sets = 4                # so many stay there; the oldest comes back`;

export const due = (open: OpenContext) =>
  command(
    {
      command: 'due',
      describe: 'What is to be carried to which vault, what comes back, and when',
      builder: (yargs) => yargs,
      run: async ({ app, output }) => {
        const { rotation } = await app.config();
        const rules = Object.entries(rotation).map(([pool, { vault, every, sets }]) => ({
          ...{ pool, vault, sets },
          everyMs: every,
        }));
        const plans = mediaDue(await app.catalog('read'), rules);
        const nowMs = app.clock.nowMs();
        output.result({ due: plans.map((plan) => documentOf(plan, nowMs)) }, () =>
          plans.length === 0 ? NO_RULES : plans.map((plan) => textOf(plan, nowMs)).join('\n\n'),
        );
      },
    },
    open,
  );

function documentOf(plan: RotationPlan, nowMs: number) {
  const { rule, dueMs, goes, comes, stays, setsThere } = plan;
  const listed = (media: readonly RotatedMedium[]) =>
    media.map(({ barcode, location, arrivedMs }) => ({
      barcode,
      location: location ?? null,
      ...(arrivedMs !== undefined && { since: documentTime(arrivedMs) }),
    }));
  return {
    ...{ pool: rule.pool, vault: rule.vault, due: documentTime(dueMs), isDue: isDue(plan, nowMs) },
    ...{ setsThere, sets: rule.sets },
    ...{ goes: listed(goes), comes: listed(comes), stays: listed(stays) },
  };
}

/** With nothing to be carried there is no need to go. */
function isDue({ dueMs, goes, comes }: RotationPlan, nowMs: number): boolean {
  return dueMs <= nowMs && goes.length + comes.length > 0;
}

function textOf(plan: RotationPlan, nowMs: number): string {
  const { rule, dueMs, goes, comes, stays, setsThere } = plan;
  const day = (ms: number) => documentTime(ms)?.slice(0, 10) ?? '';
  const when = isDue(plan, nowMs) ? 'due now' : `next on ${day(Math.max(dueMs, nowMs))}`;
  const lines = [
    `pool ${rule.pool} to ${rule.vault}: ${when}; ${countOf(setsThere, 'set')} of ${rule.sets} there`,
    ...goes.map(
      ({ barcode, location }) => `  goes   ${barcode}${location ? `  (${location})` : ''}`,
    ),
    ...comes.map(
      ({ barcode, arrivedMs = 0 }) => `  comes  ${barcode}  (there since ${day(arrivedMs)})`,
    ),
    ...stays.map(({ barcode }) => `  stays  ${barcode}  (holds what nothing else there does)`),
  ];
  if (goes.length + comes.length === 0) lines.push('  nothing to carry');
  if (goes.length > 0) {
    const names = goes.map(({ barcode }) => barcode).join(' ');
    lines.push(`when done: shelfs media move ${names} --location "${rule.vault}"`);
  }
  return lines.map(printable).join('\n');
}
