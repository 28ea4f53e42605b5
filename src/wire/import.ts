/** What an import takes of the application. */
import type { ImportEvent, ImportReport, ImportRequest } from '../job/import/import.ts';
import type { Surroundings } from './surroundings.ts';

type ImportSurroundings = Pick<
  Surroundings,
  'stateDirectory' | 'program' | 'clock' | 'random' | 'host' | 'library'
>;

export async function wireImport(
  app: ImportSurroundings,
  request: ImportRequest,
  listen: (event: ImportEvent) => void,
  signal: AbortSignal,
): Promise<ImportReport> {
  const { importMedium } = await import('../job/import/import.ts');
  const { stateDirectory, program, clock, random, host } = app;
  const library = await app.library();
  const tools = { stateDirectory, program, clock, random, host, library, pid: process.pid };
  return importMedium(request, tools, listen, signal);
}
