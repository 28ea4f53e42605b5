import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { resolveDevice } from '../../../src/device/node.ts';
import { scratchDirectory } from '../../sim/scratch.ts';

test('nothing there', async () => {
  const directory = await scratchDirectory();
  await symlink(join(directory, 'gone'), join(directory, 'dangling'));
  await writeFile(join(directory, 'file'), '');
  for (const name of ['none', 'dangling', 'file/below']) {
    const path = join(directory, name);
    await expect(resolveDevice(path)).rejects.toMatchObject({
      code: 'DEVICE_MISSING',
      facts: { device: path },
    });
  }
});

test('links in a circle', async () => {
  const directory = await scratchDirectory();
  await symlink(join(directory, 'b'), join(directory, 'a'));
  await symlink(join(directory, 'a'), join(directory, 'b'));
  await expect(resolveDevice(join(directory, 'a'))).rejects.toMatchObject({
    code: 'DEVICE_MISSING',
  });
});

test('no device, and no SCSI device, by whatever name', async () => {
  const directory = await scratchDirectory();
  await mkdir(join(directory, 'folder'));
  await writeFile(join(directory, 'file'), '');
  await symlink('/dev/null', join(directory, 'by-id'));
  for (const path of [
    join(directory, 'folder'),
    join(directory, 'file'),
    join(directory, 'by-id'),
    '/dev/null',
    '/dev/zero',
  ]) {
    await expect(resolveDevice(path)).rejects.toMatchObject({
      code: 'DEVICE_UNSUITABLE',
      message: expect.stringContaining(path),
    });
  }
});
