/**
 * What the anomaly guard (domain/anomaly.ts) goes by, gathered beside a run: how much each source has, and of some changed and new
 * files whether their bytes are what their names say. The rest is in the run's rows by the time it ends.
 */
import type { Catalog } from '../../catalog/catalog.ts';
import { type Alarm, Alarms } from '../../catalog/job/alarms.ts';
import type { Source } from '../../catalog/job/sources.ts';
import { type RowFacts, RunFacts, type RunFactsOf, rowFacts } from '../../catalog/run/facts.ts';
import type { Run } from '../../catalog/run/run.ts';
import { Directories } from '../../catalog/tree/directories.ts';
import { SIGNS_MIN, type SourceFacts, signsOf } from '../../domain/anomaly.ts';
import { contradicts, expectationOf, SAMPLE_BYTES } from '../../domain/plausible.ts';
import type { Feed } from './feed.ts';
import type { FragmentResult } from './fragment.ts';
import { memberAt } from './fragment-codec.ts';
import type { PlannedMember } from './outgoing-entry.ts';

/**
 * So many are looked at of each source before one of a batch has to do: a look takes some microseconds, and most files of a large
 * run get none. Measured: 0.3 % of the time that 100,000 small files take.
 */
const LOOKS_AT_ALL = 256;

type Seen = { entries: number; bytes: number; sampled: number; odd: number };

type Looked = { readonly bytes: Uint8Array; readonly result: FragmentResult };

const NO_ROWS: RowFacts = {
  ...{ created: 0, createdBytes: 0, changed: 0, gone: 0, goneBytes: 0 },
  ...{ renamed: 0, suffix: undefined, tops: 0, topsTouched: 0 },
};

export class RunWatch {
  readonly #sources: readonly Source[];
  readonly #seen: ReadonlyMap<string, Seen>;
  #turn = 0;
  #last: { readonly path: string; readonly seen: Seen } | undefined;

  constructor(sources: readonly Source[]) {
    this.#sources = sources;
    const nothing = () => ({ entries: 0, bytes: 0, sampled: 0, odd: 0 });
    this.#seen = new Map(sources.map(({ name }) => [name, nothing()]));
  }

  /** So much more of a source was met. */
  scanned(source: string, entries: number, bytes: number): void {
    const seen = this.#seen.get(source);
    if (!seen) return;
    seen.entries += entries;
    seen.bytes += bytes;
  }

  /** Files on their way into an archive, as long as their bytes are at hand. */
  look(feed: Feed, fragment: Looked): void {
    if (!feed.isFirst && feed.task.kind === 'run') return;
    const { members } = feed;
    this.#turn += 1;
    const only = this.#turn % members.length;
    for (let index = 0; index < members.length; index += 1) {
      const seen = this.#seenAt(members.sourceOf(index));
      if (!seen || (seen.sampled >= LOOKS_AT_ALL && index !== only)) continue;
      const planned = members.at(index);
      if (planned) this.#lookAt(planned, seen, { ...fragment, index });
    }
  }

  #lookAt(
    { piece, lengths }: PlannedMember,
    seen: Seen,
    { bytes, result, index }: Looked & { readonly index: number },
  ): void {
    const { row, inode } = piece.item.key;
    const isBeginning = lengths !== undefined && (piece.part?.offset ?? 0) === 0;
    const member = memberAt(result, index);
    if (!isBeginning || (row.change !== 'changed' && row.change !== 'new')) return;
    const expected = member?.outcome === 'stored' ? expectationOf(row.name) : undefined;
    if (!expected || !member) return;
    const start = member.offset + lengths.headBytes;
    const end = start + Math.min(SAMPLE_BYTES, inode.sizeBytes, lengths.dataBytes);
    seen.sampled += 1;
    if (contradicts(bytes.subarray(start, end), expected)) seen.odd += 1;
  }

  /** What was found is kept for runs to come. Before the run is finished. @returns the alarm, where it looks like damage */
  judge(catalog: Catalog, run: Run): Alarm | undefined {
    const facts = this.#facts(catalog, run);
    const book = new RunFacts(catalog);
    const earlier = book.before(run.jobNumber);
    book.set(run.jobNumber, facts);
    const signals = Object.entries(facts).flatMap(([source, now]) => {
      const before = earlier.flatMap((told) =>
        Object.hasOwn(told, source) ? (told[source] ?? []) : [],
      );
      const signs = signsOf(now, before);
      return signs.length < SIGNS_MIN ? [] : signs.map(({ sentence }) => `${source}: ${sentence}`);
    });
    return signals.length === 0 ? undefined : new Alarms(catalog).add(run.jobNumber, signals);
  }

  #facts(catalog: Catalog, { jobNumber, base }: Run): RunFactsOf {
    const directories = new Directories(catalog);
    const roots = this.#sources.flatMap(({ name, hostId, original }) => {
      const directoryId = directories.find(hostId, original);
      return directoryId === undefined ? [] : [{ name, directoryId }];
    });
    const rows = base && rowFacts(catalog, { jobNumber, snapshotId: base.id }, roots);
    return Object.fromEntries(
      [...this.#seen].map(([name, seen]): [string, SourceFacts] => {
        const {
          created,
          createdBytes,
          changed,
          gone,
          goneBytes,
          renamed,
          suffix,
          tops,
          topsTouched,
        } = rows?.get(name) ?? NO_ROWS;
        const counts = { created, createdBytes, changed, gone, goneBytes, renamed, suffix };
        return [name, { ...seen, ...counts, tops, topsTouched }];
      }),
    );
  }

  /** Neighbours are of one source. */
  #seenAt(path: string): Seen | undefined {
    if (this.#last?.path === path) return this.#last.seen;
    const source = this.#sources.find((candidate) => candidate.path === path);
    const seen = source && this.#seen.get(source.name);
    this.#last = seen && { path, seen };
    return seen;
  }
}
