/** What an import takes of the application. */
import type { Clock } from '../base/clock.ts';
import type { Host } from '../base/machine.ts';
import type { Random } from '../base/random.ts';
import type { ImportEvent, ImportReport, ImportRequest } from '../job/import/import.ts';
import type { Library } from '../storage/library.ts';

export type ImportSurroundings = {
  readonly stateDirectory: string;
  readonly program: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly host: Host;
  library(): Promise<Library>;
};

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
