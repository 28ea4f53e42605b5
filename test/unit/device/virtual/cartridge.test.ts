import { copyFile, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  type CartridgeRecord,
  VirtualCartridge,
} from '../../../../src/device/virtual/cartridge.ts';
import { scratchDirectory } from '../../../sim/scratch.ts';

const RECORD: CartridgeRecord = {
  revision: 1,
  serial: 'ABCDEF1234',
  generation: 'LTO-8',
  kind: 'data',
  capacityBytes: 24 * 2 ** 20,
  writeProtected: false,
  loads: 0,
  bytesWritten: 0,
  bytesRead: 0,
  changeReference: 0,
  attributes: {},
};

async function make() {
  const directory = await scratchDirectory();
  await VirtualCartridge.create(directory, 'A', RECORD);
  return { directory, open: (bootId = 'boot 1') => VirtualCartridge.open(directory, 'A', bootId) };
}

/** The files as they are, elsewhere: what a killed process leaves behind. */
async function copyOf(directory: string): Promise<string> {
  const copy = await scratchDirectory();
  for (const name of await readdir(directory))
    await copyFile(join(directory, name), join(copy, name));
  return copy;
}

test('an untouched cartridge, threaded and given back, is untouched', async () => {
  const { directory, open } = await make();
  const before = await readFile(join(directory, 'A.json'), 'utf8');
  const cartridge = await open();
  expect(cartridge.wasLeftThreaded).toBe(false);
  expect(cartridge.generation.name).toBe('LTO-8');
  expect(cartridge.tape.end.block).toBe(0);
  expect(await readFile(join(directory, 'A.json'), 'utf8')).toContain('boot 1');
  await cartridge.close();
  expect(await readFile(join(directory, 'A.json'), 'utf8')).toBe(before);
});

test('closing confirms everything', async () => {
  const { directory, open } = await make();
  const cartridge = await open();
  await cartridge.tape.append(Buffer.from('abc'));
  cartridge.record.bytesWritten = 3;
  await cartridge.close();
  // on disk, and not only believed because nobody was killed
  expect(await readFile(join(directory, 'A.tap.index'), 'latin1')).toMatch(/^0 1x3 [0-9a-f]{8}\n$/);
  const again = await open('boot 2');
  expect(again.wasLeftThreaded).toBe(false);
  expect(again.tape.end.block).toBe(1);
  expect(again.record.bytesWritten).toBe(3);
  await again.close();
});

describe('left threaded', () => {
  async function left() {
    const { directory, open } = await make();
    const cartridge = await open();
    await cartridge.tape.append(Buffer.from('confirmed'));
    await cartridge.tape.sync();
    await cartridge.tape.append(Buffer.from('accepted'));
    const copy = await copyOf(directory);
    await cartridge.close();
    return copy;
  }

  test('by a killed process: what was accepted is there', async () => {
    const cartridge = await VirtualCartridge.open(await left(), 'A', 'boot 1');
    expect(cartridge.wasLeftThreaded).toBe(true);
    expect(cartridge.tape.end.block).toBe(2);
    await cartridge.close();
  });

  test('by a power cut: only what was confirmed is there', async () => {
    const cartridge = await VirtualCartridge.open(await left(), 'A', 'boot 2');
    expect(cartridge.wasLeftThreaded).toBe(true);
    expect(cartridge.tape.end.block).toBe(1);
    await cartridge.close();
  });

  test('killed again before anything was done: still within the boot of the first', async () => {
    const directory = await left();
    const killed = await VirtualCartridge.open(directory, 'A', 'boot 1');
    const copy = await copyOf(directory);
    await killed.drop();
    const cartridge = await VirtualCartridge.open(copy, 'A', 'boot 1');
    expect(cartridge.tape.end.block).toBe(2);
    await cartridge.close();
  });

  test('taken over after a kill, then a power cut: what was not confirmed since is gone', async () => {
    const directory = await left();
    const killed = await VirtualCartridge.open(directory, 'A', 'boot 1');
    expect(killed.tape.end.block).toBe(2);
    const copy = await copyOf(directory);
    await killed.drop();
    const cartridge = await VirtualCartridge.open(copy, 'A', 'boot 2');
    expect(cartridge.tape.end.block).toBe(1);
    await cartridge.close();
  });

  test('dropped, as a power cut drops it: nothing more is confirmed', async () => {
    const { directory, open } = await make();
    const cartridge = await open();
    await cartridge.tape.append(Buffer.from('accepted'));
    await cartridge.drop();
    expect(await readFile(join(directory, 'A.tap.index'), 'utf8')).toBe('');
    const again = await open('boot 2');
    expect(again.tape.end.block).toBe(0);
    await again.close();
  });
});

describe('memory chip', () => {
  test('attributes are there at once, and deleted by an empty value', async () => {
    const { directory, open } = await make();
    const cartridge = await open();
    const value = Buffer.from([0, 255, 27]);
    await cartridge.writeAttributes([
      { id: 0x0803, format: 'text', value: Buffer.from('films') },
      { id: 0x0fff, format: 'binary', value },
    ]);
    // a copy sees it: on disk before the command is answered
    const copy = await VirtualCartridge.open(await copyOf(directory), 'A', 'boot 1');
    expect(copy.attributes()).toEqual(cartridge.attributes());
    await copy.close();
    await cartridge.writeAttributes([{ id: 0x0803, format: 'text', value: Buffer.alloc(0) }]);
    expect(cartridge.attributes()).toEqual([{ id: 0x0fff, format: 'binary', value }]);
    await cartridge.close();
  });

  test.each([
    ['no JSON', '{'],
    ['another revision', JSON.stringify({ ...RECORD, revision: 2 })],
    ['a generation there is not', JSON.stringify({ ...RECORD, generation: 'LTO-4' })],
    ['no capacity', JSON.stringify({ ...RECORD, capacityBytes: 0 })],
    ['an attribute that is no number', JSON.stringify({ ...RECORD, attributes: { x: {} } })],
  ])('a damaged record is named: %s', async (_, text) => {
    const { directory, open } = await make();
    await writeFile(join(directory, 'A.json'), text);
    await expect(open()).rejects.toMatchObject({
      code: 'FAILED',
      facts: { path: join(directory, 'A.json') },
    });
  });

  test('a cartridge that is not there', async () => {
    const { directory } = await make();
    await expect(VirtualCartridge.open(directory, 'B', 'boot 1')).rejects.toMatchObject({
      code: 'FAILED',
    });
    expect(await readdir(directory)).toEqual(['A.json']);
  });
});
