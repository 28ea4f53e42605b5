/** `shelfs expire`: gives up the snapshots that no rule keeps. */
import { formatSize } from '../base/bytes.ts';
import { formatFilled, printable } from '../base/text.ts';
import { type ExpireEvent, type ExpirePlan, type ExpireReport, planExpiry } from '../job/expire.ts';
import { type Context, command, type OpenContext } from './context.ts';
import { countOf } from './format.ts';
import { Progress } from './progress.ts';
import { documentSnapshot, retentionRow } from './snapshot-row.ts';

export const expire = (open: OpenContext) =>
  command(
    {
      command: 'expire',
      describe: 'Give up the snapshots that no rule of the config keeps; media are not touched',
      builder: (yargs) =>
        yargs
          .option('dry-run', {
            type: 'boolean',
            describe: 'only say which, why the others are kept, and what becomes free',
          })
          .option('clock-is-right', {
            type: 'boolean',
            describe: 'also where it went back, or is more than a year ahead of the last job',
          }),
      run: async (context, args) => {
        if (args['dry-run']) return dryRun(context);
        const { app, output, signal } = context;
        const progress = new Progress(output, app.clock);
        const listen = progress.listen(describe, ['sweep']);
        const clockIsRight = args['clock-is-right'] ?? false;
        const report = await progress.follow(app.expire({ clockIsRight }, listen, signal));
        progress.end(formatReport(report));
      },
    },
    open,
  );

async function dryRun({ app, output }: Context): Promise<void> {
  const { retention } = await app.config();
  const plan = planExpiry(await app.catalog('read'), retention);
  const document = {
    expiring: plan.expiring.map(documentSnapshot),
    kept: plan.kept.map(documentSnapshot),
    freed: plan.freed,
    refused: plan.refused ?? null,
  };
  output.result(document, () => formatPlan(plan));
}

function describe(event: ExpireEvent): string | undefined {
  switch (event.event) {
    case 'expired':
      return `snapshot ${event.snapshot} has expired`;
    case 'sweep':
      return `sweeping: ${event.versions} versions, ${event.contents} contents gone`;
    default:
      return undefined;
  }
}

function formatPlan({ expiring, kept, freed, hasPolicy, refused }: ExpirePlan): string {
  const rows = [...kept, ...expiring].toSorted((a, b) => a.id - b.id).map(retentionRow);
  const lines: string[] = [];
  if (rows.length > 0)
    lines.push(formatFilled(['ID', 'SNAPSHOT', 'KEPT AS', 'TAGS', 'HOLD'], rows));
  if (!hasPolicy) lines.push(NO_POLICY);
  lines.push(
    expiring.length === 0
      ? 'nothing would expire'
      : `${countOf(expiring.length, 'snapshot')} would expire, ${kept.length} ${areKept(kept.length)}`,
    ...formatFreed(freed),
  );
  if (refused !== undefined) lines.push(`but it would be refused: ${printable(refused)}`);
  return lines.join('\n');
}

const NO_POLICY = 'no policy: everything is kept; [retention] in the config says what is to go';

function formatReport({ job, expired, kept, freed, waitsFor }: ExpireReport): string {
  if (job === null) return `nothing has expired; ${countOf(kept, 'snapshot')} ${areKept(kept)}`;
  const lines = [
    `${countOf(expired.length, 'snapshot')} expired, ${kept} ${areKept(kept)}`,
    ...formatFreed(freed),
  ];
  if (waitsFor !== null)
    lines.push(`job ${waitsFor} writes just now: \`shelfs expire\` goes on with the rest later`);
  return lines.join('\n');
}

const areKept = (count: number) => (count === 1 ? 'is kept' : 'are kept');

function formatFreed({ contents, bytes, media }: ExpirePlan['freed']): string[] {
  if (contents === 0) return [];
  const each = media.map(({ barcode, bytes: freed }) => `${barcode} ${formatSize(freed)}`);
  const where = each.length === 0 ? '' : `; stale from then on: ${each.join(', ')}`;
  return [
    `${formatSize(bytes)} in ${countOf(contents, 'content')} ${contents === 1 ? 'becomes' : 'become'} free${where}`,
  ];
}
