/**
 * Entries of directories that were listed lately. Where a listing gives no nodes a walk looks up each name that it was just shown:
 * the catalog need not be asked once more.
 */
import type { Raw } from '../base/raw.ts';
import type { EntryReply } from './protocol/entry.ts';

/** A walk is in few directories at a time. */
const DIRECTORIES_MAX = 4;
/** Of one; those beyond are asked for. Half a kilobyte each. */
const ENTRIES_MAX = 5000;

export class ListedLately {
  readonly #directories = new Map<string, Map<Raw, EntryReply>>();

  /** @param key of a directory, another one whenever its entries may be others */
  note(key: string, name: Raw, entry: EntryReply): void {
    const known = this.#directories.get(key) ?? this.#begin(key);
    if (known.size < ENTRIES_MAX) known.set(name, entry);
  }

  find(key: string, name: Raw): EntryReply | undefined {
    return this.#directories.get(key)?.get(name);
  }

  #begin(key: string): Map<Raw, EntryReply> {
    const [oldest] = this.#directories.keys();
    if (oldest !== undefined && this.#directories.size >= DIRECTORIES_MAX)
      this.#directories.delete(oldest);
    const entries = new Map<Raw, EntryReply>();
    this.#directories.set(key, entries);
    return entries;
  }
}
