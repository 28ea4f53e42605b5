/**
 * What takes minutes under emulation (test/vm/long.ts runs it): the way back by the label's script alone, of a changed tree
 * and of each of two copies; and drives that fail in the middle of an archive.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { BackupReport } from '../../../src/job/backup/report.ts';
import { allocatedBlocks, changeTree, makeBytes } from '../../sim/changed-tree.ts';
import { differences } from '../../sim/rich-tree.ts';
import { Bench, BLOCK_BYTES, restoreByScript, scratch, TIMEOUT_MS } from './backup-setup.ts';
import { execute, loadByHand, type Product, succeed, TAPE, takeAway } from './product.ts';
import { control } from './world.ts';

let bench: Bench;
beforeAll(() => {
  bench = new Bench();
}, TIMEOUT_MS);

test(
  'restore.sh from the label brings the whole tree as the second of two runs left it, holes too',
  async () => {
    const product = await bench.makeProduct('[archive]\nsha256 = "never"\n');
    makeBytes(join(product.source, 'huge.bin'), 25_000_003);
    await product.backup();
    changeTree(product.source);
    const second = await product.backup();
    const tree = await restoreByScript(product, second.media.at(-1) ?? '');
    expect(differences(product.source, tree)).toBe('');
    expect(allocatedBlocks(tree)).toEqual(allocatedBlocks(product.source));
  },
  TIMEOUT_MS,
);

describe('two copies in two drives', () => {
  let product: Product;
  let report: BackupReport;

  beforeAll(async () => {
    product = await bench.makeProduct('[archive]\nsha256 = "never"\n', 'documents');
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
    const words = [`if=${TAPE}`, `of=${path}`, `bs=${BLOCK_BYTES}`, 'status=none'];
    const { exit, stderr } = await execute('dd', words);
    if (exit !== 0) {
      // What was torn on a cartridge that was given up is never closed: it ends where the data end, without a filemark.
      expect(await fileAtEnd(), stderr).toBe(file);
      return to;
    }
    if (statSync(path).size > 0) continue;
    // Behind the last filemark there is nothing to read.
    rmSync(path);
    return to;
  }
}

/** Filemarks before the end of data. */
async function fileAtEnd(): Promise<number> {
  await succeed('mt', '-f', TAPE, 'eod');
  const status = await succeed('mt', '-f', TAPE, 'status');
  return Number(/^File number=(\d+)/m.exec(status)?.[1] ?? -1);
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
      const product = await bench.makeProduct(
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
