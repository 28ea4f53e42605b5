/** What a scrub takes of the application: drives, the operator, a thread that hashes; for sources their trees alone. */
import type { SourceCheck, SourceCheckEvent } from '../job/scrub/against-source.ts';
import type { ScrubRequest } from '../job/scrub/begin.ts';
import type { ScrubEvent, ScrubReport } from '../job/scrub/report.ts';
import type { OpenOperator } from './operator.ts';
import type { Surroundings } from './surroundings.ts';

/** @throws CodedError as `scrub` */
export async function wireScrub(
  app: Pick<
    Surroundings,
    'stateDirectory' | 'clock' | 'random' | 'host' | 'catalog' | 'library'
  > & {
    operator(): Promise<OpenOperator>;
  },
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
  app: Pick<Surroundings, 'clock' | 'catalog' | 'ownDirectories'>,
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
