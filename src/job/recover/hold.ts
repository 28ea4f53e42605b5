/** A cartridge into a drive, as a changer or a person brings it; with a person it is proven by its label each time. */
import { CodedError, type FailureCode } from '../../base/errors.ts';
import { printable } from '../../base/text.ts';
import { askForMedium } from '../../storage/attach.ts';
import { readBeginning } from '../../storage/beginning.ts';
import type { HeldDrive } from '../../storage/drives.ts';
import type { Library } from '../../storage/library.ts';
import type { Operator } from '../../storage/operator.ts';

export type HoldTools = {
  readonly library: Library;
  /** Who brings cartridges where there is no changer. */
  readonly operator: Operator;
};

/** Another one is there, or none: a person can help. */
const AWAY: ReadonlySet<FailureCode> = new Set([
  'MEDIUM_OFFLINE',
  'MEDIUM_MISMATCH',
  'DRIVE_EMPTY',
]);

/** Where a person is the changer: whether the cartridge is there now. */
export async function isBrought(
  wanted: { readonly barcode: string; readonly uuid: string | undefined },
  { library, operator }: HoldTools,
  asking: { readonly reason: string; readonly attempt: number; readonly signal: AbortSignal },
): Promise<boolean> {
  const { signal, ...asked } = asking;
  const medium = { ...wanted, location: undefined };
  const waiting = { who: 'recover', contents: undefined, readers: undefined };
  const answer = await askForMedium({ medium, waiting, ...asked }, { library, operator }, signal);
  return answer === 'inserted';
}

/** @param labels of the cartridges that were read, by barcode: UUID */
export function holder(tools: HoldTools, labels: ReadonlyMap<string, string>, signal: AbortSignal) {
  const { library, operator } = tools;
  return async (barcode: string): Promise<HeldDrive> => {
    if (!library.isByHand) return library.attach(barcode, signal);
    const uuid = labels.get(barcode);
    for (let attempt = 1; ; attempt += 1) {
      const held = await inDrives(library, { barcode, uuid }, signal);
      if (!(held instanceof CodedError)) return held;
      const asking = { reason: held.message, attempt, signal };
      if (attempt > operator.attemptsMax || !(await isBrought({ barcode, uuid }, tools, asking)))
        throw held;
    }
  };
}

async function inDrives(
  library: Library,
  { barcode, uuid }: { readonly barcode: string; readonly uuid: string | undefined },
  signal: AbortSignal,
): Promise<HeldDrive | CodedError> {
  for (const number of library.driveNames.keys()) {
    const held = await library.attachDrive(number, signal);
    if (!held) continue;
    try {
      const found = await readBeginning(held.drive, signal);
      if (found.kind === 'label' && found.label.barcode === barcode)
        if (uuid === undefined || found.label.uuid === uuid) return held;
    } catch (error) {
      if (!(error instanceof CodedError) || !OTHER.has(error.code)) {
        await held.close();
        throw error;
      }
    }
    await held.close();
  }
  return new CodedError('MEDIUM_OFFLINE', `put cartridge ${printable(barcode)} into the drive`, {
    volser: barcode.slice(0, 6),
  });
}

/** A label that cannot be read is none that is wanted. */
const OTHER: ReadonlySet<FailureCode> = new Set([
  'MEDIUM_UNREADABLE',
  'ARCHIVE_INVALID',
  'FORMAT_UNSUPPORTED',
]);

export function isAway(error: unknown): error is CodedError {
  return error instanceof CodedError && AWAY.has(error.code);
}
