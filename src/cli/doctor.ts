/** `shelfs doctor` */
import { formatTable, printable } from '../base/text.ts';
import type { Finding } from '../job/doctor.ts';
import { command, type OpenContext } from './context.ts';

export const doctor = (open: OpenContext) =>
  command(
    {
      command: 'doctor',
      describe: 'What this machine lacks, what it costs, what mends it',
      builder: (yargs) => yargs,
      run: async ({ app, output, setExit }) => {
        const findings = await app.doctor();
        const ok = findings.every((finding) => finding.ok || finding.weight === 'useful');
        output.result({ ok, findings }, () => formatFindings(findings));
        if (!ok) setExit(1);
      },
    },
    open,
  );

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
