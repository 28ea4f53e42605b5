/**
 * Recover: the catalog anew, from the cartridges alone.
 *
 * All cartridges are looked through without reading a member; the newest copy of the catalog that can be proven is unpacked; what
 * the journals since tell is merged into it. Until the last step nothing but one directory of its own is written, and cut
 * anywhere it goes on with the cartridges it had read.
 */
import { basename, dirname, join, resolve } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { CodedError, errnoOf } from '../../base/errors.ts';
import type { Host } from '../../base/machine.ts';
import type { Random } from '../../base/random.ts';
import { TakenOut } from '../../catalog/file/put-back.ts';
import { CATALOG_FILE, formatConfig, type LibraryConfig } from '../../config.ts';
import type { Library } from '../../storage/library.ts';
import type { Operator } from '../../storage/operator.ts';
import { copiesOn, unpackNewest } from './base.ts';
import { type BuildTools, buildCatalog } from './build.ts';
import { holder } from './hold.ts';
import type { RecoverEvent, RecoverReport } from './report.ts';
import { type FoundMedium, Spool } from './spool.ts';
import { RecoveryState, type StateLock } from './state.ts';
import { mediaNamed, type Surveyed, survey } from './survey.ts';

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
  /** Who brings cartridges where there is no changer; in the state directory, which is there by then. */
  openOperator(): Promise<{ readonly operator: Operator; close(): Promise<void> }>;
  lock(path: string): Promise<StateLock>;
};

/**
 * @throws CodedError STATE_EXISTS where the state directory holds anything else, then nothing is touched; MEDIUM_OFFLINE where
 *   no cartridge of shelfs was found; CATALOG_NEWER where a newer program is needed; FAILED where the disk has no room; the
 *   library's failures
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
    config: `${formatConfig(request.from)}${CONFIG_NOTE}`,
    lock: (path) => tools.lock(path),
  });
  try {
    const report = await withRoom(tools, (operator) =>
      run(state, request, { ...tools, operator, listen }, signal),
    );
    await state.complete();
    listen({ event: 'end', ...report });
    return report;
  } finally {
    await state.close();
  }
}

/**
 * What media tell beyond the catalog there is, merged into it; a copy of the catalog as it was stays beside it.
 * @throws CodedError STATE_MISSING where there is no catalog; CATALOG_BUSY where others write it; nothing was changed then; as
 *   `recover`
 */
export async function mergeMedia(
  request: RecoverRequest,
  tools: RecoverTools,
  listen: (event: RecoverEvent) => void,
  signal: AbortSignal,
): Promise<RecoverReport> {
  const { stateDirectory, clock } = tools;
  const state = await RecoveryState.beside(stateDirectory, {
    config: formatConfig(request.from),
    lock: (path) => tools.lock(path),
  });
  try {
    const report = await withRoom(tools, async (operator) => {
      const runTools = { ...tools, operator, listen };
      const found = await lookThrough(state, request, runTools, signal);
      await state.clearCatalog();
      const path = join(stateDirectory, CATALOG_FILE);
      const taken = TakenOut.take(path, state.catalog, clock);
      try {
        const kept = await state.keep(clock.nowMs());
        listen({ event: 'kept', path: kept });
        const base = { kind: 'own', kept } as const;
        const merged = await build(state, { request, found, base }, runTools, signal);
        await taken.putBack(state.catalog, signal);
        return merged;
      } finally {
        taken.close();
      }
    });
    await state.clear();
    listen({ event: 'end', ...report });
    return report;
  } finally {
    await state.close();
  }
}

/** What no cartridge tells. Without rules everything is kept. */
const CONFIG_NOTE = `
# Made by \`shelfs recover\`. What else the config said is on no cartridge: put it back by hand, [retention] above all.
# Until it names rules, every snapshot is kept: \`shelfs expire\` gives up none.
`;

type RunTools = RecoverTools & {
  readonly operator: Operator;
  listen(event: RecoverEvent): void;
};

/** What was built upon. */
type Base =
  | { readonly kind: 'none' }
  | { readonly kind: 'copy'; readonly barcode: string; readonly taken: string }
  /** The catalog itself; what it was is kept at a path. */
  | { readonly kind: 'own'; readonly kept: string };

type LookedThrough = Surveyed & {
  readonly spool: Spool;
  readonly hold: BuildTools['hold'];
  warn(message: string): void;
  warnings(): number;
};

