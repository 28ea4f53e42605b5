import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { SimClock } from '../../../src/base/clock.ts';
import { Jobs, type LogLine } from '../../../src/catalog/job/jobs.ts';
import { cancelJob, watchJob } from '../../../src/job/jobs.ts';
import { levelArgument, timeArgument } from '../../../src/job/logs.ts';
import { CommandLine, HOST } from '../../sim/command-line.ts';
import { memoryLocks } from '../../sim/locks.ts';
import { tellRun, tellSnapshot } from '../../sim/told-run.ts';
import { begin, content, JOB, storeAll } from '../catalog/scratch.ts';

const START_MS = Date.UTC(2026, 0, 1);
const MINUTE_MS = 60_000;

async function commandLine() {
  const clock = new SimClock(START_MS);
  return { clock, line: await CommandLine.make(clock) };
}

function log(line: CommandLine, lines: readonly Partial<LogLine>[]): void {
  line.withCatalog((catalog) =>
    new Jobs(catalog).log(
      lines.map((said, index) => ({
        ...{ jobNumber: 1, level: 'info' as const, message: `line ${index}` },
        timeMs: START_MS + index * MINUTE_MS,
        ...said,
      })),
    ),
  );
}

describe('jobs and job show', () => {
  test('what ran, the newest first', async () => {
    const { line, clock } = await commandLine();
    expect(await line.ok('jobs')).toBe('no job yet\n');
    line.withCatalog((catalog) =>
      tellSnapshot(catalog, { put: { '/a': '1' } }, { hostName: HOST }),
    );
    clock.advanceMs(90 * MINUTE_MS);
    line.withCatalog((catalog) => tellRun(catalog, { put: { '/b': '1' } }, HOST));
    const { jobs } = await line.json('jobs');
    expect(jobs).toMatchObject([
      { number: 2, state: 'running', isInterrupted: true, snapshot: null, ended: null },
      {
        ...{ number: 1, verb: 'backup', state: 'finished', snapshot: '2026-01-01T000000Z' },
        ...{ isInterrupted: false, started: '2026-01-01T00:00:00.000Z' },
      },
    ]);
    expect(await line.ok('jobs')).toMatch(/^ +2 +backup +interrupted +2026-01-01 01:30:00Z/m);
    expect((await line.json('jobs', '--limit', '1')).jobs).toHaveLength(1);
    const shown = await line.ok('job', 'show', '2');
    expect(shown).toMatch(/state +interrupted; `shelfs job resume 2` goes on/);
    expect((await line.fails('job', 'show', '3')).exit).toBe(2);
  });

  test('what a job found and wrote, finished or not', async () => {
    const { line } = await commandLine();
    const first = { put: { '/d/a': '1', '/d/b\\xff': '22' } };
    line.withCatalog((catalog) => tellSnapshot(catalog, first, { hostName: HOST }));
    const second = { put: { '/d/a': '333' }, gone: ['/d/b\\xff'] };
    line.withCatalog((catalog) => tellSnapshot(catalog, second, { hostName: HOST }));
    line.withCatalog((catalog) => tellRun(catalog, { put: { '/d/c': '4444' } }, HOST));
    const files = async (id: string) => (await line.json('job', 'show', id, '--files')).files;
    expect(await files('1')).toMatchObject([
      { change: 'new', path: '/' },
      { change: 'new', path: '/d' },
      { change: 'new', path: '/d/a', size: 1 },
      { change: 'new', path: '/d/b\\xff', pathBase64: expect.any(String) },
    ]);
    expect(await files('2')).toMatchObject([
      { change: 'changed', path: '/d/a', size: 3 },
      { change: 'gone', path: '/d/b\\xff' },
    ]);
    expect(await files('3')).toMatchObject([{ change: 'new', path: '/d/c', size: 4 }]);
    expect(await line.ok('job', 'show', '2', '--files')).toMatch(/^changed +3 B +\/d\/a$/m);
    const { archives } = await line.json('job', 'show', '1');
    expect(archives).toMatchObject([
      { state: 'good', lengthBytes: 40960, copies: [{ barcode: 'TLD001L9', fileNumber: 1 }] },
    ]);
    expect(await line.ok('job', 'show', '1')).toMatch(/good +41\.0 kB +TLD001L9:1/);
  });
});

