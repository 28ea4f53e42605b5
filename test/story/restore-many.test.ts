/** More of everything than a restore looks at in one go: files, names of one content, links, directories, failures. */
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { rawOf } from '../../src/base/raw.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import { Tree } from '../../src/catalog/tree/tree.ts';
import type { RestoreEvent } from '../../src/job/restore/report.ts';
import { planRestore } from '../../src/job/restore/restore.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { differences, randomBytes } from '../sim/rich-tree.ts';
import { scratchDirectory } from '../sim/scratch.ts';

const MANY = 700;
const each = (make: (index: number) => void) => {
  for (let index = 0; index < MANY; index += 1) make(index);
};

async function many(): Promise<BackupWorld> {
  const world = await BackupWorld.make();
  const at = (...names: string[]) => join(world.source, ...names);
  for (const name of ['different', 'equal', 'links', 'directories']) mkdirSync(at(name));
  const equal = randomBytes(seededRandom(2), 5000);
  writeFileSync(at('links', '0000'), 'the bytes of all names');
  each((index) => {
    const name = String(index).padStart(4, '0');
    writeFileSync(at('different', name), `these are the bytes of ${name}`);
    writeFileSync(at('equal', name), equal);
    if (index > 0) linkSync(at('links', '0000'), at('links', name));
    mkdirSync(at('directories', name));
  });
  await world.backup();
  return world;
}

test('all of it comes back, in one loading; what is there is not fetched again', async () => {
  const world = await many();
  const loads: string[] = [];
  const listen = (event: RestoreEvent) => {
    if (event.event === 'medium') loads.push(event.barcode);
  };
  const { to, tree, report } = await world.restore({ listen });
  expect(report).toMatchObject({ restored: 3 * MANY, kept: 0, failures: 0, failed: [] });
  expect(differences(world.source, tree)).toBe('');
  expect(statSync(join(tree, 'links', '0000')).nlink).toBe(MANY);
  expect(loads).toEqual(['BKP001L8']);
  for (const name of ['0001', '0300', '0699'])
    for (const directory of ['different', 'equal', 'links']) rmSync(join(tree, directory, name));
  rmSync(join(tree, 'directories', '0300'), { recursive: true });
  const again = await world.restore({ to });
  expect(again.report).toMatchObject({ restored: 9, kept: 3 * MANY - 9, failed: [] });
  expect(differences(world.source, tree)).toBe('');
});

test('a first name that cannot be there costs the others nothing', async () => {
  const world = await many();
  const to = await scratchDirectory();
  for (const directory of ['equal', 'links'])
    mkdirSync(join(to, world.source, directory, '0000'), { recursive: true });
  const { tree, report } = await world.restore({ to, overwrite: true });
  expect(report.failed.map(({ code }) => code)).toEqual(['TARGET_EXISTS', 'TARGET_EXISTS']);
  expect(statSync(join(tree, 'links', '0001')).nlink).toBe(MANY - 1);
  expect(statSync(join(tree, 'links', '0699')).nlink).toBe(MANY - 1);
  for (const directory of ['equal', 'links']) {
    rmSync(join(tree, directory, '0000'), { recursive: true });
    rmSync(join(world.source, directory, '0000'));
  }
  expect(differences(world.source, tree).replaceAll(/^.*(links|Links).*\n?/gm, '')).toBe('');
});

test('without a copy each is named, once; nothing is left of it in the target', async () => {
  const world = await many();
  const media = new Media(world.catalog);
  media.setState(media.find('BKP001L8')?.id ?? 0, 'lost');
  const failures: string[] = [];
  const listen = (event: RestoreEvent) => {
    if (event.event === 'failure') failures.push(event.path);
  };
  const { tree, report } = await world.restore({ listen });
  const names = new Set(failures);
  expect(names.size).toBe(failures.length);
  expect(report).toMatchObject({ restored: 0, failures: 3 * MANY, media: [] });
  expect(failures).toEqual(report.failed.map(({ path }) => path));
  expect(readdirSync(join(tree, 'equal'))).toEqual([]);
  expect(readdirSync(join(tree, 'links'))).toEqual([]);
  expect(readdirSync(join(tree, 'directories'))).toHaveLength(MANY);
});

test('the plan knows of all before anything is made', async () => {
  const world = await many();
  const to = await scratchDirectory();
  const tree = new Tree(world.catalog);
  const plan = await planRestore(
    {
      paths: [rawOf('/')],
      hostId: tree.directories.ensureHost('testhost').id,
      snapshot: tree.resolveSnapshot(),
      to: rawOf(to),
      overwrite: false,
    },
    world.tools,
    new AbortController().signal,
  );
  expect(plan).toMatchObject({ files: 2 * MANY + 1, lostFiles: 0, lost: [] });
  expect(plan.media).toMatchObject([{ barcode: 'BKP001L8', files: MANY + 2 }]);
  expect(existsSync(join(to, world.source))).toBe(false);
});

test('of several names of a file in parts, one whose directory goes away costs that one alone', async () => {
  const world = await BackupWorld.make({ config: '[archive]\npart = "2MB"\n' });
  const bytes = randomBytes(seededRandom(1), 9_000_000);
  for (const name of ['a', 'b']) {
    mkdirSync(join(world.source, name));
    writeFileSync(join(world.source, name, 'big'), bytes);
    writeFileSync(join(world.source, name, 'small'), 'of both');
  }
  await world.backup();
  const to = await scratchDirectory();
  const { tree, report } = await world.restore({
    to,
    listen: ({ event }) => {
      if (event === 'plan') rmSync(join(to, world.source, 'a'), { recursive: true });
    },
  });
  expect(report.failed.map(({ path }) => path.slice(world.source.length)).sort()).toEqual([
    '/a',
    '/a/big',
    '/a/small',
  ]);
  expect(differences(join(world.source, 'b'), join(tree, 'b'))).toBe('');
});
