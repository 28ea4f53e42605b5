/**
 * In which directory each file was met last, for what belongs to a path and not to an inode. As many as the table has room for:
 * of two inodes with one place in it the later stays. Millions are noted by a walk, few are ever asked for.
 */
const SLOTS = 2 ** 19;

export class Places {
  readonly #inodes = new Float64Array(SLOTS);
  readonly #directories = new Int32Array(SLOTS);

  note(inodeId: number, directoryId: number): void {
    const slot = inodeId % SLOTS;
    this.#inodes[slot] = inodeId;
    this.#directories[slot] = directoryId;
  }

  /** Undefined when it was too long ago. */
  directoryOf(inodeId: number): number | undefined {
    const slot = inodeId % SLOTS;
    return this.#inodes[slot] === inodeId ? this.#directories[slot] : undefined;
  }
}
