/**
 * An ordinary user with a state directory of his own: fusermount3 mounts for him, and takes away what is dead. In a namespace where
 * /dev/fuse is open to everybody, as distributions have it and containers do not.
 */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Namespace } from './namespace.ts';
import { ended, isAlive, MAIN, okProgram, runProgram, Shelf } from './program.ts';
import { expectSoon, startReader, untilAllWait } from './readers.ts';

const NOBODY = 65_534;

let namespace: Namespace;
let shelf: Shelf;
let source: string;

beforeAll(async () => {
  namespace = await Namespace.make(
    [
      'mknod fuse c 10 229; chmod 666 fuse; mount --bind fuse /dev/fuse',
      'touch fuse.conf; mount --bind fuse.conf /etc/fuse.conf',
    ].join('; '),
  );
  shelf = await Shelf.make(
    {},
    {
      prefix: [...namespace.prefix('nobody'), 'env', 'HOME=/nonexistent'],
      mountTable: namespace.mountTable,
      uid: NOBODY,
    },
  );
  chmodSync(shelf.directory, 0o755);
  source = shelf.folder('source');
  for (const name of ['a', 'b', 'c']) writeFileSync(join(source, name), `${name}\n`);
  await shelf.ok('source', 'add', source);
  await shelf.ok('backup');
});

afterAll(async () => {
  await shelf.close();
  await namespace.close();
});

const asUser = (...argv: string[]) => [...namespace.prefix('nobody'), ...argv];

test('he mounts, reads and unmounts; nobody else sees anything, not even root', async () => {
  const mounted = await shelf.mount('mount');
  expect(await okProgram(asUser('cat', join(mounted.at, source, 'a')))).toBe('a\n');
  const root = await runProgram([...namespace.prefix('root'), 'ls', mounted.at]);
  expect([root.exit, root.stderr]).toEqual([2, expect.stringContaining('Permission denied')]);
  const table = readFileSync(namespace.mountTable, 'latin1').split('\n');
  const line = table.find((one) => one.includes(` ${mounted.at} `));
  for (const option of ['ro', 'nosuid', 'nodev']) expect(line?.split(/[ ,]/)).toContain(option);
  expect(line).toContain(` - fuse.shelfs ${shelf.state} `);
  // Root may take away what it may not look into.
  await okProgram([...namespace.prefix('root'), process.execPath, MAIN, 'umount', mounted.at]);
  expect(await shelf.mounts()).toEqual([]);
  await ended(mounted.pid);
});

test('whom he says to serve his mount root does not end', async () => {
  const mounted = await shelf.mount('forged');
  const table = readFileSync(namespace.mountTable, 'latin1').split('\n');
  const [, , device] = table.find((one) => one.includes(` ${mounted.at} `))?.split(' ') ?? [];
  const victim = startReader(['sleep', '1d']);
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const start = readFileSync(`/proc/${victim.pid}/stat`, 'latin1').split(') ')[1]?.split(' ')[19];
  const runDb = new Database(join(shelf.state, 'run.db'), { fileMustExist: true });
  const { changes } = runDb
    .prepare('UPDATE roles SET process = ? WHERE role = ?')
    .run(`${boot}:${victim.pid}:${start}:0`, `mount ${device}`);
  runDb.close();
  expect(changes).toBe(1);
  const umount = [process.execPath, MAIN, 'umount', '--force', mounted.at];
  await okProgram([...namespace.prefix('root'), ...umount]);
  await ended(mounted.pid);
  expect(isAlive(victim.pid)).toBe(true);
  victim.kill('SIGKILL');
  await victim.ended;
});

test('killed, it is mounted over; busy, it is taken away by force only', async () => {
  const lock = join(shelf.state, 'virtual', 'drive-0.lock');
  const holder = startReader(['flock', '--no-fork', lock, 'sleep', '1d']);
  const first = await shelf.mount('again');
  const read = () => startReader(asUser('cat', join(first.at, source, 'b')));
  const one = read();
  await untilAllWait([one]);
  process.kill(first.pid, 'SIGKILL');
  await expectSoon([one], ({ exit }) => expect(exit).toBe(1));

  const second = await shelf.mount('again');
  expect(await shelf.mounts()).toEqual([second.at]);
  const other = read();
  await untilAllWait([other]);
  const busy = await shelf.say('umount', second.at);
  expect([busy.exit, busy.stderr]).toEqual([11, expect.stringContaining('is in use')]);
  await shelf.ok('umount', '--force', second.at);
  expect([await shelf.mounts(), isAlive(second.pid)]).toEqual([[], false]);
  await expectSoon([other], ({ exit }) => expect(exit).toBe(1));
  holder.kill('SIGKILL');
  await holder.ended;
});

test('for others he mounts only where the machine lets him', async () => {
  const refused = await shelf.say('mount', shelf.folder('shared'), '--allow-other');
  expect(refused.exit).toBe(1);
  expect(refused.stderr).toContain('user_allow_other');

  const conf = 'echo user_allow_other >/etc/fuse.conf';
  await okProgram([...namespace.prefix('root'), 'sh', '-c', conf]);
  const mounted = await shelf.mount('shared', '--allow-other');
  const path = join(mounted.at, source, 'c');
  expect(await okProgram([...namespace.prefix('daemon'), 'cat', path])).toBe('c\n');
  expect(await okProgram([...namespace.prefix('root'), 'cat', path])).toBe('c\n');
  await shelf.unmount(mounted);
});
