/** restore.sh on a tape drive: the kernel's st, mt and a changer, in the virtual machine. */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { whyNoMachine } from '../../vm/machine.ts';
import { HOLES, makeGolden, WHOLE } from './golden.ts';

const root = join(import.meta.dirname, '../../..');

test('from two cartridges, loaded by barcode', (context) => {
  const reason = whyNoMachine();
  if (reason !== undefined) context.skip(reason);
  const scratch = mkdtempSync(join(tmpdir(), 'shelfs-tape-'));
  try {
    chmodSync(scratch, 0o755);
    const media = join(scratch, 'media');
    makeGolden(media);
    mkdirSync(join(scratch, 'share'));
    const { status, stderr, stdout } = spawnSync(
      join(root, 'test/vm/run'),
      [
        ...['--drives', '1', '--slots', '4', '--cartridges', '2'],
        ...['--barcodes', 'AAA001L9,AAA002L9', '--size-mb', '64', '--timeout', '300'],
        ...['--share', join(scratch, 'share'), '--'],
        ...[
          'sh',
          join(import.meta.dirname, 'tape.guest.sh'),
          media,
          join(scratch, 'share/target.tar'),
        ],
      ],
      { encoding: 'latin1', env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } },
    );
    expect(status, stdout + stderr).toBe(0);
    execFileSync('tar', ['-xf', join(scratch, 'share/target.tar'), '-C', scratch]);
    const read = (name: string) => readFileSync(join(scratch, 'home/me', name));
    expect(read('big').equals(WHOLE)).toBe(true);
    expect(read('holes').equals(HOLES)).toBe(true);
    for (const name of ['renamed', 'twin', 'linked']) expect(read(name).toString()).toBe('plain');
    expect(read('before-tear').toString()).toBe('whole');
    // Each cartridge once for its journals, once for its files; the one in the drive is not loaded again.
    expect(stderr.match(/reading the journals of/g)).toHaveLength(2);
    expect(stderr.match(/restore.sh: reading AAA/g)).toHaveLength(3);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}, 400_000);
