/**
 * Cartridges for a run that a person loads: whatever is put in and can be written is taken, else one is asked for.
 *
 * A plan is made with the cartridges at hand and, behind them, with as many as may be needed that nobody knows yet. When
 * it comes to the first of those, somebody is asked, and the plan begins anew with what came.
 */
import { CodedError } from '../../base/errors.ts';
import { printable } from '../../base/text.ts';
import type { Media, Medium } from '../../catalog/shelf/media.ts';
import { type Barcode, barcodeSeries, parseBarcode } from '../../domain/barcode.ts';
import { isDriveGeneration } from '../../domain/generation.ts';
import type { Answer } from '../../domain/question.ts';
import { subjectOf } from '../../domain/question-words.ts';
import type { Beginning } from '../../storage/beginning.ts';
import type { Library } from '../../storage/library.ts';
import type { Operator } from '../../storage/operator.ts';
import { nameOf, type Wish, watchFor } from '../../storage/operator-watch.ts';

export type HandTools = {
  readonly library: Library;
  readonly operator: Operator;
  readonly media: Media;
  readonly pool: string;
  /** Whether blank cartridges are labelled. */
  readonly autoLabel: boolean;
  /** `backup (job 7)` */
  readonly who: string;
  isUsable(medium: Medium): boolean;
  /** Registers a cartridge that nobody knew. */
  register(barcode: Barcode): void;
  /** Which cartridge of the run is wanted, counted from 1, and of how many about. */
  ordinal(): { readonly number: number; readonly expected: number | undefined };
  /** A person is waited for: why, and undefined when the waiting is over. */
  onWait(reason: string | undefined): void;
  warn(message: string): void;
};

/** Stands in a plan for a cartridge that is still to be brought; sorts behind every barcode. */
const NEW = '~ new';
/** More than a run can need: a plan never ends for want of them. */
const NEW_MAX = 9999;
/** Who has just put a blank cartridge in is near; later the next of the series is taken. */
const BLANK_TIMEOUT_MS = 15 * 60_000;

type Found = { readonly drive: number; readonly beginning: Beginning };

export class HandMedia {
  readonly #tools: HandTools;
  /** In a drive, as far as we know. */
  readonly #atHand = new Set<string>();
  /** The plan had no use for them. */
  readonly #passed = new Set<string>();

  constructor(tools: HandTools) {
    this.#tools = tools;
  }

  static isNew(key: string): boolean {
    return key.startsWith(NEW);
  }

  /** Keys of cartridges that are still to be brought. */
  static newKeys(): string[] {
    return Array.from(
      { length: NEW_MAX },
      (_, index) => `${NEW} ${String(index + 1).padStart(String(NEW_MAX).length, '0')}`,
    );
  }

  has(barcode: string): boolean {
    return this.#atHand.has(barcode);
  }

  /** It is not in a drive any more: somebody has taken it. */
  forget(barcode: string): void {
    this.#atHand.delete(barcode);
  }

  /**
   * Waits until a cartridge that can be written is in a drive; from then on it is at hand.
   * @param attached those in use: all others that are at hand were passed over by the plan
   * @throws CodedError MEDIUM_OFFLINE when the operator declined or did not answer in time; DRIVE_BUSY where others have
   *   every drive
   */
  async bring(attached: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
    const { drives } = await this.#tools.library.status(signal);
    const [first] = drives;
    if (first && drives.every(({ state }) => state === 'held'))
      throw new CodedError('DRIVE_BUSY', first.problem ?? 'others have every drive');
    for (const barcode of this.#atHand) if (!attached.has(barcode)) this.#passed.add(barcode);
    this.#atHand.clear();
    for (const barcode of attached) this.#atHand.add(barcode);
    for (let attempt = 1; attempt <= this.#tools.operator.attemptsMax; attempt += 1) {
      const { drive, beginning } = await this.#ask(attempt, signal);
      const barcode =
        beginning.kind === 'label' ? beginning.label.barcode : await this.#nameBlank(drive, signal);
      if (barcode !== undefined) {
        this.#atHand.add(barcode);
        return;
      }
      await this.#tools.library.ejectDrive(drive, signal);
    }
    throw this.#offline('none of those that were put in could be written');
  }

  async #ask(attempt: number, signal: AbortSignal): Promise<Found> {
    const { library, operator, pool, who, ordinal, onWait } = this.#tools;
    let found: Found | undefined;
    const wish: Wish = {
      wanted: `a scratch cartridge of pool ${printable(pool)}`,
      isThere: () => false,
      refuse: (beginning, drive) => {
        const refused = this.#refuse(beginning);
        if (refused === undefined) found = { drive, beginning };
        return refused;
      },
    };
    const about = { kind: 'scratch', pool, ...ordinal() } as const;
    const reason = subjectOf({ about });
    let isAsked = false;
    const answer = await operator.ask(
      {
        about,
        reason,
        waiting: { who, contents: undefined, readers: undefined },
        attempt,
        choices: ['decline'],
        byDefault: 'decline',
        watch: watchFor(wish, { library, operator }),
        onAsked: () => {
          isAsked = true;
          onWait(reason);
        },
      },
      signal,
    );
    if (answer !== 'inserted' || !found) throw this.#offline('nobody brought one');
    if (isAsked) onWait(undefined);
    return found;
  }

