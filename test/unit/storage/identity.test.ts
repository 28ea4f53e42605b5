/** Whose a cartridge is when its label is damaged: read it may be, written never. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CodedError } from '../../../src/base/errors.ts';
import { seededRandom } from '../../../src/base/random.ts';
import { Tape } from '../../../src/storage/tape.ts';
import { BackupWorld } from '../../sim/backup-world.ts';
import { TapImage } from '../../sim/check-archives.ts';
import { randomBytes } from '../../sim/rich-tree.ts';
import { mediumOf } from '../../sim/scrub-world.ts';
import { breakOnTape, flipOnTape } from '../../sim/tap-damage.ts';

const ONE = 'BKP001L8';
const go = new AbortController().signal;

async function written() {
  const world = await BackupWorld.make({ cartridges: 2, config: '[archive]\nblock = 4096\n' });
  for (const name of ['first', 'second']) {
    writeFileSync(join(world.source, name), randomBytes(seededRandom(1), 9000 + name.length));
    await world.backup();
  }
  const { uuid = '' } = mediumOf(world, ONE);
  const attach = (purpose?: 'read') =>
    Tape.attach(world.tools.library, { barcode: ONE, uuid, purpose }, go);
  const label = TapImage.read(world.sim.directory, ONE).block(0).toString('latin1');
  const flip = (at: number) => flipOnTape(world.sim.directory, ONE, { block: 0, at, xor: 1 });
  return { world, attach, label, flip };
}

describe('a label that is damaged', () => {
  test('anywhere: the cartridge is read, and not written', async () => {
    const { attach, label, flip } = await written();
    const places = {
      'its header': 20,
      'the UUID': label.indexOf('"uuid": "') + 12,
      'the barcode': label.indexOf(ONE) + 2,
      'the revision': label.indexOf('"revision": ') + 12,
      'what makes it JSON': label.indexOf('"capabilities"'),
    };
    for (const [what, at] of Object.entries(places)) {
      flip(at);
      await expect(attach(), what).rejects.toBeInstanceOf(CodedError);
      const tape = await attach('read');
      expect(tape.blockBytes, what).toBe(4096);
      expect(tape.readableLabel, what).toBeUndefined();
      const known = { block: 0, file: 0, writeGeneration: 0 };
      await expect(tape.prepareToAppend(known, go), what).rejects.toThrow(/only read/);
      await tape.close();
      flip(at);
    }
    const tape = await attach();
    expect(tape.label.barcode).toBe(ONE);
    await tape.close();
  });

  test('with the first archive too: the second proves it', async () => {
    const { world, attach, flip } = await written();
    flip(20);
    const first = TapImage.read(world.sim.directory, ONE);
    const start = Array.from({ length: first.lengthBlocks }, (_, block) => block).find(
      (block) => first.block(block).length === 0,
    );
    if (start !== undefined) breakOnTape(world.sim.directory, ONE, [start + 1]);
    const tape = await attach('read');
    expect(tape.blockBytes).toBe(4096);
    await tape.close();
  });
});

test('archives of another medium prove nothing', async () => {
  const { world, flip } = await written();
  flip(20);
  const uuid = crypto.randomUUID();
  const other = Tape.attach(world.tools.library, { barcode: ONE, uuid, purpose: 'read' }, go);
  await expect(other).rejects.toMatchObject({ code: 'MEDIUM_MISMATCH' });
});
