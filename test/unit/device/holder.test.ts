import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { deviceNumbers, findHolder, lockers } from '../../../src/device/holder.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'shelfs-holder-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test.each([
  [0x1501n, 21, 1], // /dev/sg1
  [0x1510_0503n, 5, 0x15103], // a minor above 255 lies in two parts
  [0x0fffn, 15, 255],
  [0x1000_0000_0800n, 0x1000 + 8, 0],
])('device number %s', (packed, major, minor) => {
  expect(deviceNumbers(packed)).toEqual({ major, minor });
});

// Lines as Linux 6.1 prints them.
const LOCKS = `1: FLOCK  ADVISORY  WRITE 246 00:05:114 0 EOF
2: POSIX  ADVISORY  WRITE 247 00:05:114 0 EOF
3: FLOCK  ADVISORY  WRITE 300 fd:1a:9007199254740993 0 EOF
3: -> FLOCK  ADVISORY  WRITE 301 fd:1a:9007199254740993 0 EOF
4: FLOCK  ADVISORY  READ  0 00:05:114 0 EOF
5: FLOCK  ADVISORY  READ  248 00:05:114 0 EOF
6: LEASE  ACTIVE    READ  249 00:05:114 0 EOF
`;

test.each([
  ['two, neither a record lock nor one of elsewhere', 0x0005n, 114n, [246, 248]],
  ['not the one that waits, and an exact inode', 0xfd1an, 9007199254740993n, [300]],
  ['the next inode', 0xfd1an, 9007199254740992n, []],
  ['another device', 0x0006n, 114n, []],
])('lockers: %s', (_, dev, ino, pids) => {
  expect(lockers(LOCKS, { dev, ino })).toEqual(pids);
});

/** A /proc of our own making. Processes are looked up in it, whether they live is asked of the real kernel. */
function makeProc(
  locks: readonly number[],
  processes: Record<number, { line: string; files: readonly string[] }>,
  held: string,
): string {
  const proc = join(folder, 'proc');
  const { dev, ino } = statSync(held, { bigint: true });
  const { major, minor } = deviceNumbers(dev);
  const inode = `${major.toString(16).padStart(2, '0')}:${minor.toString(16).padStart(2, '0')}:${ino}`;
  mkdirSync(proc);
  const lines = locks.map(
    (pid, index) => `${index}: FLOCK  ADVISORY  WRITE ${pid} ${inode} 0 EOF\n`,
  );
  writeFileSync(join(proc, 'locks'), lines.join(''));
  for (const [pid, { line, files }] of Object.entries(processes)) {
    mkdirSync(join(proc, pid, 'fd'), { recursive: true });
    writeFileSync(join(proc, pid, 'cmdline'), line.replaceAll(' ', '\0'));
    for (const [fd, target] of files.entries()) symlinkSync(target, join(proc, pid, 'fd', `${fd}`));
  }
  return proc;
}

function deadPid(): number {
  const { pid } = spawnSync('true');
  return pid;
}

test('who locked comes before who merely opened', async () => {
  const path = join(folder, 'file');
  writeFileSync(path, '');
  const proc = makeProc(
    [process.ppid],
    {
      [process.ppid]: { line: '/usr/bin/node /opt/shelfs/main.js backup', files: [] },
      1: { line: 'init', files: [path] },
    },
    path,
  );
  expect(await findHolder(path, proc)).toEqual({ pid: process.ppid, command: 'node main.js' });
});

test('a lock whose taker has died leads to who has the file open', async () => {
  const path = join(folder, 'file');
  writeFileSync(path, '');
  const proc = makeProc(
    [deadPid()],
    { 77: { line: '/usr/sbin/bareos-sd -f', files: ['/', path] } },
    path,
  );
  expect(await findHolder(path, proc)).toEqual({ pid: 77, command: 'bareos-sd' });
});

test('a device is known by its number, under whatever name it was opened', async () => {
  symlinkSync('/dev/zero', join(folder, 'by-id'));
  const processes = {
    70: { line: 'other', files: ['/dev/null', 'socket:[1]'] },
    71: { line: 'node -e x', files: ['/dev/zero'] },
  };
  const proc = makeProc([], processes, '/dev/zero');
  expect(await findHolder(join(folder, 'by-id'), proc)).toEqual({ pid: 71, command: 'node' });
});

test('this process is named only when nobody else holds it', async () => {
  const path = join(folder, 'file');
  writeFileSync(path, '');
  const both = makeProc([process.pid, process.ppid], {}, path);
  expect(await findHolder(path, both)).toEqual({ pid: process.ppid, command: '' });
  rmSync(both, { recursive: true });
  const own = makeProc([process.pid], {}, path);
  expect(await findHolder(path, own)).toMatchObject({ pid: process.pid });
});

test('nobody, nothing there, no /proc', async () => {
  const path = join(folder, 'file');
  writeFileSync(path, '');
  expect(await findHolder(path)).toBeUndefined();
  expect(await findHolder(join(folder, 'none'))).toBeUndefined();
  expect(await findHolder(path, join(folder, 'no-proc'))).toBeUndefined();
});

test('a real process with the file open', async () => {
  const path = join(folder, 'file');
  writeFileSync(path, '');
  const child = spawn('sh', ['-c', 'exec 3<"$0"; echo open; exec sleep 60', path]);
  try {
    await once(child.stdout, 'data');
    await expect.poll(() => findHolder(path)).toEqual({ pid: child.pid, command: 'sleep' });
  } finally {
    child.kill('SIGKILL');
  }
});
