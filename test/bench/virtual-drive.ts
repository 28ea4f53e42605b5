/** The virtual drive at 1 MiB blocks on tmpfs, through the Drive object; peer: plain write(2) and read(2) of the same bytes. */

import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../src/base/clock.ts';
import { seededRandom } from '../../src/base/random.ts';
import { Drive } from '../../src/device/drive.ts';
import { VirtualLibrary } from '../../src/device/virtual/library.ts';
import type { Barcode } from '../../src/domain/barcode.ts';
import { WRITING_MODE } from '../../src/storage/writing-mode.ts';
import { compare, report } from './measure.ts';

const go = new AbortController().signal;
const BLOCK_BYTES = 2 ** 20;
const BLOCKS = 2048;
const TIMES = 7;

export async function virtualDrive(): Promise<void> {
  const directory = await mkdtemp('/dev/shm/shelfs-bench-');
  try {
    const drive = await loadedDrive(directory);
    const peer = await open(join(directory, 'peer'), 'w+');
    const block = randomBytes(BLOCK_BYTES);
    const bytes = BLOCKS * BLOCK_BYTES;
    const written = await compare(
      TIMES,
      () => writeTape(drive, block),
      () => writeFile(peer, block),
    );
    report('virtual drive, write 1 MiB blocks', bytes, written);
    const read = await compare(
      TIMES,
      () => readTape(drive, block),
      () => readFile(peer, block),
    );
    report('virtual drive, read 1 MiB blocks', bytes, read);
    await peer.close();
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function loadedDrive(directory: string): Promise<Drive> {
  const barcodes = ['BEN001L9' as Barcode];
  const shape = {
    generation: 'LTO-9',
    capacityBytes: 1e13,
    drives: 1,
    slots: 1,
    ports: 0,
    barcodes,
  } as const;
  await VirtualLibrary.create(directory, shape, seededRandom(1));
  const library = await VirtualLibrary.open(directory, {
    clock: systemClock,
    speed: 'model',
    lockFile: async () => ({ close: async () => {} }),
    bootId: 'bench',
  });
  await library.removeByHand(1024);
  await library.insertByHand(barcodes[0] ?? '', 256);
  const drive = await Drive.open(await library.openDrive(0), systemClock, go);
  await drive.waitReady(go);
  await drive.setMode(WRITING_MODE, go);
  return drive;
}

async function writeTape(drive: Drive, block: Buffer): Promise<void> {
  await drive.rewind(go);
  await drive.allowOverwrite(go);
  for (let index = 0; index < BLOCKS; index += 1) await drive.write(block, go);
  await drive.writeFilemarks(1, { immediate: false }, go);
}

async function readTape(drive: Drive, block: Buffer): Promise<void> {
  await drive.rewind(go);
  for (let index = 0; index < BLOCKS; index += 1) await drive.read(block, go);
}

async function writeFile(file: FileHandle, block: Buffer): Promise<void> {
  await file.truncate(0);
  for (let index = 0; index < BLOCKS; index += 1)
    await file.write(block, 0, block.length, index * BLOCK_BYTES);
}

async function readFile(file: FileHandle, block: Buffer): Promise<void> {
  for (let index = 0; index < BLOCKS; index += 1)
    await file.read(block, 0, block.length, index * BLOCK_BYTES);
}
