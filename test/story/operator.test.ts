/** Cartridges that a person has: asked for, put in, mistaken, declined, waited for in vain. */
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { SimClock } from '../../src/base/clock.ts';
import { CodedError } from '../../src/base/errors.ts';
import { seededRandom } from '../../src/base/random.ts';
import { Catalog } from '../../src/catalog/catalog.ts';
import { Questions } from '../../src/catalog/run-db/questions.ts';
import { RunDb } from '../../src/catalog/run-db/run-db.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import type { Barcode } from '../../src/domain/barcode.ts';
import { labelMedium } from '../../src/job/label-media.ts';
import { answerQuestion } from '../../src/job/questions.ts';
import type { Channel } from '../../src/notify/channel.ts';
import { askForMedium, attachAsking } from '../../src/storage/attach.ts';
import type { Library } from '../../src/storage/library.ts';
import type { Operator } from '../../src/storage/operator.ts';
import { libraryOf } from '../sim/library-of.ts';
import { desk, insert, libraryByHand, processes, until } from '../sim/operator-world.ts';
import { scratchDirectory } from '../sim/scratch.ts';
import { SimWorld } from '../sim/world.ts';

const go = new AbortController().signal;
const A = 'OPR001L8';
const B = 'OPR002L8';
const BARCODES = [A, B, 'OPR003L8', 'OPR004L8'] as Barcode[];
const waiting = { who: 'restore', contents: 3, readers: undefined };

/** Two labelled cartridges and two blank ones on a shelf beside one drive. */
async function shelf() {
  const sim = await SimWorld.make({ shape: { barcodes: BARCODES, slots: 6, drives: 1 } });
  const state = await scratchDirectory();
  const catalog = Catalog.create(join(state, 'catalog.sqlite'), sim.clock);
  onTestFinished(() => catalog.close());
  const media = new Media(catalog);
  media.add(
    BARCODES.map((barcode) => ({
      barcode,
      kind: 'tape',
      pool: 'main',
      generation: 'LTO-8',
      capacityBytes: 2e8,
      location: 'Bank, box 2',
    })),
  );
  const withChanger = await libraryOf(sim);
  const tools = { catalog, library: withChanger, clock: sim.clock, random: seededRandom(9) };
  for (const barcode of [A, B])
    await labelMedium(
      { ...tools, host: 'here', program: 'shelfs', pool: 'main', blockBytes: 65_536 },
      barcode,
      go,
    );
  await withChanger.unload(undefined, undefined, go);
  const wanted = (barcode: string) => {
    const { uuid = '', location } = media.find(barcode) ?? {};
    return { barcode, uuid, location };
  };
  return { sim, state, wanted, library: await libraryByHand(sim) };
}

type Shelf = Awaited<ReturnType<typeof shelf>>;

async function attach(
  { sim, wanted }: Shelf,
  barcode: string,
  { library, operator }: { library: Library; operator: Operator },
  signal = go,
) {
  const tape = await attachAsking(
    { medium: wanted(barcode), waiting },
    { library, operator, clock: sim.clock },
    signal,
  );
  try {
    return tape.label.barcode;
  } finally {
    await tape.close();
  }
}

test('the cartridge that is in the drive already is not asked for', async () => {
  const world = await shelf();
  const { operator, told } = desk(world.sim, { state: world.state });
  await insert(world.sim, A);
  expect(await attach(world, A, { library: world.library, operator })).toBe(A);
  expect(told).toEqual([]);
});

test('putting the cartridge in is the answer', async () => {
  const world = await shelf();
  const { operator, questions, told, next } = desk(world.sim, { state: world.state });
  const attached = attach(world, A, { library: world.library, operator });
  const question = await next();
  expect(question).toMatchObject({
    about: { kind: 'medium', barcode: A, location: 'Bank, box 2' },
    waiting: { who: 'restore', contents: 3 },
    choices: ['retry', 'decline'],
    byDefault: 'decline',
  });
  expect(questions.open().map(({ id }) => id)).toEqual([question.id]);
  await insert(world.sim, A);
  expect(await attached).toBe(A);
  expect(questions.open()).toEqual([]);
  expect(told).toEqual([
    `asked ${question.id}: cartridge ${A} is wanted (Bank, box 2)`,
    `answered ${question.id}: cartridge ${A} is wanted (Bank, box 2) (inserted)`,
  ]);
});

