/**
 * The suites of test/vm/suite, run on the kernel's own tape drivers in virtual machines: once as released, in a soak
 * once more with the door's sanitized build. They run while this file is collected, so that each test is counted under its own name.
 */
import { execFileSync } from 'node:child_process';
import { describe, expect, inject, test } from 'vitest';
import { runInMachine, whyNoMachine } from './machine.ts';

const reason = whyNoMachine();

/** A sanitizer that finds something ends the process, and with it the suite. */
const sanitized = () => ({
  LD_PRELOAD: execFileSync('gcc', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim(),
  ASAN_OPTIONS: 'detect_leaks=0',
  UBSAN_OPTIONS: 'halt_on_error=1:print_stacktrace=1',
  SHELFS_TEST_DOOR: 'Debug',
});

const isSoak = inject('isSoak');
const [released = [], checked = []] =
  reason === undefined
    ? await Promise.all([
        runInMachine(['contract', 'intruder', 'command', 'mount']),
        ...(isSoak ? [runInMachine(['contract', 'intruder'], sanitized())] : []),
      ])
    : [];

const RELEASED = ['in the virtual machine', released] as const;
const CHECKED = ['in the virtual machine, with sanitizers', checked] as const;

describe.each(isSoak ? [RELEASED, CHECKED] : [RELEASED])('%s', (_, results) => {
  if (reason !== undefined) test('all suites', (context) => context.skip(reason));

  test.each(results)('$name', ({ state, messages }) => {
    // An assertion would show a few words of it.
    if (messages.length > 0) throw new Error(messages.join('\n'));
    expect(state).toBe('passed');
  });
});
