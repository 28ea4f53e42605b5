/** Backups with one drive and no changer: a person brings one cartridge after the other. */
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Jobs } from '../../src/catalog/job/jobs.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import type { Barcode } from '../../src/domain/barcode.ts';
import type { BackupEvent } from '../../src/job/backup/report.ts';
import { BackupWorld, type BackupWorldOptions } from '../sim/backup-world.ts';
import { type Desk, desk, insert } from '../sim/operator-world.ts';

const MIB = 2 ** 20;
const [A, B, C, D] = ['BKP001L8', 'BKP002L8', 'BKP003L8', 'BKP004L8'] as Barcode[];

/** Cartridges of 24 MiB beside one drive; files for three of them. */
async function shelf(options: BackupWorldOptions = {}) {
  const world = await BackupWorld.make({
    drives: 1,
    isByHand: true,
    cartridges: 4,
    capacityBytes: 24 * MIB,
    config: '[archive]\nsize = "4MiB"',
    ...options,
  });
  for (let number = 0; number < 15; number += 1)
    writeFileSync(join(world.source, `file ${number}`), randomBytes(3 * MIB));
  return world;
}

/** Brings cartridges as they are asked for, and says what is on the stickers of blank ones. */
async function serve(world: BackupWorld, { questions, next }: Desk, barcodes: readonly Barcode[]) {
  const left = [...barcodes];
  let inHand: Barcode | undefined;
  while (left.length > 0 || inHand) {
    const { id, about } = await next();
    if (about.kind === 'blank') {
      questions.answer(id, inHand ?? 'decline', world.sim.clock.nowMs());
      inHand = undefined;
      if (left.length === 0) return;
      continue;
    }
    inHand = left.shift();
    if (inHand) await insert(world.sim, inHand);
  }
}

/** Everything comes back, from cartridges that are brought by name. @returns what was asked for */
async function expectRestored(world: BackupWorld): Promise<string[]> {
  const at = desk(world.sim, { state: world.state, process: 'restore' });
  const asked: string[] = [];
  const stop = new AbortController();
  const serving = (async () => {
    while (!stop.signal.aborted) {
      const { about } = await Promise.race([at.next(), aborted(stop.signal)]);
      if (about.kind !== 'medium') return;
      asked.push(about.barcode);
      await insert(world.sim, about.barcode);
    }
  })();
  const { tree, report } = await world.restore({ operator: at.operator });
  stop.abort();
  await serving;
  expect(report.failed).toEqual([]);
  for (const name of readdirSync(world.source))
    expect(readFileSync(join(tree, name)).equals(readFileSync(join(world.source, name)))).toBe(
      true,
    );
  return asked;
}

function aborted(signal: AbortSignal): Promise<{ about: { kind: 'nothing' } }> {
  return new Promise((done) =>
    signal.addEventListener('abort', () => done({ about: { kind: 'nothing' } })),
  );
}

test('three cartridges, one after the other, each asked for with its number', async () => {
  const world = await shelf();
  const at = desk(world.sim, { state: world.state });
  const events: BackupEvent[] = [];
  let states = '';
  const listen = (event: BackupEvent) => {
    events.push(event);
    if (event.event === 'waiting') states += new Jobs(world.catalog).list(1)[0]?.state;
  };
  const serving = serve(world, at, [A, B, C] as Barcode[]);
  const report = await world.backup({ operator: at.operator, listen });
  await serving;
  expect(report).toMatchObject({ state: 'finished', media: [A, B, C] });
  expect(at.told.filter((line) => line.startsWith('asked'))).toEqual([
    'asked 1: a scratch cartridge of pool main is wanted (no. 1 of about 3)',
    'asked 2: which barcode has the blank cartridge in virtual drive 0?',
    'asked 3: a scratch cartridge of pool main is wanted (no. 2 of about 3)',
    'asked 4: which barcode has the blank cartridge in virtual drive 0?',
    'asked 5: a scratch cartridge of pool main is wanted (no. 3 of about 3)',
    'asked 6: which barcode has the blank cartridge in virtual drive 0?',
  ]);
  expect(states).toMatch(/^(waiting)+$/);
  const media = new Media(world.catalog);
  const left = [A, B, C, D].map((barcode) => media.find(barcode ?? '')?.state);
  expect(left.map((state) => state === 'unlabelled')).toEqual([false, false, false, true]);
  // The last one is in the drive still, and is read first.
  expect(await expectRestored(world)).toEqual([A, B]);
});

test('a scratch cartridge that is in the drive already is written without a question', async () => {
  const world = await shelf();
  const first = desk(world.sim, { state: world.state });
  const serving = serve(world, first, [A, B, C] as Barcode[]);
  await world.backup({ operator: first.operator });
  await serving;
  writeFileSync(join(world.source, 'one more'), randomBytes(MIB));
  const second = desk(world.sim, { state: world.state });
  expect(await world.backup({ operator: second.operator })).toMatchObject({ media: [C] });
  expect(second.told).toEqual([]);
  // Nothing has changed: no tape is looked at.
  await world.tools.library.unload(undefined, undefined, new AbortController().signal);
  expect(await world.backup({ operator: second.operator })).toMatchObject({ snapshot: null });
  expect(second.told).toEqual([]);
});