test('the wrong cartridge is named, ejected, and the right one is asked for again', async () => {
  const world = await shelf();
  const { operator, told, next } = desk(world.sim, { state: world.state });
  const attached = attach(world, A, { library: world.library, operator });
  const { id } = await next();
  await insert(world.sim, B);
  await insert(world.sim, 'OPR003L8');
  await insert(world.sim, A);
  expect(await attached).toBe(A);
  expect(told.slice(1, -1)).toEqual([
    `told ${id}: The cartridge in virtual drive 0 is ${B} of pool main, not ${A}; it was ejected.`,
    `told ${id}: The cartridge in virtual drive 0 is blank, not ${A}; it was ejected.`,
  ]);
});

test('what stands in the only drive is ejected without a word, and is no mistake', async () => {
  const world = await shelf();
  const { operator, told, next } = desk(world.sim, { state: world.state });
  await insert(world.sim, B);
  const attached = attach(world, A, { library: world.library, operator });
  await next();
  await insert(world.sim, A);
  expect(await attached).toBe(A);
  expect(told.map((line) => line.split(' ')[0])).toEqual(['asked', 'answered']);
});

test('wrong ones are put in so often, then it is given up', async () => {
  const world = await shelf();
  const { operator, told, next } = desk(world.sim, { state: world.state, attemptsMax: 3 });
  const attached = attach(world, A, { library: world.library, operator });
  await next();
  const rejected = expect(attached).rejects.toMatchObject({ code: 'MEDIUM_OFFLINE' });
  for (const barcode of [B, 'OPR003L8', 'OPR004L8']) await insert(world.sim, barcode);
  await rejected;
  expect(told.filter((line) => line.startsWith('told'))).toHaveLength(2);
});

test('a cartridge that another question waits for is left where it is', async () => {
  const world = await shelf();
  const { operator, told, next } = desk(world.sim, { state: world.state });
  const tools = { library: world.library, operator };
  const first = attach(world, A, tools);
  await next();
  const second = attach(world, B, tools);
  await next();
  await insert(world.sim, B);
  expect(await second).toBe(B);
  // The one that nobody asks for any more has to make room.
  await insert(world.sim, A);
  expect(await first).toBe(A);
  expect(told.filter((line) => line.startsWith('told'))).toEqual([]);
});

test('declined: the failure says so and is resumable, with status 20', async () => {
  const world = await shelf();
  const { operator, questions, next } = desk(world.sim, { state: world.state });
  const attached = attach(world, A, { library: world.library, operator });
  const { id } = await next();
  expect(() => answerQuestion(questions, id, { text: 'bad', nowMs: 0 })).toThrow(
    'say retry or decline',
  );
  answerQuestion(questions, id, { text: ' Decline ', nowMs: 0 });
  const error = await attached.catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'MEDIUM_OFFLINE', failure: { exit: 20 } });
  expect(() => answerQuestion(questions, id, { text: 'retry', nowMs: 0 })).toThrow(
    'was answered before: decline',
  );
  expect(() => answerQuestion(questions, id + 1, { text: 'retry', nowMs: 0 })).toThrow(
    'nobody asks question',
  );
});

test('nobody answers: twelve hours, then 20; the next run asks anew', async () => {
  const world = await shelf();
  const options = { state: world.state, channels: [], lookMs: 600_000 };
  const { operator, questions, next } = desk(world.sim, options);
  const tools = { library: world.library, operator };
  const startMs = world.sim.clock.monotonicMs();
  const error = await attach(world, A, tools).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'MEDIUM_OFFLINE', failure: { exit: 20 } });
  const hours = (world.sim.clock.monotonicMs() - startMs) / 3_600_000;
  expect(hours).toBeGreaterThanOrEqual(12);
  expect(hours).toBeLessThan(12.3);
  expect(questions.open()).toEqual([]);
  await next();
  const again = attach(world, A, tools);
  await next();
  await insert(world.sim, A);
  expect(await again).toBe(A);
});

