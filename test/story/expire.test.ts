/** Snapshots expire in a whole product: what is held is restored as ever, journals tell what is not, nothing on tape is touched. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemRandom } from '../../src/base/random.ts';
import { rawOf } from '../../src/base/raw.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import { parseConfig } from '../../src/config.ts';
import { versionsOf } from '../../src/job/browse.ts';
import { expire } from '../../src/job/expire.ts';
import { expireMedium, expireProven } from '../../src/job/media-expire.ts';
import { OPCODE } from '../../src/mount/protocol/opcodes.ts';
import { BackupWorld, HOST } from '../sim/backup-world.ts';
import { checkArchives, TapImage } from '../sim/check-archives.ts';
import { journalOf, streamsOn } from '../sim/media-streams.ts';
import { mountInMemory } from '../sim/mount-world.ts';
import { differences } from '../sim/rich-tree.ts';

const go = new AbortController().signal;
const ONE = 'BKP001L8';
const TWO = 'BKP002L8';

function expireAll({ catalog, tools }: BackupWorld) {
  const text = '[library]\nkind = "virtual"\n[retention]\nkeep-last = 1';
  const { retention } = parseConfig(text, 'config');
  const { clock, host, pid } = tools;
  const own = { catalog, retention, clock, random: systemRandom, host, pid };
  return expire({ clockIsRight: false }, own, () => {}, go);
}

async function expiredLines(world: BackupWorld, barcode = ONE): Promise<string[]> {
  const journals = await Promise.all(streamsOn(world.sim.directory, barcode).map(journalOf));
  return journals.flatMap((lines, index) =>
    lines.flatMap((line) =>
      line.kind === 'expired' ? [`${index}: ${line.what} ${line.name}`] : [],
    ),
  );
}

test('the next journal tells it, once; what is held is restored; not a byte on tape has changed', async () => {
  const world = await BackupWorld.make();
  mkdirSync(join(world.source, 'below'));
  writeFileSync(join(world.source, 'below', 'stays'), 'as it is');
  writeFileSync(join(world.source, 'changing'), 'first');
  const first = await world.backup();
  rmSync(join(world.source, 'changing'));
  await world.backup();
  writeFileSync(join(world.source, 'changing'), 'third, again longer');
  const third = await world.backup();
  const before = TapImage.read(world.sim.directory, ONE);
  const report = await expireAll(world);
  expect(report.expired).toHaveLength(2);
  expect(report.expired[0]).toBe(first.snapshot);
  expect(report.freed).toMatchObject({
    contents: 1,
    bytes: 5,
    media: [{ barcode: ONE, bytes: 5 }],
  });
  expect(report.swept.contents).toBe(1);
  expect(TapImage.read(world.sim.directory, ONE)).toEqual(before);
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
  await expect(world.restore({ at: '1' })).rejects.toThrow(/snapshot 1 has expired/);
  const path = rawOf(join(world.source, 'changing'));
  const versions = versionsOf(world.catalog, { hostName: HOST, path });
  expect(versions.map(({ since }) => since.id)).toEqual([3]);

  expect(await expiredLines(world)).toEqual([]);
  // Nothing to be stored, no archive: the line waits.
  await world.backup();
  expect(await expiredLines(world)).toEqual([]);
  writeFileSync(join(world.source, 'fourth'), 'new');
  await world.backup();
  const told = await expiredLines(world);
  expect(told.map((line) => line.replace(/^\d+: /, ''))).toEqual(
    report.expired.map((name) => `snapshot ${asIso(name)}`),
  );
  writeFileSync(join(world.source, 'fifth'), 'newer');
  await world.backup();
  expect(await expiredLines(world)).toEqual(told);
  expect(checkArchives(world.catalog, world.sim.directory)).toBeGreaterThan(0);
  expect(third.snapshot).not.toBeNull();
});

/** `2026-11-20T090000Z` to `2026-11-20T09:00:00Z` */
const asIso = (name: string) => name.replace(/T(\d\d)(\d\d)(\d\d)Z/, 'T$1:$2:$3Z');

