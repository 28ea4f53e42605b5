/** What runs inside the virtual machine, one file after the other: they share one library. */
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  root: join(import.meta.dirname, '../../..'),
  test: {
    include: ['test/vm/suite/**/*.test.ts'],
    fileParallelism: false,
    pool: 'forks',
    // The runtime and all that is imported start once, not for each file: they are slow under emulation.
    isolate: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: ['json', 'default'],
  },
});
