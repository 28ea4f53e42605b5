/** One open of a content, as readers hold it. */
import { strict as assert } from 'node:assert';
import { CodedError } from '../base/errors.ts';
import type { TreePlace } from '../catalog/restore/below.ts';
import type { DataRange } from '../domain/entry.ts';
import type { Caller, Entry } from './entry.ts';

export type ReadOptions = {
  /** Refused where waiting would be needed. */
  readonly isNonBlocking: boolean;
  readonly caller: Caller;
  readonly signal: AbortSignal;
};

/** A content that is open, and where its reader found it. */
export type ReadPlace = { readonly entry: Entry; readonly place: TreePlace | undefined };

/** Who keeps what is open. */
export interface Readers {
  /** As `OpenedContent.read`. */
  read(of: ReadPlace, range: DataRange, options: ReadOptions): Promise<number>;
  /** One user less. */
  leave(entry: Entry): void;
}

/** One open of a content. */
export class OpenedContent {
  readonly #readers: Readers;
  /** Undefined for a content that was never completed. */
  readonly #entry: Entry | undefined;
  readonly #place: TreePlace | undefined;
  #isOpen = true;

  /** @internal */
  constructor(
    readers: Readers,
    of: { readonly entry: Entry | undefined; readonly place: TreePlace | undefined },
  ) {
    this.#readers = readers;
    this.#entry = of.entry;
    this.#place = of.place;
  }

  /** Descriptor of a file with all bytes at their own offsets; valid until `close`. Undefined while it is not staged. */
  get file(): number | undefined {
    return this.#entry?.file;
  }

  /** Told once, when `file` becomes defined. */
  onStaged(listener: () => void): void {
    this.#entry?.onStaged(listener);
  }

  /**
   * Resolves when the bytes of the range are proven, with a descriptor they can be read from; valid until `close`.
   * @throws CodedError RECALL_REFUSED, MEDIUM_OFFLINE, MEDIUM_UNREADABLE, STAGE_FULL, STAGE_FAILED; the abort reason
   */
  async read(range: DataRange, options: ReadOptions): Promise<number> {
    assert(this.#isOpen, 'a content is read while it is open');
    if (!this.#entry) {
      throw new CodedError('MEDIUM_UNREADABLE', 'this file was never stored as a whole');
    }
    return this.#readers.read({ entry: this.#entry, place: this.#place }, range, options);
  }

  close(): void {
    assert(this.#isOpen, 'a content is closed once');
    this.#isOpen = false;
    if (this.#entry) this.#readers.leave(this.#entry);
  }
}