test('a backup beside it: contents go only when it has ended, and what it found stored is there', async () => {
  const world = await BackupWorld.make();
  mkdirSync(join(world.source, 'kept'));
  writeFileSync(join(world.source, 'comes-back'), 'x'.repeat(100_000));
  await world.backup();
  rmSync(join(world.source, 'comes-back'));
  writeFileSync(join(world.source, 'other'), 'other');
  await world.backup();
  writeFileSync(join(world.source, 'back-again'), 'x'.repeat(100_000));
  writeFileSync(join(world.source, 'new'), 'y'.repeat(1000));
  const reports: Awaited<ReturnType<typeof expireAll>>[] = [];
  const running: Promise<unknown>[] = [];
  const report = await world.backup({
    listen: ({ event }) => {
      if (event === 'medium')
        running.push(expireAll(world).then((expired) => reports.push(expired)));
    },
  });
  await Promise.all(running);
  expect(report.bytes.deduplicated).toBe(100_000);
  expect(reports[0]).toMatchObject({ waitsFor: report.job, swept: { contents: 0 } });
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
  await expireAll(world);
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
});

test('a medium is given up by hand: told, confirmed, and the last copies only by a word of their own', async () => {
  const world = await BackupWorld.make();
  writeFileSync(join(world.source, 'both'), 'on two');
  await world.backup({ copies: 2 });
  const ask = (changed: Partial<Parameters<typeof expireMedium>[1]> = {}) =>
    expireMedium(world.catalog, {
      name: ONE,
      isMeant: true,
      confirm: ONE,
      losesLast: false,
      ...changed,
    });
  const state = () => new Media(world.catalog).find(ONE)?.state;
  const copies = () =>
    world.catalog
      .prepare<[string]>(
        "SELECT k.state FROM archive_copies k JOIN media m ON m.id = k.medium WHERE m.barcode = 'BKP001L8'",
      )
      .all()
      .flat();
  const refused = (changed: Parameters<typeof ask>[0], sentence: RegExp) => {
    expect(() => ask(changed)).toThrow(sentence);
    expect([state(), copies()]).toEqual(['filling', ['good']]);
  };
  refused({ isMeant: false }, /1 contents \(6 B\) have a copy less.*--yes --confirm BKP001L8/);
  refused({ confirm: TWO }, /--yes --confirm/);
  refused({ name: 'BKP004L8' }, /is unlabelled: nothing lies on it/);
  new Media(world.catalog).setState(new Media(world.catalog).find(TWO)?.id ?? 0, 'suspect');
  refused({}, /it alone holds 6 B in 1 contents that snapshots show: .*both.*--lose-last-copies/);
  expect(ask({ losesLast: true }).medium.state).toBe('full');
  expect(copies()).toEqual(['lost']);
  new Media(world.catalog).setState(new Media(world.catalog).find(TWO)?.id ?? 0, 'filling');
  // Its copy is lost: what is to have two is stored once more, elsewhere, and the journal there tells of it.
  const again = await world.backup({ copies: 2 });
  expect(again.media).not.toContain(ONE);
  for (const barcode of again.media)
    expect(await expiredLines(world, barcode)).toContainEqual(
      expect.stringMatching(/: medium BKP001L8$/),
    );
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
});