  /** Undefined: it can be written; else what it is, for a sentence. */
  #refuse(beginning: Beginning): string | undefined {
    const { media, autoLabel, pool, isUsable } = this.#tools;
    if (beginning.kind === 'blank')
      return autoLabel ? undefined : 'blank, and the config has blank ones left alone';
    if (beginning.kind === 'foreign') return nameOf(beginning);
    const { label } = beginning;
    const medium = media.findUuid(label.uuid);
    if (medium?.barcode !== label.barcode) return `${nameOf(beginning)}, unknown to this catalog`;
    if (this.#passed.has(medium.barcode)) return `${medium.barcode}, which has too little room`;
    if (isUsable(medium)) return undefined;
    const isOther = medium.pool !== pool;
    return `${nameOf(beginning)}${isOther ? '' : `, which is ${medium.state} or not for this run`}`;
  }

  /** @returns undefined where it is to be left alone */
  async #nameBlank(drive: number, signal: AbortSignal): Promise<Barcode | undefined> {
    const { library, operator, pool, who, media, onWait } = this.#tools;
    const name = library.driveNames[drive] ?? '';
    let reason = `the cartridge in ${name} is blank`;
    for (let attempt = 1; attempt <= operator.attemptsMax; attempt += 1) {
      const offered = this.#nextOfSeries();
      const answer: Answer = await operator.ask(
        {
          about: { kind: 'blank', pool, drive: name, offered },
          reason,
          waiting: { who, contents: undefined, readers: undefined },
          attempt,
          choices: ['decline'],
          byDefault: offered ?? 'decline',
          onAsked: () => onWait(reason),
          ...(offered && { timeoutMs: BLANK_TIMEOUT_MS }),
        },
        signal,
      );
      onWait(undefined);
      if (answer === 'decline') return undefined;
      const parsed = parseBarcode(answer);
      if (parsed.kind !== 'data') continue;
      const { barcode } = parsed;
      const known = media.find(barcode);
      const isFree = known?.state === 'unlabelled' && this.#tools.isUsable(known);
      if (!known && !parsed.worm && isDriveGeneration(parsed.generation.name))
        this.#tools.register(barcode);
      else if (!isFree) {
        reason = `${barcode} is the barcode of another cartridge, or of one that cannot be written`;
        continue;
      }
      this.#tools.warn(`the blank cartridge in ${name} is labelled ${barcode}`);
      return barcode;
    }
    return undefined;
  }

  /** A registered one that has no label yet, else the one behind the last of the pool. */
  #nextOfSeries(): Barcode | undefined {
    const { media, pool, isUsable } = this.#tools;
    const all = media.list().filter((medium) => medium.pool === pool && medium.kind === 'tape');
    const unlabelled = all.find((medium) => medium.state === 'unlabelled' && isUsable(medium));
    const parsed = parseBarcode((unlabelled ?? all.at(-1))?.barcode ?? '');
    if (parsed.kind !== 'data' || parsed.worm) return undefined;
    if (unlabelled) return parsed.barcode;
    const next = barcodeSeries(parsed.barcode, 2)?.[1];
    return next && !media.find(next) ? next : undefined;
  }

  #offline(why: string): CodedError {
    return new CodedError(
      'MEDIUM_OFFLINE',
      `a scratch cartridge of pool ${printable(this.#tools.pool)} is wanted, and ${why}; the run can be gone on with`,
    );
  }
}
