/** What the suites of backup share: a tree with one of everything, small cartridges, and the way back by the label's script. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { seededRandom } from '../../../src/base/random.ts';
import { SHAPE } from '../../contract/world.ts';
import { makeRichTree } from '../../sim/rich-tree.ts';
import { LOADER, loadByHand, makeDisk, makeLoader, Product, sh, TAPE } from './product.ts';

/** The fourth is WORM: it is not taken for a backup by itself. */
export const CARTRIDGES = SHAPE.barcodes.slice(0, 3);
/** Of tape blocks, unless configured. */
export const BLOCK_BYTES = 512 * 2 ** 10;
/** Under emulation, on a machine that has other work too. */
export const TIMEOUT_MS = 1_800_000;

export class Bench {
  readonly #disk = makeDisk();
  readonly #richTree = mkdtempSync(join(this.#disk, 'rich-'));

  constructor() {
    makeLoader();
    // Made once: chance is slow here.
    makeRichTree(this.#richTree, seededRandom(1));
  }

  /** @param tree what of the rich tree is to be protected @param drives as `Product.make` */
  async makeProduct(config: string, tree = '.', drives?: number): Promise<Product> {
    const product = await Product.make(this.#disk, config, drives);
    execFileSync('cp', ['-a', `${join(this.#richTree, tree)}/.`, product.source]);
    await product.expect(0, 'media', 'add', ...CARTRIDGES);
    // By their labels their true capacity is known.
    await product.expect(0, 'media', 'label', ...CARTRIDGES);
    return product;
  }
}

export const scratch = (product: Product, name: string) =>
  mkdtempSync(join(product.disk, `${name}-`));

/** What restore.sh of the cartridge's own label brings, given that cartridge and a loader. */
export async function restoreByScript(product: Product, barcode: string): Promise<string> {
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
