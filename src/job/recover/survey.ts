/**
 * Looks through all cartridges that there are, one after the other: what a changer holds; or what stands in the drives, and
 * then what a person brings of those that were asked for, or that the cartridges read so far name.
 */
import { CodedError, type FailureCode } from '../../base/errors.ts';
import { printable } from '../../base/text.ts';
import type { HeldDrive } from '../../storage/drives.ts';
import { type HoldTools, isBrought } from './hold.ts';
import { type InventoryTools, inventoryTape } from './inventory.ts';
import type { FoundMedium } from './spool.ts';

export type SurveyTools = Omit<InventoryTools, 'known' | 'sticker'> &
  HoldTools & {
    /** What is known of a cartridge by its barcode, from before the recovery was cut. */
    onMedium(barcode: string, drive: string): void;
  };

/** What one cartridge, or its way into the drive, may fail with while the others are read. */
const OF_CARTRIDGE: ReadonlySet<FailureCode> = new Set([
  'MEDIUM_OFFLINE',
  'MEDIUM_MISMATCH',
  'MEDIUM_UNREADABLE',
  'ARCHIVE_INVALID',
  'FORMAT_UNSUPPORTED',
  'CHANGER_SOURCE_EMPTY',
]);

/** What a cartridge that cannot be threaded looks like; the drive's own fault looks the same, but with every cartridge. */
const OF_LOADING: ReadonlySet<FailureCode> = new Set(['DRIVE_FAILED', 'DRIVE_NOT_READY']);
const LOADS_FAILED_MAX = 3;

export type Surveyed = {
  readonly media: readonly FoundMedium[];
  /** Barcodes of cartridges that could not be read, or carry nothing of ours. */
  readonly leftOut: readonly string[];
};

/**
 * @param wanted barcodes; empty: all
 * @throws CodedError MEDIUM_OFFLINE where a wanted one is not there; the drives' own failures
 */
export async function survey(
  tools: SurveyTools,
  wanted: readonly string[],
  signal: AbortSignal,
): Promise<Surveyed> {
  const found = new Found(tools);
  if (tools.library.isByHand) await inDrives(tools, found, { wanted, signal });
  else await inChanger(tools, found, { wanted, signal });
  if (found.media.length === 0) found.failIfNoneLoads();
  return { media: found.media, leftOut: found.leftOut };
}

type Asked = { readonly wanted: readonly string[]; readonly signal: AbortSignal };

async function inChanger(tools: SurveyTools, found: Found, { wanted, signal }: Asked) {
  const { cartridges } = await tools.library.status(signal);
  const barcodes = cartridges.flatMap(({ barcode, kind }) =>
    barcode === null || kind === 'cleaning' ? [] : [barcode],
  );
  for (const barcode of wanted)
    if (!barcodes.includes(barcode))
      throw new CodedError('MEDIUM_OFFLINE', `${printable(barcode)} is not in the library`);
  const nameless = cartridges.filter(({ barcode }) => barcode === null).length;
  if (nameless > 0 && wanted.length === 0)
    tools.warn(`${nameless} cartridges have no barcode that can be read: they are left out`);
  const asked = wanted.length > 0 ? wanted : barcodes;
  for (const barcode of [...new Set(asked)].toSorted())
    await found.look(barcode, () => tools.library.attach(barcode, signal), signal);
}

async function inDrives(tools: SurveyTools, found: Found, { wanted, signal }: Asked) {
  const look = async () => {
    for (const [number, name] of tools.library.driveNames.entries())
      await found.look(name, () => tools.library.attachDrive(number, signal), signal);
  };
  await look();
  const given = new Set<string>();
  for (;;) {
    const named = wanted.length > 0 ? wanted : mediaNamed(found.media);
    const barcode = named.find((name) => !found.has(name) && !given.has(name));
    if (barcode === undefined) break;
    const reason =
      wanted.length > 0
        ? 'it is to be read'
        : 'a cartridge that was read names it; more may follow';
    for (let attempt = 1; !found.has(barcode); attempt += 1) {
      const isTried = attempt > tools.operator.attemptsMax;
      const asking = { reason, attempt, signal };
      if (isTried || !(await isBrought({ barcode, uuid: undefined }, tools, asking))) break;
      await look();
    }
    given.add(barcode);
  }
  for (const barcode of wanted)
    if (!found.has(barcode))
      throw new CodedError('MEDIUM_OFFLINE', `put cartridge ${printable(barcode)} into the drive`);
}

/** By the newest journal that names any; this one's own medium is among them. */
export function mediaNamed(media: readonly FoundMedium[]): readonly string[] {
  const journals = media
    .flatMap(({ files }) => files.flatMap(({ journal }) => (journal ? [journal] : [])))
    .filter((journal) => journal.media.length > 0)
    .toSorted((a, b) => Date.parse(b.created) - Date.parse(a.created));
  return journals[0]?.media ?? [];
}

class Found {
  media: readonly FoundMedium[] = [];
  readonly leftOut: string[] = [];
  readonly #tools: SurveyTools;
  #loadsFailed = 0;
  /** The last one that may be the cartridge's. */
  #loadFailure: CodedError | undefined;

  constructor(tools: SurveyTools) {
    this.#tools = tools;
  }

  /** @param name barcode of the cartridge, or the drive it is in */
  async look(
    name: string,
    hold: () => Promise<HeldDrive | undefined>,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    try {
      const held = await this.#loaded(hold);
      if (!held) return;
      try {
        this.#tools.onMedium(name, held.drive.name);
        const sticker = this.#tools.library.isByHand ? {} : { sticker: name };
        const tools = { ...this.#tools, ...sticker, known: this.media };
        this.#add(name, await inventoryTape(held.drive, tools, signal));
      } finally {
        await held.close();
      }
    } catch (error) {
      const isOfCartridge = error instanceof CodedError && OF_CARTRIDGE.has(error.code);
      if (!isOfCartridge && error !== this.#loadFailure) throw error;
      this.#leaveOut(name, `cannot be read: ${error instanceof Error ? error.message : ''}`);
    }
  }

  /** Some cartridges that cannot be loaded do not keep the others from being read; where none can, the drive is at fault. */
  async #loaded(hold: () => Promise<HeldDrive | undefined>): Promise<HeldDrive | undefined> {
    try {
      const held = await hold();
      this.#loadsFailed = 0;
      return held;
    } catch (error) {
      if (!(error instanceof CodedError) || !OF_LOADING.has(error.code)) throw error;
      this.#loadsFailed += 1;
      if (this.#loadsFailed < LOADS_FAILED_MAX) this.#loadFailure = error;
      throw error;
    }
  }

  /** @throws CodedError the drive's failure, where that is why nothing was read */
  failIfNoneLoads(): void {
    if (this.#loadFailure) throw this.#loadFailure;
  }

  #add(name: string, found: Awaited<ReturnType<typeof inventoryTape>>): void {
    if (found.kind === 'known') return;
    if (found.kind === 'other') {
      // A blank one waits for its first label.
      if (found.what !== 'is blank') this.#leaveOut(name, found.what);
      return;
    }
    this.media = [...this.media.filter((other) => other !== found.instead), found.medium];
    if (found.instead)
      this.#tools.warn(
        `${printable(found.medium.label.barcode)} was read twice, from two cartridges: the one that says more counts`,
      );
  }

  has(barcode: string): boolean {
    return this.media.some(({ label }) => label.barcode === barcode);
  }

  #leaveOut(name: string, why: string): void {
    this.leftOut.push(name);
    this.#tools.warn(`${printable(name)} is left out: it ${printable(why)}`);
  }
}
