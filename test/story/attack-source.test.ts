/** A source that does not hold still: what a snapshot shows was there, all of it, and what could not be had is named. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { rawOf } from '../../src/base/raw.ts';
import { Sources } from '../../src/catalog/job/sources.ts';
import { Directories } from '../../src/catalog/tree/directories.ts';
import { backup } from '../../src/job/backup/backup.ts';
import type { BackupEvent, BackupReport } from '../../src/job/backup/report.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { differences, randomBytes } from '../sim/rich-tree.ts';

/** A backup during which something happens: once, at the first event of that kind. */
function backupWhile(
  world: BackupWorld,
  on: BackupEvent['event'],
  happens: () => void,
  options: { workers?: number; signal?: AbortSignal } = {},
): Promise<BackupReport> {
  let hasHappened = false;
  return backup(
    {
      sources: new Sources(world.catalog).list(),
      copies: 1,
      copiesWanted: 1,
      avoid: [],
      pool: 'main',
      allowEmpty: false,
      verify: false,
      wait: true,
      workers: options.workers ?? 0,
    },
    world.tools,
    ({ event }) => {
      if (event !== on || hasHappened) return;
      hasHappened = true;
      happens();
    },
    options.signal ?? new AbortController().signal,
  );
}

/** What is there now comes back as it is, and a further run finds nothing left to do. */
async function expectWhole(world: BackupWorld): Promise<void> {
  const { tree, report } = await world.restore();
  expect(report.failed).toEqual([]);
  expect(differences(world.source, tree)).toBe('');
  expect(await world.backup()).toMatchObject({ snapshot: null, bytes: { hashed: 0, written: 0 } });
}

const LARGE = 3_000_000;

describe.each([
  ['small', 1000],
  ['large', LARGE],
])('of several %s files with the same bytes the first', (_, sizeBytes) => {
  async function twins() {
    const world = await BackupWorld.make();
    const bytes = randomBytes(seededRandom(1), sizeBytes);
    for (const name of ['a', 'b', 'c']) writeFileSync(join(world.source, name), bytes);
    return world;
  }

  test('changes before it is read: the others are stored', async () => {
    const world = await twins();
    const report = await backupWhile(world, 'medium', () =>
      appendFileSync(join(world.source, 'a'), 'more'),
    );
    expect(report).toMatchObject({ state: 'finished', files: { unreadable: 0 } });
    await expectWhole(world);
  });

  test('vanishes before it is read: the others are stored', async () => {
    const world = await twins();
    const report = await backupWhile(world, 'medium', () => unlinkSync(join(world.source, 'a')));
    expect(report.unreadable).toMatchObject([{ path: join(world.source, 'a') }]);
    const { tree } = await world.restore();
    expect(readFileSync(join(tree, 'b'))).toEqual(readFileSync(join(world.source, 'b')));
    expect(readFileSync(join(tree, 'c'))).toEqual(readFileSync(join(world.source, 'c')));
  });
});

describe('a file with several names', () => {
  async function linked(sizeBytes = LARGE) {
    const world = await BackupWorld.make();
    mkdirSync(join(world.source, 'd'));
    writeFileSync(join(world.source, 'a'), randomBytes(seededRandom(1), sizeBytes));
    linkSync(join(world.source, 'a'), join(world.source, 'b'));
    linkSync(join(world.source, 'a'), join(world.source, 'd', 'c'));
    writeFileSync(join(world.source, 'z'), randomBytes(seededRandom(2), LARGE));
    return world;
  }

  test('whose first name vanishes is stored under the others', async () => {
    const world = await linked();
    await backupWhile(world, 'medium', () => unlinkSync(join(world.source, 'a')));
    const { tree } = await world.restore();
    expect(readFileSync(join(tree, 'b'))).toEqual(readFileSync(join(world.source, 'b')));
    expect(readFileSync(join(tree, 'd', 'c'))).toEqual(readFileSync(join(world.source, 'b')));
  });

  test('that changes is stored as it is then, under all', async () => {
    const world = await linked();
    const report = await backupWhile(world, 'medium', () =>
      appendFileSync(join(world.source, 'a'), 'more'),
    );
    expect(report).toMatchObject({ state: 'finished', unreadable: [] });
    await expectWhole(world);
  });

  test('that is emptied is empty, and nothing else', async () => {
    const world = await linked();
    await backupWhile(world, 'medium', () => truncateSync(join(world.source, 'a'), 0));
    await expectWhole(world);
  });

  test('that is emptied between two of its names is empty, and nothing else', async () => {
    const world = await linked();
    for (let index = 0; index < 200; index += 1) mkdirSync(join(world.source, `c${index}`));
    const report = await backupWhile(world, 'scan', () => truncateSync(join(world.source, 'a'), 0));
    expect(report.state).toBe('finished');
    await expectWhole(world);
  });
});

