/**
 * Backup on the kernel's tape drivers, and the way back: by the product, by `mt` and `tar` alone, by the label's script.
 *
 * Cartridges are so small that a file must be split. What is compared are trees, with rsync.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { seededRandom } from '../../../src/base/random.ts';
import type { BackupReport } from '../../../src/job/backup/report.ts';
import { SHAPE } from '../../contract/world.ts';
import { allocatedBlocks, changeTree, makeBytes } from '../../sim/changed-tree.ts';
import { differences, makeRichTree } from '../../sim/rich-tree.ts';
import { commandsOf, countArchives, digestsBelow, extract, isPart, joinParts } from './by-hand.ts';
import {
  LOADER,
  loadByHand,
  makeDisk,
  makeLoader,
  Product,
  sh,
  succeed,
  TAPE,
  takeAway,
} from './product.ts';
import { control } from './world.ts';

/** The fourth is WORM: it is not taken for a backup by itself. */
const CARTRIDGES = SHAPE.barcodes.slice(0, 3);
/** Of tape blocks, unless configured. */
const BLOCK_BYTES = 512 * 2 ** 10;
/** Under emulation, on a machine that has other work too. */
const TIMEOUT_MS = 600_000;

let disk = '';
let richTree = '';
beforeAll(() => {
  disk = makeDisk();
  makeLoader();
  // Made once: chance is slow here.
  richTree = mkdtempSync(join(disk, 'rich-'));
  makeRichTree(richTree, seededRandom(1));
}, TIMEOUT_MS);

/** @param tree what of the rich tree is to be protected */
async function makeProduct(config: string, tree = '.'): Promise<Product> {
  const product = await Product.make(disk, config);
  execFileSync('cp', ['-a', `${join(richTree, tree)}/.`, product.source]);
  await product.expect(0, 'media', 'add', ...CARTRIDGES);
  // By their labels their true capacity is known.
  await product.expect(0, 'media', 'label', ...CARTRIDGES);
  return product;
}

const scratch = (product: Product, name: string) => mkdtempSync(join(product.disk, `${name}-`));

/** What restore.sh of the cartridge's own label brings, given that cartridge and a loader. */
async function restoreByScript(product: Product, barcode: string): Promise<string> {
  const to = scratch(product, 'by-script');
  await loadByHand(barcode);
  const { exit, stdout, stderr } = await sh(`
    cd ${scratch(product, 'script')}
    mt -f ${TAPE} rewind
    mt -f ${TAPE} setblk 0
    dd if=${TAPE} bs=${BLOCK_BYTES} | tar xf - restore.sh
    sh restore.sh -f ${TAPE} -l ${LOADER} -t ${to}`);
  expect(exit, stdout + stderr).toBe(0);
  return join(to, product.source);
}

