/**
 * The care of media on the kernel's tape drivers, with one drive, in the life of one small tree: expire, groom, the new label of
 * what was given up, scrub, recover. Each test goes on where the one before it ended.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import type { ExpireReport } from '../../../src/job/expire.ts';
import type { GroomReport } from '../../../src/job/groom/report.ts';
import type { RecoverReport } from '../../../src/job/recover/report.ts';
import type { ScrubReport } from '../../../src/job/scrub/report.ts';
import { makeBytes } from '../../sim/changed-tree.ts';
import { differences } from '../../sim/rich-tree.ts';
import { Bench, CARTRIDGES, TIMEOUT_MS } from './backup-setup.ts';
import { countArchives } from './by-hand.ts';
import { CHANGER, endOf, loadByHand, type Product, TAPE } from './product.ts';
import { control } from './world.ts';

const CONFIG = '[archive]\nsha256 = "never"\n[retention]\nkeep-last = 1\n';
/** What is flipped lies in the middle of it. */
const LARGE = 'large.bin';

let product: Product;
/** Written first, and groomed. */
let groomed = '';
/** What was still needed is moved to it. */
let other = '';

/** Threads take seconds to start here. */
const backup = () => product.backup('--single-threaded');

const inSource = (name: string) => join(product.source, name);

beforeAll(async () => {
  product = await new Bench().makeProduct(CONFIG, 'documents', 1);
  const media: string[] = [];
  for (const round of [1, 2, 3]) {
    makeBytes(inSource('changes each time'), 300_000 * round);
    media.push(...(await backup()).media);
  }
  expect(new Set(media).size).toBe(1);
  [groomed = ''] = media;
}, TIMEOUT_MS);

test(
  'what expires is left behind by a groom, which gives the cartridge up',
  async () => {
    const expired = endOf<ExpireReport>(await product.expect(0, 'expire'));
    expect(expired).toMatchObject({ kept: 1, waitsFor: null });
    expect(expired.expired).toHaveLength(2);
    expect(expired.freed.media).toMatchObject([{ barcode: groomed }]);
    const report = endOf<GroomReport>(await product.expect(0, 'groom', groomed));
    expect(report).toMatchObject({ state: 'finished', lost: [], lostMore: 0 });
    expect(report.media).toMatchObject([{ barcode: groomed, state: 'scratch' }]);
    other = (await placeOf(LARGE)).barcode;
    expect(other).not.toBe(groomed);
  },
  TIMEOUT_MS,
);

test(
  'the next backup labels it anew, and writes it from its beginning',
  async () => {
    await loadByHand(groomed);
    expect(await countArchives()).toBeGreaterThanOrEqual(3);
    const others = CARTRIDGES.filter((name) => name !== groomed);
    await product.expect(0, 'media', 'hold', ...others);
    writeFileSync(inSource('new'), 'written where others were');
    expect(await backup()).toMatchObject({ state: 'finished', media: [groomed] });
    await product.expect(0, 'media', 'release', ...others);
    await loadByHand(groomed);
    expect(await countArchives()).toBeLessThan(3);
  },
  TIMEOUT_MS,
);

test(
  'a scrub finds all right, and then the one file in which a byte was flipped',
  async () => {
    const right = endOf<ScrubReport>(await product.expect(0, 'scrub'));
    expect(right).toMatchObject({ state: 'finished', findings: 0, notRead: [] });
    const { barcode, block } = await placeOf(LARGE);
    await product.expect(0, 'library', 'unload');
    await control(`corrupt ${barcode} ${block}`);
    const wrong = endOf<ScrubReport>(await product.expect(22, 'scrub', barcode));
    expect(wrong).toMatchObject({ damagedArchives: 1, damagedFiles: 1, lostFiles: 1 });
    expect(wrong.damaged).toMatchObject([{ barcode, path: inSource(LARGE), isSafe: false }]);
    expect(wrong.media).toMatchObject([{ barcode, state: 'suspect' }]);
    const again = await backup();
    expect(again.media).toEqual([groomed]);
    expect(again.bytes.written).toBeGreaterThan(9_000_001);
  },
  TIMEOUT_MS,
);

test(
  'with the state gone, the changer gives all of it back, and the next backup goes on',
  async () => {
    rmSync(product.state, { recursive: true });
    const said = await product.expect(0, 'recover', CHANGER, TAPE);
    expect(endOf<RecoverReport>(said)).toMatchObject({ missing: [], lost: { contents: 0 } });
    await product.expect(0, 'catalog', 'check');
    await expectRestored();
    writeFileSync(inSource('newer'), 'after the recovery');
    const held = (await document<MediaList>('media', 'list', '--in-state', 'hold')).media;
    if (held.length > 0)
      await product.expect(0, 'media', 'release', ...held.map(({ barcode }) => barcode));
    expect(await backup()).toMatchObject({ state: 'finished', warnings: [] });
    await expectRestored();
  },
  TIMEOUT_MS,
);

type MediaList = { readonly media: readonly { readonly barcode: string }[] };
type Stat = {
  readonly extents: readonly {
    readonly blockBytes: number;
    readonly extent: { readonly archiveOffset: number; readonly lengthBytes: number };
    readonly copies: readonly {
      readonly barcode: string;
      readonly startBlock: number;
      readonly isGood: boolean;
    }[];
  }[];
};

/** What a command that is no run prints. */
async function document<T>(...args: string[]): Promise<T> {
  const { exit, stdout, stderr } = await product.shelfs(['--json', ...args]);
  expect(exit, stderr).toBe(0);
  return JSON.parse(stdout) as T;
}

/** The one cartridge that has a good copy of a file of the tree, and a block in the middle of it. */
async function placeOf(name: string): Promise<{ barcode: string; block: number }> {
  const { extents } = await document<Stat>('stat', inSource(name));
  const places = extents.flatMap(({ blockBytes, extent, copies }) => {
    const middle = extent.archiveOffset + extent.lengthBytes / 2;
    return copies
      .filter(({ isGood }) => isGood)
      .map(({ barcode, startBlock }) => ({
        barcode,
        block: startBlock + Math.floor(middle / blockBytes),
      }));
  });
  const [place, ...more] = places;
  if (!place || more.length > 0) throw new Error(`${name} has ${places.length} good copies`);
  return place;
}

async function expectRestored(): Promise<void> {
  const { tree, report } = await product.restore();
  expect(report).toMatchObject({ failed: [], notSet: {} });
  expect(differences(product.source, tree)).toBe('');
  rmSync(tree, { recursive: true });
}
