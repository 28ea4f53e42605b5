/**
 * Keeps the young generation of this process's heap small.
 *
 * A backup of small files makes garbage faster than anything lives: V8 answers by growing the space for new objects up to
 * 128 MiB, most of it never touched twice. 8 MiB serve as well (measured: the same processor time, 120 MiB less memory).
 * The limit can be set when node is started only, so the growing is stopped instead once it is large enough.
 */
import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

const ENOUGH_BYTES = 8 * 2 ** 20;

export function limitYoungGeneration(): void {
  // Told of each collection: only there it grows.
  const observer = new PerformanceObserver(() => {
    const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space');
    if (young && young.space_size < ENOUGH_BYTES) return;
    setFlagsFromString('--semi-space-growth-factor=1');
    observer.disconnect();
  });
  observer.observe({ entryTypes: ['gc'] });
}