describe('logs', () => {
  test('by level, job, time and path', async () => {
    const { line, clock } = await commandLine();
    line.withCatalog((catalog) => {
      begin(catalog);
      begin(catalog);
    });
    log(line, [
      { message: 'first', level: 'debug' },
      { message: 'second', path: '/home/a' },
      { message: 'third', path: '/home/ab', level: 'warning' },
      {
        message: 'fourth\x1b[2J',
        path: '/home/a/b',
        level: 'error',
        jobNumber: 2,
        facts: { a: 1 },
      },
      { message: 'fifth', path: '/home' },
    ]);
    clock.advanceMs(4 * MINUTE_MS);
    const found = async (...argv: string[]) =>
      (await line.json('logs', ...argv)).lines.map(
        ({ message }: { message: string }) => message.split('\x1b')[0],
      );
    expect(await found()).toEqual(['second', 'third', 'fourth', 'fifth']);
    expect(await found('--level', 'debug')).toHaveLength(5);
    expect(await found('--level', 'warning')).toEqual(['third', 'fourth']);
    expect(await found('--job', '2')).toEqual(['fourth']);
    expect(await found('--path', '/home/a')).toEqual(['second', 'fourth']);
    expect(await found('--path', '/')).toHaveLength(4);
    expect(await found('--since', '2026-01-01 00:02')).toEqual(['third', 'fourth', 'fifth']);
    expect(await found('--until', '2026-01-01 00:02')).toEqual(['second', 'third']);
    expect(await found('--since', '1m')).toEqual(['fourth', 'fifth']);
    expect(await found('--since', '2026-01-02')).toEqual([]);
    expect(await found('--last', '2')).toEqual(['fourth', 'fifth']);
    expect((await line.json('logs', '--job', '2')).lines[0]).toMatchObject({
      ...{ level: 'error', job: 2, path: '/home/a/b', facts: { a: 1 } },
      time: '2026-01-01T00:03:00.000Z',
    });
    expect(await line.ok('logs', '--last', '2')).toBe(
      [
        '2026-01-01 00:03:00Z  job 2  error  /home/a/b: fourth\\x1b[2J',
        '2026-01-01 00:04:00Z  job 1  info  /home: fifth',
        '',
      ].join('\n'),
    );
  });

  test('more lines than a page', async () => {
    const { line } = await commandLine();
    line.withCatalog(begin);
    log(
      line,
      Array.from({ length: 2500 }, () => ({})),
    );
    expect((await line.json('logs')).lines).toHaveLength(2500);
    const last = (await line.json('logs', '--last', '3')).lines;
    expect(last.map(({ message }: { message: string }) => message)).toEqual([
      ...['line 2497', 'line 2498', 'line 2499'],
    ]);
  });
});

describe('times as people say them', () => {
  const nowMs = Date.UTC(2026, 5, 15, 12);
  const at = (text: string, edge: 'first' | 'last') =>
    new Date(timeArgument(text, { edge, nowMs })).toISOString();

  test.each([
    ['2026-02-28', '2026-02-28T00:00:00.000Z', '2026-02-28T23:59:59.999Z'],
    ['2026-02-28 09:30', '2026-02-28T09:30:00.000Z', '2026-02-28T09:30:59.999Z'],
    ['2026-02-28T0930Z', '2026-02-28T09:30:00.000Z', '2026-02-28T09:30:59.999Z'],
    ['2026-02-28T093015Z', '2026-02-28T09:30:15.000Z', '2026-02-28T09:30:15.999Z'],
    ['90m', '2026-06-15T10:30:00.000Z', '2026-06-15T10:30:00.000Z'],
    ['12h', '2026-06-15T00:00:00.000Z', '2026-06-15T00:00:00.000Z'],
    ['2w', '2026-06-01T12:00:00.000Z', '2026-06-01T12:00:00.000Z'],
  ])('%s', (text, first, last) => {
    expect([at(text, 'first'), at(text, 'last')]).toEqual([first, last]);
  });

  test.each(['', 'noon', '2026', '2026-02-30', '2026-13-01', '2026-02-28 25:00', '1y', '-1h'])(
    '%j is none',
    (text) => expect(() => at(text, 'first')).toThrow(expect.objectContaining({ code: 'USAGE' })),
  );

  test('levels', () => {
    expect(levelArgument('warning')).toBe('warning');
    expect(() => levelArgument('loud')).toThrow(/debug, info, warning, error/);
  });
});

describe('watch', () => {
  test('what a job says until it has ended', async () => {
    const { line, clock } = await commandLine();
    line.withCatalog(begin);
    log(line, [{ message: 'one' }, { message: 'two' }]);
    await line.withCatalogAsync(async (catalog) => {
      const said: string[] = [];
      // This process writes the catalog, so the job of this process is alive.
      new Jobs(catalog).setState(1, 'running');
      const lines = watchJob({ catalog, clock }, 1, new AbortController().signal);
      for (let next = await lines.next(); ; next = await lines.next()) {
        if (next.done) {
          expect(next.value).toMatchObject({ number: 1, state: 'failed' });
          break;
        }
        said.push(next.value.message);
        if (next.value.message !== 'two') continue;
        const jobs = new Jobs(catalog);
        jobs.log([{ jobNumber: 1, timeMs: 0, level: 'error', message: 'three' }]);
        jobs.setState(1, 'failed');
      }
      expect(said).toEqual(['one', 'two', 'three']);
    });
  });

  test('one whose process is no more is not waited for', async () => {
    const { line } = await commandLine();
    line.withCatalog(begin);
    log(line, [{ message: 'one' }]);
    const { exit, stdout } = await line.say('job', 'watch', '1');
    expect([exit, stdout]).toEqual([
      1,
      '2026-01-01 00:00:00Z  job 1  info  one\njob 1: interrupted; `shelfs job resume 1` goes on\n',
    ]);
    const events = (await line.say('job', 'watch', '1', '--json')).stdout.trim().split('\n');
    expect(events.map((event) => JSON.parse(event))).toMatchObject([
      { event: 'log', message: 'one' },
      { event: 'end', state: 'running', isInterrupted: true },
    ]);
  });
});

