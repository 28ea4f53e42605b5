/** The catalog anew from cartridges: from the newest copy and the journals since, and from the journals alone. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { changeTree } from '../sim/changed-tree.ts';
import { findings, recoverWorld, restorable } from '../sim/recover-world.ts';
import { makeRichTree } from '../sim/rich-tree.ts';

const CONFIG = '[archive]\nblock = "4KiB"\n';

test('from the newest copy of the catalog and the journals since', async () => {
  const world = await BackupWorld.make({ cartridges: 3, config: CONFIG });
  makeRichTree(world.source, seededRandom(1));
  await world.backup();
  changeTree(world.source);
  await world.backup();
  for (let day = 0; day < 3; day += 1) {
    mkdirSync(join(world.source, `day ${day}`));
    writeFileSync(join(world.source, `day ${day}`, 'new'), `${day}`.repeat(1000 * day));
    rmSync(join(world.source, `day ${day - 1}`), { recursive: true, force: true });
    await world.backup();
  }
  const recovered = await recoverWorld(world);
  expect(recovered.report.base).not.toBe(null);
  expect(findings(recovered.catalog)).toEqual([]);
  expect(restorable(recovered.catalog)).toEqual(restorable(world.catalog));
});