describe('a file that becomes', () => {
  const becomings: [string, (path: string) => void][] = [
    ['a symbolic link', (path) => symlinkSync('/etc/passwd', path)],
    ['a directory', (path) => mkdirSync(path)],
    ['a FIFO', (path) => execFileSync('mkfifo', [path])],
    ['nothing', () => {}],
    ['another file', (path) => writeFileSync(path, randomBytes(seededRandom(9), 3000))],
    ['an empty file', (path) => writeFileSync(path, '')],
    ['a larger one', (path) => writeFileSync(path, randomBytes(seededRandom(9), 2 * LARGE))],
  ];
  test.each(becomings)(
    '%s does not stop the backup, and the next one has it',
    async (_, become) => {
      const world = await BackupWorld.make();
      for (const [name, sizeBytes] of [
        ['a', 100],
        ['b', LARGE],
        ['c', 200],
      ] as const)
        writeFileSync(join(world.source, name), randomBytes(seededRandom(sizeBytes), sizeBytes));
      for (const name of ['a', 'b']) {
        const path = join(world.source, name);
        await backupWhile(world, 'medium', () => {
          rmSync(path);
          become(path);
        });
        const { tree, report } = await world.restore();
        expect(report.failed).toEqual([]);
        expect(readFileSync(join(tree, 'c'))).toEqual(readFileSync(join(world.source, 'c')));
        await world.backup();
        await expectWhole(world);
      }
    },
  );
});

test('a file that cannot be read is tried twice and told of once; its twin is stored', async () => {
  const world = await BackupWorld.make();
  const bytes = randomBytes(seededRandom(1), LARGE);
  for (const name of ['a', 'b', 'c']) writeFileSync(join(world.source, name), bytes);
  // Who has a lease on a file keeps those out who do not wait for it: the hash has been made by then.
  let holder: ChildProcess | undefined;
  onTestFinished(() => void holder?.kill());
  const report = await backupWhile(world, 'medium', () => {
    holder = leaseOn(join(world.source, 'a'));
  });
  expect(report).toMatchObject({ state: 'partial', files: { unreadable: 1 } });
  expect(report.unreadable).toHaveLength(1);
  expect(report.unreadable[0]?.path).toBe(join(world.source, 'a'));
  const { tree } = await world.restore();
  for (const name of ['b', 'c']) expect(readFileSync(join(tree, name))).toEqual(bytes);
  expect(existsSync(join(tree, 'a'))).toBe(false);
  holder?.kill();
  await new Promise((resolve) => holder?.once('exit', resolve));
  await world.backup();
  await expectWhole(world);
});

/** Returns when the lease is there. */
function leaseOn(path: string): ChildProcess {
  const script = `
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
open(sys.argv[2], 'w')
signal.pause()`;
  const ready = join(dirname(path), '..', 'ready');
  const child = spawn('python3', ['-c', script, path, ready]);
  while (!existsSync(ready)) execFileSync('sleep', ['0.05']);
  return child;
}

test('parts of a file that changes between them are not put together', async () => {
  const world = await BackupWorld.make({ config: '[archive]\npart = "5MB"\nsize = "6MB"\n' });
  writeFileSync(join(world.source, 'big'), randomBytes(seededRandom(1), 22_000_000));
  const report = await backupWhile(world, 'archive', () => {
    const bytes = readFileSync(join(world.source, 'big'));
    bytes.fill(7, 0, 1_000_000);
    writeFileSync(join(world.source, 'big'), bytes);
  });
  expect(report).toMatchObject({ state: 'finished', unreadable: [] });
  await expectWhole(world);
});

