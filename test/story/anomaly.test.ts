/** The guard in whole backups: damage is told and stops expiry, the backup goes on; work is left alone. */

import { randomFillSync } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { systemRandom } from '../../src/base/random.ts';
import { Alarms } from '../../src/catalog/job/alarms.ts';
import { RunFacts } from '../../src/catalog/run/facts.ts';
import { parseConfig } from '../../src/config.ts';
import { expire } from '../../src/job/expire.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { CommandLine } from '../sim/command-line.ts';
import { Life } from '../sim/ordinary-life.ts';
import { differences } from '../sim/rich-tree.ts';

const go = new AbortController().signal;

/** The tree of a life, on disk. */
function lay(world: BackupWorld, life: Life): void {
  for (const path of readdirSync(world.source, { recursive: true, encoding: 'utf8' }))
    if (path.includes('.') && !life.tree.has(path))
      rmSync(join(world.source, path), { recursive: true, force: true });
  for (const [path, bytes] of life.tree) {
    const at = join(world.source, path);
    mkdirSync(dirname(at), { recursive: true });
    if (!isThere(at, bytes)) writeFileSync(at, bytes);
  }
}

function isThere(path: string, bytes: Buffer): boolean {
  try {
    return readFileSync(path).equals(bytes);
  } catch {
    return false;
  }
}

function expireAll({ catalog, tools }: BackupWorld) {
  const text = '[library]\nkind = "virtual"\n[retention]\nkeep-last = 1';
  const { retention } = parseConfig(text, 'config');
  const { clock, host, pid } = tools;
  const own = { catalog, retention, clock, random: systemRandom, host, pid };
  return expire({ clockIsRight: false }, own, () => {}, go);
}

test.each<[string, (life: Life) => void, RegExp]>([
  [
    'encryption in place',
    ({ damage }) => damage.inPlace(0.8),
    /tree: \d+ % of the files changed.*not what their names say/,
  ],
  [
    'with a new suffix',
    ({ damage }) => damage.newSuffix(0.8),
    /not what their names say; tree: \d+ files have a new suffix: .locked/,
  ],
  [
    'mass deletion',
    ({ damage }) => damage.deleted(0.95),
    /\d+ files are gone.*of the bytes are gone/,
  ],
])(
  '%s: told, stops expiry until a person has looked; what was good is restored',
  async (_, does, sentence) => {
    const world = await BackupWorld.make();
    const life = new Life(4);
    life.furnish();
    lay(world, life);
    await world.backup();
    const good = await world.restore();
    life.ordinary.checkout();
    lay(world, life);
    expect((await world.backup()).warnings).toEqual([]);
    does(life);
    lay(world, life);
    const told: string[] = [];
    const report = await world.backup({
      listen: (event) => {
        if (event.event === 'warning') told.push(event.message);
      },
    });
    expect(report.state).toBe('finished');
    expect(report.warnings).toEqual([expect.stringMatching(sentence)]);
    expect(told).toEqual(report.warnings);
    expect(told[0]).toMatch(/`shelfs alarms settle 1`/);
    const [alarm] = new Alarms(world.catalog).open();
    expect(alarm?.jobNumber).toBe(report.job);
    await expect(expireAll(world)).rejects.toThrow(/looked like damage/);
    // The backup goes on, and the same damage is told once.
    writeFileSync(join(world.source, 'another.txt'), 'goes on');
    expect((await world.backup()).warnings).toEqual([]);
    const back = await world.restore({ at: '1' });
    expect(differences(good.tree, back.tree)).toBe('');
    new Alarms(world.catalog).settle(alarm?.id ?? 0);
    expect((await expireAll(world)).expired).toHaveLength(3);
  },
);

test('work is left alone: moved, packed, compiled, photographed; large files are looked at too', async () => {
  const world = await BackupWorld.make();
  const life = new Life(9);
  life.furnish();
  const large = () => randomFillSync(Buffer.alloc(2 ** 20 + 1));
  for (let index = 0; index < 3; index += 1) life.tree.set(`films/${index}.mp4`, large());
  lay(world, life);
  await world.backup();
  const { ordinary } = life;
  for (const does of [ordinary.compile, ordinary.importPhotos, ordinary.packEach, ordinary.clean]) {
    does();
    lay(world, life);
    expect((await world.backup()).warnings).toEqual([]);
  }
  renameSync(join(world.source, 'photos'), join(world.source, 'pictures'));
  expect((await world.backup()).warnings).toEqual([]);
  const [last, ...earlier] = new RunFacts(world.catalog).before(1e9);
  expect(last?.tree).toMatchObject({ changed: 0, renamed: 0, topsTouched: 1 });
  expect(last?.tree?.created).toBe(last?.tree?.gone);
  const first = earlier.at(-1)?.tree;
  // Without a head before its bytes no film is one.
  expect(first?.odd).toBe(3);
  expect(first?.sampled).toBeGreaterThan(100);
});

test('on the command line: people are told on their channels, and say when it may go on', async () => {
  // A channel is a program, which no simulated clock waits for.
  const line = await CommandLine.make(systemClock);
  const told = join(line.directory, 'told');
  const config = join(line.state, 'config.toml');
  const channel = `[[notify.command]]\nargv = ["sh", "-c", ${JSON.stringify(`cat >> ${told}`)}]`;
  writeFileSync(
    config,
    `${readFileSync(config, 'utf8')}\n[retention]\nkeep-last = 1\n${channel}\n`,
  );
  const tree = join(line.directory, 'tree');
  mkdirSync(tree);
  const write = (bytes: (index: number) => Buffer) => {
    for (let index = 0; index < 40; index += 1)
      writeFileSync(join(tree, `letter ${index}.txt`), bytes(index));
  };
  write((index) => Buffer.from(`a letter, the ${index}th of many\n`.repeat(30)));
  await line.ok('source', 'add', tree, '--name', 'letters');
  await line.ok('backup', '--single-threaded');
  expect(existsSync(told)).toBe(false);
  write(() => randomFillSync(Buffer.alloc(1000)));
  const { exit, stderr, stdout } = await line.say('backup', '--single-threaded');
  expect([exit, stderr + stdout]).toEqual([0, expect.stringMatching(/this looks like damage/)]);
  const [message, ...more] = readFileSync(told, 'utf8')
    .trim()
    .split('\n')
    .map((text) => JSON.parse(text));
  expect(more).toEqual([]);
  expect(message).toMatchObject({
    type: 'operator.warned',
    data: {
      subject: 'backup (job 2) looks like damage to its sources',
      text: expect.stringMatching(/letters: 100 % of the files changed/),
      commands: ['shelfs job show 2 --files', 'shelfs alarms settle 1'],
    },
  });
  expect((await line.fails('expire')).stderr).toMatch(/shelfs alarms settle 1/);
  await line.ok('alarms', 'settle', '1');
  expect(await line.ok('expire')).toMatch(/1 snapshot expired/);
});
