/**
 * What people copy and look with, on a mount: each tool finds the tree as it was, whatever is in it; and copying all of it after
 * many backups reads each cartridge once.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Random, seededRandom } from '../../src/base/random.ts';
import { differences, makeRichTree, randomBytes } from '../sim/rich-tree.ts';
import { type Mounted, okProgram, runProgram, Shelf } from './program.ts';

const SEED = 20261121;
const FILES = 400;
const FILES_PER_FOLDER = 20;
const BACKUPS = 10;
const CHANGED_SHARE = 0.05;
const CARTRIDGES = 8;
/** At least so many hold some of the tree. */
const CARTRIDGES_READ = 3;

const random = seededRandom(SEED);
let shelf: Shelf;
/** Backed up; the tree stands one level below it. */
let home: string;
let source: string;
/** The tree as it was after the first backup. */
let before: string;

/** Most are small, some are not, as in a home. */
function writeSome(index: number): void {
  const folder = join(source, 'many', `folder ${Math.floor(index / FILES_PER_FOLDER)}`);
  mkdirSync(folder, { recursive: true });
  const lengthBytes = random.below(12) === 0 ? random.below(1_500_000) : random.below(40_000);
  writeFileSync(join(folder, `file ${index}`), randomBytes(random, lengthBytes));
}

function pick<T>(from: readonly T[], by: Random): T {
  const one = from[by.below(from.length)];
  if (one === undefined) throw new Error('there is nothing to choose from');
  return one;
}

beforeAll(async () => {
  shelf = await Shelf.make({ cartridges: CARTRIDGES, capacity: '16MB' });
  home = shelf.folder('home');
  source = shelf.folder('home/me');
  before = shelf.folder('before');
  makeRichTree(source, random);
  const files = Array.from({ length: FILES }, (_, index) => index);
  for (const index of files) writeSome(index);
  await shelf.ok('source', 'add', home);
  await shelf.ok('backup');
  await okProgram(['cp', '-aT', home, before]);
  for (let run = 0; run < BACKUPS; run += 1) {
    for (let changed = 0; changed < FILES * CHANGED_SHARE; changed += 1)
      writeSome(pick(files, random));
    await shelf.ok('backup');
  }
});

afterAll(() => shelf.close());

/** Of all but directories, whose sizes and links are each file system's own. */
async function listing(root: string): Promise<string[]> {
  const text = await okProgram([
    ...['find', root, '-mindepth', '1'],
    ...['(', '-type', 'd', '-printf', '%P %y %m %U %G %T@\\0', ')', '-o'],
    ...['-printf', '%P %y %m %U %G %T@ %s %n %l\\0'],
  ]);
  return text.split('\0').sort();
}

/** Blocks on disk of the files that have holes. */
async function allocatedBlocks(root: string): Promise<string> {
  await okProgram(['sync', '-f', root]);
  const names = ['sparse.img', 'all hole', 'hole at the end'];
  return okProgram(['stat', '-c', '%n %b', ...names], { cwd: root });
}

async function longListing(root: string): Promise<string[]> {
  const text = await okProgram(['ls', '-lR', '--time-style=full-iso'], { cwd: root });
  // Columns are as wide as the widest number of links, a directory's perhaps.
  const lines = text.replaceAll(/ +/g, ' ').split('\n');
  return lines.filter((line) => !/^total |^d/.test(line));
}

test('copying everything with all of it on tape: the same tree, each cartridge loaded once, in the time of a restore', async () => {
  const [restored, copied] = [await shelf.copy(), await shelf.copy()];
  try {
    const idle = await shelf.figures();
    await restored.ok('restore', home, '--to', restored.folder('restored'));
    const byRestore = await restored.figures();
    const mounted = await copied.mount('mount');
    const copy = copied.folder('copy');
    await okProgram(['cp', '-aT', join(mounted.at, home), copy]);
    await copied.unmount(mounted);
    const byCopy = await copied.figures();

    expect(differences(home, copy)).toBe('');
    expect(await allocatedBlocks(join(copy, 'me'))).toBe(await allocatedBlocks(source));
    const listed = await okProgram(['getfattr', '-R', '-h', '-d', '-m', '-', copy]);
    expect(listed).not.toContain('user.shelfs');
    expect(listed).toContain('user.note');

    const loads = byRestore.loads - idle.loads;
    expect(loads).toBeGreaterThanOrEqual(CARTRIDGES_READ);
    expect(byCopy.loads - idle.loads).toBeLessThanOrEqual(loads);
    const seconds = (figures: typeof idle) => figures.modelSeconds - idle.modelSeconds;
    expect(seconds(byCopy)).toBeLessThanOrEqual(seconds(byRestore) * 1.1);
  } finally {
    await restored.close();
    await copied.close();
  }
});

describe('on a mount of what is on tape', () => {
  let fresh: Shelf;
  let mounted: Mounted;
  let root: string;

  beforeAll(async () => {
    fresh = await shelf.copy();
    mounted = await fresh.mount('mount');
    root = join(mounted.at, source);
  });

  afterAll(() => fresh.close());

  test('grep finds what it finds in the source', async () => {
    const words = ['grep', '-r', '-l', '-a', '-e', 'the same bytes', '-e', 'zzz', 'documents'];
    const found = (text: string) => text.split('\n').sort();
    expect(found(await okProgram(words, { cwd: root }))).toEqual(
      found(await okProgram(words, { cwd: source })),
    );
  });

  test('tar keeps holes, links and attributes', async () => {
    const archive = join(fresh.directory, 'archive.tar');
    const to = fresh.folder('untarred');
    const kept = ['--xattrs', '--acls', '--numeric-owner'];
    await okProgram(['tar', '-S', ...kept, '-cf', archive, '-C', root, '.']);
    await okProgram(['tar', '-S', ...kept, '--xattrs-include=*', '-xpf', archive, '-C', to]);
    expect(differences(source, to)).toBe('');
    expect(await allocatedBlocks(to)).toBe(await allocatedBlocks(source));
  });

  test('what looks and compares finds the source', async () => {
    expect(await listing(root)).toEqual(await listing(source));
    expect(await longListing(root)).toEqual(await longListing(source));
    const hidden = await okProgram(['find', mounted.at, '-maxdepth', '1', '-name', '.s*']);
    expect(hidden).toBe('');

    const compared = await runProgram(['diff', '-r', '--no-dereference', source, root]);
    // It cannot compare what FIFOs hold, and says so.
    expect(compared.stdout).toMatch(/^File \S+\/pipe is a fifo while file \S+\/pipe is a fifo\n$/);
    expect(differences(source, root)).toBe('');
    expect(differences(root, source)).toBe('');
  });

  test('an older snapshot is copied as it was', async () => {
    const snapshots = join(mounted.at, '.snapshots');
    const [first] = (await okProgram(['ls', snapshots])).split('\n');
    const copy = fresh.folder('copy');
    await okProgram(['cp', '-aT', join(snapshots, first ?? '', home), copy]);
    expect(differences(before, copy)).toBe('');
    await fresh.unmount(mounted);
  });
});
