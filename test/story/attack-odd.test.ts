/** Trees that are odd to the limit, runs that are stopped anywhere, cartridges that are not who they seem. */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { rawOf } from '../../src/base/raw.ts';
import { Sources } from '../../src/catalog/job/sources.ts';
import { Directories } from '../../src/catalog/tree/directories.ts';
import { backup } from '../../src/job/backup/backup.ts';
import type { BackupEvent } from '../../src/job/backup/report.ts';
import { BackupWorld, HOST } from '../sim/backup-world.ts';
import { differences, makeRichTree, randomBytes } from '../sim/rich-tree.ts';
import { scratchDirectory } from '../sim/scratch.ts';

/** Deeper than a path may be long: made, looked at and removed a directory at a time. */
function makeDeep(root: string, name: string, levels: number): void {
  const script = `
import os, sys
os.chdir(sys.argv[1])
for _ in range(int(sys.argv[3])):
    os.mkdir(sys.argv[2]); os.chdir(sys.argv[2])
open('bottom', 'w').write('here')`;
  execFileSync('python3', ['-c', script, root, name, String(levels)]);
  onTestFinished(() => void execFileSync('rm', ['-rf', join(root, name)]));
}

function bottomOf(root: string, name: string, levels: number): string {
  const script = `
import os, sys
os.chdir(sys.argv[1])
for _ in range(int(sys.argv[3])):
    os.chdir(sys.argv[2])
print(open('bottom').read(), end='')`;
  return execFileSync('python3', ['-c', script, root, name, String(levels)], { encoding: 'utf8' });
}

describe('a tree that is deep', () => {
  test.each([
    ['1000 levels of one letter', 'd', 1000],
    ['200 levels of 255 letters', 'n'.repeat(255), 200],
  ])('of %s comes back', async (_, name, levels) => {
    const world = await BackupWorld.make();
    makeDeep(world.source, name, levels);
    expect(await world.backup()).toMatchObject({ state: 'finished', unreadable: [] });
    const { tree, report } = await world.restore();
    expect(report.failed).toEqual([]);
    expect(bottomOf(tree, name, levels)).toBe('here');
    execFileSync('rm', ['-rf', tree]);
  });

  test('beyond what an archive can name costs what is down there, and nothing else', async () => {
    const world = await BackupWorld.make();
    makeDeep(world.source, 'n'.repeat(255), 300);
    writeFileSync(join(world.source, 'z'), 'not deep');
    const { files, unreadable } = await world.backup();
    expect(files.unreadable).toBeGreaterThan(0);
    expect(unreadable[0]?.reason).toMatch(/longer than an archive can name/);
    const { tree } = await world.restore();
    expect(readFileSync(join(tree, 'z'), 'utf8')).toBe('not deep');
    execFileSync('rm', ['-rf', tree]);
  });
});

test.each([
  ['9223372036854775807', Number.MAX_SAFE_INTEGER],
  ['-9223372036854775807', Number.MIN_SAFE_INTEGER],
])('a time of %s seconds is taken for the last one that can be counted', async (time, last) => {
  const world = await BackupWorld.make();
  // A file system that keeps all 64 bits of a time.
  const directory = mkdtempSync('/dev/shm/shelfs-times-');
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'f');
  writeFileSync(file, 'bytes');
  execFileSync('touch', ['-d', `@${time}`, file]);
  const seconds = (path: string) =>
    execFileSync('stat', ['-c', '%Y', path], { encoding: 'utf8' }).trim();
  expect(seconds(file)).toBe(time);
  const path = rawOf(directory);
  const { id } = new Directories(world.catalog).ensureHost(HOST);
  new Sources(world.catalog).add({
    name: 'times',
    hostId: id,
    path,
    original: path,
    options: {},
  });
  expect(await world.backup()).toMatchObject({ state: 'finished', unreadable: [] });
  expect((await world.backup()).files).toMatchObject({ new: 0, changed: 0 });
  const to = mkdtempSync('/dev/shm/shelfs-times-');
  onTestFinished(() => rmSync(to, { recursive: true }));
  const { report } = await world.restore({ path: directory, to });
  expect(report.failed).toEqual([]);
  expect(seconds(join(to, file))).toBe(String(last));
});

test.each([
  ['in the header', 3, 60_000],
  ['in the journal alone', 40, 60_000],
])('extended attributes that stand %s come back', async (_, count, lengthBytes) => {
  const world = await BackupWorld.make();
  const random = seededRandom(1);
  writeFileSync(join(world.source, 'f'), 'bytes');
  for (let index = 0; index < count; index += 1) {
    const value = randomBytes(random, lengthBytes).toString('hex').slice(0, lengthBytes);
    execFileSync('setfattr', ['-n', `user.a${index}`, '-v', value, join(world.source, 'f')]);
  }
  await world.backup();
  const { tree, report } = await world.restore();
  expect(report).toMatchObject({ failed: [], notSet: {} });
  expect(differences(world.source, tree)).toBe('');
});

