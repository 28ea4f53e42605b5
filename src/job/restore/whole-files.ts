/**
 * Files that have all their bytes and attributes, and wait for their names together.
 *
 * A name says to the next restore that the file is right and need not be fetched. So it is given only when the bytes have
 * reached the disk: else a power cut could leave a name with an empty or torn file behind it. One sync of the file system
 * serves them all.
 */
import type { NamedInode } from '../../catalog/restore/wanted.ts';
import type { TargetFile } from '../../source/target-file.ts';

type WholeFile = { readonly entry: NamedInode; readonly file: TargetFile };

/** Each holds two descriptors. */
const FILES_MAX = 256;
/** What is fetched once more when the restore ends before they have their names. */
const BYTES_MAX = 2 ** 30;

export class WholeFiles {
  readonly #sync: () => void;
  readonly #name: (entry: NamedInode, file: TargetFile) => void;
  readonly #waiting: WholeFile[] = [];
  #bytes = 0;

  /**
   * @param does.sync puts on disk all that was written to the target
   * @param does.name gives one file its name; what it throws ends the restore
   */
  constructor(does: { sync(): void; name(entry: NamedInode, file: TargetFile): void }) {
    this.#sync = does.sync;
    this.#name = does.name;
  }

  /** Takes the file over. */
  add(entry: NamedInode, file: TargetFile): void {
    this.#waiting.push({ entry, file });
    this.#bytes += entry.inode.sizeBytes;
    if (this.#waiting.length >= FILES_MAX || this.#bytes >= BYTES_MAX) this.settle();
  }

  /** Names for all that wait. */
  settle(): void {
    if (this.#waiting.length === 0) return;
    this.#sync();
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
      this.#name(next.entry, next.file);
    }
    this.#bytes = 0;
  }

  /** Removes those that still wait. */
  abandon(): void {
    for (const { file } of this.#waiting) file.abandon();
  }
}
