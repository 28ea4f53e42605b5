import { defineConfig } from 'vitest/config';
import LongestFirst from './test/longest-first.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/vm/suite/**'],
    reporters: ['./test/reporter.ts'],
    pool: 'forks',
    allowOnly: false,
    provide: { isSoak: process.env.SHELFS_SOAK === '1' },
    maxWorkers: 2,
    // Nothing of ours keeps state in a module: the files of one worker share what is loaded.
    isolate: false,
    sequence: { sequencer: LongestFirst },
    testTimeout: 120_000,
    hookTimeout: 180_000,
  },
});
