/** Cartridges that fail and targets with surprises: what can be read comes back, and nothing is taken for what it is not. */
import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { rawOf } from '../../src/base/raw.ts';
import { Contents } from '../../src/catalog/content/contents.ts';
import { Sources } from '../../src/catalog/job/sources.ts';
import { Media, type Medium } from '../../src/catalog/shelf/media.ts';
import { Tree } from '../../src/catalog/tree/tree.ts';
import { backup } from '../../src/job/backup/backup.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { differences, randomBytes } from '../sim/rich-tree.ts';
import { scratchDirectory } from '../sim/scratch.ts';

const BAD_BLOCK = { kind: 'sense', key: 3, code: 0x1100, deferred: false } as const;

function mediumOf(world: BackupWorld, barcode: string): Medium {
  const medium = new Media(world.catalog).find(barcode);
  if (!medium) throw new Error(`no medium ${barcode}`);
  return medium;
}

async function backupInParts(world: BackupWorld, part: number): Promise<void> {
  const request = {
    sources: new Sources(world.catalog).list(),
    copies: 1,
    copiesWanted: 1,
    avoid: [],
    pool: 'main',
    allowEmpty: false,
    verify: false,
    wait: true,
    workers: 0,
  };
  const archive = { ...world.tools.archive, part, size: part + 2_000_000 };
  const { signal } = new AbortController();
  await backup(request, { ...world.tools, archive }, () => {}, signal);
}

/** Where a file's extents begin on each medium: block and the byte within it. */
function placesOf(world: BackupWorld, path: string) {
  const tree = new Tree(world.catalog);
  const host = tree.directories.ensureHost('testhost');
  const entry = tree.lookup(host.id, rawOf(join(world.source, path)), tree.resolveSnapshot().id);
  if (entry?.inode.contentId === undefined) throw new Error(`${path} has no content`);
  return new Contents(world.catalog)
    .extentsOf(entry.inode.contentId)
    .flatMap(({ extent, blockBytes, copies }) =>
      copies.map(({ barcode, startBlock }) => ({
        barcode,
        block: startBlock + Math.floor(extent.archiveOffset / blockBytes),
      })),
    );
}

/** That byte of the medium is another one from now on, each time it is read. */
function flip(world: BackupWorld, barcode: string, bytes: Buffer): void {
  const path = join(world.sim.directory, `${barcode}.tap`);
  const tape = readFileSync(path);
  const at = tape.indexOf(bytes);
  if (at < 0) throw new Error(`${barcode} does not have these bytes`);
  tape.writeUInt8(tape.readUInt8(at) ^ 1, at);
  writeFileSync(path, tape);
}

