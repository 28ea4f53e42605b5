/** A state directory with a catalog of many files, as one finished backup would leave it; no medium is written. */

import { systemClock } from '../../src/base/clock.ts';
import { type Raw, rawOf } from '../../src/base/raw.ts';
import type { Catalog } from '../../src/catalog/catalog.ts';
import { Jobs } from '../../src/catalog/job/jobs.ts';
import type { AddedEntry, NewDirectory } from '../../src/catalog/run/findings.ts';
import { Run } from '../../src/catalog/run/run.ts';
import type { StoredEntry } from '../../src/catalog/run/stored-rows.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import { Directories } from '../../src/catalog/tree/directories.ts';
import type { Attributes } from '../../src/domain/entry.ts';

export type FilledShape = {
  readonly host: string;
  readonly directories: number;
  readonly filesEach: number;
  /** Adds a run: the same places, other files. */
  readonly prefix?: string;
};

const STORED_BATCH = 4096;

/** Makes the catalog where there is none; files stand at `/data/dNNNNN/PREFIXNNNNN.jpg`. */
export function fillCatalog(catalog: Catalog, shape: FilledShape): void {
  const media = new Media(catalog);
  if (!media.find('BEN001L9')) {
    media.add([{ barcode: 'BEN001L9', kind: 'tape', pool: 'main', capacityBytes: 18e12 }]);
  }
  const host = new Directories(catalog).ensureHost(shape.host);
  const prefix = shape.prefix ?? 'picture-';
  const about = { host: shape.host, os: 'bench', pid: process.pid, parameters: {} };
  const run = new Run(catalog, new Jobs(catalog).add({ uuid: prefix, verb: 'backup', ...about }));
  if (run.findDirectory('/data' as Raw, host.id) === undefined) addTop(run, host.id);
  for (let index = 0; index < shape.directories; index += 1) {
    const name = `d${String(index).padStart(5, '0')}` as Raw;
    const path = `/data/${name}` as Raw;
    const id = run.findDirectory(path, host.id);
    const directoryId: number | NewDirectory = id ?? { path, hostId: host.id };
    const entries: AddedEntry[] = [];
    if (id === undefined)
      entries.push(entryOf(run.directory('/data' as Raw, host.id), name, directory(index)));
    for (let file = 0; file < shape.filesEach; file += 1)
      entries.push(
        entryOf(
          directoryId,
          `${prefix}${String(file).padStart(5, '0')}.jpg` as Raw,
          fileOf(index * 1000 + file),
        ),
      );
    run.add(entries);
  }
  const archiveId = run.archives.begin({
    uuid: prefix,
    sequence: 1,
    blockBytes: 524_288,
    copies: [{ mediumId: 1, fileNumber: 1, startBlock: 2 }],
  });
  let stored: StoredEntry[] = [];
  for (const entry of storedEntries(run, prefix)) {
    stored.push(entry);
    if (stored.length < STORED_BATCH) continue;
    run.archives.store(archiveId, stored);
    stored = [];
  }
  run.archives.store(archiveId, stored);
  const hash = Buffer.alloc(32);
  run.archives.commit(archiveId, {
    lengthBytes: 1e9,
    lengthBlocks: 2000,
    blake3: hash,
    sha256: hash,
    copiesGood: [1],
  });
  run.finish({ state: 'finished', timeMs: systemClock.nowMs() });
}

function addTop(run: Run, hostId: number): void {
  const root: NewDirectory = { path: '/' as Raw, hostId };
  run.add([entryOf(root, 'data' as Raw, directory(0))]);
}

function entryOf(
  directoryId: number | NewDirectory,
  name: Raw,
  attributes: Attributes,
): AddedEntry {
  const sourceInode = { device: 2049, inode: attributes.mtime.nanoseconds + 1, links: 1 };
  return { directoryId, name, change: 'new', attributes, sourceInode };
}

const OWNED = { uid: 1000, gid: 1000, user: rawOf('somebody'), group: rawOf('users'), xattrs: [] };

function directory(index: number): Attributes {
  const time = { seconds: 1_600_000_000 + index, nanoseconds: index };
  return { ...OWNED, type: 'directory', mode: 0o755, sizeBytes: 0, mtime: time, ctime: time };
}

function fileOf(number: number): Attributes {
  const time = { seconds: 1_600_000_000 + number, nanoseconds: (number * 104_729) % 1e9 };
  const sizeBytes = 1000 + ((number * 7919) % 5_000_000);
  return { ...OWNED, type: 'file', mode: 0o644, sizeBytes, mtime: time, ctime: time };
}

function* storedEntries(run: Run, prefix: string): Generator<StoredEntry> {
  let archiveOffset = 1024;
  for (const { directoryId, name, inode } of run.entries('unstored')) {
    if (inode?.type !== 'file') continue;
    const { sizeBytes: lengthBytes, inodeId } = inode;
    const content = { hash: hashOf(inodeId, prefix), sizeBytes: lengthBytes, segments: undefined };
    const extent = { contentOffset: 0, lengthBytes, archiveOffset, storedBytes: lengthBytes };
    yield { directoryId, name, inodeId, content, extents: [{ ...extent, form: 'plain' }] };
    archiveOffset += 1024 + lengthBytes;
  }
}

/** Spread as hashes are, at a fraction of the cost of one. */
function hashOf(inodeId: number, prefix: string): Buffer {
  const hash = Buffer.alloc(32);
  hash.write(prefix, 16, 'latin1');
  for (let at = 0; at < 16; at += 4)
    hash.writeInt32LE(
      Math.imul(Math.imul(inodeId + at, 0x9e3779b1) ^ (inodeId >>> 7), 0x85ebca6b),
      at,
    );
  return hash;
}
