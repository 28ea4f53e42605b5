/**
 * Wear of media and drives: what is recorded each time a cartridge leaves a drive, and what of it a person should act on.
 *
 * Readings come from the cartridge's chip, the drive's log pages and our own watch. Everything here is pure.
 */

export type ErrorDeltas = {
  /** Undefined where the drive keeps no such counter, or was reset meanwhile. */
  readonly correctedWrites: number | undefined;
  readonly correctedReads: number | undefined;
  readonly uncorrectedWrites: number | undefined;
  readonly uncorrectedReads: number | undefined;
};

/** One stay of a cartridge in a drive, for one job; undefined where nothing says it. */
export type HealthReading = ErrorDeltas & {
  readonly timeMs: number;
  /** TapeAlert flags that were set. */
  readonly alerts: readonly number[];
  readonly needsCleaning: boolean;
  readonly loads: number | undefined;
  /** Of the cartridge's life so far, in MiB (MAM 0220h, 0221h). */
  readonly writtenMib: number | undefined;
  readonly readMib: number | undefined;
  /** In this stay, and how long the drive took for it, the host's own delays apart. */
  readonly writtenBytes: number;
  readonly writeMs: number;
  readonly readBytes: number;
  readonly readMs: number;
};

/** Where a person put it in: nobody has read which cartridge it was. */
export const BY_HAND = 'by hand';

/** `CLN001L1` has cleaned the drive, or was found to be used up. */
export type CleaningReading = {
  readonly timeMs: number;
  /** Barcode, or `BY_HAND`. */
  readonly cleanedBy: string;
  readonly outcome: 'cleaned' | 'spent' | 'refused' | 'unknown';
};

/** IBM, nominal cartridge life, of Ultrium 3 to 8 (TS2900 guide, table 18); nothing else is published of later ones. */
export const RATED_LOADS = 20_000;
/** The last tenth of its life: time to order another one. */
const LOADS_SHARE = 0.9;
/** A universal cleaning cartridge, as its makers say; its chip counts them too. */
export const RATED_CLEANINGS = 50;
export const CLEANINGS_LEFT_FEW = 5;

/** What is told of the past is what the last stays say. */
const RECENT = 10;
const BEFORE_MIN = 3;
/** Fewer errors are no trend: a cartridge of LTO-9 corrects some thousands on its whole length. */
const ERRORS_MIN = 1000;
const RISE_FACTOR = 4;
const GB = 1e9;
/** Less says nothing of a speed: a drive comes up to it in some seconds. */
const SPEED_BYTES_MIN = 10 * GB;
const SPEED_SHARE = 0.5;

/** Flags of a cartridge, by TapeAlert (SSC-4 annex A); each sentence says what to do. */
const MEDIUM_ALERTS: ReadonlyMap<number, string> = new Map([
  [3, 'a hard error happened with it: scrub it, and it will say what is lost'],
  [4, 'it is no longer reliable: groom it, which copies what is on it, and retire it'],
  [
    7,
    'it has reached the end of its calculated life: groom it, which copies what is on it, and retire it',
  ],
  [
    15,
    'its memory chip failed: loading takes longer, and capacity is a guess; retire it when it is empty',
  ],
  [19, 'it is near the end of its life: have another one ready, and let grooming empty it'],
  [
    51,
    'its directory was damaged when it was unloaded: load it and let it be read through (scrub)',
  ],
]);

const DRIVE_ALERTS: ReadonlyMap<number, string> = new Map([
  [20, 'it asks to be cleaned now: `shelfs library clean`, or put in a cleaning cartridge'],
  [21, 'it asks to be cleaned soon: `shelfs library clean` when it is idle'],
  [22, 'the cleaning cartridge was used up: put a new one into the library'],
  [
    23,
    'what was to clean it is no cleaning cartridge that it takes: put another one into the library',
  ],
  [30, 'its hardware failed: power it off and on; if that does not help, call service'],
  [31, 'its hardware failed: power it off and on; if that does not help, call service'],
  [36, 'it is too hot: look at its fans and at the air around it'],
  [39, "it asks for diagnosis: let its maker's tool look at it"],
]);

/** @param readings oldest first */
export function mediumWarnings(
  readings: readonly HealthReading[],
  options: { readonly nativeBytesASecond: number | undefined },
): string[] {
  const recent = readings.slice(-RECENT);
  const loads = recent.findLast((reading) => reading.loads !== undefined)?.loads ?? 0;
  return [
    ...alertWarnings(recent, MEDIUM_ALERTS),
    ...(loads >= RATED_LOADS * LOADS_SHARE
      ? [
          `it has been loaded ${count(loads)} times, of the ${count(RATED_LOADS)} that it is made for: let grooming empty it, and retire it`,
        ]
      : []),
    ...risingWarnings(
      readings,
      'scrub it; if another drive corrects as much on it, groom and retire it',
    ),
    ...speedWarnings(recent, options.nativeBytesASecond),
  ];
}

