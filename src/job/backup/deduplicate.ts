/**
 * Finds out which files need not be stored: those whose size another content has are hashed first, and only they. Of large
 * ones that share a size only among themselves, a camera's clips or a scanner's slices, samples are enough to tell most
 * apart. A file that changes meanwhile is left to the writing, which looks at it again.
 */
import { joinRaw, type Raw } from '../../base/raw.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { Contents, type CopyPolicy } from '../../catalog/content/contents.ts';
import { Moves } from '../../catalog/pending/moves.ts';
import type { PendingEntry } from '../../catalog/pending/rows.ts';
import { Samples } from '../../catalog/pending/samples.ts';
import type { Run } from '../../catalog/run/run.ts';
import type { Inode } from '../../catalog/tree/inodes.ts';
import type { DataRange } from '../../domain/entry.ts';
import type { HashRequest } from '../../hash/file.ts';
import type { HashPool } from '../../hash/pool.ts';
import { SMALL_BYTES_MAX, type SourcePlace } from './fragment.ts';

export type DeduplicationTools = {
  readonly catalog: Catalog;
  readonly run: Run;
  readonly pool: HashPool;
  readonly policy: CopyPolicy;
  /** Where a row's file is read; undefined where its source is not part of the run. */
  placeOf(row: PendingEntry): SourcePlace | undefined;
  /** Where a sparse file has data; undefined where all of it is to be read. */
  rangesOf(place: SourcePlace, inode: Inode): readonly DataRange[] | undefined;
  onHashed(file: { readonly bytes: number }): void;
  onFound(file: { readonly bytes: number; readonly change: 'moved' | 'duplicate' }): void;
};

type Hashed = {
  readonly row: PendingEntry;
  readonly sizeBytes: number;
  readonly hash: Buffer;
};

/** Results recorded in one transaction. */
const BATCH = 512;
/** From so many bytes on a file is sampled first, from its start and its end. */
const SAMPLED_BYTES_MIN = 4 * 2 ** 20;
const SAMPLE_BYTES = 256 * 2 ** 10;

type Candidate = HashRequest & { readonly row: PendingEntry; readonly place: SourcePlace };

export async function deduplicate(tools: DeduplicationTools, signal: AbortSignal): Promise<void> {
  const { catalog, run, pool } = tools;
  const snapshotId = run.base?.id ?? 0;
  const moves = new Moves(catalog, { jobNumber: run.jobNumber, snapshotId });
  const samples = new Samples(catalog);
  const contents = new Contents(catalog);
  let results: Hashed[] = [];
  const flush = () => {
    const batch = results;
    results = [];
    // One commit for many: each waits for the disk.
    catalog.write(() => {
      for (const hashed of batch) settle(hashed, moves, tools);
    });
  };
  const hashAll = async (requests: Iterable<Candidate>) => {
    for await (const { request, result } of pool.hashAll(requests, signal)) {
      const { inode } = request.row;
      if ('errno' in result || result.changed || !inode) continue;
      const { sizeBytes, hash } = result;
      if (request.sampleBytes === undefined) results.push({ row: request.row, sizeBytes, hash });
      else samples.add(inode.inodeId, sizeBytes, hash);
      if (results.length >= BATCH) flush();
    }
  };
  await hashAll(withHoles(sampled(candidates(tools), contents), tools));
  if (samples.haveShared()) await hashAll(withHoles(sharing(candidates(tools), samples), tools));
  flush();
}

/** Those whose size no stored content has are sampled first: only files of this run can be the same. */
function* sampled(all: Iterable<Candidate>, contents: Contents): Generator<Candidate> {
  for (const candidate of all) {
    const sizeBytes = candidate.row.inode?.sizeBytes ?? 0;
    const isSampled = sizeBytes >= SAMPLED_BYTES_MIN && !contents.sizeIsKnown(sizeBytes);
    yield isSampled ? { ...candidate, sampleBytes: SAMPLE_BYTES } : candidate;
  }
}

/** Those whose samples are the same as another's. */
function* sharing(all: Iterable<Candidate>, samples: Samples): Generator<Candidate> {
  for (const candidate of all) {
    const { inode } = candidate.row;
    if (inode && samples.isShared(inode.inodeId)) yield candidate;
  }
}

/** Holes are hashed without being read: of a disk image there are terabytes, and they would fill the kernel's cache. */
function* withHoles(all: Iterable<Candidate>, tools: DeduplicationTools): Generator<Candidate> {
  for (const candidate of all) {
    const { inode } = candidate.row;
    const isWhole = candidate.sampleBytes === undefined;
    const isLarge = inode !== undefined && inode.sizeBytes >= SAMPLED_BYTES_MIN;
    const ranges = isWhole && isLarge ? tools.rangesOf(candidate.place, inode) : undefined;
    yield ranges === undefined ? candidate : { ...candidate, ranges };
  }
}

function settle(
  { row, sizeBytes, hash }: Hashed,
  moves: Moves,
  { run, policy, onHashed, onFound }: DeduplicationTools,
): void {
  const { inode } = row;
  if (!inode) return;
  onHashed({ bytes: sizeBytes });
  const found = run.candidates.findContent(sizeBytes, hash, policy);
  if (!found || found.goodCopies < policy.copies) {
    if (run.candidates.hasHash(hash)) onFound({ bytes: sizeBytes, change: 'duplicate' });
    run.candidates.setHash(inode.inodeId, hash);
    return;
  }
  const movedFrom = moves.from(inode.sourceInode, found.contentId);
  const change = movedFrom === undefined ? 'duplicate' : 'moved';
  run.candidates.setContent(inode.inodeId, found.contentId);
  run.candidates.settle(row, { change, movedFrom });
  onFound({ bytes: sizeBytes, change });
}

/** Each inode once, whatever its names. */
function* candidates(tools: DeduplicationTools): Generator<Candidate> {
  const seen = new Set<number>();
  // Small files are read whole when they are stored, and left out then where they are duplicates: hashing them first
  // would read them twice.
  for (const row of tools.run.candidates.bySize(SMALL_BYTES_MAX + 1)) {
    const { inode } = row;
    const place = tools.placeOf(row);
    if (!inode || !place) continue;
    if (inode.sourceInode.links > 1) {
      if (seen.has(inode.inodeId)) continue;
      seen.add(inode.inodeId);
    }
    const path = place.path === '' ? place.source : (joinRaw(place.source, place.path) as Raw);
    const { sizeBytes, mtime, ctime, sourceInode } = inode;
    yield { row, place, path, expected: { sizeBytes, mtime, ctime, inode: sourceInode.inode } };
  }
}
