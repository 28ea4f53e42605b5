/** In which order a cartridge is read: as its drive says, where it says so and is to be believed. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import type { ScsiCommand, ScsiPort } from '../../src/device/port.ts';
import { RecallWorld, readAll } from '../sim/recall-world.ts';
import { randomBytes } from '../sim/rich-tree.ts';

const READ = 0x08;
const GENERATE = 0xa4;
const RECEIVE = 0xa3;
const ORDER = 0x1d;
const FILES = 9;
/** Every third of them is wanted. */
const WANTED = [0, 3, 6];

const HEAD_BYTES = 8;
const SEGMENT_BYTES = 32;

type Change = (descriptors: readonly Buffer[]) => readonly Buffer[];

/** Between product and drive: tells which of these commands pass, and what is read; changes what the drive recommends. */
function between(sent: string[], change: Change, onBlock: (block: Buffer) => void) {
  return (port: ScsiPort): ScsiPort => ({
    name: port.name,
    close: () => port.close(),
    async execute(command: ScsiCommand, signal: AbortSignal) {
      const [opcode, action = 0] = command.cdb;
      if (opcode === GENERATE) sent.push('generate');
      const reply = await port.execute(command, signal);
      const { dataIn } = command;
      if (opcode === READ && dataIn) onBlock(Buffer.from(dataIn));
      if (opcode !== RECEIVE || action !== ORDER || !dataIn) return reply;
      const list = Buffer.from(
        dataIn.buffer,
        dataIn.byteOffset,
        dataIn.length - reply.residualBytes,
      );
      const descriptors = Array.from({ length: list.readUInt32BE(4) / SEGMENT_BYTES }, (_, index) =>
        Buffer.from(list.subarray(HEAD_BYTES + index * SEGMENT_BYTES).subarray(0, SEGMENT_BYTES)),
      );
      Buffer.concat(change(descriptors)).copy(list, HEAD_BYTES);
      sent.push('receive');
      return reply;
    },
  });
}

/** Three files that lie apart on one cartridge are wanted at once. @returns in which order they were read */
async function recalled(change: Change, generation: 'LTO-8' | 'LTO-9' = 'LTO-9') {
  const sent: string[] = [];
  const heads: { readonly index: number; readonly bytes: Buffer }[] = [];
  // What is only passed over on the way is read as well: the last time counts.
  const read = new Set<number>();
  const onBlock = (block: Buffer) => {
    for (const { index, bytes } of heads) {
      if (!block.includes(bytes)) continue;
      read.delete(index);
      read.add(index);
    }
  };
  const world = await RecallWorld.make({
    drives: 1,
    generation,
    between: between(sent, change, onBlock),
    config: '[archive]\nblock = "64KiB"\n',
  });
  const random = seededRandom(3);
  const made = Array.from({ length: FILES }, (_, index) => {
    const bytes = randomBytes(random, 200_000);
    writeFileSync(join(world.backup.source, `file ${index}`), bytes);
    return bytes;
  });
  await world.backup.backup();
  const mount = world.start();
  for (const index of WANTED)
    heads.push({ index, bytes: (made[index] ?? Buffer.alloc(0)).subarray(0, 32) });
  const reads = WANTED.map(async (index) => {
    const opened = mount.recall.open(world.contentId(`file ${index}`), { pid: 1, uid: 0 });
    const bytes = await readAll(opened, 200_000);
    opened.close();
    expect(bytes.equals(made[index] ?? Buffer.alloc(0))).toBe(true);
  });
  await Promise.all(reads);
  expect(mount.warnings).toEqual([]);
  return { came: [...read], sent };
}

test('as the drive recommends', async () => {
  const { came, sent } = await recalled((descriptors) => descriptors.toReversed());
  expect(sent).toEqual(['generate', 'receive']);
  expect(came).toEqual(WANTED.toReversed());
});

test('by its own model the virtual drive reads on where little lies between', async () => {
  const { came, sent } = await recalled((descriptors) => descriptors);
  expect(sent).toEqual(['generate', 'receive']);
  expect(came).toEqual(WANTED);
});

test.each<[string, Change]>([
  ['one of them twice', (descriptors) => [...descriptors.slice(1), ...descriptors.slice(-1)]],
  [
    'a place that nobody asked for',
    (descriptors) => descriptors.map((one) => Buffer.from(one).fill(7, 16, 24)),
  ],
  [
    'names that nobody gave',
    (descriptors) => descriptors.map((one) => Buffer.from(one).fill(0x41, 5, 15)),
  ],
])('a drive that answers with %s is not believed', async (_, change) => {
  const { came } = await recalled(change);
  expect(came).toEqual(WANTED);
});

test('a drive without such commands is not asked', async () => {
  const { came, sent } = await recalled((descriptors) => descriptors, 'LTO-8');
  expect(sent).toEqual([]);
  expect(came).toEqual(WANTED);
});
