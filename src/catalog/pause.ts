/** Waiting without a turn of the event loop: the catalog's calls are synchronous, so is its wait for a lock. */

/** Blocks this thread for about `durationMs`. */
export function pause(durationMs: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, durationMs);
}