describe('cancel', () => {
  test('one whose process is no more: what it has stored is a partial snapshot', async () => {
    const { line } = await commandLine();
    line.withCatalog((catalog) => {
      tellSnapshot(catalog, { put: { '/a': '1' } }, { hostName: HOST });
      const run = tellRun(catalog, { put: { '/b': '22' }, gone: ['/a'] }, HOST);
      storeAll(run, [5], () => content('22'));
      run.add([]);
      tellRun(catalog, { put: { '/c': '333' } }, HOST);
    });
    expect(await line.ok('job', 'cancel', '2')).toBe('job 2: partial\n');
    expect(await line.json('jobs')).toMatchObject({
      jobs: [{ number: 3, state: 'running' }, { number: 2, state: 'partial' }, { number: 1 }],
    });
    expect(await line.ok('ls', '/')).toMatch(/ b\n$/);
    expect(await line.json('job', 'cancel', '3')).toEqual({ job: 3, state: 'cancelled' });
    expect((await line.json('snapshots')).snapshots).toHaveLength(2);
    const { exit, stderr } = await line.fails('job', 'cancel', '3');
    expect([exit, stderr]).toEqual([2, expect.stringMatching(/job 3 is cancelled/)]);
  });

  test('only a backup; only one there is', async () => {
    const { line } = await commandLine();
    line.withCatalog((catalog) => new Jobs(catalog).add({ ...JOB, uuid: 'u', verb: 'restore' }));
    expect((await line.fails('job', 'cancel', '1')).stderr).toMatch(/no backup/);
    expect((await line.fails('job', 'cancel', '2')).stderr).toMatch(/there is no job 2/);
    expect((await line.fails('job', 'resume', '1')).exit).toBe(2);
  });

  test('one that runs is asked to stop; another process that has its sources is not', async () => {
    const { line, clock } = await commandLine();
    const path = join(line.directory, 'home');
    await mkdir(path);
    await line.ok('source', 'add', path);
    await line.withCatalogAsync(async (catalog) => {
      const parameters = { sources: ['home'] };
      const running = new Jobs(catalog).add({ ...JOB, uuid: 'u', parameters });
      const other = new Jobs(catalog).add({ ...JOB, uuid: 'v', pid: 1, parameters });
      const interrupted: number[] = [];
      const lock = memoryLocks();
      const held = await lock(join(line.state, 'locks', 'source-1.lock'));
      const signal = new AbortController().signal;
      const tools = {
        ...{ catalog, clock, lock, stateDirectory: line.state },
        interrupt: (pid: number) => {
          interrupted.push(pid);
          void clock.sleepMs(MINUTE_MS, signal).then(() => held.close());
        },
      };
      await expect(cancelJob(tools, other, signal)).rejects.toMatchObject({ code: 'SOURCE_BUSY' });
      expect(interrupted).toEqual([]);
      expect(await cancelJob(tools, running, signal)).toBe('cancelled');
      expect(interrupted).toEqual([process.pid]);
      expect(clock.nowMs()).toBeGreaterThanOrEqual(START_MS + MINUTE_MS);
      expect(await cancelJob(tools, other, signal)).toBe('cancelled');
    });
  });
});

test('a backup by the command line, looked at; another one gone on with', async () => {
  const { line } = await commandLine();
  const path = join(line.directory, 'home');
  await mkdir(path);
  await writeFile(join(path, 'letter'), 'dear reader');
  await line.ok('source', 'add', path);
  await line.ok('backup', '--single-threaded');
  const { snapshots } = await line.json('snapshots');
  expect(snapshots).toMatchObject([{ id: 1, files: 1, bytes: 11 }]);
  const [medium] = (await line.json('media', 'list')).media;
  expect(medium).toMatchObject({ barcode: 'VIR001L8', state: 'filling', setNumber: 1 });
  expect(await line.json('stat', join(path, 'letter'))).toMatchObject({
    extents: [{ copies: [{ barcode: 'VIR001L8', isGood: true }] }],
  });
  await writeFile(join(path, 'second'), 'x');
  // A process that was killed right after it had begun.
  const parameters = { sources: ['home'], copies: 1, pool: 'main' };
  line.withCatalog((catalog) => new Jobs(catalog).add({ ...JOB, uuid: 'u', parameters }));
  const [job] = (await line.json('jobs')).jobs;
  expect(job).toMatchObject({ number: 2, state: 'running', isInterrupted: true });
  await line.ok('job', 'resume', '2');
  expect(await line.json('job', 'show', '2', '--files')).toMatchObject({
    state: 'finished',
    files: expect.arrayContaining([
      expect.objectContaining({ change: 'new', path: join(path, 'second') }),
    ]),
  });
});