describe('a damaged copy', () => {
  test('is passed over for the other one, also where one file alone is wanted', async () => {
    const world = await BackupWorld.make();
    const bytes = randomBytes(seededRandom(1), 100_000);
    writeFileSync(join(world.source, 'only'), bytes);
    await world.backup({ copies: 2 });
    flip(world, 'BKP001L8', bytes.subarray(5000, 5100));
    const { tree, report } = await world.restore({ path: join(world.source, 'only') });
    expect(report.failed).toEqual([]);
    expect(readFileSync(join(tree, 'only'))).toEqual(bytes);
  });

  test('with no other costs that file alone, by name', async () => {
    const world = await BackupWorld.make();
    const random = seededRandom(1);
    const bytes = randomBytes(random, 100_000);
    for (const name of ['a', 'c']) {
      writeFileSync(join(world.source, name), randomBytes(random, 1_000_000));
    }
    writeFileSync(join(world.source, 'b'), bytes);
    await world.backup({ copies: 2 });
    for (const barcode of ['BKP001L8', 'BKP002L8'])
      flip(world, barcode, bytes.subarray(5000, 5100));
    const { tree, report } = await world.restore();
    expect(report.failed).toMatchObject([
      { path: join(world.source, 'b'), code: 'MEDIUM_UNREADABLE' },
    ]);
    for (const name of ['a', 'c'])
      expect(readFileSync(join(tree, name))).toEqual(readFileSync(join(world.source, name)));
    expect(existsSync(join(tree, 'b'))).toBe(false);
  });

  test('of a split file: what is good of each copy is put together', async () => {
    const world = await BackupWorld.make({ config: '[archive]\npart = "2MB"\n' });
    const bytes = randomBytes(seededRandom(1), 70_000_000);
    writeFileSync(join(world.source, 'big'), bytes);
    await world.backup({ copies: 2 });
    flip(world, 'BKP001L8', bytes.subarray(5000, 5100));
    flip(world, 'BKP002L8', bytes.subarray(69_000_000, 69_000_100));
    const { tree, report } = await world.restore();
    expect(report.failed).toEqual([]);
    expect(differences(world.source, tree)).toBe('');
  });

  test('of a split file: another copy may be cut elsewhere', async () => {
    const world = await BackupWorld.make();
    writeFileSync(join(world.source, 'big'), randomBytes(seededRandom(1), 22_000_000));
    const media = new Media(world.catalog);
    await backupInParts(world, 8_000_000);
    const second = placesOf(world, 'big')[1]?.block ?? -1;
    media.setState(mediumOf(world, 'BKP001L8').id, 'lost');
    await backupInParts(world, 5_000_000);
    media.setState(mediumOf(world, 'BKP001L8').id, 'filling');
    const bad = { note: 'bad', on: 'read', cartridge: 'BKP001L8', effect: BAD_BLOCK } as const;
    world.sim.faults.add({ ...bad, atBlock: second + 3 });
    const { tree, report } = await world.restore();
    expect(report.failed).toEqual([]);
    expect(differences(world.source, tree)).toBe('');
  });

  test('read wrong once is not lost for ever', async () => {
    const world = await BackupWorld.make();
    const bytes = randomBytes(seededRandom(1), 100_000);
    writeFileSync(join(world.source, 'only'), bytes);
    await world.backup();
    const [place] = placesOf(world, 'only');
    const flipped = { kind: 'bit-flip', byte: 20_000, bit: 3 } as const;
    world.sim.faults.add({
      note: 'flip',
      on: 'read',
      atBlock: place?.block ?? -1,
      effect: flipped,
    });
    await world.restore();
    const { tree, report } = await world.restore();
    expect(report.failed).toEqual([]);
    expect(differences(world.source, tree)).toBe('');
  });

  test('beside a file does not cost the file', async () => {
    const world = await BackupWorld.make();
    const random = seededRandom(1);
    for (const name of ['a', 'b', 'c'])
      writeFileSync(join(world.source, name), randomBytes(random, 3_000_000));
    await world.backup();
    const damaged = (placesOf(world, 'b')[0]?.block ?? -1) + 3;
    world.sim.faults.add({ note: 'bad', on: 'read', atBlock: damaged, effect: BAD_BLOCK });
    rmSync(join(world.source, 'b'));
    const snapshot = await world.backup();
    expect(snapshot.files.gone).toBe(1);
    const { tree, report } = await world.restore();
    expect(report.failed).toEqual([]);
    expect(differences(world.source, tree)).toBe('');
  });

  test('of a suspect or retired cartridge is still read where it is the only one', async () => {
    const world = await BackupWorld.make();
    writeFileSync(join(world.source, 'only'), randomBytes(seededRandom(1), 100_000));
    await world.backup();
    for (const state of ['suspect', 'retired'] as const) {
      new Media(world.catalog).setState(mediumOf(world, 'BKP001L8').id, state);
      const { tree, report } = await world.restore();
      expect(report.failed).toEqual([]);
      expect(differences(world.source, tree)).toBe('');
    }
  });
});

describe('a drive that is reset', () => {
  test('while it is read is proven again, and the restore goes on', async () => {
    const world = await BackupWorld.make();
    const random = seededRandom(1);
    for (const name of ['a', 'b', 'c'])
      writeFileSync(join(world.source, name), randomBytes(random, 3_000_000));
    await world.backup();
    const [place] = placesOf(world, 'b');
    const reset = { kind: 'reset', swallowed: false } as const;
    world.sim.faults.add({ note: 'reset', on: 'read', atBlock: place?.block ?? -1, effect: reset });
    const { tree, report } = await world.restore();
    expect(report.failed).toEqual([]);
    expect(differences(world.source, tree)).toBe('');
  });
});

describe('hard links in a target', () => {
  async function linked(): Promise<BackupWorld> {
    const world = await BackupWorld.make();
    writeFileSync(join(world.source, 'a'), 'the bytes of both names');
    linkSync(join(world.source, 'a'), join(world.source, 'b'));
    await world.backup();
    return world;
  }

  test('are not made to a file that was there before and is another', async () => {
    const world = await linked();
    const to = await scratchDirectory();
    mkdirSync(join(to, world.source), { recursive: true });
    writeFileSync(join(to, world.source, 'a'), 'somebody else');
    const { tree, report } = await world.restore({ to });
    expect(report.failed).toEqual([]);
    expect(readFileSync(join(tree, 'a'), 'utf8')).toBe('somebody else');
    expect(readFileSync(join(tree, 'b'), 'utf8')).toBe('the bytes of both names');
  });

  test('do not all fail with the first name', async () => {
    const world = await linked();
    const to = await scratchDirectory();
    mkdirSync(join(to, world.source, 'a'), { recursive: true });
    const { tree } = await world.restore({ to, overwrite: true });
    expect(readFileSync(join(tree, 'b'), 'utf8')).toBe('the bytes of both names');
  });

  test('are made to what an earlier restore brought', async () => {
    const world = await linked();
    const { to, tree } = await world.restore();
    unlinkSync(join(tree, 'b'));
    const { report } = await world.restore({ to });
    expect(report).toMatchObject({ failed: [], restored: 1 });
    expect(differences(world.source, tree)).toBe('');
  });
});
