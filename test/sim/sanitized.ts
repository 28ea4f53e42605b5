/** A native door's list once more, on the build with the address and undefined-behaviour sanitizers. */
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';

const NATIVE = join(import.meta.dirname, '..', '..', 'native');

/**
 * @param door its folder in native/
 * @param list the program that runs the checks on the addon it is given, and prints `ok` for each
 */
export function describeSanitized(
  door: 'fs' | 'fuse' | 'scsi' | 'sqlite',
  list: { readonly program: string; readonly checks: number },
): void {
  const addonPath = join(NATIVE, door, 'build', 'Debug', `${door}.node`);
  const reports = mkdtempSync(join(tmpdir(), `shelfs-${door}-asan-`));
  const reportTexts = () =>
    readdirSync(reports).map((name) => readFileSync(join(reports, name), 'utf8'));

  beforeAll(() => {
    execFileSync('sh', [join(NATIVE, 'build'), 'debug']);
  });

  afterAll(() => rmSync(reports, { recursive: true }));

  test('the build carries the sanitizers: it does not load without them', () => {
    const load = () =>
      execFileSync(process.execPath, ['-e', `require('${addonPath}')`], { stdio: 'pipe' });
    expect(load).toThrow(/ASan runtime/);
  });

  test('the sanitizers have nothing to report', async () => {
    const runtime = execFileSync('gcc', ['-print-file-name=libasan.so'], {
      encoding: 'utf8',
    }).trim();
    expect(isAbsolute(runtime), 'gcc has its sanitizers').toBe(true);
    // Reports go to files, for a list may start processes of its own. Node frees little of what it has when it ends, so
    // leaks are not looked for.
    const env = {
      ...process.env,
      NODE_OPTIONS: '',
      LD_PRELOAD: runtime,
      ASAN_OPTIONS: `detect_leaks=0:log_path=${reports}/asan`,
      UBSAN_OPTIONS: `print_stacktrace=1:log_path=${reports}/ubsan`,
    };
    const args = [list.program, addonPath];
    const run = promisify(execFile)(process.execPath, args, { env, timeout: 570_000 });
    const { stdout } = await run.catch((error: unknown) => {
      // What was done by then tells in which check it stood still.
      const done = error instanceof Error && 'stdout' in error ? String(error.stdout) : '';
      throw new Error([String(error), done, ...reportTexts()].join('\n'));
    });
    expect(reportTexts()).toEqual([]);
    expect(stdout.match(/^ok /gm)).toHaveLength(list.checks);
  }, 600_000);
}
