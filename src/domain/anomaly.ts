/**
 * The anomaly guard: whether a run looks like damage to its source rather than like work on it. Pure; job/backup/run-watch.ts
 * gathers what it goes by.
 *
 * Single signs are ordinary: an upgrade changes much, a vault is opaque, a project is deleted. Two at once are an alarm. It stops
 * expiry and groom, so that what was good before stays; never the backup.
 */

/** What a run found of one source, against the run before. */
export type SourceFacts = {
  /** There now, directories included, and their bytes. */
  readonly entries: number;
  readonly bytes: number;
  /** Files. */
  readonly created: number;
  readonly createdBytes: number;
  readonly changed: number;
  readonly gone: number;
  readonly goneBytes: number;
  /** Of those gone: a file of the same name with this suffix behind it, or instead of its own, has come. */
  readonly renamed: number;
  readonly suffix: string | undefined;
  /** Directories directly below the source, and in how many of them files are gone. */
  readonly tops: number;
  readonly topsTouched: number;
  /** Changed and created files whose bytes were looked at, and those whose bytes contradict their names. */
  readonly sampled: number;
  readonly odd: number;
};

export type Sign = 'much changed' | 'contents' | 'suffix' | 'drift' | 'deleted' | 'everywhere';

export type Signal = { readonly sign: Sign; readonly sentence: string };

/** So many signs are an alarm. */
export const SIGNS_MIN = 2;

/** Fewer files say nothing. */
const FILES_MIN = 16;
/** Of all that was there before: more than an ordinary run changes, renames or deletes. */
const CHANGED_SHARE = 0.3;
const RENAMED_SHARE = 0.1;
const GONE_SHARE = 0.5;
/** Above three quarters of the runs before, so many times. */
const ABOVE_USUAL = 3;
/** Of the files looked at. One that is damaged by chance is alone. */
const ODD_SHARE = 0.6;
/** What 14 runs together made of the source: a tenth of it is no accident. */
const DRIFT_RUNS = 14;
const DRIFT_SHARE = 0.12;
/** Of what is gone: so many bytes, in so few files, may be all of it, packed. */
const PACKED_BYTES_SHARE = 0.02;
const PACKED_FILES_MAX = 3;
/** Of the directories directly below the source. */
const TOPS_SHARE = 0.5;

/**
 * @param earlier facts of runs before, the newest first; those up to the last alarm, which a person has looked at
 * @returns none without a run before
 */
export function signsOf(now: SourceFacts, earlier: readonly SourceFacts[]): Signal[] {
  const before = entriesBefore(now);
  if (earlier.length === 0 || before < FILES_MIN) return [];
  const found: Signal[] = [];
  const add = (sign: Sign, isThere: boolean, sentence: string) => {
    if (isThere) found.push({ sign, sentence });
  };
  const touched = touchedShare(now);
  const usual = quartile(earlier.slice(0, 30).map(touchedShare));
  add(
    'much changed',
    now.changed + now.renamed >= FILES_MIN &&
      touched >= CHANGED_SHARE &&
      touched > ABOVE_USUAL * usual,
    `${percent(touched)} of the files changed, usually ${percent(usual)}`,
  );
  add(
    'contents',
    isOdd(now),
    `the bytes of ${percent(oddShare(now))} of the changed files are not what their names say`,
  );
  add(
    'suffix',
    now.renamed >= FILES_MIN && now.renamed >= RENAMED_SHARE * before,
    `${now.renamed} files have a new suffix: .${now.suffix ?? ''}`,
  );
  const drift = driftOf([now, ...earlier.slice(0, DRIFT_RUNS - 1)]) / before;
  add(
    'drift',
    drift >= DRIFT_SHARE,
    `in the last runs ${percent(Math.min(1, drift))} of the files became something that their names do not say`,
  );
  add(
    'deleted',
    now.gone >= FILES_MIN && now.gone - now.created >= GONE_SHARE * before,
    `${now.gone} files are gone, of ${before} entries`,
  );
  add(
    'everywhere',
    isGoneEverywhere(now),
    `${percent(now.goneBytes / bytesBefore(now))} of the bytes are gone, in ${now.topsTouched} of ${now.tops} directories, and nothing came instead`,
  );
  return found;
}

function isGoneEverywhere(now: SourceFacts): boolean {
  return (
    now.goneBytes >= GONE_SHARE * bytesBefore(now) &&
    now.goneBytes > 0 &&
    !isPacked(now) &&
    now.topsTouched >= TOPS_SHARE * now.tops
  );
}

/** A few files came, with enough bytes to hold the others packed. */
function isPacked({ created, createdBytes, goneBytes }: SourceFacts): boolean {
  return createdBytes >= PACKED_BYTES_SHARE * goneBytes && created <= PACKED_FILES_MAX;
}

/** Files that the runs made odd, as far as samples tell. */
function driftOf(runs: readonly SourceFacts[]): number {
  return runs
    .filter(({ odd, sampled }) => odd >= FILES_MIN / 4 && odd >= ODD_SHARE * sampled)
    .reduce((sum, run) => sum + (run.changed + run.renamed) * oddShare(run), 0);
}

function isOdd(facts: SourceFacts): boolean {
  return facts.odd >= FILES_MIN / 2 && oddShare(facts) >= ODD_SHARE;
}

function oddShare({ odd, sampled }: SourceFacts): number {
  return sampled === 0 ? 0 : odd / sampled;
}

function touchedShare(facts: SourceFacts): number {
  return (facts.changed + facts.renamed) / Math.max(1, entriesBefore(facts));
}

function entriesBefore({ entries, created, gone }: SourceFacts): number {
  return Math.max(0, entries - created + gone);
}

function bytesBefore({ bytes, createdBytes, goneBytes }: SourceFacts): number {
  return Math.max(1, bytes - createdBytes + goneBytes);
}

/** Three quarters are not above it. */
function quartile(shares: readonly number[]): number {
  const sorted = shares.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) * 0.75)] ?? 0;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