/** @param readings oldest first @param cleanings of this drive, oldest first */
export function driveWarnings(
  readings: readonly HealthReading[],
  cleanings: readonly CleaningReading[],
): string[] {
  const cleanedMs =
    cleanings.findLast(({ outcome }) => outcome === 'cleaned')?.timeMs ?? Number.NEGATIVE_INFINITY;
  const since = readings.filter(({ timeMs }) => timeMs > cleanedMs);
  const told = alertWarnings(since.slice(-RECENT), DRIVE_ALERTS);
  const isAsked = since.at(-1)?.needsCleaning && told.length === 0;
  const last = cleanings.at(-1);
  const spent =
    last && last.outcome !== 'cleaned' && last.outcome !== 'unknown'
      ? [
          `the cleaning cartridge ${last.cleanedBy} ${SPENT_WORDS[last.outcome]}: put a new one into the library`,
        ]
      : [];
  return [
    ...told,
    ...(isAsked ? [DRIVE_ALERTS.get(21) ?? ''] : []),
    ...spent,
    ...risingWarnings(since, 'clean it; if it goes on with several cartridges, call service'),
  ];
}

/** TapeAlert: clean now, and clean soon. */
const ASKING: readonly number[] = [20, 21];

/** Whether a drive has asked to be cleaned since that was last tried. */
export function asksForCleaning(
  readings: readonly HealthReading[],
  cleanings: readonly CleaningReading[],
): boolean {
  const triedMs = cleanings.at(-1)?.timeMs ?? Number.NEGATIVE_INFINITY;
  return readings.some(
    ({ timeMs, alerts, needsCleaning }) =>
      timeMs > triedMs && (needsCleaning || ASKING.some((flag) => alerts.includes(flag))),
  );
}

const SPENT_WORDS = { spent: 'is used up', refused: 'is not one that it takes' } as const;

/** What is left of a cleaning cartridge, in a sentence; undefined while there is no need to say it. */
export function cleaningWarning(
  barcode: string,
  uses: readonly CleaningReading[],
): string | undefined {
  if (uses.some(({ outcome }) => outcome === 'spent'))
    return `${barcode} is used up: take it out of the library, and put a new one in`;
  const left = cleaningsLeft(uses);
  if (left > CLEANINGS_LEFT_FEW) return undefined;
  return `${barcode} is good for ${left} more cleanings: have another one ready`;
}

/** Of the cleanings it is made for, those that are known here taken away. */
export function cleaningsLeft(uses: readonly CleaningReading[]): number {
  if (uses.some(({ outcome }) => outcome === 'spent')) return 0;
  return Math.max(0, RATED_CLEANINGS - uses.length);
}

function alertWarnings(
  readings: readonly HealthReading[],
  words: ReadonlyMap<number, string>,
): string[] {
  const set = new Set(readings.flatMap(({ alerts }) => alerts));
  return [...words].flatMap(([flag, sentence]) =>
    set.has(flag) ? [`${sentence} (TapeAlert ${flag})`] : [],
  );
}

/** Against its own past: what is usual differs by make and by generation. */
function risingWarnings(readings: readonly HealthReading[], advice: string): string[] {
  const rates = readings.flatMap((reading) => {
    const errors = (reading.correctedWrites ?? 0) + (reading.correctedReads ?? 0);
    const bytes = reading.writtenBytes + reading.readBytes;
    const isKnown = reading.correctedWrites !== undefined || reading.correctedReads !== undefined;
    return isKnown && bytes >= GB ? [{ errors, perGb: errors / (bytes / GB) }] : [];
  });
  const last = rates.at(-1);
  const before = rates.slice(-RECENT - 1, -1).map(({ perGb }) => perGb);
  if (!last || before.length < BEFORE_MIN || last.errors < ERRORS_MIN) return [];
  const usual = median(before);
  if (last.perGb < Math.max(1, usual) * RISE_FACTOR) return [];
  return [
    `errors that the drive corrected rose to ${count(Math.round(last.perGb))} a GB, from ${count(Math.round(usual))}: ${advice}`,
  ];
}

/** A drive that goes over places again and again is slow before it reports anything. */
function speedWarnings(readings: readonly HealthReading[], native: number | undefined): string[] {
  if (native === undefined) return [];
  const rates = readings.flatMap((reading) => {
    const bytes = reading.writtenBytes + reading.readBytes;
    const seconds = (reading.writeMs + reading.readMs) / 1000;
    const uncorrected = (reading.uncorrectedWrites ?? 0) + (reading.uncorrectedReads ?? 0);
    return bytes >= SPEED_BYTES_MIN && seconds > 0 && uncorrected === 0 ? [bytes / seconds] : [];
  });
  const [last, before] = [rates.at(-1), rates.at(-2)];
  const limit = native * SPEED_SHARE;
  // Twice in a row: once may be a neighbour on the same bus.
  if (last === undefined || before === undefined || last >= limit || before >= limit) return [];
  const speed = `${Math.round(last / 1e6)} MB/s of ${Math.round(native / 1e6)}`;
  return [
    `the drive moves at half speed with it without reporting errors (${speed}): clean the drive, then try another drive; if it stays so, groom and retire it`,
  ];
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function count(number: number): string {
  return number.toLocaleString('en-US');
}
