/** The door's list once more, on the build with the address and undefined-behaviour sanitizers. */
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CHECKS } from './door.list.ts';

const native = fileURLToPath(new URL('../../../native', import.meta.url));
const addonPath = join(native, 'fs/build/Debug/fs.node');
const reports = mkdtempSync(join(tmpdir(), 'shelfs-fs-asan-'));

beforeAll(() => {
  execFileSync('sh', [join(native, 'build'), 'debug']);
});

afterAll(() => rmSync(reports, { recursive: true }));

test('the build carries the sanitizers: it does not load without them', () => {
  const load = () =>
    execFileSync(process.execPath, ['-e', `require('${addonPath}')`], { stdio: 'pipe' });
  expect(load).toThrow(/ASan runtime/);
});

test('the sanitizers have nothing to report', async () => {
  const runtime = execFileSync('gcc', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim();
  expect(isAbsolute(runtime), 'gcc has its sanitizers').toBe(true);
  // Node frees little of what it has when it ends, so leaks are not looked for.
  const env = {
    ...process.env,
    NODE_OPTIONS: '',
    LD_PRELOAD: runtime,
    ASAN_OPTIONS: `detect_leaks=0:log_path=${reports}/asan`,
    UBSAN_OPTIONS: `print_stacktrace=1:log_path=${reports}/ubsan`,
  };
  const list = fileURLToPath(new URL('door.run.ts', import.meta.url));
  const run = promisify(execFile)(process.execPath, [list, addonPath], { env, timeout: 170_000 });
  const { stdout } = await run.catch((error: unknown) => {
    throw new Error([String(error), ...reportTexts()].join('\n'));
  });
  expect(reportTexts()).toEqual([]);
  expect(stdout.match(/^ok /gm)).toHaveLength(CHECKS.length);
}, 180_000);

function reportTexts(): string[] {
  return readdirSync(reports).map((name) => readFileSync(join(reports, name), 'utf8'));
}
