/**
 * In which directory each file was met last, for what belongs to a path and not to an inode. As many as the table has room for:
 * of two inodes with one place in it the later stays. Millions are noted by a walk, few are ever asked for.
 */
const SLOTS = 2 ** 19;

export type NotedPlace = { readonly viewNumber: number; readonly directoryId: number };

export class Places {
  readonly #inodes = new Float64Array(SLOTS);
  readonly #views = new Int32Array(SLOTS);
  readonly #directories = new Int32Array(SLOTS);

  note(inodeId: number, { viewNumber, directoryId }: NotedPlace): void {
    const slot = inodeId % SLOTS;
    this.#inodes[slot] = inodeId;
    this.#views[slot] = viewNumber;
    this.#directories[slot] = directoryId;
  }

  /** Undefined when it was too long ago. */
  of(inodeId: number): NotedPlace | undefined {
    const slot = inodeId % SLOTS;
    const [viewNumber, directoryId] = [this.#views[slot], this.#directories[slot]];
    if (this.#inodes[slot] !== inodeId) return undefined;
    return viewNumber === undefined || directoryId === undefined
      ? undefined
      : { viewNumber, directoryId };
  }
}
