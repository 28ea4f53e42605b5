/** A cartridge is erased only when several guards agree; whatever fails, no byte that somebody needs is lost. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { Alarms } from '../../src/catalog/job/alarms.ts';
import { Jobs } from '../../src/catalog/job/jobs.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import { type EraseRequest, eraseMedium } from '../../src/job/erase.ts';
import { WRITING_MODE } from '../../src/storage/writing-mode.ts';
import { BackupWorld, HOST } from '../sim/backup-world.ts';
import { restoreByScript } from '../sim/by-script.ts';
import { checkArchives, TapImage } from '../sim/check-archives.ts';
import { differences, makeRichTree } from '../sim/rich-tree.ts';

const go = new AbortController().signal;
const ONE = 'BKP001L8';
const TWO = 'BKP002L8';

/** A tree on two cartridges, the same archive on both. */
async function onTwo() {
  const world = await BackupWorld.make();
  makeRichTree(world.source, seededRandom(1));
  await world.backup({ copies: 2 });
  return world;
}

function mediumOf({ catalog }: BackupWorld, barcode: string) {
  const medium = new Media(catalog).find(barcode);
  if (!medium) throw new Error(`no ${barcode}`);
  return medium;
}

function erase(
  world: BackupWorld,
  options: Partial<EraseRequest> & { readonly library?: BackupWorld['tools']['library'] } = {},
) {
  const { catalog, library, clock, random } = world.tools;
  const tools = { catalog, library, clock, random, host: HOST, program: 'shelfs', pool: 'main' };
  const medium = mediumOf(world, ONE);
  const { library: other = library, ...request } = options;
  return eraseMedium(
    { ...tools, library: other, blockBytes: world.tools.archive.block },
    { medium, confirm: ONE, force: true, ...request },
    go,
  );
}

/** Nothing of the cartridge has changed, nor what is known of it. */
async function expectRefused(world: BackupWorld, refused: Promise<unknown>, sentence: RegExp) {
  const before = {
    medium: mediumOf(world, ONE),
    bytes: TapImage.read(world.sim.directory, ONE),
  };
  const { message } = await refused.then(
    () => ({ message: 'it was not refused' }),
    (error: Error) => error,
  );
  expect(message).toMatch(sentence);
  expect(mediumOf(world, ONE)).toEqual(before.medium);
  expect(TapImage.read(world.sim.directory, ONE)).toEqual(before.bytes);
}

test('what others hold too goes by force alone; the cartridge is scratch, and written again', async () => {
  const world = await onTwo();
  await expectRefused(
    world,
    erase(world, { force: false }),
    /other cartridges have them too, and --force/,
  );
  const before = mediumOf(world, ONE);
  const erased = await erase(world);
  expect(erased).toMatchObject({ state: 'scratch', nextFile: 1, writtenBytes: 0 });
  expect(erased.uuid).not.toBe(before.uuid);
  expect(erased.label).toMatchObject({ uuid: erased.uuid, writeGeneration: 2 });
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
  expect(checkArchives(world.catalog, world.sim.directory)).toBe(1);
  // Its copies no longer count: what is to have two is stored again.
  const report = await world.backup({ copies: 2 });
  expect(report.media).toContain(ONE);
  new Media(world.catalog).setState(mediumOf(world, TWO).id, 'lost');
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
});

test('what no other cartridge holds is named, and never erased; a deleted file neither', async () => {
  const world = await BackupWorld.make();
  writeFileSync(join(world.source, 'only\x1bhere'), 'precious');
  await world.backup();
  await expectRefused(
    world,
    erase(world),
    /alone holds 8 B of 1 content .*only\\x1bhere; nothing was written/,
  );
});

test('what only its journals tell is not erased, before a copy of the catalog elsewhere tells it', async () => {
  const world = await onTwo();
  mkdirSync(join(world.source, 'a directory'));
  writeFileSync(join(world.source, 'a directory', 'without bytes'), '');
  const { media } = await world.backup();
  expect(media).toEqual([ONE]);
  await expectRefused(world, erase(world), /journals on BKP001L8 tell what no other/);
  const { id } = mediumOf(world, ONE);
  new Media(world.catalog).setState(id, 'retired');
  for (let index = 0; index < 400; index += 1)
    writeFileSync(join(world.source, `file ${index}`), `${index}`);
  expect((await world.backup()).media).toEqual([TWO]);
  expect(await erase(world)).toMatchObject({ state: 'retired', nextFile: 1, writtenBytes: 0 });
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
});

