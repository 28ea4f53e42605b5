/** A mount as this machine has it: the catalog open for reading, recall behind it, the kernel in front. */
import { resolve } from 'node:path';
import { CodedError } from '../base/errors.ts';
import { processName } from '../base/machine.ts';
import { type Raw, rawOf } from '../base/raw.ts';
import { printable } from '../base/text.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { RunMounts } from '../catalog/run-db/mounts.ts';
import { RunDb, systemProcesses } from '../catalog/run-db/run-db.ts';
import { Directories } from '../catalog/tree/directories.ts';
import { Snapshots } from '../catalog/tree/snapshots.ts';
import { RUN_DB_FILE } from '../config.ts';
import { jobsText } from '../job/jobs-text.ts';
import { serveMount } from '../mount/mount.ts';
import { mountFuse } from '../mount/native.ts';
import type { RootView } from '../mount/views.ts';
import type { XattrMode } from '../mount/xattrs.ts';
import type { OpenRecall, RecallOptions } from './recall.ts';
import type { Surroundings } from './surroundings.ts';

/** What `mount` asks for, as the command says it. */
export type MountOrder = {
  /** Absolute. */
  readonly mountpoint: Raw;
  /** `live`, `all`, or a snapshot as `Snapshots.resolve` takes it. */
  readonly view: string;
  /** Undefined: this host. */
  readonly host: string | undefined;
  readonly xattrs: XattrMode;
  readonly recall: 'block' | 'fail' | 'first';
  readonly allowOther: boolean;
};

export type MountSurroundings = Pick<
  Surroundings,
  'stateDirectory' | 'clock' | 'host' | 'config' | 'catalog' | 'library'
> & {
  readonly user: { readonly uid: number; readonly gid: number };
  recall(options: RecallOptions): Promise<OpenRecall>;
};

/**
 * Until it is unmounted or the signal is aborted.
 * @throws CodedError as mountFuse; USAGE for a snapshot that is none
 */
export async function wireMount(
  app: MountSurroundings,
  order: MountOrder,
  tell: { onMounted(): void; warn(message: string): void },
  signal: AbortSignal,
): Promise<void> {
  const { clock, host, user, stateDirectory } = app;
  const { mountpoint, allowOther } = order;
  const catalog = await app.catalog('read');
  const root = rootOf(catalog, order.view);
  refuseUnknownHost(catalog, order.host);
  const { recall, wantedText, close } = await app.recall({
    policy: order.recall,
    onMedium: () => {},
    warn: tell.warn,
  });
  let loaded: Promise<void> | undefined;
  try {
    await serveMount(
      {
        catalog,
        clock,
        contents: recall,
        states: recall,
        root,
        hostName: order.host ?? host.name,
        pool: (await app.config()).backup.pool,
        xattrs: order.xattrs,
        owner: { ...user, seconds: Math.floor(clock.nowMs() / 1000) },
        processName,
        wantedText,
        jobsText: () => jobsText(catalog),
        onReadFailure: ({ pid, error }) =>
          tell.warn(
            `a read by process ${pid} (${processName(pid) ?? 'gone'}) failed: ${error.message}`,
          ),
        openPort: (listener) =>
          mountFuse({
            ...{ mountpoint, allowOther, clock, listener },
            source: rawOf(stateDirectory),
            onListed: ({ device }) => tellServer(app, device),
          }),
      },
      () => {
        tell.onMounted();
        loaded = loadLibrary(app);
      },
      signal,
    );
  } finally {
    await loaded;
    await close();
  }
}

/** For `umount`, which waits for this process. */
function tellServer(
  { stateDirectory, clock }: Pick<Surroundings, 'stateDirectory' | 'clock'>,
  device: string,
): void {
  const runDb = RunDb.open(resolve(stateDirectory, RUN_DB_FILE));
  try {
    new RunMounts(runDb, systemProcesses()).serve(device, clock.nowMs());
  } finally {
    runDb.close();
  }
}

/**
 * The first recall may come months later, when another version of the program has taken the place of this one: what it loads
 * is loaded now. A library that is not to be had now is met then.
 */
async function loadLibrary(app: Pick<Surroundings, 'library'>): Promise<void> {
  try {
    await app.library();
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
  }
}

function refuseUnknownHost(catalog: Catalog, name: string | undefined): void {
  const hosts = new Directories(catalog).hosts();
  if (name === undefined || hosts.some((host) => host.name === name)) return;
  const known = hosts.map((host) => printable(host.name)).join(', ') || 'none yet';
  const sentence = `nothing of host ${printable(name)} is known; there are: ${known}`;
  throw new CodedError('USAGE', sentence);
}

function rootOf(catalog: Catalog, view: string): RootView {
  if (view === 'live' || view === 'all') return { kind: view };
  return { kind: 'snapshot', snapshotId: new Snapshots(catalog).resolve(view).id };
}