test('what cannot be written is named, ejected, and another one is asked for', async () => {
  const world = await shelf();
  const media = new Media(world.catalog);
  const first = desk(world.sim, { state: world.state });
  const serving = serve(world, first, [A, B, C] as Barcode[]);
  await world.backup({ operator: first.operator });
  await serving;
  for (const barcode of [A, C]) media.setState(media.find(barcode ?? '')?.id ?? 0, 'full');
  writeFileSync(join(world.source, 'one more'), randomBytes(15 * MIB));
  const second = desk(world.sim, { state: world.state });
  const again = (async () => {
    await second.next();
    await insert(world.sim, A as string);
    await insert(world.sim, D as string);
    second.questions.answer((await second.next()).id, D as Barcode, 0);
  })();
  expect(await world.backup({ operator: second.operator })).toMatchObject({ media: [D] });
  await again;
  expect(second.told.filter((line) => line.startsWith('told'))).toEqual([
    expect.stringContaining(`is ${A} of pool main, which is full`),
  ]);
});

test('the sticker of a blank cartridge that nobody knew registers it; without an answer the next of the series is taken', async () => {
  const world = await shelf({ registered: 1 });
  const at = desk(world.sim, { state: world.state });
  const media = new Media(world.catalog);
  const serving = (async () => {
    await at.next();
    await insert(world.sim, D as string);
    const { id, about } = await at.next();
    // The one that is registered is offered; the sticker says another name.
    expect(about).toMatchObject({ kind: 'blank', offered: A });
    at.questions.answer(id, D as Barcode, 0);
    await at.next();
    await insert(world.sim, A as string);
    await at.next();
    // Nobody answers: A is what was offered.
    await at.next();
    await insert(world.sim, B as string);
    expect((await at.next()).about).toMatchObject({ offered: 'BKP005L8' });
  })();
  expect(await world.backup({ operator: at.operator })).toMatchObject({
    media: [D, A, 'BKP005L8'],
    warnings: expect.arrayContaining([expect.stringContaining(`labelled ${D}`)]),
  });
  await serving;
  expect(media.list().map(({ barcode }) => barcode)).toEqual([A, D, 'BKP005L8']);
});

test.each(['declined', 'out of time'])('%s: 20, and the next run goes on with it', async (how) => {
  const world = await shelf();
  const at = desk(world.sim, { state: world.state, lookMs: 600_000 });
  const serving = (async () => {
    const first = await at.next();
    expect(first.about).toMatchObject({ kind: 'scratch', number: 1 });
    await insert(world.sim, A as string);
    at.questions.answer((await at.next()).id, A as Barcode, 0);
    const { id } = await at.next();
    if (how === 'declined') at.questions.answer(id, 'decline', 0);
  })();
  const error = await world.backup({ operator: at.operator }).catch((reason: unknown) => reason);
  await serving;
  expect(error).toMatchObject({ code: 'MEDIUM_OFFLINE', failure: { exit: 20 } });
  const [job] = new Jobs(world.catalog).list(1);
  expect(job?.state).toBe('waiting');
  const later = desk(world.sim, { state: world.state, process: 'later' });
  const again = serve(world, later, [B, C] as Barcode[]);
  const report = await world.backup({ operator: later.operator });
  await again;
  // What A holds is not written again.
  expect(report).toMatchObject({ job: job?.number, state: 'finished', media: [B, C] });
  expect(later.told[0]).toContain('(no. 2 of about 3)');
  expect(await expectRestored(world)).toEqual([A, B]);
});

test('nobody is there at all: one cartridge is written, then it ends with 20', async () => {
  const world = await shelf();
  await insert(world.sim, A as string);
  await expect(world.backup()).rejects.toMatchObject({ code: 'MEDIUM_OFFLINE' });
  const media = new Media(world.catalog);
  expect(media.find(A as string)).toMatchObject({ state: 'filling' });
  expect(media.find(A as string)?.writtenBytes).toBeGreaterThan(15 * MIB);
});

test('two copies in two drives that a person loads', async () => {
  const world = await shelf({ drives: 2 });
  for (let number = 4; number < 15; number += 1) rmSync(join(world.source, `file ${number}`));
  const at = desk(world.sim, { state: world.state });
  const serving = (async () => {
    await at.next();
    await world.sim.library.loadByHand(A as string, 0);
    at.questions.answer((await at.next()).id, A as Barcode, 0);
    await at.next();
    await world.sim.library.loadByHand(B as string, 1);
    at.questions.answer((await at.next()).id, B as Barcode, 0);
  })();
  const report = await world.backup({ operator: at.operator, copies: 2 });
  await serving;
  expect(report).toMatchObject({ state: 'finished', media: [A, B], warnings: expect.anything() });
});
