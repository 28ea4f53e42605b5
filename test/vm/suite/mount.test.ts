/** A read of an offline file on the kernel's own tape drivers: the changer loads the cartridge, proven bytes arrive. */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Bench, scratch, TIMEOUT_MS } from './backup-setup.ts';
import { execute, type Product, succeed } from './product.ts';

test(
  'cp -a out of the mount loads what it takes, and brings back the tree',
  async () => {
    execFileSync('modprobe', ['fuse']);
    const product = await new Bench().makeProduct('', 'documents');
    await product.backup();
    // Whatever is in a drive goes back to its slot: nothing can be read without the changer.
    for (const number of await loadedDrives(product))
      await product.expect(0, 'library', 'unload', `drive${number}`);
    expect(await loadedDrives(product)).toEqual([]);
    const mountpoint = join(product.disk, 'mnt');
    mkdirSync(mountpoint);
    const unmount = await product.mount(mountpoint);
    const out = scratch(product, 'copied');
    await succeed('cp', '-a', `${mountpoint}${product.source}/.`, out);
    expect(await unmount()).toMatchObject({ exit: 0 });
    expect(await loadedDrives(product)).toHaveLength(1);
    const said = await execute('rsync', [
      ...['-aHAX', '--dry-run', '--checksum', '--delete', '--itemize-changes'],
      `${product.source}/`,
      `${out}/`,
    ]);
    expect(said).toMatchObject({ exit: 0, stdout: '' });
  },
  TIMEOUT_MS,
);

async function loadedDrives(product: Product): Promise<number[]> {
  const { stdout } = await product.shelfs(['--json', 'library', 'status']);
  const { drives } = JSON.parse(stdout) as { drives: { number: number; barcode: string | null }[] };
  return drives.filter(({ barcode }) => barcode !== null).map(({ number }) => number);
}
