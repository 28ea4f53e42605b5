import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, onTestFinished, test } from 'vitest';
import { RunMounts } from '../../../../src/catalog/run-db/mounts.ts';
import { RunRoles } from '../../../../src/catalog/run-db/roles.ts';
import { RunDb, systemProcesses } from '../../../../src/catalog/run-db/run-db.ts';
import { type FileFacts, RunStage } from '../../../../src/catalog/run-db/stage.ts';
import { RunWants } from '../../../../src/catalog/run-db/wants.ts';
import { hasEnded, isAlive } from '../../../../src/catalog/writers.ts';
import { scratchDirectory } from '../scratch.ts';

function open(path = join(scratchDirectory(), 'run.db')): RunDb {
  const db = RunDb.open(path);
  onTestFinished(() => db.close());
  return db;
}

const FACTS: FileFacts = { sizeBytes: 1, mtimeS: 2, mtimeNs: 3, ctimeS: 4, ctimeNs: 5 };
const hash = (byte: number) => Buffer.alloc(32, byte);
const by = (process: string, nowMs = 1) => ({ process, boot: 'boot', nowMs });

test('this process lives, whoever asks; one is gone for certain where its namespace is ours', () => {
  const { own, isAlive: lives, isGone } = systemProcesses();
  const [boot = '', pid = '', start = '', namespace = ''] = own.split(':');
  expect([lives(own), isAlive(own), isGone?.(own)]).toEqual([true, true, false]);
  const dead = [boot, pid, `${start}0`];
  expect(lives(dead.join(':'))).toBe(false);
  expect(isGone?.([...dead, namespace].join(':'))).toBe(true);
  // In another container, or written before this was known: it only looks dead.
  for (const name of [dead, [...dead, `${namespace}0`]])
    expect(isGone?.(name.join(':'))).toBe(false);
  expect(isGone?.(['of another boot', pid, start, namespace].join(':'))).toBe(true);
});

test('opened twice by one process, it is not taken for nobody’s when another process closes it', () => {
  const db = open();
  open(db.path);
  const script = `const { RunDb } = await import(process.argv[1]); RunDb.open(process.argv[2]).close();`;
  const module = join(import.meta.dirname, '../../../../src/catalog/run-db/run-db.ts');
  execFileSync(process.execPath, ['--input-type=module', '-e', script, module, db.path]);
  // The last one to close would have taken it away.
  expect(existsSync(`${db.path}-wal`)).toBe(true);
});

test('who serves a mount is told by its device, as of the last who said so', () => {
  const db = open();
  const serving = (own: string) => new RunMounts(db, { own });
  expect(serving('a').serverOf('0:52')).toBeUndefined();
  serving('a').serve('0:52', 1);
  serving('b').serve('0:53', 2.5);
  serving('c').serve('0:52', 3);
  expect(['0:52', '0:53'].map((device) => serving('x').serverOf(device))).toEqual(['c', 'b']);
  expect(new RunRoles(db, { own: 'x', isAlive: () => true }).recalls()).toBeUndefined();
});

test('a process that nobody has waited for has ended', async () => {
  // It ends when its parent has become a program that waits for nobody.
  const script = 'exec 3<&0; { read line; } <&3 & echo $!; exec sleep 1d';
  const child = spawn('sh', ['-c', script]);
  onTestFinished(() => void child.kill('SIGKILL'));
  const [text] = await once(child.stdout, 'data');
  const statOf = (pid: number) => readFileSync(`/proc/${pid}/stat`, 'latin1').trim().split(' ');
  const pid = Number(text);
  const [boot] = systemProcesses().own.split(':');
  const nameOf = (one: number) => `${boot}:${one}:${statOf(one)[21]}`;
  await expect.poll(() => statOf(child.pid ?? 0)[1]).toBe('(sleep)');
  child.stdin.end('\n');
  await expect.poll(() => statOf(pid)[2]).toBe('Z');
  expect([isAlive(nameOf(pid)), hasEnded(nameOf(pid))]).toEqual([true, true]);
  expect(hasEnded(nameOf(process.pid))).toBe(false);
  expect(hasEnded(`${boot}:${pid}:0`)).toBe(true);
});

test('wants of processes are seen by others, longest waiting first, and fail for others alone', () => {
  const db = open();
  const wants = new RunWants(db);
  const readers = [{ pid: 7, name: 'cp' }];
  wants.post([{ contentId: 5, process: 'a', sinceMs: 2, readers: [] }]);
  wants.post([{ contentId: 5, process: 'a', sinceMs: 9, readers }]);
  wants.post([{ contentId: 4, process: 'b', sinceMs: 1, readers }]);
  const seen = new RunWants(open(db.path));
  expect(seen.list()).toEqual([
    { contentId: 4, process: 'b', sinceMs: 1, readers },
    { contentId: 5, process: 'a', sinceMs: 2, readers },
  ]);
  seen.fail(5, 'b', { code: 'MEDIUM_OFFLINE', message: 'on the shelf' });
  seen.fail(4, 'b', { code: 'MEDIUM_OFFLINE', message: 'its own are not told' });
  expect(seen.list().map(({ contentId }) => contentId)).toEqual([4]);
  expect(wants.takeFailures('a')).toEqual([
    { contentId: 5, code: 'MEDIUM_OFFLINE', message: 'on the shelf' },
  ]);
  expect(wants.takeFailures('a')).toEqual([]);
  wants.follow({ process: 'b', walker: '7', directoryId: 3, snapshotId: 1, sinceMs: 4 });
  wants.forgetDead((process) => process === 'a');
  expect([seen.list(), seen.walks()]).toEqual([[], []]);
});

