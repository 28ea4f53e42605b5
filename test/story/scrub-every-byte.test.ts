/**
 * Every single byte of a small cartridge, wrong in turn: scrub finds it, and names the files that are not whole and no
 * others. What is whole is known without scrub: from the bytes of each extent as a restore would prove them.
 */
import { linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Blake3Hasher } from '@napi-rs/blake-hash';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { type ExtentToRead, ReadBack } from '../../src/catalog/care/read-back.ts';
import { Contents } from '../../src/catalog/content/contents.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import { checkCopy, type Verdict } from '../../src/job/scrub/check.ts';
import { touchesAny } from '../../src/job/scrub/contents.ts';
import { checkLabel } from '../../src/job/scrub/label.ts';
import { StreamReader } from '../../src/job/scrub/stream.ts';
import { unfolding } from '../../src/recall/unfold.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { TapImage } from '../sim/check-archives.ts';
import { FlippedTape, InlineHasher } from '../sim/flipped-tape.ts';
import { makeSparse, randomBytes } from '../sim/rich-tree.ts';
import { seedCount } from '../sim/seeds.ts';

const go = new AbortController().signal;
const BARCODE = 'BKP001L8';
/** Neighbouring bytes, mostly of the same kind: each time others are left out. */
const STRIDE = seedCount({ usual: 251, soak: 1 });

/** Small files, a link, holes, a duplicate, an empty one; and a second run, so that there are two archives. */
async function smallCartridge() {
  const world = await BackupWorld.make({ config: '[archive]\nblock = 4096\n' });
  const at = (...names: string[]) => join(world.source, ...names);
  const random = seededRandom(3);
  mkdirSync(at('d'));
  for (let index = 0; index < 6; index += 1)
    writeFileSync(at('d', `file ${index}`), randomBytes(random, 300 + 1500 * index));
  writeFileSync(at('empty'), '');
  writeFileSync(at(`name ${'x'.repeat(120)}`), 'behind a long name');
  linkSync(at('d', 'file 3'), at('linked'));
  symlinkSync('d/file 1', at('symlink'));
  makeSparse(at('sparse'), 100_000, [
    [4096, 4096],
    [81_920, 4096],
  ]);
  await world.backup();
  writeFileSync(at('later'), randomBytes(random, 9000));
  await world.backup();
  const medium = new Media(world.catalog).find(BARCODE);
  if (!medium?.uuid) throw new Error('nothing was written');
  const readBack = new ReadBack(world.catalog);
  const image = TapImage.read(world.sim.directory, BARCODE);
  const tape = new FlippedTape(image, { barcode: BARCODE, blockBytes: 4096 });
  const copies = readBack.copiesOn(medium.id);
  const extents = new Map(
    copies.map(({ archiveId }) => [archiveId, [...readBack.extentsOf(archiveId)]]),
  );
  const reader = new StreamReader(tape, new InlineHasher(), () => {});
  const known = readBack.label(medium.id);
  const contents = new Contents(world.catalog);
  return { medium: { uuid: medium.uuid, known }, tape, copies, extents, reader, contents };
}

type Cartridge = Awaited<ReturnType<typeof smallCartridge>>;

/** The bytes of an extent as a restore would take them. */
async function isWhole(tape: FlippedTape, startBlock: number, read: ExtentToRead) {
  const { archiveOffset, storedBytes } = read.extent;
  const parts: Buffer[] = [];
  const first = Math.floor(archiveOffset / tape.blockBytes);
  const last = Math.floor((archiveOffset + storedBytes - 1) / tape.blockBytes);
  for (let block = first; block <= last; block += 1) {
    await tape.drive.locate(startBlock + block, go);
    const buffer = Buffer.alloc(tape.blockBytes);
    await tape.drive.read(buffer, go);
    parts.push(buffer);
  }
  const skip = archiveOffset - first * tape.blockBytes;
  const stored = Buffer.concat(parts).subarray(skip, skip + storedBytes);
  const content = Buffer.alloc(read.sizeBytes);
  try {
    for (const { offset, bytes } of unfolding(read.extent, 0).take(stored))
      bytes.copy(content, offset);
  } catch {
    return false;
  }
  return new Blake3Hasher()
    .update(content)
    .digestBuffer()
    .equals(read.hash ?? Buffer.alloc(0));
}

async function scrubAll({ tape, copies, extents, medium, reader, contents }: Cartridge) {
  const label = await checkLabel(tape, medium, go);
  const verdicts: Verdict[] = [];
  for (const copy of copies) {
    const extentsOf = (archiveId: number) => extents.get(archiveId) ?? [];
    verdicts.push(await checkCopy(copy, { tape, reader, contents, extentsOf }, go));
  }
  return { label, verdicts };
}

test('each byte that is wrong is found, and the files that are not whole are exactly those named', async () => {
  const cartridge = await smallCartridge();
  const { tape, copies, extents } = cartridge;
  expect(tape.dataBytes).toBeLessThan(200 * 1024);
  const clean = await scrubAll(cartridge);
  expect(clean.label).toEqual({ findings: [], toKeep: undefined });
  expect(clean.verdicts.map(({ state }) => state)).toEqual(['right', 'right']);
  const random = seededRandom(5);
  const counts = new Map<string, number>();
  let number = random.below(STRIDE);
  for (const place of tape.places()) {
    number += 1;
    if (number % STRIDE !== 0) continue;
    const xor = 1 << random.below(8);
    tape.flip(place, xor);
    const { label, verdicts } = await scrubAll(cartridge);
    const what = `byte ${place.at} of block ${place.block}, ${xor}`;
    const found = [...label.findings, ...verdicts.flatMap(({ findings }) => findings)];
    expect(found.length, what).toBeGreaterThan(0);
    for (const { kind } of found) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    expect(
      found.map(({ kind }) => kind),
      what,
    ).not.toContain('transient');
    for (const [index, copy] of copies.entries()) {
      const verdict = verdicts[index];
      const isHere =
        place.block >= copy.startBlock && place.block < copy.startBlock + (copy.lengthBlocks ?? 0);
      expect(verdict?.state, what).toBe(isHere ? 'damaged' : 'right');
      for (const read of extents.get(copy.archiveId) ?? []) {
        const { archiveOffset: position, storedBytes: lengthBytes } = read.extent;
        const isNamed = touchesAny({ position, lengthBytes }, verdict?.ranges ?? []);
        const at = (place.block - copy.startBlock) * tape.blockBytes + place.at;
        // The bytes of all others are those that were right before.
        const isTouched =
          isHere && touchesAny({ position, lengthBytes }, [{ position: at, lengthBytes: 1 }]);
        const isDamaged = isTouched && !(await isWhole(tape, copy.startBlock, read));
        expect(isNamed, `${what}: content ${read.contentId}`).toBe(isDamaged);
      }
    }
    tape.flip(place, xor);
  }
  expect((await scrubAll(cartridge)).verdicts.map(({ state }) => state)).toEqual([
    'right',
    'right',
  ]);
  expect([...counts.keys()].sort()).toEqual([
    'between',
    'digest',
    'files',
    'header',
    'journal',
    'label',
    'opening',
    'padding',
  ]);
}, 3_600_000);
