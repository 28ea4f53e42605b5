/**
 * Copies beyond those that drives make at once: whole archives of the run, byte for byte, from the cartridge that has them by
 * way of a spool. So they are the same archives, whatever has become of the sources meanwhile.
 *
 * An archive that was torn at an early warning is nothing without the one behind it, and ends a cartridge: what it holds is
 * stored anew from the sources, in that run too; of what is no longer there, groom stores it anew.
 *
 * What the spool takes in one go costs one change of cartridges. Of more, the sources are read again in a run of its own, which
 * is faster than changing cartridges for each spool, and only what that run did not find as it was is copied behind it.
 */
import { resolve } from 'node:path';
import { CodedError } from '../../base/errors.ts';
import { shortageOf } from '../../catalog/content/copies-policy.ts';
import { type LackingArchive, lackingArchives } from '../../catalog/content/lacking-copies.ts';
import type { Run } from '../../catalog/run/run.ts';
import { Archives } from '../../catalog/shelf/archives.ts';
import { Media } from '../../catalog/shelf/media.ts';
import type { GroomConfig } from '../../config.ts';
import { usableDrives } from '../../storage/library-status.ts';
import { absentOperator } from '../../storage/operator.ts';
import { CopyMaker } from '../groom/copies.ts';
import { Spool } from '../groom/spool.ts';
import { type LockTools, takeLock } from '../state-lock.ts';
import type { MediaTools } from './media-set.ts';
import type { Listen } from './report.ts';
import { type MediaRequest, mediaSetOf, type RunMediaTools } from './run-media.ts';

export type FurtherCopies = {
  /** Good copies that each archive is to have. */
  readonly copies: number;
  /** Earlier jobs whose archives are to have them too. */
  readonly jobs: readonly number[];
  /** Only where the spool takes all in one go. */
  readonly isAtOnce: boolean;
};

export type FurtherTools = RunMediaTools &
  Partial<Pick<LockTools, 'lock'>> & {
    readonly stateDirectory: string;
    readonly groom: GroomConfig;
  };

type FurtherOrder = FurtherCopies &
  Pick<MediaRequest, 'pool' | 'verify' | 'wait'> & { readonly run: Run };

export type FurtherListeners = Pick<MediaTools, 'onWait' | 'onDamage' | 'onAttach' | 'warn'> & {
  readonly listen: Listen;
};

/**
 * As many as can be made; what cannot is told, and a later run or groom makes it.
 * @returns barcodes written to
 * @throws CodedError INTERRUPTED; what was copied by then counts
 */
export async function makeFurtherCopies(
  order: FurtherOrder,
  tools: FurtherTools,
  listeners: FurtherListeners,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { catalog, groom, stateDirectory } = tools;
  if (lacking(order, tools).length === 0) return [];
  const lock = await lockOf(tools, listeners);
  if (!lock) return [];
  const spool = Spool.open({
    directory: resolve(stateDirectory, groom['spool-directory']),
    name: `copies-${order.run.jobNumber}`,
    bytesMax: groom.spool,
  });
  try {
    // Of a process that is no more: whoever makes copies has the lock.
    new Archives(catalog).abandonCopies();
    const archives = lacking(order, tools);
    if (order.isAtOnce && bytesOf(archives) > spool.bytesMax) return [];
    return await copyAll(order, { ...tools, spool, archives }, listeners, signal);
  } catch (error) {
    if (!(error instanceof CodedError) || error.code === 'INTERRUPTED') throw error;
    listeners.warn(`some archives have fewer copies than asked for: ${error.message}`);
    return [];
  } finally {
    spool.close();
    await lock.close();
  }
}

