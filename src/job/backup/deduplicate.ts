/**
 * Finds out which files need not be stored: those whose size another content has are hashed first, and only they. A file
 * that changes meanwhile is left to the writing, which looks at it again.
 */
import { joinRaw, type Raw } from '../../base/raw.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import type { CopyPolicy } from '../../catalog/contents.ts';
import { Moves } from '../../catalog/moves.ts';
import type { PendingEntry } from '../../catalog/pending.ts';
import type { Run } from '../../catalog/run.ts';
import type { HashRequest } from '../../hash/file.ts';
import type { HashPool } from '../../hash/pool.ts';
import type { SourcePlace } from './fragment.ts';

export type DeduplicationTools = {
  readonly catalog: Catalog;
  readonly run: Run;
  readonly pool: HashPool;
  readonly policy: CopyPolicy;
  /** Where a row's file is read; undefined where its source is not part of the run. */
  placeOf(row: PendingEntry): SourcePlace | undefined;
  onHashed(file: { readonly bytes: number }): void;
  onFound(file: { readonly bytes: number; readonly change: 'moved' | 'duplicate' }): void;
};

type Candidate = HashRequest & { readonly row: PendingEntry };

export async function deduplicate(tools: DeduplicationTools, signal: AbortSignal): Promise<void> {
  const { catalog, run, pool, policy } = tools;
  const snapshotId = run.base?.id ?? 0;
  const moves = new Moves(catalog, { jobNumber: run.jobNumber, snapshotId });
  const seen = new Set<number>();
  for await (const { request, result } of pool.hashAll(candidates(tools, seen), signal)) {
    const { inode, directoryId, name } = request.row;
    if (!inode || 'errno' in result || result.changed) continue;
    tools.onHashed({ bytes: result.sizeBytes });
    const found = run.findContent(result.sizeBytes, result.hash, policy);
    if (!found || found.goodCopies < policy.copies) {
      run.setHash(inode.inodeId, result.hash);
      continue;
    }
    const movedFrom = moves.from(inode.sourceInode, found.contentId);
    const change = movedFrom === undefined ? 'duplicate' : 'moved';
    catalog.write(() => {
      run.setContent(inode.inodeId, found.contentId);
      run.settle({ directoryId, name }, { change, movedFrom });
    });
    tools.onFound({ bytes: result.sizeBytes, change });
  }
}

/** Each inode once, whatever its names. */
function* candidates(tools: DeduplicationTools, seen: Set<number>): Generator<Candidate> {
  for (const row of tools.run.sizeCandidates()) {
    const { inode } = row;
    const place = tools.placeOf(row);
    if (!inode || !place) continue;
    if (inode.sourceInode.links > 1) {
      if (seen.has(inode.inodeId)) continue;
      seen.add(inode.inodeId);
    }
    const path = place.path === '' ? place.source : (joinRaw(place.source, place.path) as Raw);
    const { sizeBytes, mtime, ctime, sourceInode } = inode;
    yield { row, path, expected: { sizeBytes, mtime, ctime, inode: sourceInode.inode } };
  }
}
