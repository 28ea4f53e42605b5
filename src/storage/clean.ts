/**
 * Cleaning a drive of a library with a changer: a cleaning cartridge goes in, works, and goes back to where it was.
 *
 * A drive cleans by itself as soon as such a cartridge stands in it, and ejects it when it has done; one that is used up it
 * ejects too, and says so by TapeAlert 22.
 */
import type { Clock } from '../base/clock.ts';
import { CodedError } from '../base/errors.ts';
import type { Drive } from '../device/drive.ts';
import { parsePlace } from '../domain/place.ts';
import type { Cleaned } from './health-watch.ts';
import type { Library } from './library.ts';
import type { DriveStatus, LibraryStatus } from './library-status.ts';

const POLL_MS = 2000;
/** A cleaning takes two to five minutes by the drives' manuals; after three times that nobody knows what happens. */
const CLEANING_MS_MAX = 15 * 60_000;
const SPENT = 22;
const REFUSED = 23;
const NONE: ReadonlySet<string> = new Set();

/**
 * The cartridge that is in the drive goes back to its slot first, and stays there. Its keeper counts the cleaning.
 * @param wanted number of the drive; default: the only one
 * @throws CodedError USAGE without a changer; MEDIUM_OFFLINE where there is no cleaning cartridge that is not used up;
 *   DRIVE_BUSY; the changer's failures
 */
export async function cleanDrive(
  library: Library,
  wanted: number | undefined,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<Cleaned> {
  const status = await library.status(signal);
  const spent = (await library.keeper?.spent()) ?? NONE;
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
  const { number, serial, device, model } = drive;
  const name = device ?? `drive ${number}`;
  const outcome = await library.visit(
    { what: found.from, drive: number },
    (held) => work(held, clock, signal),
    signal,
  );
  const cleaned: Cleaned = {
    ...{ cartridge: found.barcode, outcome },
    drive: { number, name, serial: serial ?? name, model: model ?? '' },
  };
  await library.keeper?.keepCleaning(cleaned);
  return cleaned;
}

async function work(drive: Drive, clock: Clock, signal: AbortSignal): Promise<Cleaned['outcome']> {
  const startMs = clock.monotonicMs();
  for (;;) {
    const state = await drive.state(signal);
    if (state !== 'cleaning' && state !== 'becoming-ready') break;
    if (clock.monotonicMs() - startMs > CLEANING_MS_MAX) return 'unknown';
    await clock.sleepMs(POLL_MS, signal);
  }
  const alerts = await drive.alerts(signal);
  if (alerts.includes(SPENT)) return 'spent';
  return alerts.includes(REFUSED) ? 'refused' : 'cleaned';
}

/** Whether `cleanDrive` would find what it needs, and the drive with that device name, or with that cartridge. */
export async function cleanable(
  library: Library,
  what: { readonly device: string | undefined; readonly barcode: string },
  signal: AbortSignal,
): Promise<number | undefined> {
  if (library.isByHand) return undefined;
  const status = await library.status(signal);
  const spent = (await library.keeper?.spent()) ?? NONE;
  if (!cleaningCartridge(status, spent)) return undefined;
  const { drives } = status;
  const drive =
    drives.find(({ barcode }) => barcode === what.barcode) ??
    drives.find(({ device }) => device === what.device);
  return drive?.number ?? (drives.length === 1 ? drives[0]?.number : undefined);
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

/**
 * Cleans the drives that asked for it, where the keeper of their health is to: between two archives, or when a job has ended.
 * That it cannot be done ends no job.
 */
export async function cleanAsked(
  library: Library,
  tools: { readonly clock: Clock; readonly signal: AbortSignal; warn(message: string): void },
): Promise<void> {
  const { keeper } = library;
  if (!keeper?.cleans) return;
  for (const device of await keeper.asked()) {
    try {
      const number = await cleanable(library, { device, barcode: '' }, tools.signal);
      if (number === undefined) {
        tools.warn(
          `${device} asks to be cleaned, and the library has no cleaning cartridge for it`,
        );
        continue;
      }
      const { cartridge, outcome } = await cleanDrive(library, number, tools);
      tools.warn(`${device} asked to be cleaned: ${cartridge} ${OUTCOMES[outcome]}`);
    } catch (error) {
      if (!(error instanceof CodedError) || tools.signal.aborted) throw error;
      tools.warn(`${device} asks to be cleaned, which failed: ${error.message}`);
    }
  }
}

const OUTCOMES: Readonly<Record<Cleaned['outcome'], string>> = {
  cleaned: 'did it',
  spent: 'is used up; put a new one into the library',
  refused: 'is not one that it takes; put another one into the library',
  unknown: 'did not end its work, and was taken out again',
};
