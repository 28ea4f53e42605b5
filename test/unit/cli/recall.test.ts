import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { Catalog } from '../../../src/catalog/catalog.ts';
import { RunDb } from '../../../src/catalog/run-db/run-db.ts';
import { RunWants } from '../../../src/catalog/run-db/wants.ts';
import { ownProcess } from '../../../src/catalog/writers.ts';
import { run } from '../../../src/cli/run.ts';
import { scratchDirectory } from '../../sim/scratch.ts';

/** A state with a tree that is backed up. */
async function world() {
  const directory = await scratchDirectory();
  const state = join(directory, 'state');
  const tree = join(directory, 'tree');
  mkdirSync(join(tree, 'deep'), { recursive: true });
  writeFileSync(join(tree, 'a'), 'aaa');
  writeFileSync(join(tree, 'empty'), '');
  writeFileSync(join(tree, 'deep', 'b\x1b[31m'), 'bbbb');
  const say = async (...argv: string[]) => {
    const said = { stdout: '', stderr: '' };
    const stream = (name: 'stdout' | 'stderr') => ({
      write: (text: string) => {
        said[name] += text;
      },
    });
    const exit = await run(argv, {
      environment: { SHELFS_STATE: state },
      isRoot: false,
      streams: { stdout: stream('stdout'), stderr: stream('stderr') },
      signal: new AbortController().signal,
      version: '1.2.3',
    });
    return { ...said, exit };
  };
  await say('init', '--virtual', '2', '--capacity', '100MB');
  await say('source', 'add', tree);
  expect((await say('backup', '--single-threaded')).exit).toBe(0);
  return { state, tree, say, stage: join(state, 'stage') };
}

test('recall brings a tree into the stage, and nothing of it twice', async () => {
  const { tree, say, stage } = await world();
  const one = await say('recall', join(tree, 'a'));
  expect(one).toMatchObject({ exit: 0, stdout: '1 recalled, 0 there already, 3 B\n' });
  expect(one.stderr).toContain('reading VIR001L9');
  const all = await say('recall', tree, '--json');
  const events = all.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(events.at(-1)).toEqual({
    event: 'end',
    recalled: 1,
    staged: 1,
    bytes: 7,
    failed: [],
    failures: 0,
  });
  expect(events).toContainEqual({
    event: 'file',
    path: expect.stringContaining('deep/b'),
    bytes: 4,
  });
  expect(all.stdout).not.toContain('\x1b');
  expect(readdirSync(stage)).toHaveLength(2);
});

test('what is not in the catalog is named', async () => {
  const { tree, say } = await world();
  const none = await say('recall', join(tree, 'none'));
  expect([none.exit, none.stderr]).toEqual([1, expect.stringContaining('is not in this snapshot')]);
  expect((await say('recall', tree, '--host', 'elsewhere')).exit).toBe(2);
});

test('wanted names medium, place and who waits; what dead processes wanted is not wanted', async () => {
  const { state, tree, say } = await world();
  expect((await say('wanted')).stdout).toBe('nothing is waited for\n');
  const catalog = Catalog.open(join(state, 'catalog.sqlite'), { mode: 'read', clock: systemClock });
  const contentId =
    catalog.prepare<[number]>('SELECT id FROM contents WHERE size = 3').get()?.[0] ?? 0;
  catalog.close();
  const db = RunDb.open(join(state, 'run.db'));
  onTestFinished(() => db.close());
  const wants = new RunWants(db);
  const readers = [{ pid: 77, name: 'cp' }];
  wants.post([
    { contentId, process: ownProcess(), sinceMs: Date.UTC(2026, 0, 2), readers },
    { contentId, process: 'gone:1:1', sinceMs: 0, readers: [{ pid: 78, name: 'dead' }] },
  ]);
  const text = (await say('wanted')).stdout;
  expect(text).toBe(
    'VIR001L9  in the library\n  1 file, 3 B, since 2026-01-02T00:00:00Z, for cp (77)\n',
  );
  const { media } = JSON.parse((await say('wanted', '--json')).stdout);
  expect(media).toEqual([
    {
      barcode: 'VIR001L9',
      location: null,
      isPresent: true,
      files: 1,
      bytes: 3,
      readers,
      since: '2026-01-02T00:00:00.000Z',
    },
  ]);
  await say('library', 'export', 'VIR001L9');
  await say('media', 'move', 'VIR001L9', '--location', 'Bank, box 2');
  expect(tree).not.toBe('');
});