test('a database of an older revision is made anew, one of a newer is refused', () => {
  const db = open();
  new RunWants(db).post([{ contentId: 1, process: 'a', sinceMs: 0, readers: [] }]);
  const raw = new Database(db.path);
  onTestFinished(() => {
    raw.close();
  });
  raw.pragma('user_version = 1');
  expect(new RunWants(open(db.path)).list()).toEqual([]);
  raw.pragma('user_version = 99');
  expect(() => RunDb.open(db.path)).toThrow('newer');
});

test('the total of the stage is that of its rows, whatever comes and goes', () => {
  const rows = new RunStage(open());
  for (const [index, bytes] of [100, 20, 3].entries())
    rows.insert(hash(index), { sizeBytes: bytes, bytes, isAhead: false }, by('a'));
  expect(rows.totalBytes).toBe(123);
  rows.complete([{ hash: hash(1), facts: FACTS }], by('a'));
  rows.remove(hash(0));
  rows.remove(hash(0));
  expect(rows.totalBytes).toBe(23);
});

test('only who fills a content may say that it is complete', () => {
  const rows = new RunStage(open());
  rows.insert(hash(1), { sizeBytes: 1, bytes: 1, isAhead: false }, by('a'));
  rows.setProven(hash(1), 'b', Buffer.from([1]));
  rows.complete([{ hash: hash(1), facts: FACTS }], by('b'));
  expect(rows.get(hash(1))).toMatchObject({ state: 'filling', proven: undefined });
  rows.takeOver(hash(1), by('b'));
  rows.complete([{ hash: hash(1), facts: FACTS }], by('b'));
  expect(rows.get(hash(1))).toMatchObject({ state: 'complete', facts: FACTS });
});

test('those go first that were read longest ago; what is pinned or still to be read stays', () => {
  const rows = new RunStage(open());
  for (const index of [1, 2, 3, 4])
    rows.insert(hash(index), { sizeBytes: 1, bytes: 1, isAhead: index === 4 }, by('a', index));
  const files = [1, 2, 3, 4].map((index) => ({ hash: hash(index), facts: FACTS }));
  rows.complete(files, by('a', 5));
  rows.touch([hash(1)], 10);
  rows.setPins({ add: [hash(2)], remove: [] }, 'b');
  expect(rows.victims('used', 0).map((victim) => victim.hash[0])).toEqual([3, 1]);
  expect(rows.victims('ahead', 4)).toEqual([]);
  expect(rows.victims('ahead', 5).map((victim) => victim.hash[0])).toEqual([4]);
  rows.touch([hash(4)], 11);
  rows.forgetDead((process) => process === 'a');
  expect(rows.victims('used', 0).map((victim) => victim.hash[0])).toEqual([2, 3, 1, 4]);
});

test('one process recalls for all until it leaves or dies; drives are asked for and granted', () => {
  const path = join(scratchDirectory(), 'run.db');
  const alive = new Set(['a', 'b', 'c']);
  const roles = (own: string) =>
    new RunRoles(open(path), { own, isAlive: (name) => alive.has(name) });
  const [a, b, backup] = [roles('a'), roles('b'), roles('c')];
  expect([a.takeRecall(1), a.takeRecall(2), b.takeRecall(3)]).toEqual([true, true, false]);
  expect(b.recalls()).toBe('a');
  alive.delete('a');
  expect([b.recalls(), b.takeRecall(4)]).toEqual([undefined, true]);
  b.leaveRecall();
  expect(b.recalls()).toBeUndefined();

  const plain = { isFirst: false };
  expect(b.ask(5, plain)).toBe(0);
  backup.offer(6);
  expect([b.ask(7, plain), b.ask(8, { isFirst: true })]).toEqual([1, 1]);
  expect(backup.handovers()).toEqual([
    { holder: 'c', sinceMs: 6, wantedBy: 'b', wantedMs: 7, isFirst: true, grantedMs: undefined },
  ]);
  backup.grant(9);
  expect(b.handovers()[0]?.grantedMs).toBe(9);
  alive.delete('b');
  expect(backup.handovers()[0]).toMatchObject({ wantedBy: undefined, grantedMs: undefined });
  b.giveBack();
  backup.withdraw();
  expect(backup.handovers()).toEqual([]);
});

test('nobody else reads it', () => {
  const path = join(scratchDirectory(), 'run.db');
  open(path);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});
