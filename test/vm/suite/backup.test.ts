/**
 * Backup on the kernel's tape drivers, and the way back: by the product, and by `mt` and `tar` alone.
 *
 * Cartridges are so small that a file must be split. What is compared are trees, with rsync.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { BackupReport } from '../../../src/job/backup/report.ts';
import { allocatedBlocks, changeTree, makeBytes } from '../../sim/changed-tree.ts';
import { differences } from '../../sim/rich-tree.ts';
import { Bench, CARTRIDGES, scratch, TIMEOUT_MS } from './backup-setup.ts';
import { commandsOf, countArchives, digestsBelow, extract, isPart, joinParts } from './by-hand.ts';
import { loadByHand, type Product, sh, succeed, TAPE } from './product.ts';

describe('a tree on several cartridges, changed between two runs', () => {
  let product: Product;
  let before = '';
  const reports: BackupReport[] = [];

  beforeAll(async () => {
    product = await new Bench().makeProduct('[archive]\nsha256 = "always"\n');
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
});