async function copyAll(
  order: FurtherOrder,
  tools: FurtherTools & { readonly spool: Spool; readonly archives: readonly LackingArchive[] },
  listeners: FurtherListeners,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { catalog, library, clock, archive, operator, spool } = tools;
  const { run, pool, verify, wait, copies } = order;
  const { listen, warn, onWait } = listeners;
  const avoid = holdersOf(tools.archives, new Media(catalog));
  const request = { pool, copies: 1, avoid, verify, wait };
  const set = mediaSetOf(request, { ...tools, run }, listeners);
  try {
    await set.rooms(signal);
    const drives = usableDrives(await library.status(signal));
    const maker = new CopyMaker({
      ...{ catalog, library, clock, set, spool, warn, onWait },
      operator: operator ?? absentOperator,
      isSwapped: drives.length < 2,
      who: `backup (job ${run.jobNumber})`,
      blockBytes: archive.block,
      scarce: () => lacking(order, tools),
      listen: (event) => {
        if (event.event === 'archive')
          listen({ event: 'copy', media: event.media, bytes: event.bytes });
      },
    });
    const policy = { poolId: poolOf(order, tools), copies, offsite: 0, readBackMs: undefined };
    await maker.run(policy, signal);
    return set.used;
  } finally {
    await set.close();
  }
}

/** Whether something of the pool has fewer copies than are wanted. */
export function isShort(
  tools: Pick<FurtherTools, 'catalog'>,
  order: { readonly pool: string; readonly copies: number },
): boolean {
  const policy = { poolId: poolOf(order, tools), offsite: 0, readBackMs: undefined };
  return shortageOf(tools.catalog, { ...policy, copies: order.copies }).contents > 0;
}

/** Of these jobs some contents lie in torn archives alone, and no source had them any more. */
export function isTornShort(
  tools: Pick<FurtherTools, 'catalog'>,
  order: { readonly jobs: readonly number[]; readonly pool: string; readonly copies: number },
): boolean {
  const { jobs, copies } = order;
  const archives = lackingArchives(tools.catalog, { jobs, copies, poolId: poolOf(order, tools) });
  return archives.some(({ isTorn }) => isTorn) && isShort(tools, order);
}

/** Media that have what other media are to have too. */
export function holdersOfLacking(
  { jobs, copies, pool }: { jobs: readonly number[]; copies: number; pool: string },
  { catalog }: Pick<FurtherTools, 'catalog'>,
): string[] {
  const poolId = poolOf({ pool }, { catalog });
  return holdersOf(lackingArchives(catalog, { jobs, poolId, copies }), new Media(catalog));
}

function holdersOf(archives: readonly LackingArchive[], media: Media): string[] {
  const ids = new Set(archives.map(({ mediumId }) => mediumId));
  return [...ids].map((id) => media.get(id).barcode);
}

function lacking(
  { jobs, copies, run, pool }: Pick<FurtherOrder, 'jobs' | 'copies' | 'run' | 'pool'>,
  { catalog }: Pick<FurtherTools, 'catalog'>,
): LackingArchive[] {
  const poolId = poolOf({ pool }, { catalog });
  const order = { jobs: [...jobs, run.jobNumber], poolId, copies };
  return lackingArchives(catalog, order).filter(({ isTorn }) => !isTorn);
}

/** Each archive once. */
function bytesOf(archives: readonly LackingArchive[]): number {
  const bytes = new Map(archives.map((one) => [one.archiveId, one.lengthBlocks * one.blockBytes]));
  return [...bytes.values()].reduce((sum, more) => sum + more, 0);
}

function poolOf(
  { pool }: { readonly pool: string },
  { catalog }: Pick<FurtherTools, 'catalog'>,
): number {
  return new Media(catalog).ensurePool(pool).id;
}

/** Undefined where somebody else makes copies just now. */
async function lockOf(
  { lock, stateDirectory }: FurtherTools,
  { warn }: FurtherListeners,
): Promise<{ close(): Promise<void> } | undefined> {
  if (!lock) return { close: async () => {} };
  try {
    const sentence = (who: string) => `${who} grooms just now`;
    return await takeLock({ lock, stateDirectory }, { name: 'groom', sentence });
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== 'SOURCE_BUSY') throw error;
    warn(`no archive is copied, for ${error.message}`);
    return undefined;
  }
}
