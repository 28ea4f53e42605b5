/**
 * Recover: the catalog anew, from the cartridges alone.
 *
 * All cartridges are looked through without reading a member; the newest copy of the catalog that can be proven is unpacked; what
 * the journals since tell is merged into it. Until the last step nothing but one directory of its own is written, and cut
 * anywhere it goes on with the cartridges it had read.
 */
import { basename, dirname, resolve } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { CodedError } from '../../base/errors.ts';
import type { Host } from '../../base/machine.ts';
import type { Random } from '../../base/random.ts';
import { formatConfig, type LibraryConfig } from '../../config.ts';
import type { Library } from '../../storage/library.ts';
import { copiesOn, holder, unpackNewest } from './base.ts';
import { buildCatalog } from './build.ts';
import type { RecoverEvent, RecoverReport } from './report.ts';
import { type FoundMedium, Spool } from './spool.ts';
import { RecoveryState, type StateLock } from './state.ts';
import { survey } from './survey.ts';

export type RecoverRequest = {
  /** Where the cartridges are. */
  readonly from: LibraryConfig;
  /** Barcodes; empty: all there are. */
  readonly media: readonly string[];
};

export type RecoverTools = {
  readonly stateDirectory: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly host: Host;
  readonly pid: number;
  /** Of the config at this path. */
  openLibrary(config: string): Promise<Library>;
  lock(path: string): Promise<StateLock>;
};

/**
 * @throws CodedError STATE_EXISTS where the state directory holds anything else, then nothing is touched; MEDIUM_OFFLINE where
 *   no cartridge of shelfs was found; CATALOG_NEWER where a newer program is needed; the library's failures
 */
export async function recover(
  request: RecoverRequest,
  tools: RecoverTools,
  listen: (event: RecoverEvent) => void,
  signal: AbortSignal,
): Promise<RecoverReport> {
  const { stateDirectory } = tools;
  const state = await RecoveryState.begin(stateDirectory, {
    beside: besides(stateDirectory, request.from),
    config: formatConfig(request.from),
    lock: (path) => tools.lock(path),
  });
  try {
    const report = await run(state, request, { ...tools, listen }, signal);
    await state.complete();
    listen({ event: 'end', ...report });
    return report;
  } finally {
    await state.close();
  }
}

type RunTools = RecoverTools & { listen(event: RecoverEvent): void };

async function run(
  state: RecoveryState,
  request: RecoverRequest,
  tools: RunTools,
  signal: AbortSignal,
): Promise<RecoverReport> {
  const { listen } = tools;
  let warnings = 0;
  const warn = (message: string) => {
    warnings += 1;
    listen({ event: 'warning', message });
  };
  const library = await tools.openLibrary(state.config);
  const spool = await Spool.open(state.spool);
  const surveyTools = {
    ...{ library, spool, warn },
    onMedium: (barcode: string, drive: string) => listen({ event: 'medium', barcode, drive }),
    onFile: (barcode: string, file: number) => listen({ event: 'file', barcode, file }),
  };
  const { media, leftOut } = await survey(surveyTools, request.media, signal);
  if (media.length === 0)
    throw new CodedError('MEDIUM_OFFLINE', 'no cartridge with a label of shelfs was found');
  await state.clearCatalog();
  const hold = holder(library, signal);
  const base = await unpackNewest(copiesOn(media), state.catalog, { hold, warn }, signal);
  const barcode = base?.medium.label.barcode;
  if (base && barcode !== undefined) listen({ event: 'base', barcode, taken: base.taken });
  else listen({ event: 'no-base' });
  const built = await buildCatalog(
    state.catalog,
    { media, hasBase: base !== undefined },
    {
      ...{ clock: tools.clock, host: tools.host, pid: tools.pid, spool, hold, warn },
      jobUuid: tools.random.uuid(),
      parameters: { from: request.from, media: request.media },
      onEntries: (entries) => listen({ event: 'entries', entries }),
    },
    signal,
  );
  return {
    ...built,
    state: tools.stateDirectory,
    media: media.map(({ label }) => label.barcode),
    leftOut,
    missing: missingOf(media, built.missing),
    base: base && barcode !== undefined ? { barcode, taken: base.taken } : null,
    warnings,
  };
}

/** Named by the newest journal that names any, and by places nobody could be asked about. */
function missingOf(media: readonly FoundMedium[], named: readonly string[]): string[] {
  const here = new Set(media.map(({ label }) => label.barcode));
  const journals = media
    .flatMap(({ files }) => files.flatMap(({ journal }) => (journal ? [journal] : [])))
    .filter((journal) => journal.media.length > 0)
    .toSorted((a, b) => Date.parse(b.created) - Date.parse(a.created));
  const all = new Set([...named, ...(journals[0]?.media ?? [])]);
  return [...all].filter((barcode) => !here.has(barcode)).toSorted();
}

/** A virtual library may stand in the state directory already. */
function besides(stateDirectory: string, from: LibraryConfig): string[] {
  if (from.kind !== 'virtual') return [];
  const directory = resolve(stateDirectory, from.directory);
  return dirname(directory) === resolve(stateDirectory) ? [basename(directory)] : [];
}
