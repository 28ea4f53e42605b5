/**
 * What scrub names after single bytes went wrong is exactly what a restore cannot bring back, whatever the byte was part of;
 * and with a second copy everything comes back, and nobody is asked.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { setMediaAside, takeMediaBack } from '../../src/job/media-state.ts';
import type { FindingKind } from '../../src/job/scrub/report.ts';
import { absentOperator } from '../../src/storage/operator.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { TapImage } from '../sim/check-archives.ts';
import { differences, makeSparse, randomBytes } from '../sim/rich-tree.ts';
import { scrubWorld } from '../sim/scrub-world.ts';
import { seedCount } from '../sim/seeds.ts';
import { flipOnTape } from '../sim/tap-damage.ts';

const ONE = 'BKP001L8';
const TWO = 'BKP002L8';
const BYTES = seedCount({ usual: 3, soak: 600 });
/** So many meet each kind of byte, rare ones too. */
const ENOUGH = 400;
const operator = { ...absentOperator, ask: () => Promise.reject(new Error('asked')) };

async function twoCopies() {
  const world = await BackupWorld.make({ drives: 2, config: '[archive]\nblock = 4096\n' });
  const random = seededRandom(3);
  const at = (name: string) => join(world.source, name);
  for (let index = 0; index < 6; index += 1)
    writeFileSync(at(`file ${index}`), randomBytes(random, 300 + 1500 * index));
  writeFileSync(at('empty'), '');
  makeSparse(at('sparse'), 100_000, [
    [4096, 4096],
    [81_920, 4096],
  ]);
  await world.backup({ copies: 2 });
  writeFileSync(at('later'), randomBytes(random, 9000));
  await world.backup({ copies: 2 });
  return world;
}

/** As if nobody had found out anything. */
function forget({ catalog }: BackupWorld): void {
  catalog.write(() => {
    catalog.prepare('DELETE FROM damages').run();
    catalog.prepare("UPDATE archive_copies SET state = 'good'").run();
    catalog.prepare("UPDATE media SET state = 'filling' WHERE state = 'suspect'").run();
  });
}

const namesOf = (entries: readonly { readonly path: string }[]) =>
  [...new Set(entries.map(({ path }) => path.slice(path.lastIndexOf('/') + 1)))].sort();

test('bytes of each kind', { timeout: 3_600_000 }, async () => {
  const world = await twoCopies();
  const { catalog, sim } = world;
  const random = seededRandom(11);
  const image = TapImage.read(sim.directory, ONE);
  const met = new Set<FindingKind>();
  for (let attempt = 0; attempt < BYTES; attempt += 1) {
    const block = random.below(image.lengthBlocks);
    const { length } = image.block(block);
    if (length === 0) continue;
    const flip = { block, at: random.below(length), xor: 1 << random.below(8) };
    flipOnTape(sim.directory, ONE, flip);
    const what = `byte ${flip.at} of block ${block}, ${flip.xor}`;
    const both = await world.restore({ operator });
    expect(both.report.failures, what).toBe(0);
    expect(differences(world.source, both.tree), what).toBe('');
    forget(world);
    setMediaAside(catalog, [TWO], 'lost');
    const alone = await world.restore({ operator });
    forget(world);
    const scrubbed = await scrubWorld(world, { media: [ONE] });
    expect(scrubbed.findings, what).toBeGreaterThan(0);
    expect(namesOf(scrubbed.damaged), what).toEqual(namesOf(alone.report.failed));
    takeMediaBack(catalog, [TWO], 'lost');
    flipOnTape(sim.directory, ONE, flip);
    forget(world);
    for (const { kind } of scrubbed.found) met.add(kind);
  }
  if (BYTES < ENOUGH) return;
  const all = ['digest', 'files', 'header', 'journal', 'label', 'opening', 'padding'];
  expect([...met]).toEqual(expect.arrayContaining(all));
});
