/**
 * Readers that wait for tapes: nobody else waits with them, each can be interrupted or killed, and whatever becomes of the mount
 * they are not left hanging. The drive is another process's meanwhile, so all of them wait.
 */

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { lstatSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { ended, isAlive, okProgram, Shelf, startProgram } from './program.ts';
import { expectSoon, type Reader, startReader, untilAllWait } from './readers.ts';

const FILES = 200;
const FILE_BYTES = 85_000;
/** Of 8.5 MB each, half of it kept for the end: the files lie on five of them. */
const CARTRIDGES = 7;
const CARTRIDGES_READ = 5;
/** Never read to their end, by the tests that let nobody read. */
const OTHERS = 50;

let shelf: Shelf;
let source: string;

const nameOf = (index: number) => join(source, `file ${index}`);
const otherOf = (index: number) => join(source, 'others', `file ${index}`);

beforeAll(async () => {
  shelf = await Shelf.make({ cartridges: CARTRIDGES, capacity: '8.5MB' });
  source = shelf.folder('source');
  shelf.folder('source/others');
  for (let index = 0; index < FILES; index += 1)
    writeFileSync(nameOf(index), randomBytes(FILE_BYTES));
  for (let index = 0; index < OTHERS; index += 1) writeFileSync(otherOf(index), randomBytes(1000));
  await shelf.ok('source', 'add', source);
  await shelf.ok('backup');
});

afterAll(() => shelf.close());

/** Another process has the drive, as if a backup ran. @returns lets it go */
async function holdDrive(): Promise<() => Promise<void>> {
  const lock = join(shelf.state, 'virtual', 'drive-0.lock');
  const holder = startProgram([
    'flock',
    '-n',
    '--no-fork',
    lock,
    'sh',
    '-c',
    'echo held; exec sleep 1d',
  ]);
  if (!holder.stdout) throw new Error('it says when it has it');
  const closed = once(holder, 'close');
  const letGo = async () => {
    holder.kill('SIGKILL');
    await closed;
  };
  onTestFinished(letGo);
  await Promise.race([once(holder.stdout, 'data'), closed]);
  expect(holder.exitCode, 'nobody else has the drive').toBe(null);
  return letGo;
}

/** Each compares what it reads with the source; it ends with 0 where that is the same. */
function compare(at: string, name: string): Reader {
  return startReader(['cmp', '-s', join(at, name), name]);
}

function othersBlocked(at: string): Reader[] {
  return Array.from({ length: OTHERS }, (_, index) => compare(at, otherOf(index)));
}

/** As cmp(1) says it of what it cannot read. */
const TROUBLE = { exit: 2, signal: null };

test('the process of the mount is killed: its readers fail at once, and what is dead can be mounted over', async () => {
  await holdDrive();
  const mounted = await shelf.mount('killed');
  const readers = othersBlocked(mounted.at);
  await untilAllWait(readers);
  process.kill(mounted.pid, 'SIGKILL');
  await expectSoon(readers, (end) => expect(end).toEqual(TROUBLE));
  expect(await shelf.mounts()).toEqual([mounted.at]);
  expect(() => readdirSync(mounted.at)).toThrow('ENOTCONN');

  const again = await shelf.mount('killed');
  expect(await shelf.mounts()).toEqual([again.at]);
  const reader = compare(again.at, otherOf(0));
  await untilAllWait([reader]);
  reader.kill('SIGINT');
  expect(await reader.ended).toEqual({ exit: null, signal: 'SIGINT' });
  await shelf.unmount(again);
});

test('the process of the mount is asked to end: readers fail, and nothing is mounted any more', async () => {
  await holdDrive();
  const mounted = await shelf.mount('ended');
  const readers = othersBlocked(mounted.at);
  await untilAllWait(readers);
  process.kill(mounted.pid, 'SIGTERM');
  await expectSoon(readers, (end) => expect(end).toEqual(TROUBLE));
  await ended(mounted.pid);
  expect(await shelf.mounts()).toEqual([]);
});

test('unmounting is refused while files are open, and done by force', async () => {
  await holdDrive();
  const mounted = await shelf.mount('busy');
  const readers = othersBlocked(mounted.at);
  await untilAllWait(readers);
  const refused = await shelf.say('umount', mounted.at);
  expect(refused.exit).toBe(11);
  expect(refused.stderr).toContain('is in use');
  await untilAllWait(readers);

  await shelf.ok('umount', '--force', mounted.at);
  await expectSoon(readers, (end) => expect(end).toEqual(TROUBLE));
  expect([await shelf.mounts(), isAlive(mounted.pid)]).toEqual([[], false]);
  const never = await shelf.say('umount', mounted.at);
  expect([never.exit, never.stderr]).toEqual([1, expect.stringContaining('is no mount of shelfs')]);
});

test('200 readers on two mounts wait, others look around; who is killed ends, the rest are served, each cartridge loaded once', async () => {
  const before = shelf.cartridgeLoads();
  const letGo = await holdDrive();
  const mounts = [await shelf.mount('one'), await shelf.mount('two')];
  const atOf = (index: number) => mounts[index % 2]?.at ?? '';
  const readers = Array.from({ length: FILES }, (_, index) => compare(atOf(index), nameOf(index)));
  await untilAllWait(readers);

  // Neither a folder that was never looked at nor one that was waits with them.
  for (const { at } of mounts) {
    expect(readdirSync(join(at, source, 'others'))).toHaveLength(OTHERS);
    expect(lstatSync(join(at, otherOf(1))).size).toBe(1000);
    expect(await okProgram(['ls', '-l', join(at, source)])).toContain('file 199');
    expect(await okProgram(['df', at])).toContain('shelfs');
  }

  const [first, second, third] = readers.splice(0, 3);
  first?.kill('SIGINT');
  second?.kill('SIGKILL');
  third?.kill('SIGTERM');
  expect(await first?.ended).toEqual({ exit: null, signal: 'SIGINT' });
  expect(await second?.ended).toEqual({ exit: null, signal: 'SIGKILL' });
  expect(await third?.ended).toEqual({ exit: null, signal: 'SIGTERM' });
  const handles = `$SIG{INT} = sub { exit 42 }; open F, '<', $ARGV[0]; sysread F, $b, 1; exit 1`;
  const handler = startReader(['perl', '-e', handles, join(atOf(0), nameOf(0))]);
  await untilAllWait([handler]);
  handler.kill('SIGINT');
  expect(await handler.ended).toEqual({ exit: 42, signal: null });

  await untilAllWait(readers);
  await letGo();
  for (const { ended } of readers) expect(await ended).toEqual({ exit: 0, signal: null });
  for (const mounted of mounts) await shelf.unmount(mounted);
  const loads = Object.entries(shelf.cartridgeLoads()).map(
    ([barcode, count]) => count - (before[barcode] ?? 0),
  );
  expect(Math.max(...loads), `${loads}`).toBe(1);
  // One is in the drive already.
  expect(loads.filter((count) => count === 1).length).toBeGreaterThanOrEqual(CARTRIDGES_READ - 1);
});
