/** What a scrub takes of the application: drives, the operator, a thread that hashes; for sources their trees alone. */
import type { Clock } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import type { Raw } from '../base/raw.ts';
import type { Catalog, CatalogMode } from '../catalog/catalog.ts';
import type { SourceCheck, SourceCheckEvent } from '../job/scrub/against-source.ts';
import type { ScrubRequest } from '../job/scrub/begin.ts';
import type { ScrubEvent, ScrubReport } from '../job/scrub/report.ts';
import type { Library } from '../storage/library.ts';
import type { Operator } from '../storage/operator.ts';

/** What of the application it needs. */
export type ScrubSurroundings = {
  readonly stateDirectory: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly host: { readonly name: string; readonly system: string };
  catalog(mode: CatalogMode): Promise<Catalog>;
  ownDirectories(): Promise<Raw[]>;
  library(): Promise<Library>;
  operator(): Promise<{ readonly operator: Operator; close(): Promise<void> }>;
};

/** @throws CodedError as `scrub` */
export async function wireScrub(
  app: ScrubSurroundings,
  request: ScrubRequest,
  listen: (event: ScrubEvent) => void,
  signal: AbortSignal,
): Promise<ScrubReport> {
  const [{ scrub }, { Digester }, { withHandover }] = await Promise.all([
    import('../job/scrub/scrub.ts'),
    import('../job/backup/digester.ts'),
    import('./recall.ts'),
  ]);
  const { clock, random, host } = app;
  const catalog = await app.catalog('write');
  const library = await app.library();
  const { operator, close } = await app.operator();
  const hasher = new Digester();
  hasher.start();
  try {
    return await withHandover(app, (handover) => {
      const found = { catalog, library, clock, random, host, pid: process.pid };
      return scrub(request, { ...found, hasher, operator, handover }, listen, signal);
    });
  } finally {
    await hasher.close();
    await close();
  }
}

/** @throws CodedError as `checkSources` */
export async function wireSourceCheck(
  app: ScrubSurroundings,
  names: readonly string[],
  listen: (event: SourceCheckEvent) => void,
  signal: AbortSignal,
): Promise<SourceCheck> {
  const { checkSources } = await import('../job/scrub/against-source.ts');
  const catalog = await app.catalog('read');
  const { clock } = app;
  const tools = { catalog, clock, ownDirectories: await app.ownDirectories() };
  return checkSources(names, tools, listen, signal);
}
