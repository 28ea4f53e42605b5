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
    sequence: { sequencer: LongestFirst },
    testTimeout: 60_000,
    hookTimeout: 180_000,
  },
});
