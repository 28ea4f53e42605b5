/**
 * Cleaning a drive of a library with a changer: a cleaning cartridge goes in, works, and goes back to where it was.
 *
 * A drive cleans by itself as soon as such a cartridge stands in it, and ejects it when it has done; one that is used up it
 * ejects too, and says so by TapeAlert 22.
 */
import type { Clock } from '../base/clock.ts';
import { CodedError } from '../base/errors.ts';
import { parsePlace } from '../domain/place.ts';
import type { DriveStatus, Library, LibraryStatus } from './library.ts';

export type Cleaned = {
  readonly cartridge: string;
  readonly drive: {
    readonly number: number;
    readonly serial: string;
    readonly name: string;
    readonly model: string;
  };
  readonly outcome: 'cleaned' | 'spent' | 'refused' | 'unknown';
};

export type CleanRequest = {
  /** Default: the only drive. */
  readonly drive: number | undefined;
  /** Barcodes of cleaning cartridges that are known to be used up. */
  readonly spent: ReadonlySet<string>;
};

const POLL_MS = 2000;
/** A cleaning takes two to five minutes by the drives' manuals; after three times that nobody knows what happens. */
const CLEANING_MS_MAX = 15 * 60_000;
const SPENT = 22;
const REFUSED = 23;

/**
 * The cartridge that is in the drive goes back to its slot first, and stays there.
 * @throws CodedError USAGE without a changer; MEDIUM_OFFLINE where there is no cleaning cartridge that is not used up;
 *   DRIVE_BUSY; the changer's failures
 */
export async function cleanDrive(
  library: Library,
  { drive: wanted, spent }: CleanRequest,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<Cleaned> {
  const status = await library.status(signal);
  if (!status.changer)
    throw new CodedError(
      'USAGE',
      'without a changer put the cleaning cartridge into the drive by hand; it works by itself and is ejected',
    );
  const found = cleaningCartridge(status, spent);
  if (!found)
    throw new CodedError(
      'MEDIUM_OFFLINE',
      'the library holds no cleaning cartridge that is not used up; put one, CLN... on its sticker, into a slot',
    );
  const drive = driveOf(status, wanted);
  const at = { kind: 'drive', number: drive.number } as const;
  if (drive.barcode !== null) await library.unload(at, undefined, signal);
  await library.transfer(found.from, at, signal);
  try {
    const outcome = await library.useDrive(
      drive.number,
      async (held) => {
        const startMs = clock.monotonicMs();
        let state = await held.state(signal);
        while (state === 'cleaning' || state === 'becoming-ready') {
          if (clock.monotonicMs() - startMs > CLEANING_MS_MAX) return 'unknown' as const;
          await clock.sleepMs(POLL_MS, signal);
          state = await held.state(signal);
        }
        const alerts = await held.alerts(signal);
        if (alerts.includes(SPENT)) return 'spent' as const;
        return alerts.includes(REFUSED) ? ('refused' as const) : ('cleaned' as const);
      },
      signal,
    );
    const { number, serial, device, model } = drive;
    const name = device ?? `drive ${number}`;
    return {
      ...{ cartridge: found.barcode, outcome },
      drive: { number, name, serial: serial ?? name, model: model ?? '' },
    };
  } finally {
    // Also when it was stopped: it would be in the way of everything else.
    await library.unload(at, found.from, new AbortController().signal);
  }
}

/** Whether `cleanDrive` could find what it needs. */
export function canClean(status: LibraryStatus, spent: ReadonlySet<string>): boolean {
  return status.changer !== null && cleaningCartridge(status, spent) !== undefined;
}

function cleaningCartridge(status: LibraryStatus, spent: ReadonlySet<string>) {
  for (const { barcode, kind, place } of status.cartridges) {
    if (kind !== 'cleaning' || barcode === null || spent.has(barcode)) continue;
    const from = parsePlace(place);
    if (from?.kind === 'slot') return { barcode, from };
  }
  return undefined;
}

function driveOf({ drives }: LibraryStatus, wanted: number | undefined): DriveStatus {
  const [first, other] = drives;
  const drive = wanted === undefined ? first : drives.find(({ number }) => number === wanted);
  if (!drive) throw new CodedError('USAGE', `there is no drive ${wanted ?? 0}`);
  if (wanted === undefined && other)
    throw new CodedError('USAGE', 'there are several drives; say which, for instance drive0');
  return drive;
}
