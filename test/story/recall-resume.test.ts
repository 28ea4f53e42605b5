/** A recall that ended half way: the next one goes on with the parts that are proven. */
import { readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { RunDb } from '../../src/catalog/run-db/run-db.ts';
import { SEGMENT_BYTES } from '../../src/domain/content.ts';
import { RecallWorld, readAll, type SimProcess } from '../sim/recall-world.ts';
import { randomBytes } from '../sim/rich-tree.ts';

const SIZE = 2 * SEGMENT_BYTES + 1000;
/** Bytes without a period of anybody's, made faster than by chance each. */
const film = (lengthBytes: number) =>
  Buffer.alloc(lengthBytes, randomBytes(seededRandom(1), 1_000_003));
const caller = { pid: 1, uid: 0 };

/** The first part has been read, and no more. @returns the file of the stage */
async function begun(world: RecallWorld, process: SimProcess): Promise<string> {
  const opened = process.recall.open(world.contentId('film'), caller);
  const { signal } = new AbortController();
  await opened.read({ offset: 0, lengthBytes: 1 }, { isNonBlocking: false, caller, signal });
  await process.close();
  const [name] = readdirSync(world.stageDirectory);
  return join(world.stageDirectory, name ?? '');
}

function provenParts(world: RecallWorld): number | undefined {
  const db = RunDb.open(world.runDbPath);
  const row = db.prepare<[string, Buffer]>('SELECT state, proven FROM stage').get();
  db.close();
  return row?.[1][0];
}

test.each(['as it was left', 'cut short by a power cut'])('a file %s', async (how) => {
  const world = await RecallWorld.make({ capacityBytes: 600 * 2 ** 20 });
  const bytes = film(SIZE);
  writeFileSync(join(world.backup.source, 'film'), bytes);
  await world.backup.backup();
  const path = await begun(world, world.start());
  expect(provenParts(world)).toBe(1);
  const { ino } = statSync(path);
  if (how.startsWith('cut')) {
    truncateSync(path, 1000);
    world.restart();
  }
  const next = world.start();
  const opened = next.recall.open(world.contentId('film'), caller);
  const found = await readAll(opened, SIZE, { pid: 1, stepBytes: 2 ** 24 });
  expect(found.equals(bytes)).toBe(true);
  opened.close();
  expect([statSync(path).ino, next.warnings]).toEqual([ino, []]);
  await next.close();
});

test('the only reader leaves: what is proven stays, and what is nearly whole is read to its end', async () => {
  const world = await RecallWorld.make({ capacityBytes: 600 * 2 ** 20 });
  const bytes = film(SIZE + SEGMENT_BYTES);
  writeFileSync(join(world.backup.source, 'film'), bytes);
  await world.backup.backup();
  const id = world.contentId('film');
  const mount = world.start();
  const { signal } = new AbortController();
  const readAt = async (offset: number) => {
    const opened = mount.recall.open(id, caller);
    await opened.read({ offset, lengthBytes: 1 }, { isNonBlocking: false, caller, signal });
    opened.close();
    await world.whenIdle();
    return readdirSync(world.stageDirectory).map(
      (name) => statSync(join(world.stageDirectory, name)).ino,
    );
  };
  const [begun] = await readAt(0);
  expect((provenParts(world) ?? 0) & 1).toBe(1);
  const reopened = mount.recall.open(id, caller);
  expect(reopened.file).toBeUndefined();
  reopened.close();
  expect(await readAt(2 * SEGMENT_BYTES)).toEqual([begun]);
  const again = mount.recall.open(id, caller);
  expect(again.file).toBeGreaterThan(0);
  const found = await readAll(again, bytes.length, { pid: 1, stepBytes: 2 ** 24 });
  expect(found.equals(bytes)).toBe(true);
  again.close();
});
