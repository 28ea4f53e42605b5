/** Taking away what another process has mounted, until that process has ended: only then has nobody its state open any more. */
import { realpathSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { CodedError, errnoOf } from '../base/errors.ts';
import { type Raw, rawBytes } from '../base/raw.ts';
import { RunMounts } from '../catalog/run-db/mounts.ts';
import { RunDb, systemProcesses } from '../catalog/run-db/run-db.ts';
import { hasEnded } from '../catalog/writers.ts';
import { RUN_DB_FILE } from '../config.ts';
import { loadFuseDoor } from '../mount/door.ts';
import type { MountEntry } from '../mount/mount-table.ts';
import { ownMountAt, umount } from '../mount/mountpoint.ts';

export type UmountOrder = {
  readonly mountpoint: Raw;
  /** `forced`: also while it is used; readers get errors. */
  readonly how: 'plain' | 'forced';
};

const LOOK_MS = 20;
/** Most have ended by then; who waits longer is told for what. */
const SILENT_MS = 2000;

/**
 * @param onWait told once, where the process takes its time: it finishes what its drive is doing
 * @throws CodedError NOT_MOUNTED, MOUNTPOINT_UNSUITABLE, MOUNT_BUSY, MOUNT_FAILED; the signal's reason, and then it is unmounted
 */
export async function wireUmount(
  { mountpoint, how }: UmountOrder,
  { clock, onWait }: { readonly clock: Clock; onWait(pid: number): void },
  signal: AbortSignal,
): Promise<void> {
  const entry = await ownMountAt(mountpoint);
  const server = serverOf(entry);
  await umount(entry, { door: loadFuseDoor(), how });
  if (server === undefined) return;
  // Where the helper unmounts it only hides it: who waits for a tape would wait on, and the process with him.
  if (how === 'forced') interrupt(server);
  const startMs = clock.monotonicMs();
  let isTold = false;
  while (!hasEnded(server)) {
    if (!isTold && clock.monotonicMs() - startMs > SILENT_MS) {
      isTold = true;
      onWait(pidOf(server));
    }
    await clock.sleepMs(LOOK_MS, signal);
  }
}

const pidOf = (server: string) => Number(server.split(':')[1]);

function interrupt(server: string): void {
  try {
    if (!hasEnded(server)) process.kill(pidOf(server), 'SIGTERM');
  } catch (error) {
    // It has ended meanwhile, or is not ours to end.
    if (!['ESRCH', 'EPERM'].includes(errnoOf(error) ?? '')) throw error;
  }
}

/** Whoever mounts says himself what is mounted: nothing is opened, and nobody ended, by a word that others could have written. */
function isOurs(path: string): boolean {
  const real = realpathSync(path);
  return [real, dirname(real)].every((one) => {
    const { uid, mode } = statSync(one);
    return uid === process.geteuid?.() && (mode & 0o022) === 0;
  });
}

/** As it said of itself beside its catalog; undefined where nobody can say, or it is this very process. */
function serverOf({ source, device }: MountEntry): string | undefined {
  const path = resolve(rawBytes(source).toString('utf8'), RUN_DB_FILE);
  if (!source.startsWith('/')) return undefined;
  const processes = systemProcesses();
  try {
    if (!isOurs(path)) return undefined;
    const runDb = RunDb.open(path);
    try {
      const server = new RunMounts(runDb, processes).serverOf(device);
      return server === processes.own ? undefined : server;
    } finally {
      runDb.close();
    }
  } catch (error) {
    // It is gone, hidden from us, or damaged: to unmount it takes no knowledge of it.
    if (error instanceof CodedError || errnoOf(error) !== undefined) return undefined;
    throw error;
  }
}