describe('a tree on several cartridges, changed between two runs', () => {
  let product: Product;
  let before = '';
  const reports: BackupReport[] = [];

  beforeAll(async () => {
    product = await makeProduct('[archive]\nsha256 = "always"\n');
    makeBytes(join(product.source, 'huge.bin'), 25_000_003);
    reports.push(await product.backup('tree', '--hash-workers', '1'));
    before = join(product.disk, 'before');
    execFileSync('cp', ['-a', product.source, before]);
    changeTree(product.source);
    reports.push(await product.backup());
  }, TIMEOUT_MS);

  test('both runs end well, and the second writes what is new alone', () => {
    for (const report of reports) {
      expect(report).toMatchObject({ state: 'finished', unreadable: [], warnings: [] });
    }
    const [first, second] = reports;
    expect(first?.bytes.written).toBeGreaterThan(34_000_000);
    expect(first?.media).toHaveLength(2);
    expect(second?.bytes.written).toBeLessThan(5_200_000);
  });

  test.each([
    ['1', () => before],
    ['2', () => product.source],
  ] as const)(
    'snapshot %s comes back by the product',
    async (snapshot, tree) => {
      const { tree: restored, report } = await product.restore('--at', snapshot);
      expect(report).toMatchObject({ failed: [], notSet: {} });
      expect(differences(tree(), restored)).toBe('');
      if (snapshot === '2') expect(allocatedBlocks(restored)).toEqual(allocatedBlocks(tree()));
      rmSync(restored, { recursive: true });
    },
    TIMEOUT_MS,
  );

  test(
    'by mt and tar alone every byte comes back, and tar has nothing against it',
    async () => {
      const extracted: { directory: string; path: string; digest: string }[] = [];
      const remarks: string[] = [];
      const firstRun = scratch(product, 'first-run');
      for (const barcode of CARTRIDGES) {
        await loadByHand(barcode);
        const archives = await countArchives();
        for (let file = 1; file <= archives; file += 1) {
          const directory = file === 1 ? join(firstRun, barcode) : scratch(product, 'by-hand');
          remarks.push(...(await extract(file, directory)));
          for (const [path, digest] of await digestsBelow(directory)) {
            extracted.push({ directory, path, digest });
          }
        }
      }
      expect(remarks).toEqual([]);
      const below = `.${product.source}/`;
      const members = extracted.filter(({ path }) => path.startsWith(below));
      const joined = scratch(product, 'joined');
      const wholes = await joinParts(
        members.filter(({ path }) => isPart(path)),
        joined,
      );
      const found = [
        ...[...wholes].map(([path, digest]) => ({ path, digest })),
        ...members.filter(({ path }) => !isPart(path)),
      ];
      const [old, now] = [await digestsBelow(before), await digestsBelow(product.source)];
      const wrong = found.filter(({ path, digest }) => {
        const name = `./${path.slice(below.length)}`;
        return digest !== old.get(name) && digest !== now.get(name);
      });
      expect(wrong).toEqual([]);
      expect(new Set(found.map(({ digest }) => digest))).toEqual(
        new Set([...old.values(), ...now.values()]),
      );
    },
    TIMEOUT_MS,
  );

  test(
    'the commands of README.txt on the label are those that work',
    async () => {
      const [, second] = reports;
      const barcode = second?.media.at(-1) ?? '';
      await loadByHand(barcode);
      const at = scratch(product, 'readme');
      await sh(`cd ${at}; mt -f ${TAPE} rewind; tar xf ${TAPE} -b 1024`);
      const readme = readFileSync(join(at, 'README.txt'), 'utf8');
      const inDirectory = (name: string) => {
        const directory = join(at, name);
        mkdirSync(directory);
        return directory;
      };
      const follow = async (heading: string, directory: string, words: Record<string, string>) => {
        let commands = commandsOf(readme, heading).join('\n').replaceAll('DRIVE', TAPE);
        for (const [from, to] of Object.entries(words)) commands = commands.replaceAll(from, to);
        const result = await sh(`cd ${directory}\n${commands}`);
        expect(result.exit, commands + result.stderr).toBe(0);
        return result.stdout;
      };

      const one = inDirectory('one');
      expect(await follow('ONE ARCHIVE BY HAND', one, {})).toContain('/journal');
      const journal = await succeed('sh', '-c', `cat ${one}/.shelfs/archives/*/journal`);
      // A file in one piece, its name as it is.
      const line = /^f\tnew\t(\d+)\t(?:[^\t]*\t){6}\w+:\d+:(\d+)\+(\d+)\/\1@0\t[^\t]*\t([^\\]*)$/m;
      const [, size = '', block = '', skip = '', path = ''] = line.exec(journal) ?? [];
      await follow('ONE FILE BY ITS JOURNAL', one, {
        1042: block,
        '+1537': `+${Number(skip) + 1}`,
        70000: size,
      });
      const original = path.replace(product.source, before);
      execFileSync('cmp', [join(one, 'file'), Buffer.from(original, 'latin1').toString()]);

      const proof = inDirectory('proof');
      const digest = await succeed('sh', '-c', `cat ${one}/.shelfs/archives/*/digest`);
      const [, blake3 = '', length = ''] = /^blake3 (\w+) +(\d+)/m.exec(digest) ?? [];
      const [, sha256 = ''] = /^sha256 (\w+)/m.exec(digest) ?? [];
      const said = await follow('IS IT WHAT WAS WRITTEN', proof, { LENGTH: length });
      expect(said).toContain(`${blake3}  -`);
      expect(said).toContain(`${sha256}  -`);
      rmSync(at, { recursive: true });
    },
    TIMEOUT_MS,
  );

  test(
    'restore.sh from the label brings the whole tree, holes too',
    async () => {
      const tree = await restoreByScript(product, reports[1]?.media.at(-1) ?? '');
      expect(differences(product.source, tree)).toBe('');
      expect(allocatedBlocks(tree)).toEqual(allocatedBlocks(product.source));
    },
    TIMEOUT_MS,
  );
});

