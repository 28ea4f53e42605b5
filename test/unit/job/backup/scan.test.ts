/** What a scan records in a real catalog, of a directory larger than a portion. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, chmodSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Raw } from '../../../../src/base/raw.ts';
import type { Source } from '../../../../src/catalog/job/sources.ts';
import type { Run } from '../../../../src/catalog/run/run.ts';
import { scan } from '../../../../src/job/backup/scan.ts';
import { parseSourceOptions } from '../../../../src/job/source-options.ts';
import { CHANGED_BY_ALL } from '../../../../src/pack/change.ts';
import { Filter } from '../../../../src/source/filter.ts';
import { content, storeAll, type World, world } from '../../catalog/scratch.ts';
import { folder, raw } from '../../source/place.ts';

async function scanned(run: Run, root: string, { hostId }: World) {
  const counts = { new: 0, changed: 0, moved: 0, same: 0, gone: 0, excluded: 0, unreadable: 0 };
  const damages: string[] = [];
  const totals = { entries: 0, bytes: 0 };
  const source: Source = {
    id: 1,
    name: 'it',
    hostId,
    path: raw(root),
    original: raw('/home'),
    options: {},
  };
  const order = {
    source,
    options: parseSourceOptions({}),
    filter: new Filter({}),
    policy: { changedBy: CHANGED_BY_ALL, ctimeMeans: 'attributes' as const },
    ownDirectories: [],
    allowEmpty: false,
    isWeak: () => false,
  };
  const tools = {
    run,
    counts,
    onScanned: (entries: number, bytes: number) => {
      totals.entries += entries;
      totals.bytes += bytes;
    },
    onExcluded: () => {},
    onUnreadable: ({ path, reason }: { path: string; reason: string }) => {
      damages.push(`${path}: ${reason}`);
    },
  };
  await scan(order, tools, new AbortController().signal);
  const rows = [...run.entries('all')].map(({ path, change, inode }) => ({ path, change, inode }));
  const under = rows.filter(({ path }) => path.startsWith('/home/'));
  return { counts, damages, totals, rows: under };
}

function name(index: number): string {
  return `${index}`.padStart(6, '0');
}

test('2500 entries; then some gone, changed, touched and new among them, in order of name', async () => {
  const root = folder();
  const here = world();
  execFileSync('sh', ['-c', 'seq -f %06g 0 2 4998 | while read f; do echo $f >$f; done'], {
    cwd: root,
  });
  const first = here.begin();
  const before = await scanned(first, root, here);
  expect(before.counts).toMatchObject({ new: 2500, same: 0, gone: 0, changed: 0 });
  expect(before.totals).toEqual({ entries: 2500, bytes: 2500 * 7 });
  expect(before.rows.map(({ path }) => path)).toEqual(
    Array.from({ length: 2500 }, (_, index) => `/home/${name(2 * index)}`),
  );
  storeAll(first, here.media, (path: Raw) => content(path, 7));
  first.finish({ state: 'finished', timeMs: 0 });

  const expected: [string, string][] = [];
  for (let index = 0; index < 5000; index += 1) {
    const path = join(root, name(index));
    const tell = (change: string) => expected.push([`/home/${name(index)}`, change]);
    if (index % 100 === 10) {
      rmSync(path);
      tell('gone');
    } else if (index % 100 === 12) {
      appendFileSync(path, 'more');
      tell('changed');
    } else if (index % 100 === 14) {
      chmodSync(path, 0o600);
      tell('attributes');
    } else if (index % 4 === 1) {
      if (index % 8 === 1) writeFileSync(path, 'new');
      else symlinkSync(`to ${index}`, path);
      tell('new');
    }
  }
  const second = here.begin();
  const after = await scanned(second, root, here);
  expect(after.rows.map(({ path, change }) => [path, change])).toEqual(expected);
  expect(after.counts).toMatchObject({ new: 1250, changed: 100, gone: 50, same: 2350 });
  const link = after.rows.find(({ path }) => path === `/home/${name(5)}`);
  expect(link?.inode).toMatchObject({ type: 'symlink', target: 'to 5' });
  expect(after.damages).toEqual([]);
});
