/** `catalog export`, and the copy of the catalog that each job leaves where the config says. */
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { CommandLine } from '../../sim/command-line.ts';

const MAGIC = 'SQLite format 3\0';

const headOf = (path: string) =>
  zstdDecompressSync(readFileSync(path)).toString('latin1', 0, MAGIC.length);

test('a copy is kept where the config says after jobs that change the catalog, failed ones too', async () => {
  const line = await CommandLine.make();
  const kept = join(line.directory, 'kept', 'catalog.zst');
  mkdirSync(join(line.directory, 'kept'));
  mkdirSync(join(line.directory, 'home'));
  writeFileSync(join(line.directory, 'home', 'file'), 'x');
  appendFileSync(join(line.state, 'config.toml'), `\n[catalog]\nexport = "${kept}"\n`);
  await line.ok('source', 'add', join(line.directory, 'home'));
  const jobs: readonly (readonly string[])[] = [['backup'], ['expire'], ['scrub'], ['groom']];
  for (const job of jobs) {
    await line.ok(...job);
    expect(headOf(kept), job.join(' ')).toBe(MAGIC);
    rmSync(kept);
  }
  rmSync(join(line.directory, 'home'), { recursive: true });
  expect((await line.fails('backup')).exit).toBeGreaterThan(0);
  expect(headOf(kept)).toBe(MAGIC);
});

test('a place that cannot be written fails no job, and is told', async () => {
  const line = await CommandLine.make();
  mkdirSync(join(line.directory, 'home'));
  appendFileSync(join(line.state, 'config.toml'), '\n[catalog]\nexport = "/proc/none/catalog"\n');
  await line.ok('source', 'add', join(line.directory, 'home'));
  writeFileSync(join(line.directory, 'home', 'file'), 'x');
  const { exit, stderr } = await line.say('backup');
  expect(exit).toBe(0);
  expect(stderr).toMatch(/the catalog was not exported: .*\/proc\/none\/catalog/);
});
