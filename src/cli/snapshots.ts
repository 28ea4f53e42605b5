/** `shelfs snapshots` and `diff`. */
import { formatSize } from '../base/bytes.ts';
import { rawText } from '../base/raw.ts';
import { formatFilled, printable } from '../base/text.ts';
import {
  type Change,
  compareSnapshots,
  listSnapshots,
  nameOf,
  type SnapshotSummary,
} from '../job/snapshots.ts';
import { command, type OpenContext } from './context.ts';
import { documentPath } from './format.ts';
import { holdOf, keptAs } from './snapshot-row.ts';

export const snapshots = (open: OpenContext) =>
  command(
    {
      command: 'snapshots',
      describe: 'Every snapshot: size, files, how much differs from the one before, why it is kept',
      builder: (yargs) => yargs,
      run: async ({ app, output }) => {
        const found = listSnapshots(await app.catalog('read'), (await app.config()).retention);
        const document = found.map(({ seconds, parameters: _, ...summary }) => ({
          ...summary,
          hold: summary.hold ?? null,
          time: new Date(seconds * 1000).toISOString(),
        }));
        output.result({ snapshots: document }, () => formatSnapshots(found));
      },
    },
    open,
  );

function formatSnapshots(found: readonly SnapshotSummary[]): string {
  if (found.length === 0) return 'no snapshot yet; `shelfs backup` makes one';
  const rows = found.map((snapshot) => [
    snapshot.id,
    snapshot.name,
    snapshot.jobNumber,
    snapshot.files,
    formatSize(snapshot.bytes),
    `${SIGNS.added}${snapshot.added} ${SIGNS.modified}${snapshot.modified} ${SIGNS.deleted}${snapshot.deleted}`,
    `${(snapshot.changeRatio * 100).toFixed(1)} %`,
    snapshot.isPartial ? 'partial' : '',
    keptAs(snapshot),
    snapshot.tags.map(printable).join(' '),
    holdOf(snapshot),
  ]);
  const head = ['ID', 'SNAPSHOT', 'JOB', 'FILES', 'SIZE', 'DIFFERS', 'OF ALL'];
  return formatFilled([...head, 'STATE', 'KEPT AS', 'TAGS', 'HOLD'], rows);
}

const SIGNS = {
  added: '+',
  modified: 'M',
  attributes: 'a',
  deleted: '-',
  moved: '>',
} as const satisfies Record<Change['change'], string>;

export const diff = (open: OpenContext) =>
  command(
    {
      command: 'diff <a> [b]',
      describe: 'What differs between two snapshots, or from the one before',
      builder: (yargs) =>
        yargs
          .positional('a', { type: 'string', demandOption: true, describe: 'id, name or time' })
          .positional('b', { type: 'string', describe: 'default: a against the one before' }),
      run: async ({ app, output, signal }, args) => {
        const { from, to, changes } = compareSnapshots(await app.catalog('read'), args.a, args.b);
        const counts = { added: 0, modified: 0, attributes: 0, deleted: 0, moved: 0 };
        const counted = function* () {
          for (const found of changes()) {
            counts[found.change] += 1;
            yield found;
          }
        };
        const head = { from: from === undefined ? null : nameOf(from), to: nameOf(to) };
        await output.list(
          {
            name: 'changes',
            head,
            items: counted(),
            document: documentChange,
            text: formatChange,
            tail: () => ({ document: { counts }, text: formatCounts(counts) }),
          },
          signal,
        );
      },
    },
    open,
  );

function documentChange({ path, change, movedFrom, before, after }: Change) {
  const old = movedFrom === undefined ? undefined : documentPath(movedFrom);
  return {
    change,
    ...documentPath(path),
    ...(old && { movedFrom: old.path }),
    ...(old?.pathBase64 !== undefined && { movedFromBase64: old.pathBase64 }),
    type: (after ?? before)?.type,
    ...(before?.type === 'file' && { sizeBefore: before.sizeBytes }),
    ...(after?.type === 'file' && { size: after.sizeBytes }),
  };
}

function formatChange({ path, change, movedFrom, after, before }: Change): string {
  const slash = (after ?? before)?.type === 'directory' && path !== '/' ? '/' : '';
  const from = movedFrom === undefined ? '' : `${rawText(movedFrom)} -> `;
  return `${SIGNS[change]}  ${from}${rawText(path)}${slash}`;
}

function formatCounts(counts: Readonly<Record<Change['change'], number>>): string {
  const said = Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([change, count]) => `${count} ${change === 'attributes' ? 'in attributes' : change}`);
  return said.length === 0 ? 'nothing differs' : said.join(', ');
}
