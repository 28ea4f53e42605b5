/** A file in parts whose run was cut short: the next one goes on behind the parts that are stored, if they are as they were. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CodedError } from '../../src/base/errors.ts';
import { seededRandom } from '../../src/base/random.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { restoreByScript } from '../sim/by-script.ts';
import { checkArchives } from '../sim/check-archives.ts';
import { differences, randomBytes } from '../sim/rich-tree.ts';

const PART_BYTES = 5_000_000;
/** Five whole parts and one more. */
const FILE_BYTES = 5 * PART_BYTES + 123_457;
const CONFIG = `[archive]\nsize = "6MB"\npart = "${PART_BYTES}"\nblock = "64KiB"\n`;

/** A world whose first backup was stopped when so many archives were stored; small files come after the large one. */
async function cutAfter(archives: number, options: { copies?: number } = {}) {
  const world = await BackupWorld.make({ cartridges: 6, config: CONFIG });
  writeFileSync(join(world.source, 'huge'), randomBytes(seededRandom(1), FILE_BYTES));
  writeFileSync(join(world.source, 'small'), 'behind it');
  const stop = new AbortController();
  let stored = 0;
  const listen = ({ event }: { event: string }) => {
    if (event === 'archive') stored += 1;
    if (stored === archives) stop.abort(new CodedError('INTERRUPTED', 'stopped'));
  };
  await expect(world.backup({ ...options, listen, signal: stop.signal })).rejects.toMatchObject({
    code: 'INTERRUPTED',
  });
  expect(stored).toBe(archives);
  return world;
}

async function expectRestored(world: BackupWorld): Promise<void> {
  checkArchives(world.catalog, world.sim.directory);
  const { tree, report } = await world.restore();
  expect(report.failed).toEqual([]);
  expect(differences(world.source, tree)).toBe('');
}

/** Extents of the contents that are whole, and what is left of others. */
function kept(world: BackupWorld): { extents: number; partials: number } {
  const count = (sql: string) => world.catalog.prepare<[number]>(sql).get()?.[0] ?? -1;
  return {
    extents: count(
      `SELECT count(*) FROM extents e JOIN contents c ON c.id = e.content WHERE c.size = ${FILE_BYTES}`,
    ),
    partials:
      count('SELECT count(*) FROM run_partials') +
      count('SELECT count(*) FROM contents WHERE hash IS NULL'),
  };
}

test.each([
  ['in the process itself', 0],
  ['by threads', 2],
])('only the parts that are missing are written, %s', async (_, workers) => {
  const world = await cutAfter(3);
  const report = await world.backup({ workers });
  expect(report).toMatchObject({ state: 'finished', job: 1, unreadable: [] });
  expect(report.bytes.written).toBeLessThan(FILE_BYTES - 3 * PART_BYTES + 1_000_000);
  expect(report.bytes.hashed).toBeGreaterThanOrEqual(FILE_BYTES);
  expect(kept(world)).toEqual({ extents: 6, partials: 0 });
  await expectRestored(world);
  const target = await restoreByScript(world, report.media.at(-1));
  expect(differences(world.source, join(target, world.source))).toBe('');
  expect(await world.backup()).toMatchObject({ snapshot: null, media: [], bytes: { hashed: 0 } });
});

test('also when it was cut twice', async () => {
  const world = await cutAfter(2);
  const stop = new AbortController();
  const listen = ({ event }: { event: string }) => {
    if (event === 'archive') stop.abort(new CodedError('INTERRUPTED', 'stopped'));
  };
  await expect(world.backup({ listen, signal: stop.signal })).rejects.toThrow('stopped');
  const report = await world.backup();
  expect(report.bytes.written).toBeLessThan(FILE_BYTES - 3 * PART_BYTES + 1_000_000);
  expect(kept(world)).toEqual({ extents: 6, partials: 0 });
  await expectRestored(world);
});

test('bytes that changed behind their times are stored anew, all of them', async () => {
  const world = await cutAfter(3);
  const path = join(world.source, 'huge');
  const as = join(world.state, 'its times');
  // By name: a date of the runtime has no nanoseconds.
  execFileSync('touch', ['-r', path, as]);
  const bytes = readFileSync(path);
  bytes.writeUInt8(bytes.readUInt8(77) ^ 1, 77);
  writeFileSync(path, bytes);
  execFileSync('touch', ['-r', as, path]);
  const report = await world.backup();
  expect(report).toMatchObject({ state: 'finished', unreadable: [] });
  expect(report.bytes.written).toBeGreaterThanOrEqual(FILE_BYTES);
  expect(kept(world)).toEqual({ extents: 6, partials: 0 });
  await expectRestored(world);
});

test.each([
  ['changed', (path: string) => writeFileSync(path, randomBytes(seededRandom(2), FILE_BYTES))],
  ['another size', (path: string) => writeFileSync(path, 'small now')],
])(
  'a file that is %s by now is stored from its beginning, and nothing is left of the parts',
  async (_, change) => {
    const world = await cutAfter(3);
    change(join(world.source, 'huge'));
    expect(await world.backup()).toMatchObject({ state: 'finished', unreadable: [] });
    expect(kept(world).partials).toBe(0);
    await expectRestored(world);
  },
);

test('parts on a cartridge that is lost are no parts', async () => {
  const world = await cutAfter(3);
  const media = new Media(world.catalog);
  media.setState(media.find('BKP001L8')?.id ?? 0, 'lost');
  const report = await world.backup();
  expect(report.bytes.written).toBeGreaterThanOrEqual(FILE_BYTES);
  expect(kept(world)).toEqual({ extents: 6, partials: 0 });
  await expectRestored(world);
});

test('with two copies the parts are on both cartridges', async () => {
  const world = await cutAfter(3, { copies: 2 });
  const report = await world.backup({ copies: 2 });
  expect(report.bytes.written).toBeLessThan(FILE_BYTES - 3 * PART_BYTES + 1_000_000);
  for (const lost of ['BKP001L8', 'BKP002L8']) {
    const media = new Media(world.catalog);
    const { id } = media.find(lost) ?? { id: 0 };
    media.setState(id, 'lost');
    await expectRestored(world);
    media.setState(id, 'filling');
  }
});
