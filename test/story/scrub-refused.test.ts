/** Cartridges that are not what the catalog means: a sentence, a status, and nothing touched; and the command line of a scrub. */
import { linkSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { CodedError } from '../../src/base/errors.ts';
import { seededRandom } from '../../src/base/random.ts';
import { Damages } from '../../src/catalog/care/damages.ts';
import { ReadBack } from '../../src/catalog/care/read-back.ts';
import { Jobs } from '../../src/catalog/job/jobs.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import { readJson, writeJson } from '../../src/device/virtual/json-file.ts';
import { labelTape } from '../../src/storage/label-tape.ts';
import { WRITING_MODE } from '../../src/storage/writing-mode.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { TapImage } from '../sim/check-archives.ts';
import { CommandLine } from '../sim/command-line.ts';
import { randomBytes } from '../sim/rich-tree.ts';
import { extentsOn, mediumOf, placeIn, scrubWorld } from '../sim/scrub-world.ts';
import { flipOnTape } from '../sim/tap-damage.ts';

const ONE = 'BKP001L8';
const go = new AbortController().signal;

async function oneCartridge() {
  const world = await BackupWorld.make({ cartridges: 2, config: '[archive]\nblock = 4096\n' });
  writeFileSync(join(world.source, 'a file'), randomBytes(seededRandom(1), 30_000));
  await world.backup();
  return world;
}

/** Somebody else has used the cartridge. */
async function overwrite(world: BackupWorld, blocks: readonly Buffer[]) {
  const { drive, close } = await world.tools.library.attach(ONE, go);
  await drive.setMode(WRITING_MODE, go);
  await drive.rewind(go);
  if (blocks.length > 0) await drive.allowOverwrite(go);
  for (const block of blocks) await drive.write(block, go);
  await drive.writeFilemarks(1, { immediate: false }, go);
  await close();
}

async function labelAnew(world: BackupWorld) {
  const { label } = mediumOf(world, ONE);
  const known = z.looseObject({ barcode: z.string() }).parse(label);
  const anew = { ...known, uuid: crypto.randomUUID() } as unknown as Parameters<
    typeof labelTape
  >[1];
  await labelTape(world.tools.library, anew, () => {}, go);
}

describe('a cartridge that is not the one the catalog means', () => {
  const VOL1 = Buffer.from('VOL1ABC001            LTFS'.padEnd(80));
  test.each<[string, (world: BackupWorld) => Promise<void>, RegExp]>([
    ['of LTFS', (world) => overwrite(world, [VOL1]), /carries no label of shelfs/],
    [
      'foreign',
      (world) => overwrite(world, [Buffer.from('anything')]),
      /carries no label of shelfs/,
    ],
    ['labelled anew', labelAnew, /is labelled BKP001L8 \(.*\), not BKP001L8/],
  ])('%s: is told, and neither it nor the catalog is touched', async (_, change, sentence) => {
    const world = await oneCartridge();
    await change(world);
    const before = [TapImage.read(world.sim.directory, ONE), mediumOf(world, ONE)];
    const report = await scrubWorld(world, { media: [ONE] });
    expect(report).toMatchObject({ state: 'partial', archives: 0, findings: 0, damagedFiles: 0 });
    expect(report.notRead).toEqual([
      { barcode: ONE, code: 'MEDIUM_MISMATCH', reason: expect.stringMatching(sentence) },
    ]);
    expect([TapImage.read(world.sim.directory, ONE), mediumOf(world, ONE)]).toEqual(before);
    const { id } = mediumOf(world, ONE);
    expect(new Damages(world.catalog).isAny(id)).toBe(false);
    expect(world.catalog.part(ReadBack).copiesOn(id)).toHaveLength(1);
  });

  test('exchanged by hand on its way into the drive', async () => {
    const world = await oneCartridge();
    await world.tools.label('BKP002L8', 'main', go);
    const elements = await (await world.sim.openChanger()).elements(go);
    const address = (wanted: string) =>
      elements.find(({ type, barcode }) => barcode === wanted || type === wanted)?.address ?? -1;
    await world.tools.library.unload({ kind: 'cartridge', name: ONE }, undefined, go);
    const swap = { kind: 'swap', elements: [address('drive'), address('BKP002L8')] } as const;
    world.sim.faults.add({ note: 'swap', on: 'move', effect: swap });
    const report = await scrubWorld(world, { media: [ONE] });
    expect(report.notRead.map(({ code }) => code)).toEqual(['MEDIUM_MISMATCH']);
    expect(mediumOf(world, ONE).state).toBe('filling');
  });
});

test.each(['write-protected', 'write-once'])(
  '%s cartridges are read like all others',
  async (what) => {
    const world = await oneCartridge();
    const path = join(world.sim.directory, `${ONE}.json`);
    await world.tools.library.unload({ kind: 'cartridge', name: ONE }, undefined, go);
    const change = what === 'write-once' ? { kind: 'worm' } : { writeProtected: true };
    await writeJson(path, { ...(await readJson(path, z.looseObject({}))), ...change });
    const before = readFileSync(join(world.sim.directory, `${ONE}.tap`));
    expect(await scrubWorld(world)).toMatchObject({ archives: 1, findings: 0, state: 'finished' });
    expect(readFileSync(join(world.sim.directory, `${ONE}.tap`)).equals(before)).toBe(true);
  },
);

test('one that is set back to an older day: what it lacks is told, and its end', async () => {
  const world = await oneCartridge();
  const older = ['tap', 'tap.index', 'json'].map((ending) => {
    const path = join(world.sim.directory, `${ONE}.${ending}`);
    return { path, bytes: readFileSync(path) };
  });
  await world.tools.library.unload({ kind: 'cartridge', name: ONE }, undefined, go);
  writeFileSync(join(world.source, 'later'), randomBytes(seededRandom(2), 5000));
  await world.backup();
  await world.tools.library.unload({ kind: 'cartridge', name: ONE }, undefined, go);
  for (const { path, bytes } of older) writeFileSync(path, bytes);
  const report = await scrubWorld(world);
  expect(report.damaged.map(({ path }) => path)).toEqual([join(world.source, 'later')]);
  expect(report.found.map(({ kind }) => kind)).toContain('end-of-data');
});

describe('the command line', () => {
  async function backedUp() {
    const line = await CommandLine.make();
    const source = join(line.directory, 'source');
    mkdirSync(source);
    writeFileSync(join(source, 'one'), randomBytes(seededRandom(1), 40_000));
    writeFileSync(join(source, 'two'), randomBytes(seededRandom(2), 30_000));
    await line.ok('source', 'add', source);
    await line.ok('backup', '--quiet');
    const [medium] = line.withCatalog((catalog) =>
      new Media(catalog).list().filter(({ state }) => state === 'filling'),
    );
    return { line, source, barcode: medium?.barcode ?? '' };
  }

  test('all is well: 0; a lost file: 22, named; with --json the last line is the end', async () => {
    const { line, source, barcode } = await backedUp();
    expect(await line.ok('scrub')).toMatch(/1 archive on \d cartridges? read, .*: all right/);
    const at = line.withCatalog((catalog) => {
      const extents = extentsOn({ catalog } as BackupWorld, barcode);
      const found = extents.find(({ path }) => path === 'two');
      return found && placeIn(found, 5);
    });
    if (at) flipOnTape(join(line.state, 'virtual'), barcode, at);
    const said = await line.say('scrub', barcode);
    expect(said.exit).toBe(22);
    expect(said.stdout).toMatch(
      new RegExp(
        `${source}/two \\(\\S+\\) is not whole on ${barcode}; there is no other good copy`,
      ),
    );
    const health = 'SELECT count(*) FROM health WHERE medium IS NOT NULL';
    expect(line.withCatalog((catalog) => catalog.prepare(health).get())?.[0]).toBeGreaterThan(1);
    const lines = (await line.say('scrub', barcode, '--json')).stdout.trim().split('\n');
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ event: 'end', damagedFiles: 1 });
  });

  test('one that was interrupted is gone on with by its number', async () => {
    const { line, barcode } = await backedUp();
    const stop = new AbortController();
    stop.abort(new CodedError('INTERRUPTED', 'stopped'));
    const cut = await line.sayUntil(stop.signal, 'scrub', barcode);
    expect(cut).toMatchObject({
      exit: 130,
      stderr: expect.stringMatching(/goes on with the rest/),
    });
    const [job] = line.withCatalog((catalog) => new Jobs(catalog).unfinished('scrub'));
    expect(await line.ok('job', 'resume', `${job?.number}`)).toMatch(/1 archive .*: all right/);
    expect(await line.fails('job', 'resume', `${job?.number}`)).toMatchObject({ exit: 2 });
  });

  test('what cannot be scrubbed is refused with its status', async () => {
    const { line } = await backedUp();
    const barcodes = line.withCatalog((catalog) => new Media(catalog).list());
    const unlabelled = barcodes.find(({ state }) => state === 'unlabelled')?.barcode;
    expect(await line.fails('scrub', 'NOSUCH')).toMatchObject({ exit: 2 });
    if (unlabelled)
      expect((await line.fails('scrub', unlabelled)).stderr).toMatch(
        /has no label .* nothing was read/,
      );
    expect(await line.fails('scrub', '--sample', '0')).toMatchObject({ exit: 2 });
    expect(await line.fails('scrub', '--max-bytes', 'much')).toMatchObject({ exit: 2 });
    expect(await line.fails('scrub', '--quick', '--sample', '5')).toMatchObject({ exit: 2 });
  });

  test('against the source: each kind of difference, by name', async () => {
    const { line, source } = await backedUp();
    expect(await line.ok('scrub', '--against-source')).toMatch(/all as they were backed up/);
    rmSync(join(source, 'one'));
    writeFileSync(join(source, 'two'), 'other bytes');
    writeFileSync(join(source, 'three'), 'new');
    symlinkSync('nowhere', join(source, 'dangling'));
    symlinkSync('.', join(source, 'looping'));
    linkSync(join(source, 'three'), join(source, 'left out.tmp'));
    await line.ok('source', 'untrack', join(source, 'left out.tmp'));
    const other = join(line.directory, 'other');
    mkdirSync(other);
    await line.ok('source', 'add', other);
    rmSync(other, { recursive: true });
    expect(await line.say('scrub', '--against-source')).toMatchObject({
      exit: 3,
      stdout: expect.stringMatching(/unreadable: .*other/),
    });
    const said = await line.say('scrub', '--against-source', 'source', '--json');
    expect(said.exit).toBe(0);
    const end = JSON.parse(said.stdout.trim().split('\n').at(-1) ?? '');
    const found = end.differences.map(({ kind, path }: { kind: string; path: string }) => [
      kind,
      path.slice(source.length + 1),
    ]);
    expect(found.sort()).toEqual([
      ['changed', 'two'],
      ['dangling', 'dangling'],
      ['excluded', 'left out.tmp'],
      ['looping', 'looping'],
      ['missing', 'one'],
      ['new', 'dangling'],
      ['new', 'looping'],
      ['new', 'three'],
    ]);
  });
});