async function run(
  state: RecoveryState,
  request: RecoverRequest,
  tools: RunTools,
  signal: AbortSignal,
): Promise<RecoverReport> {
  const { listen } = tools;
  const found = await lookThrough(state, request, tools, signal);
  await state.clearCatalog();
  const { hold, warn, media } = found;
  const copy = await unpackNewest(copiesOn(media), state.catalog, { hold, warn }, signal);
  if (!copy) {
    listen({ event: 'no-base' });
    return build(state, { request, found, base: { kind: 'none' } }, tools, signal);
  }
  const { barcode } = copy.medium.label;
  listen({ event: 'base', barcode, taken: copy.taken });
  const base = { kind: 'copy', barcode, taken: copy.taken } as const;
  return build(state, { request, found, base }, tools, signal);
}

async function lookThrough(
  state: RecoveryState,
  request: RecoverRequest,
  tools: RunTools,
  signal: AbortSignal,
): Promise<LookedThrough> {
  const { listen } = tools;
  let warnings = 0;
  const warn = (message: string) => {
    warnings += 1;
    listen({ event: 'warning', message });
  };
  const library = await tools.openLibrary(state.config);
  const spool = await Spool.open(state.spool);
  const { operator } = tools;
  const surveyTools = {
    ...{ library, operator, spool, warn },
    onMedium: (barcode: string, drive: string) => listen({ event: 'medium', barcode, drive }),
    onFile: (barcode: string, file: number) => listen({ event: 'file', barcode, file }),
  };
  const surveyed = await survey(surveyTools, request.media, signal);
  if (surveyed.media.length === 0)
    throw new CodedError('MEDIUM_OFFLINE', 'no cartridge with a label of shelfs was found');
  const labels = new Map(surveyed.media.map(({ label }) => [label.barcode, label.uuid]));
  const hold = holder({ library, operator }, labels, signal);
  return { ...surveyed, spool, warn, hold, warnings: () => warnings };
}

async function build(
  state: RecoveryState,
  given: {
    readonly request: RecoverRequest;
    readonly found: LookedThrough;
    readonly base: Base;
  },
  tools: RunTools,
  signal: AbortSignal,
): Promise<RecoverReport> {
  const { request, found, base } = given;
  const { media, leftOut, spool, hold, warn } = found;
  const built = await buildCatalog(
    state.catalog,
    { media, base: base.kind },
    {
      ...{ clock: tools.clock, host: tools.host, pid: tools.pid, spool, hold, warn },
      jobUuid: tools.random.uuid(),
      parameters: {
        from: request.from,
        media: request.media,
        ...(base.kind === 'own' && { kept: base.kept }),
      },
      onEntries: (entries) => tools.listen({ event: 'entries', entries }),
    },
    signal,
  );
  return {
    ...built,
    state: tools.stateDirectory,
    media: media.map(({ label }) => label.barcode),
    leftOut,
    missing: missingOf(media, built.missing),
    base: base.kind === 'copy' ? { barcode: base.barcode, taken: base.taken } : null,
    kept: base.kind === 'own' ? base.kept : null,
    warnings: found.warnings(),
  };
}

/** A disk without room, or one that fails, while what was read is kept on it. */
async function withRoom<T>(
  { stateDirectory: directory, openOperator }: RecoverTools,
  work: (operator: Operator) => Promise<T>,
): Promise<T> {
  const { operator, close } = await openOperator();
  try {
    return await work(operator);
  } catch (cause) {
    const errno = cause instanceof CodedError ? undefined : errnoOf(cause);
    if (errno === undefined || !OF_DISK.has(errno)) throw cause;
    throw new CodedError(
      'FAILED',
      `${errno === 'ENOSPC' || errno === 'EDQUOT' ? 'no room' : 'no way to write'} in ${directory} for what is recovered (${errno}); what was read is kept: make room and begin again`,
      { path: directory, cause },
    );
  } finally {
    await close();
  }
}

const OF_DISK: ReadonlySet<string> = new Set([
  'ENOSPC',
  'EDQUOT',
  'EFBIG',
  'EIO',
  'EROFS',
  'EACCES',
  'EPERM',
]);

/** Named by the newest journal that names any, and by places nobody could be asked about. */
function missingOf(media: readonly FoundMedium[], named: readonly string[]): string[] {
  const here = new Set(media.map(({ label }) => label.barcode));
  const all = new Set([...named, ...mediaNamed(media)]);
  return [...all].filter((barcode) => !here.has(barcode)).toSorted();
}

/** A virtual library may stand in the state directory already. */
function besides(stateDirectory: string, from: LibraryConfig): string[] {
  if (from.kind !== 'virtual') return [];
  const directory = resolve(stateDirectory, from.directory);
  return dirname(directory) === resolve(stateDirectory) ? [basename(directory)] : [];
}
