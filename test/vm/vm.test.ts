/**
 * The suites of test/vm/suite, run on the kernel's own tape drivers in a virtual machine. They run while this file is
 * collected, so that each of their tests is counted here under its own name.
 */
import { describe, expect, test } from 'vitest';
import { runInMachine, whyNoMachine } from './machine.ts';

const SUITES = ['contract', 'intruder', 'command'];

const reason = whyNoMachine();
const results = reason === undefined ? await runInMachine(SUITES) : [];

describe('in the virtual machine', () => {
  test.skipIf(reason === undefined)('needs what is missing here', (context) =>
    context.skip(reason),
  );

  test.each(results)('$name', ({ state, messages }) => {
    expect(messages).toEqual([]);
    expect(state).toBe('passed');
  });
});
