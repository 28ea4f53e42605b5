/** `shelfs doctor` */
import { CodedError } from '../base/errors.ts';
import { formatTable, printable } from '../base/text.ts';
import type { Finding } from '../job/doctor.ts';
import type { CareWarning } from '../job/media-health.ts';
import type { App } from '../wire.ts';
import { command, type OpenContext } from './context.ts';

export const doctor = (open: OpenContext) =>
  command(
    {
      command: 'doctor',
      describe: 'What this machine lacks, what it costs, what mends it',
      builder: (yargs) => yargs,
      run: async ({ app, output, setExit }) => {
        const findings = await app.doctor();
        const care = await warningsOf(app);
        const ok = findings.every((finding) => finding.ok || finding.weight === 'useful');
        output.result({ ok, findings, care }, () =>
          [formatFindings(findings), ...formatCare(care)].join('\n\n'),
        );
        if (!ok) setExit(1);
      },
    },
    open,
  );

/** None before `init`. */
async function warningsOf(app: App): Promise<CareWarning[]> {
  try {
    const catalog = await app.catalog('read');
    const { careWarnings } = await import('../job/media-health.ts');
    return careWarnings(catalog);
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    return error.code === 'STATE_MISSING'
      ? []
      : [{ about: 'the catalog', sentence: error.message }];
  }
}

function formatCare(care: readonly CareWarning[]): string[] {
  if (care.length === 0) return [];
  const lines = care.map(({ about, sentence }) => printable(`${about}: ${sentence}`));
  return [`Media and drives:\n${lines.join('\n')}`];
}

export function formatFindings(findings: readonly Finding[]): string {
  const there = findings.filter(({ ok }) => ok).map(({ name, found }) => ['ok', name, found]);
  const lacking = findings.filter(({ ok }) => !ok);
  const lines = [formatTable(['', 'WHAT', 'FOUND'], there)];
  for (const { name, weight, found, cost, mend } of lacking) {
    lines.push(
      `${weight === 'needed' ? 'NEEDED' : 'useful'}: ${name}: ${printable(found)}\n  costs: ${cost}\n  mend:  ${mend}`,
    );
  }
  const needed = lacking.filter(({ weight }) => weight === 'needed').length;
  lines.push(
    `${there.length} in order, ${needed} needed and missing, ${lacking.length - needed} useful and missing`,
  );
  return lines.join('\n\n');
}
