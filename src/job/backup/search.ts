/** What a run has to store: its sources scanned, then duplicates among what was found. */
import type { Raw } from '../../base/raw.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { Contents, type CopyPolicy } from '../../catalog/content/contents.ts';
import type { Source } from '../../catalog/job/sources.ts';
import type { Outstanding, Run } from '../../catalog/run/run.ts';
import { HashPool } from '../../hash/pool.ts';
import { changePolicyOf, filterOf, parseSourceOptions } from '../source-options.ts';
import { deduplicate } from './deduplicate.ts';
import type { Outgoing } from './outgoing.ts';
import type { RunWatch } from './run-watch.ts';
import { scan } from './scan.ts';
import type { Tally } from './tally.ts';

export type SearchTools = {
  readonly catalog: Catalog;
  readonly run: Run;
  readonly sources: readonly Source[];
  readonly ownDirectories: readonly Raw[];
  readonly allowEmpty: boolean;
  /** Threads that hash. */
  readonly workers: number;
  /** What counts as stored. */
  readonly policy: CopyPolicy;
  readonly tally: Tally;
  readonly watch: RunWatch;
  newOutgoing(): Outgoing;
  /** What there is to store by now, now and then during the scan. */
  foresee?: ((found: Outstanding) => void) | undefined;
};

/** @throws CodedError as `scan` */
export async function search(tools: SearchTools, signal: AbortSignal): Promise<void> {
  await scanAll(tools, signal);
  const pool = new HashPool({ workers: tools.workers });
  const outgoing = tools.newOutgoing();
  const { tally } = tools;
  try {
    await deduplicate(
      {
        ...tools,
        pool,
        placeOf: (row) => outgoing.placeOf(row),
        rangesOf: (place, inode) => outgoing.rangesOf(place, inode),
        onHashed: ({ bytes }) => tally.hashed(bytes),
        onFound: (file) => tally.found(file),
      },
      signal,
    );
  } finally {
    outgoing.close();
    await pool.close();
  }
}

async function scanAll(tools: SearchTools, signal: AbortSignal): Promise<void> {
  const { catalog, run, ownDirectories, allowEmpty, tally, watch } = tools;
  const isWeak = new Contents(catalog).weakness(tools.policy);
  for (const source of tools.sources) {
    const options = parseSourceOptions(source.options);
    const filter = filterOf(catalog, source);
    const policy = changePolicyOf(options);
    await scan(
      { source, options, filter, policy, ownDirectories, allowEmpty, isWeak },
      {
        run,
        counts: tally.files,
        onScanned: (entries, bytes) => {
          watch.scanned(source.name, entries, bytes);
          tally.scanned(source.name, entries, bytes);
          const found = tools.foresee && run.foundByNow;
          if (found) tools.foresee?.(found);
        },
        onExcluded: (entry, reason) => tally.leftOut(entry, reason),
        onUnreadable: (damage) => tally.damage(damage),
      },
      signal,
    );
  }
}
