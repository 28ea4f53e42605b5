/** What a published package holds: a forgotten folder shows only on somebody else's machine. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../..');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>;
};

test('the package holds the program and its doors, and nothing of the workshop', () => {
  const folder = join(root, 'native/scsi/prebuilds/test-arch');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'shelfs-scsi.node'), '');
  try {
    const listing = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      cwd: root,
      encoding: 'utf8',
    });
    const report: unknown = JSON.parse(listing);
    const entry = Array.isArray(report) ? report[0] : Object.values(report as object)[0];
    const files = (entry as { files: { path: string }[] }).files.map(({ path }) => path);
    expect(files).toContain('native/scsi/prebuilds/test-arch/shelfs-scsi.node');
    expect(files).toContain('native/scsi/package.json');
    expect(files).toContain('dist/main.js');
    expect(files).toContain('dist/LICENSES.txt');
    expect(files).toContain('LICENSE');
    expect(files.filter((path) => /^(src|test)\/|\/\./.test(path))).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('no script is run by npm because of its name', () => {
  const names = Object.keys(manifest.scripts);
  const hooks = names.filter(
    (name) => names.includes(name.replace(/^(pre|post)/, '')) && /^(pre|post)/.test(name),
  );
  expect(hooks).toEqual([]);
  for (const name of ['install', 'preinstall', 'postinstall', 'prepare'])
    expect(names).not.toContain(name);
});
