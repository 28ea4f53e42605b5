/** An export of the catalog goes where the config says. */
import { readFile } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { CodedError } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import { CATALOG_FILE } from '../config.ts';
import type { ExportedCatalog } from '../job/catalog-export.ts';
import type { Surroundings } from './surroundings.ts';

/** A message of 20 MB: the file and a third of it more, in base64. */
const MAIL_BYTES_MAX = 15_000_000;

type ExportSurroundings = Pick<
  Surroundings,
  'stateDirectory' | 'program' | 'clock' | 'random' | 'host' | 'config' | 'warn'
>;

/** @param path default: as configured @throws CodedError USAGE where there is none; FAILED where it cannot be written */
export async function wireExport(
  app: Omit<ExportSurroundings, 'host' | 'warn'>,
  path: string | undefined,
): Promise<ExportedCatalog> {
  const { catalog } = await app.config();
  const to = path ?? catalog.export;
  if (to === undefined)
    throw new CodedError('USAGE', 'say where to; [catalog] export in the config is the default');
  const { exportCatalog } = await import('../job/catalog-export.ts');
  const { stateDirectory, program, clock, random } = app;
  return exportCatalog(resolve(path === undefined ? stateDirectory : '.', to), {
    program,
    catalogPath: resolve(stateDirectory, CATALOG_FILE),
    stateDirectory,
    clock,
    random,
  });
}

/** After a job that changed the catalog, where the config says where to. It never fails the job: what went wrong is told. */
export async function exportAfterJob(app: ExportSurroundings): Promise<void> {
  try {
    const { notify } = await app.config();
    const exported = await wireExport(app, undefined);
    if (!notify.mail || exported.lengthBytes > MAIL_BYTES_MAX) return;
    const { mailFile } = await import('../notify/mail.ts');
    const [host, name] = [printable(app.host.name), basename(exported.path)];
    const content = await readFile(exported.path);
    await mailFile(notify.mail, { subject: `[shelfs ${host}] the catalog`, name, content });
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    app.warn(`the catalog was not exported: ${error.message}`);
  }
}
