/** A recovery without a changer: a person brings one cartridge after the other. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Media } from '../../src/catalog/shelf/media.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { desk, insert, libraryByHand } from '../sim/operator-world.ts';
import { findings, recoverWorld, restorable } from '../sim/recover-world.ts';
import { expectSameLines } from '../sim/same-lines.ts';
import { scratchDirectory } from '../sim/scratch.ts';

const MEDIA = ['BKP001L8', 'BKP002L8'];
const go = new AbortController().signal;

/** A backup on each of two cartridges, which lie on the shelf then. */
async function makeWorld(): Promise<BackupWorld> {
  const world = await BackupWorld.make({
    ...{ cartridges: 2, drives: 1, config: '[archive]\nblock = "4KiB"\n' },
  });
  writeFileSync(join(world.source, 'first'), 'on the first cartridge');
  await world.backup();
  const media = new Media(world.catalog);
  media.setAside(media.find(MEDIA[0] ?? '')?.id ?? 0, 'hold');
  writeFileSync(join(world.source, 'second'), 'on the second');
  await world.backup();
  await world.tools.library.unload(undefined, undefined, go);
  return world;
}

test('those that are wanted are asked for in turn', async () => {
  const world = await makeWorld();
  const { operator, next } = desk(world.sim, { state: await scratchDirectory() });
  const asked: string[] = [];
  const bring = async () => {
    for (;;) {
      const { about } = await next();
      if (about.kind !== 'medium') continue;
      asked.push(about.barcode);
      await insert(world.sim, about.barcode);
    }
  };
  void bring();
  const library = await libraryByHand(world.sim);
  const { catalog, report } = await recoverWorld(world, { media: MEDIA, library, operator });
  expect(report.media).toEqual(MEDIA);
  expect(asked.slice(0, 2)).toEqual(MEDIA);
  expect(findings(catalog)).toEqual([]);
  expectSameLines(restorable(catalog), restorable(world.catalog));
});

test('with nobody there what is in the drive is read, and a wanted one that is not has a name', async () => {
  const world = await makeWorld();
  await insert(world.sim, MEDIA[0] ?? '');
  const library = await libraryByHand(world.sim);
  const one = await recoverWorld(world, { library });
  expect(one.report.media).toEqual([MEDIA[0]]);
  await expect(recoverWorld(world, { media: MEDIA, library })).rejects.toMatchObject({
    code: 'MEDIUM_OFFLINE',
  });
});
