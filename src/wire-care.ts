/** Builds what the care of media works with: groom, and what else keeps cartridges good for years. */
import { lockFile, type ScsiDoor } from './device/native.ts';
import type { GroomRequest, GroomTools } from './job/groom/groom.ts';
import type { GroomEvent, GroomPlan, GroomReport } from './job/groom/report.ts';
import { type App, backupTools } from './wire.ts';

/** As the command says it: media by name. */
export type GroomOrder = Omit<GroomRequest, 'media'> & { readonly names: readonly string[] };

export async function wireGroomPlan(
  app: App,
  order: GroomOrder,
  signal: AbortSignal,
): Promise<GroomPlan> {
  const { planGroom } = await import('./job/groom/groom.ts');
  const { groom } = await app.config();
  const tools = { catalog: await app.catalog('read'), library: await app.library(), groom };
  return planGroom(await requestOf(order, tools), tools, signal);
}

export async function wireGroom(
  app: App,
  openDoor: () => ScsiDoor,
  { order, listen }: { readonly order: GroomOrder; listen(event: GroomEvent): void },
  signal: AbortSignal,
): Promise<GroomReport> {
  const [{ groom }, { withHandover }] = await Promise.all([
    import('./job/groom/groom.ts'),
    import('./wire-recall.ts'),
  ]);
  const config = await app.config();
  const { operator, close } = await app.operator();
  try {
    const tools: GroomTools = {
      ...(await backupTools(app, openDoor)),
      groom: config.groom,
      copiesOf: (pool) => config.pools[pool]?.copies ?? config.backup.copies,
      lock: (path) => lockFile(openDoor(), path),
      operator,
    };
    const request = await requestOf(order, tools);
    return await withHandover(app, (handover) =>
      groom(request, { ...tools, handover }, listen, signal),
    );
  } finally {
    await close();
  }
}

async function requestOf(
  { names, ...rest }: GroomOrder,
  { catalog }: Pick<GroomTools, 'catalog'>,
): Promise<GroomRequest> {
  const { findMedium } = await import('./job/media.ts');
  return { ...rest, media: names.map((name) => findMedium(catalog, name)) };
}