test('what only a person can decide gets its default at once where no channel reaches one', async () => {
  const world = await shelf();
  const alone = desk(world.sim, { state: world.state, channels: [] });
  const failure = {
    about: { kind: 'failure', barcode: A },
    reason: 'write error',
    waiting,
    choices: ['retry', 'bad', 'abort'],
    byDefault: 'bad',
  } as const;
  expect(await alone.operator.ask(failure, go)).toBe('bad');
  const beforeMs = world.sim.clock.monotonicMs();
  const reached = desk(world.sim, { state: world.state });
  expect(await reached.operator.ask({ ...failure, timeoutMs: 60_000 }, go)).toBe('bad');
  expect(world.sim.clock.monotonicMs() - beforeMs).toBeGreaterThanOrEqual(60_000);
});

test('another process answers; the first answer counts', async () => {
  const world = await shelf();
  const { operator, next } = desk(world.sim, { state: world.state, process: 'a' });
  const attached = attach(world, A, { library: world.library, operator });
  const rejected = expect(attached).rejects.toMatchObject({ code: 'MEDIUM_OFFLINE' });
  const { id } = await next();
  const other = desk(world.sim, { state: world.state, process: 'b' });
  expect(other.questions.open().map((question) => question.id)).toEqual([id]);
  expect(other.questions.answer(id, 'decline', 0)).toBe(true);
  expect(other.questions.answer(id, 'retry', 0)).toBe(false);
  await rejected;
});

test('questions of a process that is no more are not asked any more', async () => {
  const world = await shelf();
  const { operator, next } = desk(world.sim, { state: world.state, process: 'killed' });
  const stop = new AbortController();
  const attached = attach(world, A, { library: world.library, operator }, stop.signal);
  const { id } = await next();
  const runDb = RunDb.open(join(world.state, 'run.db'));
  const later = new Questions(runDb, processes('b', new Set(['killed'])));
  expect(later.open()).toEqual([]);
  expect(later.get(id)).toBeUndefined();
  later.forgetDead();
  const still = new Questions(runDb, processes('b'));
  expect(still.open()).toEqual([]);
  runDb.close();
  stop.abort(new Error('end of the test'));
  await expect(attached).rejects.toThrow('end of the test');
});

test('a wish to stop ends the waiting, and nothing is asked any more', async () => {
  const world = await shelf();
  const { operator, questions, next } = desk(world.sim, { state: world.state });
  const stop = new AbortController();
  const attached = attach(world, A, { library: world.library, operator }, stop.signal);
  await next();
  stop.abort(new CodedError('INTERRUPTED', 'stopped'));
  await expect(attached).rejects.toMatchObject({ code: 'INTERRUPTED' });
  expect(questions.open()).toEqual([]);
});

test('a channel that fails is logged, and the cartridge comes all the same', async () => {
  const world = await shelf();
  const broken: Channel = {
    name: 'broken',
    send: async () => {
      throw new CodedError('NOTICE_FAILED', 'no route');
    },
  };
  const { operator, warnings, next } = desk(world.sim, { state: world.state, channels: [broken] });
  const attached = attach(world, A, { library: world.library, operator });
  await next();
  await world.sim.clock.sleepMs(60_000, go);
  await insert(world.sim, A);
  expect(await attached).toBe(A);
  expect(warnings[0]).toBe('broken: no route; again in 5 s');
});

test('while it waits the drive is free for others', async () => {
  const world = await shelf();
  const { operator, next } = desk(world.sim, { state: world.state });
  const tools = { library: world.library, operator };
  const attached = attach(world, A, tools);
  await next();
  // Another job has the drive for an hour.
  const port = await world.sim.library.openDrive(0);
  await world.sim.clock.sleepMs(3_600_000, go);
  await port.close();
  await insert(world.sim, A);
  expect(await attached).toBe(A);
});

test('with a changer: what is put into its port answers, and a stranger there is named', async () => {
  const clock = new SimClock();
  const sim = await SimWorld.make({ clock });
  const state = await scratchDirectory();
  const { operator, told, next } = desk(sim, { state });
  const library = await libraryOf(sim);
  const request = {
    medium: { barcode: 'NEW002L8', uuid: undefined, location: undefined },
    reason: 'it is not in the library',
    waiting,
    attempt: 1,
  };
  const asked = askForMedium(request, { library, operator }, go);
  const { id } = await next();
  await sim.hand.insert('NEW001L8');
  await until(sim, () => told.length > 1);
  expect(told.at(-1)).toBe(`told ${id}: NEW001L8 was put into port 1, which is not NEW002L8.`);
  await sim.library.removeByHand(768);
  await sim.hand.insert('NEW002L8');
  expect(await asked).toBe('inserted');
});
