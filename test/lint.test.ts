/** Lint, format and types are part of the suite. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '..');
const run = promisify(execFile);
/** Of a machine that does much else. */
const TIMEOUT_MS = 600_000;

/** What a tool complains about; empty when it is content. */
async function complaints(program: string, args: readonly string[]): Promise<string> {
  try {
    await run(join(root, 'node_modules/.bin', program), args, { cwd: root, maxBuffer: 2 ** 26 });
    return '';
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    return `${stdout}${stderr}` || String(error);
  }
}

test(
  'biome finds nothing',
  async () => expect(await complaints('biome', ['check', '--error-on-warnings', '.'])).toBe(''),
  TIMEOUT_MS,
);

test(
  'types hold, in the tests too',
  async () => expect(await complaints('tsc', ['-p', 'test'])).toBe(''),
  TIMEOUT_MS,
);
