/** One process brings what another waits for, and ends at once: the other takes over, and knows what has become of it. */
import { chmodSync, readdirSync, readlinkSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { RunRoles } from '../../src/catalog/run-db/roles.ts';
import { RunDb } from '../../src/catalog/run-db/run-db.ts';
import { RunWants } from '../../src/catalog/run-db/wants.ts';
import { CALLER, RecallWorld, readAll } from '../sim/recall-world.ts';

const go = new AbortController().signal;
const TEXT = 'wanted by two';
const OTHER = 'boot:99:1';

/** A file in the stage, as if another process that recalls for all were about to finish it. */
async function worldOfTwo() {
  const world = await RecallWorld.make({ drives: 1 });
  const { clock } = world.backup.sim;
  writeFileSync(join(world.backup.source, 'both'), TEXT);
  await world.backup.backup();
  const id = world.contentId('both');
  const before = world.start();
  const opened = before.recall.open(id, CALLER);
  await readAll(opened, TEXT.length);
  opened.close();
  await before.close();
  const db = RunDb.open(world.runDbPath);
  onTestFinished(() => db.close());
  world.alive.add(OTHER);
  const isAlive = (name: string) => world.alive.has(name);
  const roles = new RunRoles(db, { own: OTHER, isAlive });
  const filling = db.prepare("UPDATE stage SET state = 'filling', process = ?");
  const complete = db.prepare("UPDATE stage SET state = 'complete'");
  filling.run(OTHER);
  roles.takeRecall(clock.nowMs());
  const waiter = world.start();
  const waiting = waiter.recall.open(id, CALLER);
  const reading = readAll(waiting, TEXT.length).then(
    (bytes) => bytes.toString(),
    (error: unknown) => error,
  );
  // It has looked, and waits for the other.
  const wants = new RunWants(db);
  while (wants.list().length === 0) await clock.sleepMs(100, go);
  return { id, reading, wants, roles, complete, waiter };
}

test('what the other has brought in its last moment is read', async () => {
  const { reading, complete, roles, waiter } = await worldOfTwo();
  complete.run();
  roles.leaveRecall();
  expect(await reading).toBe(TEXT);
  expect(waiter.media).toEqual([]);
});

test('what the other could not bring in its last moment fails', async () => {
  const { id, reading, wants, roles } = await worldOfTwo();
  wants.fail(id, OTHER, { code: 'MEDIUM_UNREADABLE', message: 'no good copy is left' });
  roles.leaveRecall();
  expect(await reading).toMatchObject({ code: 'MEDIUM_UNREADABLE' });
});

test('who leaves while a file of the last boot is proven again leaves no descriptor behind', async () => {
  const world = await RecallWorld.make({ drives: 1 });
  writeFileSync(join(world.backup.source, 'both'), TEXT);
  await world.backup.backup();
  const id = world.contentId('both');
  const before = world.start();
  const opened = before.recall.open(id, CALLER);
  await readAll(opened, TEXT.length);
  opened.close();
  await before.close();
  world.restart();
  const after = world.start();
  const again = after.recall.open(id, CALLER);
  const leaving = new AbortController();
  const reading = readAll(again, TEXT.length, { signal: leaving.signal });
  leaving.abort(new Error('left'));
  await expect(reading).rejects.toThrow('left');
  again.close();
  expect(openBelow(world.stageDirectory)).toEqual([]);
});

test('a stage that cannot be tidied is told of, and ends nothing', async () => {
  const world = await RecallWorld.make({ drives: 1 });
  const { clock } = world.backup.sim;
  writeFileSync(join(world.backup.source, 'both'), TEXT);
  await world.backup.backup();
  const id = world.contentId('both');
  const mount = world.start({ policy: 'fail' });
  const bringing = world.start();
  const brought = bringing.recall.open(id, CALLER);
  await readAll(brought, TEXT.length);
  brought.close();
  await bringing.close();
  const [name = ''] = readdirSync(world.stageDirectory);
  chmodSync(join(world.stageDirectory, name), 0o600);
  writeFileSync(join(world.stageDirectory, name), 'not what it was');
  const opened = mount.recall.open(id, CALLER);
  // Found to be wrong, it goes; and then there is no place any more that it could go from.
  await expect(readAll(opened, TEXT.length)).rejects.toMatchObject({ code: 'RECALL_REFUSED' });
  renameSync(world.stageDirectory, `${world.stageDirectory}-away`);
  writeFileSync(world.stageDirectory, '');
  opened.close();
  while (mount.warnings.length < 2) await clock.sleepMs(1000, go);
  expect(mount.warnings).toContainEqual(expect.stringMatching(/ENOTDIR/));
});

function openBelow(directory: string): string[] {
  return readdirSync('/proc/self/fd').flatMap((name) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${name}`);
      return path.startsWith(directory) ? [path] : [];
    } catch {
      // The one by which the directory was read.
      return [];
    }
  });
}
