/** Attaching a cartridge that may have to be brought by a person first. */
import type { Clock } from '../base/clock.ts';
import { CodedError } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import type { Waiting } from '../domain/question.ts';
import { subjectOf } from '../domain/question-words.ts';
import { readBeginning } from './beginning.ts';
import type { MeantMedium } from './identity.ts';
import type { Library } from './library.ts';
import type { Operator } from './operator.ts';
import { nameOf, type WatchTools, type Wish, watchFor } from './operator-watch.ts';
import { Tape } from './tape.ts';

export type WantedMedium = {
  readonly barcode: string;
  /** As its label says it; undefined where the catalog knows none. */
  readonly uuid: string | undefined;
  /** Where people have put it. */
  readonly location: string | undefined;
};

export type MediumRequest = {
  readonly medium: WantedMedium;
  /** What was tried in vain, in a sentence. */
  readonly reason: string;
  readonly waiting: Waiting;
  readonly attempt: number;
  /** It is not there: why it is waited for, in a sentence. */
  onWait?(reason: string): void;
};

/** Loading, rewinding and reading a label takes a minute or two: load 16 s, rewind 62 s (LTO-9). */
const LOOKS_MS_MAX = 600_000;
const BUSY_POLL_MS = 1000;

/** One cartridge and no other. */
export function wishFor({ barcode, uuid }: Pick<WantedMedium, 'barcode' | 'uuid'>): Wish {
  return {
    wanted: barcode,
    isThere: (present) => present.has(barcode),
    refuse: (found) => {
      const isIt =
        found.kind === 'label' &&
        found.label.barcode === barcode &&
        (uuid === undefined || found.label.uuid === uuid);
      if (isIt) return undefined;
      const isNamesake = found.kind === 'label' && found.label.barcode === barcode;
      return isNamesake ? `another one that is called ${barcode} too` : nameOf(found);
    },
  };
}

/** Asks for a cartridge. @returns whether it is there now, or is to be tried again */
export async function askForMedium(
  { medium, reason, waiting, attempt, onWait }: MediumRequest,
  tools: WatchTools & { readonly operator: Operator },
  signal: AbortSignal,
): Promise<'inserted' | 'declined'> {
  const { barcode, location } = medium;
  const about = { kind: 'medium', barcode, location } as const;
  const answer = await tools.operator.ask(
    {
      about,
      reason,
      waiting,
      attempt,
      choices: ['retry', 'decline'],
      byDefault: 'decline',
      watch: watchFor(wishFor(medium), tools),
      onAsked: () => onWait?.(subjectOf({ about })),
    },
    signal,
  );
  return answer === 'decline' ? 'declined' : 'inserted';
}

/**
 * Attaches a cartridge, and asks for it as often as a person can help.
 * @throws CodedError MEDIUM_OFFLINE when the operator declined, did not answer in time or brought others; what `Tape.attach`
 *   throws and no person can help
 */
export async function attachAsking(
  request: Pick<MediumRequest, 'waiting'> & {
    readonly medium: WantedMedium & MeantMedium;
    /** Told why it waits, and undefined when the waiting is over. */
    onWait?(reason: string | undefined): void;
  },
  tools: { readonly library: Library; readonly operator: Operator; readonly clock: Clock },
  signal: AbortSignal,
): Promise<Tape> {
  const { medium, waiting, onWait } = request;
  for (let attempt = 1; ; attempt += 1) {
    let failure: CodedError;
    try {
      const tape = await (attempt === 1
        ? Tape.attach(tools.library, medium, signal)
        : attachPatiently(medium, tools, signal));
      if (attempt > 1) onWait?.(undefined);
      tools.operator.taken(medium.barcode);
      return tape;
    } catch (error) {
      if (!(error instanceof CodedError) || !canHelp(error, tools.library)) throw error;
      failure = error;
    }
    if (attempt > tools.operator.attemptsMax) throw failure;
    const reason = failure.message;
    const asked = { medium, reason, waiting, attempt, ...(onWait && { onWait }) };
    const answer = await askForMedium(asked, tools, signal);
    if (answer === 'inserted') continue;
    throw new CodedError(
      'MEDIUM_OFFLINE',
      `cartridge ${printable(medium.barcode)} is not to be had: ${failure.message}`,
      { volser: medium.barcode.slice(0, 6), cause: failure },
    );
  }
}

/** What a person has left in the drives, by label; nothing where there is a changer, or others have the drives. */
export async function barcodesInDrives(
  library: Library,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  if (!library.isByHand) return found;
  for (const number of library.driveNames.keys()) {
    try {
      const held = await library.attachDrive(number, signal);
      if (!held) continue;
      try {
        const beginning = await readBeginning(held.drive, signal);
        if (beginning.kind === 'label') found.add(beginning.label.barcode);
      } finally {
        await held.close();
      }
    } catch (error) {
      // Whoever attaches it is told; here it is only a question of order.
      if (!(error instanceof CodedError) || error.code === 'INTERRUPTED') throw error;
    }
  }
  return found;
}

/** Others who wait for a cartridge look into the drive too, which takes a rewind. */
async function attachPatiently(
  medium: WantedMedium & MeantMedium,
  { library, clock }: { readonly library: Library; readonly clock: Clock },
  signal: AbortSignal,
): Promise<Tape> {
  const startMs = clock.monotonicMs();
  for (;;) {
    try {
      return await Tape.attach(library, medium, signal);
    } catch (error) {
      const isBusy = error instanceof CodedError && error.code === 'DRIVE_BUSY';
      if (!isBusy || clock.monotonicMs() - startMs > LOOKS_MS_MAX) throw error;
      await clock.sleepMs(BUSY_POLL_MS, signal);
    }
  }
}

/** A label that is not the one asked for is a person's mistake only where persons load: a changer scans barcodes. */
function canHelp(error: CodedError, library: Library): boolean {
  if (error.code === 'MEDIUM_MISMATCH') return library.isByHand;
  return error.failure.retry === 'operator';
}