describe('two copies in two drives', () => {
  let product: Product;
  let report: BackupReport;

  beforeAll(async () => {
    product = await makeProduct('[archive]\nsha256 = "never"\n', 'documents');
    const said = await product.expect(0, 'backup', '--copies', '2', '--single-threaded');
    const drives = said.filter(({ event }) => event === 'medium').map(({ drive }) => drive);
    expect(new Set(drives).size).toBe(2);
    report = said.at(-1) as unknown as BackupReport;
    expect(report).toMatchObject({ state: 'finished', unreadable: [], warnings: [] });
    expect(report.media).toHaveLength(2);
  }, TIMEOUT_MS);

  test.each([0, 1])(
    'cartridge %i alone brings everything back by restore.sh',
    async (index) => {
      const [one = '', other = ''] = index === 0 ? report.media : report.media.toReversed();
      await loadByHand(one);
      await takeAway(other);
      const tree = await restoreByScript(product, one);
      expect(differences(product.source, tree)).toBe('');
      rmSync(tree, { recursive: true });
    },
    TIMEOUT_MS,
  );
});

/** Tape file by tape file as the drive gives them, below a new directory; by no program of ours. */
async function dump(product: Product, barcode: string): Promise<string> {
  const to = scratch(product, barcode);
  await loadByHand(barcode);
  await succeed('mt', '-f', TAPE, 'rewind');
  await succeed('mt', '-f', TAPE, 'setblk', '0');
  for (let file = 0; ; file += 1) {
    const path = join(to, String(file));
    await succeed('dd', `if=${TAPE}`, `of=${path}`, `bs=${BLOCK_BYTES}`, 'status=none');
    if (statSync(path).size > 0) continue;
    // Behind the last filemark there is nothing to read.
    rmSync(path);
    return to;
  }
}

/** All that lay on the cartridge lies there still, each tape file as it was but for what came behind. */
function expectUntouched(before: string, after: string): void {
  const names = readdirSync(before);
  expect(names.length).toBeGreaterThan(1);
  for (const name of names) execFileSync('cmp', [join(before, name), join(after, name)]);
}

/** In the middle of an archive, at the drive that writes it. */
const FAULTS = [
  { name: 'a power cycle of the drive', command: 'power DRIVE' },
  { name: 'a reset by another host', command: 'reset DRIVE' },
  { name: 'a block that cannot be written', command: 'fail DRIVE w 1 3 0c 00' },
] as const;

describe('a drive that fails in the middle of an archive', () => {
  test(
    'costs no byte that was there, and the next run completes what it cost',
    async () => {
      const product = await makeProduct(
        '[archive]\nsha256 = "never"\nsize = "4MB"\n',
        'documents/deep',
      );
      const [barcode] = (await product.backup()).media;
      if (barcode === undefined) throw new Error('nothing was written');
      let there = await dump(product, barcode);
      for (const [index, { name, command }] of FAULTS.entries()) {
        makeBytes(join(product.source, `new ${index}.bin`), 3_000_000);
        makeBytes(join(product.source, `newer ${index}.bin`), 1_500_000);
        const { exit, stderr, stdout } = await product.backupWith({ atBlock: 4, command });
        expect(await control('faults')).toBe('');
        expect([0, 23], `${name}: ${stderr}`).toContain(exit);
        if (exit === 0) expect(stdout, name).toMatch(/"event":"warning"/);
        const next = await product.backup();
        expect(next, name).toMatchObject({ state: 'finished', unreadable: [] });
        const now = await dump(product, barcode);
        expectUntouched(there, now);
        rmSync(there, { recursive: true });
        there = now;
      }
      const { tree, report } = await product.restore();
      expect(report).toMatchObject({ failed: [], notSet: {} });
      expect(differences(product.source, tree)).toBe('');
    },
    TIMEOUT_MS,
  );
});