test('parts of a file that shrinks between them are not put together', async () => {
  const world = await BackupWorld.make({ config: '[archive]\npart = "5MB"\nsize = "6MB"\n' });
  writeFileSync(join(world.source, 'big'), randomBytes(seededRandom(1), 22_000_000));
  await backupWhile(world, 'archive', () => truncateSync(join(world.source, 'big'), 12_000_000));
  await expectWhole(world);
});

test('a directory that is renamed is counted as what moved, and nothing as less than none', async () => {
  const world = await BackupWorld.make();
  mkdirSync(join(world.source, 'old', 'in'), { recursive: true });
  for (const name of ['1', '2', 'in/3', 'in/4'])
    writeFileSync(
      join(world.source, 'old', name),
      randomBytes(seededRandom(Number(name.at(-1))), 5000 + Number(name.at(-1))),
    );
  await world.backup();
  renameSync(join(world.source, 'old'), join(world.source, 'new'));
  const { files } = await world.backup();
  expect(files).toMatchObject({ moved: 4, new: 2, gone: 2 });
  await expectWhole(world);
});

test('a source that is not there is a run that failed, and takes nothing for deleted', async () => {
  const world = await BackupWorld.make();
  const file = join(world.source, 'f');
  writeFileSync(file, 'bytes');
  await world.backup();
  renameSync(world.source, `${world.source}.away`);
  const failure = { code: 'SOURCE_ABSENT', failure: expect.objectContaining({ exit: 1 }) };
  await expect(world.backup()).rejects.toMatchObject(failure);
  renameSync(`${world.source}.away`, world.source);
  const { files } = await world.backup();
  expect(files).toMatchObject({ new: 0, gone: 0 });
});

test('a directory becomes a file and a directory again; each snapshot shows what was there', async () => {
  const world = await BackupWorld.make();
  const path = join(world.source, 'x');
  mkdirSync(join(path, 'y'), { recursive: true });
  writeFileSync(join(path, 'y', 'deep'), 'deep');
  await world.backup();
  const first = await world.restore();
  rmSync(path, { recursive: true });
  writeFileSync(path, 'a file now');
  await world.backup();
  await expectWhole(world);
  rmSync(path);
  mkdirSync(path);
  writeFileSync(join(path, 'other'), 'other');
  await world.backup();
  await expectWhole(world);
  const old = await world.restore({ at: '1' });
  expect(differences(first.tree, old.tree)).toBe('');
  expect(existsSync(join(old.tree, 'x', 'y', 'deep'))).toBe(true);
});

test('a source known by a path that is nowhere on this machine comes back with all above it', async () => {
  const world = await BackupWorld.make();
  const sources = new Sources(world.catalog);
  for (const source of sources.list()) sources.remove(source.id);
  const { id } = new Directories(world.catalog).ensureHost('testhost');
  const original = rawOf('/nowhere/at/all');
  sources.add({ name: 'as', hostId: id, path: rawOf(world.source), original, options: {} });
  writeFileSync(join(world.source, 'a'), 'a');
  await world.backup();
  const { to, report } = await world.restore();
  expect(report.restored).toBe(1);
  expect(differences(world.source, join(to, original))).toBe('');
});

test('odd sizes, and times from before the epoch to the end of what a file system holds', async () => {
  const world = await BackupWorld.make();
  const random = seededRandom(1);
  const sizes = [0, 1, 511, 512, 513, 524_287, 524_288, 524_289, 2 ** 20, 2 ** 20 + 1, 4 * 2 ** 20];
  for (const size of sizes)
    writeFileSync(join(world.source, `s${size}`), randomBytes(random, size));
  for (const [index, seconds] of [-2_147_483_648, -1.000_000_001, 0, 15_032_385_535].entries()) {
    writeFileSync(join(world.source, `t${index}`), 'x');
    utimesSync(join(world.source, `t${index}`), seconds, seconds);
  }
  const every = Buffer.from(
    Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => byte !== 0 && byte !== 47),
  );
  for (const name of [every.subarray(0, 250), Buffer.alloc(255, 0xff), Buffer.alloc(255, 0x0a)])
    writeFileSync(Buffer.concat([Buffer.from(`${world.source}/`), name]), 'named');
  chmodSync(join(world.source, 's1'), 0o7777);
  await world.backup();
  await expectWhole(world);
});
