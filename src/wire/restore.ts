/** Builds what a restore works with. */
import { CodedError } from '../base/errors.ts';
import type { Raw } from '../base/raw.ts';
import { printable } from '../base/text.ts';
import type { RestoreEvent, RestorePlan, RestoreReport } from '../job/restore/report.ts';
import {
  planRestore,
  type RestoreRequest,
  type RestoreTools,
  restore,
} from '../job/restore/restore.ts';
import type { OpenOperator } from './operator.ts';
import { withHandover } from './recall.ts';
import type { Surroundings } from './surroundings.ts';

/** What a restore asks for, as the command says it. */
export type RestoreOrder = {
  /** Absolute and normal. */
  readonly paths: readonly Raw[];
  /** Undefined: this host. */
  readonly host: string | undefined;
  /** A snapshot or a time; undefined: the newest. */
  readonly at: string | undefined;
  readonly to: Raw;
  readonly overwrite: boolean;
};

type RestoreSurroundings = Pick<
  Surroundings,
  'stateDirectory' | 'clock' | 'random' | 'host' | 'catalog' | 'library' | 'ownDirectories'
>;

export async function wireRestorePlan(
  app: RestoreSurroundings,
  order: RestoreOrder,
  signal: AbortSignal,
): Promise<RestorePlan> {
  return planRestore(...(await restoreOrder(app, order)), signal);
}

export async function wireRestore(
  app: RestoreSurroundings &
    Pick<Surroundings, 'cleanIdle'> & { operator(): Promise<OpenOperator> },
  { request, listen }: { readonly request: RestoreOrder; listen(event: RestoreEvent): void },
  signal: AbortSignal,
): Promise<RestoreReport> {
  const [order, tools] = await restoreOrder(app, request);
  const { operator, close } = await app.operator();
  try {
    // It hands nothing over, but recalls know that somebody waits.
    const report = await withHandover(app, () =>
      restore(order, { ...tools, operator }, listen, signal),
    );
    await app.cleanIdle(signal);
    return report;
  } finally {
    await close();
  }
}

async function restoreOrder(
  app: RestoreSurroundings,
  { paths, host: hostName = app.host.name, at, to, overwrite }: RestoreOrder,
): Promise<[RestoreRequest, RestoreTools]> {
  const catalog = await app.catalog('write');
  const { Tree } = await import('../catalog/tree/tree.ts');
  const tree = new Tree(catalog);
  const host = tree.directories.hosts().find(({ name }) => name === hostName);
  if (!host) {
    const sentence = `nothing of host ${printable(hostName)} is known; \`shelfs backup\` makes a snapshot`;
    throw new CodedError('USAGE', sentence);
  }
  const request = { paths, hostId: host.id, snapshot: tree.resolveSnapshot(at), to, overwrite };
  const { clock, random } = app;
  const library = await app.library();
  const ownDirectories = await app.ownDirectories();
  return [request, { catalog, library, clock, random, ownDirectories }];
}
