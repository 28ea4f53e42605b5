/** Whatever a drive suffers while archives are written, those that counted are on the tape. A failure is a seed. */
import { expect, test } from 'vitest';
import { CodedError } from '../../src/base/errors.ts';
import { seededRandom } from '../../src/base/random.ts';
import { ArchiveJob } from '../sim/archive-job.ts';
import { randomFault } from '../sim/random-faults.ts';
import { SimWorld } from '../sim/world.ts';

const go = new AbortController().signal;
const SEEDS = Array.from({ length: 100 }, (_, seed) => seed);
const FAULTS_PER_STORY = 4;
const ARCHIVES_PER_RUN = 6;
const RUNS_MAX = 40;

test.each(SEEDS)('seed %i: four faults, and no archive that counted is lost', async (seed) => {
  const random = seededRandom(seed);
  const world = await SimWorld.make();
  const changer = await world.openChanger();
  const elements = await changer.elements(go);
  const address = (type: string) =>
    elements.find((element) => element.type === type)?.address ?? -1;
  await changer.move(address('slot'), address('drive'), go);
  for (let index = 0; index < FAULTS_PER_STORY; index += 1)
    world.faults.add(randomFault(random, 0));

  const drive = await world.openDrive(0);
  const job = new ArchiveJob(1000);
  const counted: number[] = [];
  // Faults wait for their turn: runs go on until all have fired, each behind what the one before has left.
  for (let run = 0; run < RUNS_MAX && world.faults.unfired().length > 0; run += 1) {
    let left = ARCHIVES_PER_RUN;
    const ended = await job.write(drive, () => left-- === 0);
    counted.push(...ended.counted);
    if (ended.failure === undefined) continue;
    expect(ended.failure).toBeInstanceOf(CodedError);
  }
  expect(world.faults.unfired()).toEqual([]);
  await job.expectOnTape(drive, counted);
});

test('a reset between going to end of data and asking where that is does not make the beginning pass for the end', async () => {
  const world = await SimWorld.make();
  const changer = await world.openChanger();
  const elements = await changer.elements(go);
  const address = (type: string) =>
    elements.find((element) => element.type === type)?.address ?? -1;
  await changer.move(address('slot'), address('drive'), go);
  const drive = await world.openDrive(0);
  const job = new ArchiveJob(1000);
  let left = 2;
  const { counted } = await job.write(drive, () => left-- === 0);
  for (const atCount of [1, 2]) {
    const effect = { kind: 'reset', swallowed: true } as const;
    world.faults.add({ note: `question ${atCount}`, on: 'position', atCount, effect });
    await expect(drive.spaceToEndOfData(go)).rejects.toMatchObject({ code: 'POSITION_LOST' });
    expect(drive.position.proven).toBe(false);
  }
  await job.expectOnTape(drive, counted);
});
