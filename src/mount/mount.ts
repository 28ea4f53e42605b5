/** A mount, put together: the catalog's tree, the control folders and the session that answers the kernel. */
import type { Clock } from '../base/clock.ts';
import { CodedError, errnoOf } from '../base/errors.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { Facts } from '../catalog/content/facts.ts';
import { Media } from '../catalog/shelf/media.ts';
import { roomOf } from '../catalog/shelf/room.ts';
import { named } from '../catalog/sqlite-error.ts';
import { Directories, type Host } from '../catalog/tree/directories.ts';
import { ListedRows } from '../catalog/tree/listed-rows.ts';
import { Nodes } from '../catalog/tree/nodes.ts';
import { ListedRecords } from '../catalog/tree/records.ts';
import { Snapshots } from '../catalog/tree/snapshots.ts';
import type { ContentReader } from './content.ts';
import { type ContentStates, FileFacts } from './file-facts.ts';
import { Filesystem } from './filesystem.ts';
import { Live } from './live.ts';
import type { FuseListener, FusePort } from './port.ts';
import type { StatfsReply } from './protocol/reply.ts';
import { Session, type SessionTools } from './session.ts';
import type { RootView } from './views.ts';
import type { VirtualOwner } from './virtual.ts';
import { type XattrMode, Xattrs } from './xattrs.ts';

export type MountTools = {
  /** Open for reading; closed by the caller after the mount. */
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly contents: ContentReader;
  readonly states: ContentStates;
  readonly root: RootView;
  /** The host whose files stand at the root. */
  readonly hostName: string;
  /** The pool that `df` tells of. */
  readonly pool: string;
  readonly xattrs: XattrMode;
  readonly owner: VirtualOwner;
  processName(pid: number): string | undefined;
  wantedText(): string;
  jobsText(): string;
  readonly onReadFailure: SessionTools['onReadFailure'];
  /** Mounts; from then on the listener is told. @throws CodedError as mountpoint.ts */
  openPort(listener: FuseListener): Promise<FusePort>;
};

const BLOCK_BYTES = 2 ** 20;
const NAME_BYTES_MAX = 255;

/**
 * Mounts and answers until it is unmounted, by whomever, or the signal is aborted. A bug in an answer unmounts and is thrown.
 * @param onMounted told once, when the kernel may ask
 */
export async function serveMount(
  tools: MountTools,
  onMounted: (port: FusePort) => void,
  signal: AbortSignal,
): Promise<void> {
  const { catalog, clock } = tools;
  const nodes = new Nodes(catalog);
  const snapshots = new Snapshots(catalog);
  const changed = catalog.prepare<[number]>('PRAGMA data_version');
  const nameError = (error: unknown) => nameSystem(named(error, catalog.path));
  const changeCount = () => changed.get()?.[0] ?? 0;
  const live = new Live({ nodes, snapshots, clock, changeCount, nameError });
  const parts = assemble(tools, { nodes, snapshots, live });
  const listener = new LateListener();
  const port = await tools.openPort(listener);
  const statfs = () => statfsOf(tools);
  const session = new Session({ ...tools, ...parts, port, statfs, nameError });
  listener.set(session);
  const following = new AbortController();
  const follow = live.follow(port, following.signal);
  try {
    onMounted(port);
    await Promise.race([session.ended, aborted(signal), follow]);
  } finally {
    following.abort();
    session.interruptAll();
    await port.unmount();
    await follow;
  }
}

type Parts = { readonly nodes: Nodes; readonly snapshots: Snapshots; readonly live: Live };

function assemble(tools: MountTools, { nodes, snapshots, live }: Parts) {
  const { catalog, owner, wantedText, jobsText } = tools;
  const directories = new Directories(catalog);
  const media = new Media(catalog);
  const hosts = hostsAsOf(directories, live);
  const filesystem = new Filesystem({
    nodes,
    rows: new ListedRows(catalog, nodes),
    records: new ListedRecords(catalog),
    snapshots,
    live,
    root: tools.root,
    facts: {
      owner,
      rootHost: () => hosts().find(({ name }) => name === tools.hostName),
      hosts,
      media: () => media.list().filter(({ uuid }) => uuid !== undefined),
      wantedText,
      jobsText,
    },
  });
  const facts = new FileFacts({
    nodes,
    tree: filesystem.tree,
    facts: new Facts(catalog),
    snapshots,
    states: tools.states,
    liveSnapshotId: () => live.snapshotId,
    hostOf: (directoryId) => {
      const root = directories.root(directoryId);
      return hosts().find((host) => host.directoryId === root)?.id;
    },
  });
  const { processName } = tools;
  const xattrs = new Xattrs({ filesystem, nodes, facts, mode: tools.xattrs, processName });
  return { filesystem, xattrs };
}

/** Every look at the root asks for them. */
function hostsAsOf(directories: Directories, live: Live): () => readonly Host[] {
  let changeCount = live.changeCount;
  let known: readonly Host[] = directories.hosts();
  return () => {
    if (live.changeCount !== changeCount) {
      changeCount = live.changeCount;
      known = directories.hosts();
    }
    return known;
  };
}

/** A machine that has run out of something fails requests, not the mount. */
function nameSystem(error: unknown): unknown {
  const isSystem = error instanceof Error && 'syscall' in error && errnoOf(error) !== undefined;
  if (!isSystem || error instanceof CodedError) return error;
  return new CodedError('FAILED', `${String(error.syscall)} failed (${errnoOf(error)})`, {
    cause: error,
  });
}

function statfsOf({ catalog, pool }: MountTools): StatfsReply {
  const { capacityBytes, writtenBytes, files } = roomOf(catalog, pool);
  const blocks = Math.floor(capacityBytes / BLOCK_BYTES);
  return {
    blockBytes: BLOCK_BYTES,
    blocks,
    freeBlocks: Math.max(0, blocks - Math.ceil(writtenBytes / BLOCK_BYTES)),
    files,
    nameBytesMax: NAME_BYTES_MAX,
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** The kernel asks as soon as it is mounted, the session needs the port first: what comes between waits. */
class LateListener implements FuseListener {
  #listener: FuseListener | undefined;
  readonly #waiting: ((listener: FuseListener) => void)[] = [];

  set(listener: FuseListener): void {
    this.#listener = listener;
    for (const tell of this.#waiting.splice(0)) tell(listener);
  }

  onRequests(requests: Buffer): void {
    // Its memory is the door's own once this returns.
    if (this.#listener) {
      this.#listener.onRequests(requests);
      return;
    }
    const copy = Buffer.from(requests);
    this.#later((listener) => listener.onRequests(copy));
  }

  onEnd(end: Parameters<FuseListener['onEnd']>[0]): void {
    if (this.#listener) this.#listener.onEnd(end);
    else this.#later((listener) => listener.onEnd(end));
  }

  #later(tell: (listener: FuseListener) => void): void {
    this.#waiting.push(tell);
  }
}
