/** What mount(8) says, in our words. */
import { expect, test } from 'vitest';
import { helperArguments } from '../../../src/cli/mount-helper.ts';

test.each([
  ['/st /mnt', '--state /st mount /mnt'],
  ['/st /mnt -o ro,allow_other,noauto,x-systemd.automount', '--state /st mount /mnt --allow-other'],
  [
    '/st /mnt -v -t fuse.shelfs -o view=all,host=nas',
    '--state /st mount /mnt --view all --host nas',
  ],
  ['/st /mnt -o ro --foreground', '--state /st mount /mnt --foreground'],
  ['-o ro,recall=fail -n /st /mnt', '--state /st mount /mnt --recall fail'],
])('%s', (said, means) => {
  expect(helperArguments(said.split(' ')).join(' ')).toBe(means);
});

test.each([
  '/st',
  '/st /mnt /more',
  '/st /mnt -o rw',
  '/st /mnt -o colour=red',
  '/st /mnt -o view=',
])('%s is refused', (said) => {
  expect(() => helperArguments(said.split(' '))).toThrow(
    expect.objectContaining({ code: 'USAGE' }),
  );
});

test('a value keeps what looks like another one in it', () => {
  expect(helperArguments(['/st', '/mnt', '-o', 'config=/a=b/c'])).toEqual(
    expect.arrayContaining(['--config', '/a=b/c']),
  );
});
