/**
 * Numbers, each beside a peer measured in the same run: `npm run bench` runs all, `npm run bench -- NAME` one. Machines are
 * noisy: read the ratios, and the processor time beside the wall.
 *
 *   virtual-drive
 *   catalog [--files N]
 *   backup [--full] [--rounds N] [--only large,small,rescan] [--no-peers] [--directory TMPFS]
 *          [--large-files N] [--large-mib N] [--small-files N] [--rescan-files N]
 *   mount [--full] [--files N] [--content-mib N] [--rounds N] [--directory TMPFS]
 *   restore [--full] [--rounds N] [--small-files N] [--directory TMPFS]
 */
import { strict as assert } from 'node:assert';
import { parseArgs } from 'node:util';
import { backup, FULL, MODEST } from './backup.ts';
import { catalog } from './catalog.ts';
import { mount } from './mount.ts';
import { restore } from './restore.ts';
import { virtualDrive } from './virtual-drive.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  allowNegative: true,
  options: {
    files: { type: 'string', default: '1000000' },
    full: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    peers: { type: 'boolean', default: true },
    directory: { type: 'string', default: '/dev/shm' },
    'content-mib': { type: 'string' },
    'large-files': { type: 'string' },
    'large-mib': { type: 'string' },
    'small-files': { type: 'string' },
    'rescan-files': { type: 'string' },
  },
});

const benches: Readonly<Record<string, () => Promise<void>>> = {
  'virtual-drive': virtualDrive,
  catalog: () => catalog(count(values.files)),
  backup: async () => {
    const usual = values.full ? FULL : MODEST;
    backup({
      sizes: {
        largeFiles: count(values['large-files'] ?? usual.largeFiles),
        largeMib: count(values['large-mib'] ?? usual.largeMib),
        smallFiles: count(values['small-files'] ?? usual.smallFiles),
        rescanFiles: count(values['rescan-files'] ?? usual.rescanFiles),
      },
      rounds: count(values.rounds),
      only: values.only.split(',').filter(Boolean),
      peers: values.peers,
      directory: values.directory,
    });
  },
  mount: () =>
    mount({
      files: values.full ? 10_000_000 : count(values.files),
      contentMib: count(values['content-mib'] ?? (values.full ? 4096 : 512)),
      rounds: count(values.rounds),
      directory: values.directory,
    }),
  restore: async () => {
    const usual = values.full ? FULL : MODEST;
    restore({
      files: count(values['small-files'] ?? usual.smallFiles),
      rounds: count(values.rounds),
      directory: values.directory,
    });
  },
};

for (const name of positionals.length > 0 ? positionals : Object.keys(benches)) {
  const bench = benches[name];
  assert(bench, `there is no bench ${name}: ${Object.keys(benches).join(', ')}`);
  await bench();
}

function count(text: string | number): number {
  const number = Number(text);
  assert(Number.isSafeInteger(number) && number > 0, `not a count: ${text}`);
  return number;
}
