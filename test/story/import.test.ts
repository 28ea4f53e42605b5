/** Cartridges that other programs wrote: taken in once, browsed, restored from, and never written to. */
import { execFileSync } from 'node:child_process';
import {
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { seededRandom, systemRandom } from '../../src/base/random.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import { type ImportEvent, importMedium } from '../../src/job/import/import.ts';
import { labelMedium } from '../../src/job/label-media.ts';
import { takeMediaBack } from '../../src/job/media-state.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { findings } from '../sim/recover-world.ts';
import { differences, randomBytes } from '../sim/rich-tree.ts';
import { scratchDirectory } from '../sim/scratch.ts';
import { scrubWorld } from '../sim/scrub-world.ts';

const BARCODE = 'BKP002L8';
const go = new AbortController().signal;

/** A cartridge of these tape files, in records as SIMH keeps them. */
function writeTape(world: BackupWorld, files: readonly Buffer[], blockBytes: number): void {
  const parts: Buffer[] = [];
  const number = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return bytes;
  };
  for (const file of files) {
    for (let at = 0; at < file.length; at += blockBytes) {
      const block = file.subarray(at, at + blockBytes);
      const padding = Buffer.alloc(block.length % 2);
      parts.push(number(block.length), block, padding, number(block.length));
    }
    parts.push(number(0));
  }
  const path = join(world.sim.directory, `${BARCODE}.tap`);
  rmSync(`${path}.index`, { force: true });
  writeFileSync(path, Buffer.concat(parts));
}

function makeTree(root: string): void {
  const random = seededRandom(4);
  mkdirSync(join(root, 'a directory', 'deeper'), { recursive: true });
  writeFileSync(join(root, 'empty'), '');
  writeFileSync(join(root, 'large'), randomBytes(random, 300_001));
  writeFileSync(join(root, 'a directory', 'tab\t and ä'), 'odd');
  writeFileSync(join(root, 'a directory', 'deeper', 'n'.repeat(200)), 'long');
  linkSync(join(root, 'large'), join(root, 'a directory', 'linked'));
  symlinkSync('../large', join(root, 'a directory', 'link'));
}

function tarOf(
  program: 'tar' | 'bsdtar',
  world: BackupWorld,
  ...options: readonly string[]
): Buffer {
  const args = [...options, '-b', '20', '-cf', '-', '-C', world.source, '.'];
  return execFileSync(program, args, { maxBuffer: 2 ** 26 });
}

async function imported(world: BackupWorld, events: ImportEvent[] = []) {
  const { library, clock } = world.tools;
  const tools = { stateDirectory: world.state, library, clock, random: systemRandom };
  return importMedium(
    { barcode: BARCODE, as: 'old' },
    { ...tools, host: { name: 'here', system: 'test' }, pid: process.pid, program: 'test' },
    (event) => events.push(event),
    go,
  );
}

test('tars of several programs and formats come back as they were', async () => {
  const world = await BackupWorld.make({ cartridges: 2 });
  makeTree(world.source);
  await world.backup();
  const sparse = join(world.source, 'sparse');
  writeFileSync(sparse, 'in front');
  truncateSync(sparse, 2 ** 20);
  writeFileSync(sparse, 'behind', { flag: 'a' });
  const tars = [
    tarOf('tar', world, '--format=posix', '-S'),
    tarOf('bsdtar', world, '--format=pax', '--read-sparse'),
    tarOf('tar', world, '--format=gnu'),
    tarOf('tar', world, '--format=posix', '-z'),
  ];
  writeTape(world, tars, 10_240);
  const before = readFileSync(join(world.sim.directory, `${BARCODE}.tap`));
  const events: ImportEvent[] = [];
  const report = await imported(world, events);
  expect(report).toMatchObject({ archives: 3, leftOut: 1, host: 'old' });
  expect(findings(world.catalog)).toEqual([]);
  const { to } = await world.restore({ host: 'old' });
  for (const file of [0, 1])
    expect(differences(world.source, join(to, `tape-file-${file}`))).toBe('');
  execFileSync('diff', ['-r', '--no-dereference', world.source, join(to, 'tape-file-2')]);

  const scrubbed = await scrubWorld(world, { media: [BARCODE] });
  expect(scrubbed.found.map(({ sentence }) => sentence).join()).toBe('');
  expect(scrubbed).toMatchObject({ archives: 3, findings: 0 });

  // What a backup writes goes elsewhere, and what is on it does not count for a pool.
  const backup = await world.backup();
  expect(backup.media).toEqual(['BKP001L8']);
  expect(backup.bytes.written).toBeGreaterThan(0);
  expect(findings(world.catalog)).toEqual([]);
  expect(() => takeMediaBack(world.catalog, [BARCODE], 'hold')).toThrow(/never written/);
  const again = imported(world);
  await expect(again).rejects.toMatchObject({ code: 'USAGE' });
  const after = readFileSync(join(world.sim.directory, `${BARCODE}.tap`));
  expect(after.length - before.length).toBe(0);
  expect(after.equals(before)).toBe(true);
});

test.each([
  ['compressed', (world: BackupWorld) => [tarOf('tar', world, '-z')], /compressed by gzip/],
  ['blank', () => [], /is blank/],
  ['no tar', () => [Buffer.alloc(10_240, 'x')], /does not begin with a tar/],
])('%s: a sentence, and nothing changes', async (_, files, sentence) => {
  const world = await BackupWorld.make({ cartridges: 2 });
  makeTree(world.source);
  writeTape(world, files(world), 10_240);
  await expect(imported(world)).rejects.toThrow(sentence);
  expect(new Media(world.catalog).find(BARCODE)?.state).toBe('unlabelled');
});

test('hard links whose first name is not there are told of', async () => {
  const world = await BackupWorld.make({ cartridges: 2 });
  makeTree(world.source);
  const path = join(await scratchDirectory(), 'tar');
  writeFileSync(path, tarOf('tar', world, '--sort=name'));
  execFileSync('tar', ['--delete', '-f', path, './a directory/linked']);
  writeTape(world, [readFileSync(path)], 10_240);
  const events: ImportEvent[] = [];
  await imported(world, events);
  const told = events.filter(({ event }) => event === 'warning');
  expect(told).toEqual([
    { event: 'warning', message: expect.stringMatching(/tape file 0: 1 hard links/) },
  ]);
});

test('another cartridge under its barcode is not taken for it', async () => {
  const world = await BackupWorld.make({ cartridges: 2 });
  makeTree(world.source);
  writeTape(world, [tarOf('tar', world)], 10_240);
  await imported(world);
  writeFileSync(join(world.source, 'large'), 'another');
  const other = await scratchDirectory();
  writeFileSync(join(other, 'other'), 'file');
  writeTape(world, [execFileSync('tar', ['-b', '20', '-cf', '-', '-C', other, '.'])], 10_240);
  const { report } = await world.restore({ host: 'old' });
  expect(report.failed.length).toBeGreaterThan(0);
  await expect(
    labelMedium({ ...world.tools, host: 'here', pool: 'main', blockBytes: 4096 }, BARCODE, go),
  ).rejects.toThrow(/never labelled over/);
});
