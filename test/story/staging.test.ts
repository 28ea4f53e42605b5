/** Archives that go to the tape by way of a disk are the same archives, and spare the drive its stops. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { SimClock } from '../../src/base/clock.ts';
import { seededRandom } from '../../src/base/random.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { checkArchives } from '../sim/check-archives.ts';
import { differences, makeRichTree, randomBytes } from '../sim/rich-tree.ts';
import { scratchDirectory } from '../sim/scratch.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;

const configOf = (mode: string, more = '') =>
  `[archive]\nblock = "64KiB"\nsize = "90MB"\npart = "20MB"\n[backup]\nstaging = "${mode}"\n${more}`;

async function expectRestored(world: BackupWorld): Promise<void> {
  checkArchives(world.catalog, world.sim.directory);
  const { tree, report } = await world.restore();
  expect(report.failed).toEqual([]);
  expect(differences(world.source, tree)).toBe('');
}

function fill(world: BackupWorld, files: number): void {
  makeRichTree(world.source, seededRandom(1));
  for (let file = 0; file < files; file += 1)
    writeFileSync(join(world.source, `large ${file}`), randomBytes(seededRandom(file), 14_000_000));
}

test.each([1, 2])('everything comes back, %i copies at once', async (copies) => {
  const world = await BackupWorld.make({ capacityBytes: 400 * MIB, config: configOf('always') });
  fill(world, 2);
  const report = await world.backup({ copies, workers: 1, verify: true });
  expect(report).toMatchObject({ state: 'finished', warnings: [], unreadable: [] });
  expect(readdirSync(join(world.state, 'staging'))).toEqual([]);
  await expectRestored(world);
  expect(await world.backup({ copies })).toMatchObject({ media: [], bytes: { hashed: 0 } });
});

test('the end of a tape inside a file costs that file alone, whatever lies on the disk then', async () => {
  const config = configOf('always').replace('part = "20MB"', 'part = "60MB"');
  const world = await BackupWorld.make({ capacityBytes: 400 * MIB, config });
  const path = join(world.sim.directory, 'BKP001L8.json');
  const record: object = JSON.parse(readFileSync(path, 'utf8'));
  writeFileSync(path, JSON.stringify({ ...record, earlyWarningBytes: 350 * MIB }));
  fill(world, 2);
  // From 30 to 80 MB of the archive: what lies between it and the drive as that warns is less, so it is met within this file.
  writeFileSync(join(world.source, 'larger'), randomBytes(seededRandom(2), 50_000_000));
  const report = await world.backup({ workers: 1 });
  expect(report).toMatchObject({ state: 'finished', media: ['BKP001L8', 'BKP002L8'] });
  expect(report.warnings).toEqual([expect.stringMatching(/^BKP001L8: the end of the tape came/)]);
  const completed = 'SELECT count(*) FROM archives WHERE completed_by IS NOT NULL';
  expect(world.catalog.prepare(completed).get()).toEqual([1]);
  const written = "SELECT written_bytes FROM media WHERE barcode = 'BKP002L8'";
  const [bytes] = world.catalog.prepare(written).get() as [number];
  expect(bytes).toBeGreaterThan(50_000_000);
  expect(bytes).toBeLessThan(60_000_000);
  await expectRestored(world);
});

test('a drive whose sources are slow stops for each burst, not for each block', async () => {
  const stops = async (mode: string) => {
    // Readers that wait for no slab: the clock is moved between two blocks then, not while the drive takes one.
    const config = configOf(mode, 'memory = "2 GiB"\n');
    const world = await BackupWorld.make({ capacityBytes: 8 * GIB, config });
    writeFileSync(join(world.source, 'large'), randomBytes(seededRandom(1), 60_000_000));
    const { clock } = world.sim;
    if (!(clock instanceof SimClock)) throw new Error('no clock to be advanced');
    // Each 4 MiB come after 200 ms: 20 MB/s, a sixth of what the drive needs.
    const listen = ({ event }: { event: string }) => {
      if (event === 'progress') clock.advanceMs(200);
    };
    expect(await world.backup({ listen })).toMatchObject({ warnings: [] });
    const drives = await world.sim.library.statistics();
    return drives.reduce((sum, { backhitches }) => sum + backhitches, 0);
  };
  expect(await stops('never')).toBeGreaterThan(3);
  expect(await stops('always')).toBeLessThanOrEqual(1);
});

test('where it cannot be, the tape is written without it, and the run says so', async () => {
  const more = 'staging-directory = "/proc/self/staging"\n';
  const world = await BackupWorld.make({ config: configOf('always', more) });
  fill(world, 1);
  const report = await world.backup();
  expect(report).toMatchObject({ state: 'finished' });
  expect(report.warnings).toEqual([expect.stringContaining('/proc/self/staging (ENOENT)')]);
  await expectRestored(world);
});

test('a disk that fills up meanwhile is done without', async (context) => {
  const directory = await scratchDirectory();
  const mount = ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', directory];
  const { status, stderr } = spawnSync('mount', mount, { encoding: 'utf8' });
  if (status !== 0) context.skip(`no tmpfs: ${stderr}`);
  onTestFinished(() => void spawnSync('umount', [directory]));
  mkdirSync(join(directory, 'staging'));
  const more = `staging-directory = "${directory}/staging"\n`;
  const world = await BackupWorld.make({
    capacityBytes: 4 * GIB,
    config: configOf('always', more),
  });
  for (let file = 0; file < 2; file += 1)
    writeFileSync(join(world.source, `large ${file}`), randomBytes(seededRandom(file), 14_000_000));
  // What was free when it was asked for is taken by somebody else.
  const { bfree: free } = statfsSync(directory);
  let isTaken = false;
  const listen = ({ event }: { event: string }) => {
    const { bfree } = statfsSync(directory);
    if (event !== 'progress' || isTaken || bfree === free) return;
    isTaken = true;
    spawnSync('dd', ['if=/dev/zero', `of=${directory}/other`, 'bs=64k', 'count=1024']);
  };
  const report = await world.backup({ listen });
  expect(report).toMatchObject({ state: 'finished' });
  expect(report.warnings).toEqual([expect.stringMatching(/^no room for staging in .*ENOSPC/)]);
  await expectRestored(world);
});