test('a medium is given up by hand only when what else holds it was looked at', async () => {
  const world = await BackupWorld.make();
  writeFileSync(join(world.source, 'both'), 'on two');
  await world.backup({ copies: 2 });
  const { catalog } = world;
  const { clock, library } = world.tools;
  const giveUp = (losesLast: boolean) =>
    expireProven(
      { catalog, clock, openLibrary: async () => library },
      { name: ONE, isMeant: true, confirm: ONE, losesLast },
      new AbortController().signal,
    );
  const state = () => new Media(catalog).find(ONE)?.state;
  // As if the other cartridge had been written over since: the catalog knows more of it than is there.
  const grow = catalog.prepare('UPDATE media SET next_block = next_block + ? WHERE barcode = ?');
  grow.run(5, TWO);
  await expect(giveUp(false)).rejects.toThrow(
    /no other cartridge was proven to hold.*BKP002L8.*its data end at block.*nothing was changed/,
  );
  expect(state()).toBe('filling');
  grow.run(-5, TWO);
  expect((await giveUp(false)).loss.reduced.contents).toBe(1);
  expect(state()).toBe('full');
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
});

test('in the mount: names, versions and times pass over it; who is just reading it is told, not shown half of it', async () => {
  const world = await BackupWorld.make();
  const put = (name: string, text: string) => writeFileSync(join(world.source, name), text);
  for (let index = 0; index < 3; index += 1) put(`old ${index}`, `old ${index}`);
  put('changing', 'one');
  const { snapshot: first } = await world.backup();
  for (let index = 0; index < 3; index += 1) rmSync(join(world.source, `old ${index}`));
  put('changing', 'two, longer');
  const { snapshot: second } = await world.backup();
  put('more', 'more');
  const { snapshot: third } = await world.backup();
  const kernel = await mountInMemory(world);
  const inFirst = await kernel.walk(`/.snapshots/${first}${world.source}`);
  const file = await kernel.lookup(inFirst.nodeId, 'old 1');
  expect((await kernel.list(inFirst.nodeId)).map(({ name }) => name)).toContain('old 2');
  const opened = await kernel.ask(OPCODE.OPENDIR, inFirst.nodeId, Buffer.alloc(8));
  const handle = opened.body.readBigUInt64LE(0);
  await expireAll(world);
  const asked = Buffer.alloc(40);
  asked.writeBigUInt64LE(handle);
  asked.writeUInt32LE(65_536, 16);
  // What was opened before is shown whole.
  const listed = await kernel.ask(OPCODE.READDIRPLUS, inFirst.nodeId, asked);
  for (const name of ['old 0', 'old 1', 'old 2', 'changing'])
    expect(listed.body.toString('latin1')).toContain(name);
  const name = Buffer.from('old 2\0');
  expect((await kernel.ask(OPCODE.LOOKUP, inFirst.nodeId, name)).errno).toBe('ESTALE');
  await expect(kernel.list(inFirst.nodeId)).rejects.toThrow(/ESTALE|ENOENT/);
  await expect(kernel.attributes(file?.nodeId ?? 0)).rejects.toThrow(/ESTALE|ENOENT/);
  const names = async (path: string) =>
    (await kernel.list((await kernel.walk(path)).nodeId)).map(({ name }) => name);
  expect(await names('/.snapshots')).toEqual(expect.arrayContaining([third]));
  expect(await names('/.snapshots')).not.toEqual(expect.arrayContaining([second]));
  const versions = `/.shelfs/versions${world.source}`;
  expect(await names(`${versions}/changing`)).toEqual([third]);
  expect(await names(versions)).toEqual(['changing', 'more']);
  expect(await names(`/.shelfs/deleted${world.source}`).catch(() => [])).toEqual([]);
});

test('a restore of a snapshot that expires meanwhile fails with a sentence; nothing is taken for all there was', async () => {
  const world = await BackupWorld.make();
  for (let index = 0; index < 300; index += 1)
    writeFileSync(join(world.source, `file ${index}`), `first ${index}`);
  await world.backup();
  for (let index = 0; index < 300; index += 1)
    writeFileSync(join(world.source, `file ${index}`), `second time ${index}`);
  await world.backup();
  let expiring: Promise<unknown> | undefined;
  const restored = world.restore({
    at: '1',
    listen: () => {
      expiring ??= expireAll(world);
    },
  });
  await expect(restored).rejects.toThrow(/has expired meanwhile/);
  await expiring;
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
});
