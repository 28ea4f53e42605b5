/** A backed up tree and a mount of it without a kernel: contents are what the test says. */
import { onTestFinished } from 'vitest';
import type { Clock } from '../../src/base/clock.ts';
import { Catalog } from '../../src/catalog/catalog.ts';
import type { ContentReader } from '../../src/mount/content.ts';
import { type MountTools, serveMount } from '../../src/mount/mount.ts';
import { type BackupWorld, HOST } from './backup-world.ts';
import { FakeKernel } from './fake-kernel.ts';

export type MountOptions = Partial<
  Pick<MountTools, 'contents' | 'states' | 'root' | 'xattrs' | 'processName' | 'onReadFailure'>
> & { readonly hasPassthrough?: boolean; readonly hostName?: string };

/** Nothing is staged, and nobody brings it. */
export const NOTHING_STAGED: ContentReader = {
  listed: () => {},
  open: () => ({
    file: undefined,
    onStaged: () => {},
    read: (_, { signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      }),
    close: () => {},
  }),
};

/** Until the test is over. */
export async function mountInMemory(
  world: BackupWorld,
  options: MountOptions = {},
): Promise<FakeKernel> {
  const { clock } = world.sim;
  const catalog = Catalog.open(world.catalog.path, { mode: 'read', clock });
  const kernel = new FakeKernel(options);
  const ending = new AbortController();
  const mounted = Promise.withResolvers<void>();
  const served = serveMount(
    {
      catalog,
      clock: handClock(kernel),
      contents: options.contents ?? NOTHING_STAGED,
      states: options.states ?? { stateOf: () => 'nearline', etaSeconds: () => 60 },
      root: options.root ?? { kind: 'live' },
      hostName: options.hostName ?? HOST,
      pool: 'main',
      xattrs: options.xattrs ?? 'auto',
      owner: { uid: 0, gid: 0, seconds: 1_000_000_000 },
      processName: options.processName ?? (() => 'cat'),
      wantedText: () => 'nothing is wanted\n',
      jobsText: () => 'nothing runs\n',
      onReadFailure: options.onReadFailure ?? (() => {}),
      openPort: async (listener) => {
        kernel.listener = listener;
        return kernel;
      },
    },
    () => mounted.resolve(),
    ending.signal,
  );
  onTestFinished(async () => {
    ending.abort();
    await served;
    catalog.close();
  });
  await Promise.race([mounted.promise, served]);
  return kernel;
}

/** Time passes when the test says so. */
function handClock(kernel: FakeKernel): Clock {
  const sleepers: (() => void)[] = [];
  kernel.tick = async () => {
    for (const wake of sleepers.splice(0)) wake();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return {
    nowMs: () => 0,
    monotonicMs: () => 0,
    sleepMs: (_, signal) =>
      new Promise((resolve, reject) => {
        sleepers.push(resolve);
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      }),
  };
}
