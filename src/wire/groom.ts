/** Builds what groom works with, from what a backup works with. */
import type { GroomRequest, GroomTools } from '../job/groom/groom.ts';
import type { GroomEvent, GroomPlan, GroomReport } from '../job/groom/report.ts';
import type { OpenOperator } from './operator.ts';
import type { Surroundings } from './surroundings.ts';

/** As the command says it: media by name. */
export type GroomOrder = Omit<GroomRequest, 'media'> & { readonly names: readonly string[] };

export async function wireGroomPlan(
  app: Pick<Surroundings, 'config' | 'catalog' | 'library'>,
  order: GroomOrder,
  signal: AbortSignal,
): Promise<GroomPlan> {
  const { planGroom } = await import('../job/groom/groom.ts');
  const { groom } = await app.config();
  const tools = { catalog: await app.catalog('read'), library: await app.library(), groom };
  return planGroom(await requestOf(order, tools), tools, signal);
}

export async function wireGroom(
  app: Surroundings & { operator(): Promise<OpenOperator> },
  { order, listen }: { readonly order: GroomOrder; listen(event: GroomEvent): void },
  signal: AbortSignal,
): Promise<GroomReport> {
  const [{ groom }, { policiesOf }, { withHandover }, { backupTools }] = await Promise.all([
    import('../job/groom/groom.ts'),
    import('../job/groom/policies.ts'),
    import('./recall.ts'),
    import('./backup.ts'),
  ]);
  const config = await app.config();
  const tools: GroomTools = {
    ...(await backupTools(app)),
    groom: config.groom,
    policies: policiesOf(config),
    copiesOf: (pool) => config.pools[pool]?.copies ?? config.backup.copies,
  };
  const request = await requestOf(order, tools);
  const { operator, close } = await app.operator();
  try {
    return await withHandover(app, (handover) =>
      groom(request, { ...tools, operator, handover }, listen, signal),
    );
  } finally {
    await close();
  }
}

async function requestOf(
  { names, ...rest }: GroomOrder,
  { catalog }: Pick<GroomTools, 'catalog'>,
): Promise<GroomRequest> {
  const { findMedium } = await import('../job/media.ts');
  return { ...rest, media: names.map((name) => findMedium(catalog, name)) };
}