test('sparse files with the same bytes are sparse again, all of them', async () => {
  const world = await BackupWorld.make();
  for (const name of ['a', 'b']) {
    const file = openSync(join(world.source, name), 'w');
    writeSync(file, randomBytes(seededRandom(1), 200_000), 0, 200_000, 10 * 2 ** 20);
    ftruncateSync(file, 30 * 2 ** 20);
    closeSync(file);
  }
  await world.backup();
  const { tree, report } = await world.restore();
  expect(report.failed).toEqual([]);
  expect(differences(world.source, tree)).toBe('');
  for (const name of ['a', 'b'])
    expect(statSync(join(tree, name)).blocks * 512).toBeLessThan(2 ** 20);
});

test('holes of files that may be the same are not read to find out', async () => {
  const world = await BackupWorld.make();
  const sizeBytes = 256 * 2 ** 20;
  for (const [name, seed] of Object.entries({ a: 1, b: 1, c: 2 })) {
    const file = openSync(join(world.source, name), 'w');
    writeSync(file, randomBytes(seededRandom(seed), 50_000), 0, 50_000, 128 * 2 ** 20);
    ftruncateSync(file, sizeBytes);
    closeSync(file);
  }
  const readBytes = () => Number(/rchar: (\d+)/.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);
  const before = readBytes();
  const { bytes } = await world.backup();
  expect(readBytes() - before).toBeLessThan(sizeBytes / 4);
  expect(bytes.deduplicated).toBe(sizeBytes);
  const { tree } = await world.restore();
  expect(differences(world.source, tree)).toBe('');
});

describe('a run that is stopped', () => {
  const stages: [BackupEvent['event'], number][] = [
    ['scan', 1],
    ['hash', 1],
    ['medium', 1],
    ['progress', 1],
    ['progress', 10],
    ['archive', 1],
    ['archive', 2],
    ['medium', 2],
  ];
  test.each(stages)('at %s number %i is gone on with', async (stage, count) => {
    const config = '[archive]\npart = "2MB"\nsize = "3MB"\n';
    const world = await BackupWorld.make({ config, capacityBytes: 20 * 2 ** 20 });
    makeRichTree(world.source, seededRandom(1));
    copyFileSync(join(world.source, 'documents/large.bin'), join(world.source, 'twin'));
    writeFileSync(join(world.source, 'z'), randomBytes(seededRandom(2), 9_000_000));
    const stop = new AbortController();
    let left = count;
    const request = {
      sources: new Sources(world.catalog).list(),
      copies: 1,
      copiesWanted: 1,
      avoid: [],
      pool: 'main',
      allowEmpty: false,
      verify: false,
      wait: true,
      workers: 1,
    };
    const listen = ({ event }: BackupEvent) => {
      if (event === stage) left -= 1;
      if (event === stage && left === 0) stop.abort(new Error('stopped'));
    };
    await expect(backup(request, world.tools, listen, stop.signal)).rejects.toThrow('stopped');
    const events: BackupEvent[] = [];
    const report = await world.backup({ events });
    expect(events[0]).toMatchObject({ event: 'begin', job: 1, resumed: true });
    expect(report).toMatchObject({ state: 'finished', unreadable: [] });
    const { tree, report: restored } = await world.restore();
    expect(restored.failed).toEqual([]);
    expect(differences(world.source, tree)).toBe('');
  });
});

describe('a target', () => {
  test('with links planted in it is not left', async () => {
    const world = await BackupWorld.make();
    mkdirSync(join(world.source, 'd'));
    writeFileSync(join(world.source, 'd', 'f'), 'bytes');
    writeFileSync(join(world.source, 'g'), 'bytes');
    await world.backup();
    const outside = await scratchDirectory();
    const to = await scratchDirectory();
    mkdirSync(join(to, world.source), { recursive: true });
    symlinkSync(outside, join(to, world.source, 'd'));
    symlinkSync(join(outside, 'g'), join(to, world.source, 'g'));
    for (const overwrite of [false, true]) {
      const { report } = await world.restore({ to, overwrite });
      expect(report.failed.length).toBeGreaterThan(0);
      expect(execFileSync('ls', ['-A', outside], { encoding: 'utf8' })).toBe('');
    }
    expect(readFileSync(join(to, world.source, 'g'), 'utf8')).toBe('bytes');
  });

  test('within the state directory is refused', async () => {
    const world = await BackupWorld.make();
    writeFileSync(join(world.source, 'f'), 'bytes');
    await world.backup();
    await expect(world.restore({ to: world.state })).rejects.toMatchObject({ code: 'USAGE' });
  });
});
