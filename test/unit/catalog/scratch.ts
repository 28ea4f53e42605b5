/** A catalog in a directory of its own, and entries to put into it. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type Clock, systemClock } from '../../../src/base/clock.ts';
import { type Raw, rawOf } from '../../../src/base/raw.ts';
import { Catalog } from '../../../src/catalog/catalog.ts';
import { Jobs } from '../../../src/catalog/job/jobs.ts';
import { Run } from '../../../src/catalog/run/run.ts';
import { Media } from '../../../src/catalog/shelf/media.ts';
import { Directories } from '../../../src/catalog/tree/directories.ts';
import type { Content } from '../../../src/domain/content.ts';
import type { Attributes, SourceInode } from '../../../src/domain/entry.ts';

export function scratchDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'shelfs-catalog-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export type World = {
  readonly path: string;
  readonly catalog: Catalog;
  readonly hostId: number;
  readonly media: readonly number[];
  /** Begins a run of a job of its own. */
  begin(): Run;
};

/** A catalog with one host and two labelled media. */
export function world(clock: Clock = systemClock): World {
  const path = join(scratchDirectory(), 'catalog.sqlite');
  const catalog = Catalog.create(path, clock);
  onTestFinished(() => catalog.close());
  return { path, catalog, ...populate(catalog), begin: () => begin(catalog) };
}

export function populate(catalog: Catalog): { hostId: number; media: number[] } {
  const media = new Media(catalog);
  media.add(
    ['AAA001L9', 'AAA002L9'].map((barcode) => ({ barcode, kind: 'tape', capacityBytes: 1e12 })),
  );
  for (const medium of media.list())
    media.setLabelled(medium.id, {
      uuid: `uuid-${medium.barcode}`,
      setUuid: 'set',
      setNumber: medium.id,
      blockBytes: 4096,
      nextFile: 1,
      nextBlock: 2,
      writeGeneration: 1,
      label: {},
    });
  const host = new Directories(catalog).ensureHost('here');
  return { hostId: host.id, media: media.list().map(({ id }) => id) };
}

export function begin(catalog: Catalog): Run {
  const jobs = new Jobs(catalog);
  const uuid = `job-${jobs.list(1)[0]?.number ?? 0}-${catalog.clock.monotonicMs()}`;
  return new Run(catalog, jobs.add({ ...JOB, uuid }));
}

export const JOB = {
  verb: 'backup',
  host: 'here',
  os: 'test',
  pid: process.pid,
  parameters: {},
} as const;

export function attributes(changed: Partial<Attributes> = {}): Attributes {
  return {
    type: 'file',
    mode: 0o644,
    uid: 1000,
    gid: 100,
    user: rawOf('me'),
    group: rawOf('us'),
    sizeBytes: 10,
    mtime: { seconds: 1_700_000_000, nanoseconds: 999_999_999 },
    ctime: { seconds: -5, nanoseconds: 1 },
    xattrs: [],
    ...changed,
  };
}

export function source(inode: number, links = 1): SourceInode {
  return { device: 2049, inode, links };
}

export const DIRECTORY = attributes({ type: 'directory', mode: 0o755, sizeBytes: 0 });

/** Any 32 bytes serve as a hash here: the catalog computes none. */
export function content(text: string, sizeBytes = text.length): Content {
  return { sizeBytes, hash: createHash('sha256').update(text).digest(), segments: undefined };
}

/** Writes all that is unstored into one archive on the given media; the bytes of a file are named by `bytesOf`. */
export function storeAll(
  run: Run,
  media: readonly number[],
  bytesOf: (path: Raw) => Content,
): number {
  const archiveId = beginArchive(run, media);
  run.archives.store(archiveId, storedEntries(run, bytesOf));
  run.archives.takeForJournal(archiveId);
  commit(run, archiveId, media);
  return archiveId;
}

export function* storedEntries(run: Run, bytesOf: (path: Raw) => Content) {
  let position = 512;
  const seen = new Set<number>();
  for (const { directoryId, name, inode, isWaiting, path } of [...run.entries('unstored')]) {
    if (!inode) continue;
    const key = { directoryId, name, inodeId: inode.inodeId };
    if (!isWaiting || seen.has(inode.inodeId)) yield key;
    else {
      const bytes = bytesOf(path);
      seen.add(inode.inodeId);
      const lengthBytes = bytes.sizeBytes;
      const extent = { contentOffset: 0, lengthBytes, storedBytes: lengthBytes };
      yield {
        ...key,
        content: bytes,
        extents: [{ ...extent, archiveOffset: position, form: 'plain' as const }],
      };
      position += 1024;
    }
  }
}

export function beginArchive(run: Run, media: readonly number[]): number {
  const sequence = nextSequence(run);
  return run.archives.begin({
    uuid: `archive-${run.jobNumber}-${sequence}-${systemClock.monotonicMs()}`,
    sequence,
    blockBytes: 4096,
    copies: media.map((mediumId) => ({ mediumId, fileNumber: 1, startBlock: 2 })),
  });
}

const nextSequence = (run: Run) => run.jobNumber;

export function commit(run: Run, archiveId: number, copiesGood: readonly number[]): void {
  const hash = Buffer.alloc(32, 1);
  const sizes = { lengthBytes: 40_960, lengthBlocks: 10 };
  run.archives.commit(archiveId, { ...sizes, blake3: hash, sha256: hash, copiesGood });
}