test('it is confirmed by its barcode, and must hold something', async () => {
  const world = await onTwo();
  const refused = (confirm: string | undefined) => erase(world, { confirm });
  await expectRefused(
    world,
    refused(undefined),
    /--confirm BKP001L8 or --yes says that you mean it/,
  );
  await expectRefused(world, refused(TWO), /--confirm BKP001L8 or --yes says/);
  const set = (state: 'hold' | 'lost') =>
    new Media(world.catalog).setState(mediumOf(world, ONE).id, state);
  set('hold');
  await expectRefused(world, erase(world), /BKP001L8 is hold: it is not erased/);
  set('lost');
  await expectRefused(world, erase(world), /is lost: it is not erased/);
  const medium = mediumOf(world, 'BKP003L8');
  await expect(erase(world, { medium, confirm: 'BKP003L8' })).rejects.toThrow(/nothing on it/);
});

test('archives that the catalog does not know are not erased', async () => {
  const world = await onTwo();
  const { drive, close } = await world.tools.library.attach(ONE, go);
  await drive.setMode(WRITING_MODE, go);
  await drive.spaceToEndOfData(go);
  await drive.write(Buffer.alloc(1024, 7), go);
  await drive.writeFilemarks(1, { immediate: false }, go);
  await close();
  await expectRefused(world, erase(world), /holds archives that this catalog does not know/);
});

test('a cartridge with another label under its barcode is not erased', async () => {
  const world = await onTwo();
  const medium = { ...mediumOf(world, ONE), uuid: crypto.randomUUID() };
  await expectRefused(world, erase(world, { medium }), /is labelled BKP001L8 \(.*\), not BKP001L8/);
});

test('one that is write-protected stays what it is', async () => {
  const world = await onTwo();
  await world.sim.hand.protect(ONE, true);
  await expectRefused(world, erase(world), /write-protect/);
});

test('a job that begins meanwhile may need what is there', async () => {
  const world = await onTwo();
  const { library } = world.tools;
  const attach: typeof library.attach = (...where) => {
    const facts = { uuid: crypto.randomUUID(), verb: 'backup', host: HOST, os: 'test', pid: 1 };
    new Jobs(world.catalog).add({ ...facts, parameters: {} });
    return library.attach(...where);
  };
  const busy = new Proxy(library, {
    get: (target, name) => {
      if (name === 'attach') return attach;
      const member = Reflect.get(target, name);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
  await expectRefused(world, erase(world, { library: busy }), /job \d runs, or has run meanwhile/);
});

test('cut between catalog and label, it is finished by the next attempt', async () => {
  const world = await onTwo();
  const sense = { kind: 'sense', key: 0x4, code: 0x4400, deferred: false } as const;
  world.sim.faults.add({ note: 'the label fails', on: 'write', effect: sense });
  await expect(erase(world)).rejects.toThrow();
  expect(mediumOf(world, ONE)).toMatchObject({ state: 'unlabelled' });
  // Nobody counts on it, and everything is there.
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
  const medium = mediumOf(world, ONE);
  await expect(erase(world, { medium, confirm: undefined })).rejects.toThrow(/--confirm/);
  expect(await erase(world)).toMatchObject({ state: 'scratch', uuid: medium.uuid });
  expect((await world.backup({ copies: 2 })).media).toContain(ONE);
  expect(checkArchives(world.catalog, world.sim.directory)).toBeGreaterThan(1);
});

test('restore.sh takes no place on an erased cartridge for one on what it holds now', async () => {
  const world = await onTwo();
  await world.sim.clock.sleepMs(60_000, go);
  await erase(world);
  await world.sim.clock.sleepMs(60_000, go);
  new Media(world.catalog).setState(mediumOf(world, TWO).id, 'hold');
  writeFileSync(join(world.source, '!first of all'), 'on the erased one');
  writeFileSync(join(world.source, 'documents', 'a.txt'), 'changed, and on the erased one too');
  expect((await world.backup()).media).toEqual([ONE]);
  const target = await restoreByScript(world, ONE);
  expect(differences(world.source, join(target, world.source))).toBe('');
});

test('while an alarm is open nothing is erased; what a person held neither', async () => {
  const world = await onTwo();
  const alarms = new Alarms(world.catalog);
  const { id } = alarms.add(1, ['all files are other ones']);
  await expectRefused(world, erase(world), /alarm/);
  alarms.settle(id);
  const medium = mediumOf(world, ONE);
  new Media(world.catalog).setState(medium.id, 'hold');
  await expectRefused(world, erase(world), /is hold: it is not erased/);
  new Media(world.catalog).setState(medium.id, 'full');
  expect(await erase(world)).toMatchObject({ state: 'scratch' });
});

test('what the newest snapshot alone shows, and what a deleted file was, are the last good copies', async () => {
  const world = await onTwo();
  writeFileSync(join(world.source, 'of the newest'), 'alone');
  await world.backup();
  await expectRefused(world, erase(world), /alone holds 5 B of 1 content .*of the newest/);
  rmSync(join(world.source, 'of the newest'));
  await world.backup();
  await expectRefused(world, erase(world), /alone holds 5 B of 1 content .*of the newest/);
});
