/** Runs told to a catalog as a backup would tell them, without a source or a tape. */
import { createHash } from 'node:crypto';
import type { Raw } from '../../src/base/raw.ts';
import { rawOf } from '../../src/base/raw.ts';
import type { Catalog } from '../../src/catalog/catalog.ts';
import type { Run } from '../../src/catalog/run/run.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import { Directories, PLACE_OF_HOSTS } from '../../src/catalog/tree/directories.ts';
import type { Snapshot } from '../../src/catalog/tree/snapshots.ts';
import type { Attributes } from '../../src/domain/entry.ts';
import { attributes, begin, DIRECTORY, source, storeAll } from '../unit/catalog/scratch.ts';

export type Told = {
  /** By path: the bytes of a file, or what else it is. Directories above need not be named. */
  readonly put?: Readonly<Record<string, string | Partial<Attributes>>>;
  /** Paths that are gone, with everything below. */
  readonly gone?: readonly string[];
  /** Files whose content another path has already; they get it without being stored. */
  readonly moved?: Readonly<Record<string, string>>;
};

const MEDIUM = 'TLD001L9';

/** Tells a run of host `hostName` and finishes it. */
export function tellSnapshot(
  catalog: Catalog,
  told: Told,
  options: { readonly hostName: string; readonly state?: 'finished' | 'partial' },
): Snapshot {
  const run = tellRun(catalog, told, options.hostName);
  const bytes = new Map(Object.entries(told.put ?? {}).map(([path, is]) => [asRaw(path), is]));
  storeAll(run, [mediumId(catalog)], (path) => {
    const is = bytes.get(path);
    return contentOf(typeof is === 'string' ? is : '');
  });
  return run.finish({ state: options.state ?? 'finished', timeMs: catalog.clock.nowMs() });
}

/** Tells what was found, and no more: the run is not finished, and nothing of it is stored. */
export function tellRun(catalog: Catalog, told: Told, hostName: string): Run {
  const host = new Directories(catalog).ensureHost(hostName);
  const run = begin(catalog);
  const root = { directoryId: PLACE_OF_HOSTS, name: rawOf(hostName) };
  if (!run.base)
    run.add([{ ...root, change: 'new', attributes: DIRECTORY, sourceInode: source(2) }]);
  const put = new Map<Raw, Attributes>();
  for (const [path, is] of Object.entries(told.put ?? {})) {
    const names = asRaw(path).slice(1).split('/');
    for (let depth = 1; depth < names.length; depth += 1)
      put.set(`/${names.slice(0, depth).join('/')}` as Raw, DIRECTORY);
    const isFile = typeof is === 'string';
    put.set(
      asRaw(path),
      isFile ? attributes({ sizeBytes: Buffer.byteLength(is) }) : attributes(is),
    );
  }
  putAll(run, host.id, put);
  for (const [from, to] of Object.entries(told.moved ?? {})) {
    const before = knownAt(run, host.id, asRaw(from));
    const { directoryId, name } = placeOf(run, host.id, asRaw(to));
    const entry = { directoryId, name, change: 'moved', sourceInode: source(9) } as const;
    run.add([
      {
        ...entry,
        attributes: attributes({ sizeBytes: before.sizeBytes }),
        contentId: before.contentId,
        movedFrom: asRaw(from),
      },
    ]);
    const old = placeOf(run, host.id, asRaw(from));
    run.gone(old.directoryId, old.name);
  }
  for (const path of told.gone ?? []) {
    const { directoryId, name } = placeOf(run, host.id, asRaw(path));
    run.gone(directoryId, name);
  }
  return run;
}

/** Names in these tests are typed as UTF-8; `\xNN` is a byte. */
function asRaw(path: string): Raw {
  const parts = path.split(/\\x([0-9a-f]{2})/);
  return parts
    .map((part, index) =>
      index % 2 === 1 ? String.fromCharCode(Number.parseInt(part, 16)) : rawOf(part),
    )
    .join('') as Raw;
}

function putAll(run: Run, hostId: number, put: ReadonlyMap<Raw, Attributes>): void {
  const known = new Map<number, ReadonlySet<Raw>>();
  const isKnown = (directoryId: number, name: Raw) => {
    const names =
      known.get(directoryId) ?? new Set(run.known(directoryId).map((entry) => entry.name));
    known.set(directoryId, names);
    return names.has(name);
  };
  for (const [path, is] of put) {
    const { directoryId, name } = placeOf(run, hostId, path);
    const change = isKnown(directoryId, name) ? 'changed' : 'new';
    if (change === 'changed' && is.type === 'directory') continue;
    run.add([{ directoryId, name, change, attributes: is, sourceInode: source(7) }]);
  }
}

function placeOf(run: Run, hostId: number, path: Raw): { directoryId: number; name: Raw } {
  const slash = path.lastIndexOf('/');
  const directoryId = run.directory((path.slice(0, slash) || '/') as Raw, hostId);
  return { directoryId, name: path.slice(slash + 1) as Raw };
}

function knownAt(run: Run, hostId: number, path: Raw) {
  const { directoryId, name } = placeOf(run, hostId, path);
  const known = run.known(directoryId).find((candidate) => candidate.name === name);
  if (!known) throw new Error(`${path} is not known`);
  return known;
}

/** Any 32 bytes serve as a hash here: the catalog computes none. */
function contentOf(text: string) {
  const hash = createHash('sha256').update(text).digest();
  return { sizeBytes: Buffer.byteLength(text), hash, segments: undefined };
}

function mediumId(catalog: Catalog): number {
  const media = new Media(catalog);
  const known = media.find(MEDIUM);
  if (known) return known.id;
  media.add([{ barcode: MEDIUM, kind: 'tape', capacityBytes: 1e12, location: 'Bank' }]);
  const id = media.find(MEDIUM)?.id ?? 0;
  media.setLabelled(id, {
    ...{ uuid: 'told', setUuid: 'set', setNumber: 1, blockBytes: 4096 },
    ...{ nextFile: 1, nextBlock: 2, writeGeneration: 1, label: {} },
  });
  return id;
}
