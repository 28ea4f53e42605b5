import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { replaceFile, syncDirectory } from '../../../src/base/durable.ts';
import { scratchDirectory } from '../../sim/scratch.ts';

test('a file is made, then replaced; nothing else is left', async () => {
  const directory = await scratchDirectory();
  const path = join(directory, 'a.json');
  await replaceFile(path, 'one');
  expect(await readFile(path, 'utf8')).toBe('one');
  const { ino } = await stat(path);
  await replaceFile(path, 'two, längér');
  expect(await readFile(path, 'utf8')).toBe('two, längér');
  expect((await stat(path)).ino).not.toBe(ino); // never written in place
  expect(await readdir(directory)).toEqual(['a.json']);
});

test('permissions are those asked for', async () => {
  const path = join(await scratchDirectory(), 'secret');
  await replaceFile(path, 'x', { mode: 0o600 });
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

test('what a crash left half-written is written over, with the permissions asked for now', async () => {
  const path = join(await scratchDirectory(), 'a');
  await writeFile(`${path}.new`, 'half, and much longer than what comes', { mode: 0o644 });
  await replaceFile(path, 'whole', { mode: 0o600 });
  expect(await readFile(path, 'utf8')).toBe('whole');
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

test('when the new one cannot be written the old one stays', async () => {
  const directory = await scratchDirectory();
  const path = join(directory, 'a');
  await writeFile(path, 'old');
  await symlink('/dev/full', `${path}.new`);
  await expect(replaceFile(path, 'new')).rejects.toMatchObject({ code: 'ENOSPC' });
  expect(await readFile(path, 'utf8')).toBe('old');
});

test('a directory in its place is not replaced', async () => {
  const directory = await scratchDirectory();
  await mkdir(join(directory, 'a'));
  await expect(replaceFile(join(directory, 'a'), 'x')).rejects.toMatchObject({ code: 'EISDIR' });
  await expect(replaceFile(join(directory, 'none', 'a'), 'x')).rejects.toMatchObject({
    code: 'ENOENT',
  });
});

test('directories are synced by name', async () => {
  const directory = await scratchDirectory();
  await syncDirectory(directory);
  await expect(syncDirectory(join(directory, 'none'))).rejects.toMatchObject({ code: 'ENOENT' });
  await chmod(directory, 0o700);
});
