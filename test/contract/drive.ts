/** What every tape drive does, virtual or behind the kernel's sg driver: one list of tests, every maker. */
import { AssertionError } from 'node:assert';
import { describe, expect, test } from 'vitest';
import { attributeCount, attributeText, MAM } from '../../src/device/attribute.ts';
import type { Drive } from '../../src/device/drive.ts';
import { readMode, type WantedMode } from '../../src/device/drive-mode.ts';
import { readHealth } from '../../src/device/health.ts';
import { readMemory, writeMemory } from '../../src/device/memory.ts';
import { WRITING_MODE } from '../../src/storage/writing-mode.ts';
import { SHAPE, type World, type WorldMaker } from './world.ts';

const go = new AbortController().signal;
const KIB = 1024;

export function describeDrive(maker: WorldMaker): void {
  describe(`drive: ${maker.name}`, () => {
    describe('with no cartridge', () => {
      test('says what it is', async () => {
        const drive = await (await maker.make()).openDrive(0);
        expect(drive.identity).toMatchObject({
          deviceType: 1,
          serial: expect.stringMatching(/\S/),
        });
        expect(await drive.blockLimits(go)).toMatchObject({ minimumBytes: 1 });
        expect((await drive.blockLimits(go)).maximumBytes).toBeGreaterThanOrEqual(KIB * KIB);
      });

      test('is empty, and says so to every command that wants a tape', async () => {
        const drive = await (await maker.make()).openDrive(0);
        expect(await drive.state(go)).toBe('empty');
        const empty = { code: 'DRIVE_EMPTY' };
        await expect(drive.waitReady(go)).rejects.toMatchObject(empty);
        await expect(drive.rewind(go)).rejects.toMatchObject(empty);
        await expect(drive.provePosition(go)).rejects.toMatchObject(empty);
        await expect(drive.read(Buffer.alloc(512), go)).rejects.toMatchObject(empty);
        await expect(readMemory(drive.unit, go)).rejects.toMatchObject(empty);
        expect(drive.position).toEqual({ proven: false });
      });
    });

    test('recommends an order with each segment once, or none', async () => {
      const { drive } = await blankTape(maker);
      await threeFiles(drive);
      await drive.rewind(go);
      const segments = [
        { firstBlock: 8, lastBlock: 9 },
        { firstBlock: 0, lastBlock: 1 },
        { firstBlock: 4, lastBlock: 4 },
      ];
      const order = await drive.accessOrder(segments, go);
      expect([undefined, '0,1,2']).toContain(order?.toSorted().join());
      // A question moves nothing.
      expect(drive.position).toMatchObject({ proven: true, block: 0 });
      await expectThreeFiles(drive);
    });

    describe('mode', () => {
      test('what is set is sensed back', async () => {
        const { drive } = await blankTape(maker);
        for (const [compression, appendOnly, megabytes] of [
          [true, false, 3],
          [false, true, 0],
        ] as const) {
          const wanted = {
            ...WRITING_MODE,
            compression,
            appendOnly,
            programmableEarlyWarningMb: megabytes,
          };
          expect(await drive.setMode(wanted, go)).toMatchObject(wanted);
        }
        expect(await readMode(drive.unit, go)).toMatchObject({
          writeProtected: false,
          worm: false,
          densityCode: 0x5e,
        });
      });

      test('a reset brings the defaults back', async () => {
        const { drive, world } = await blankTape(maker);
        await world.hand.reset(0, { swallowed: false });
        await expect(drive.provePosition(go)).rejects.toMatchObject({ code: 'DRIVE_RESET' });
        expect(await readMode(drive.unit, go)).toMatchObject({
          appendOnly: false,
          programmableEarlyWarningMb: 0,
        });
      });
    });

    describe('blocks and marks', () => {
      test('blocks of every size come back as they were written, marks and the end are results', async () => {
        const { drive } = await blankTape(maker);
        const sizes = [1, 2, 511, 1000, 64 * KIB, 512 * KIB, KIB * KIB];
        for (const size of sizes) expect(await drive.write(pattern(size), go)).toBe('none');
        await drive.writeFilemarks(1, { immediate: false }, go);
        await drive.write(pattern(77), go);
        await drive.writeFilemarks(2, { immediate: true }, go);
        await drive.flush(go);
        expect(drive.position).toEqual({
          proven: true,
          block: sizes.length + 4,
          file: 3,
          atEndOfData: true,
        });
        await drive.rewind(go);
        const buffer = Buffer.alloc(KIB * KIB);
        for (const size of sizes) {
          expect(await drive.read(buffer, go)).toEqual({ kind: 'block', lengthBytes: size });
          expect(buffer.subarray(0, size).equals(pattern(size))).toBe(true);
        }
        expect(await drive.read(buffer, go)).toEqual({ kind: 'filemark' });
        expect(await drive.read(buffer, go)).toEqual({ kind: 'block', lengthBytes: 77 });
        expect(await drive.read(buffer, go)).toEqual({ kind: 'filemark' });
        expect(await drive.read(buffer, go)).toEqual({ kind: 'filemark' });
        expect(await drive.read(buffer, go)).toEqual({ kind: 'end-of-data' });
        expect(await drive.read(buffer, go)).toEqual({ kind: 'end-of-data' });
        expect(await drive.provePosition(go)).toMatchObject({ block: sizes.length + 4, file: 3 });
      });

      test('a block longer than the buffer says how long it is, and the tape is past it', async () => {
        const { drive } = await blankTape(maker);
        await drive.write(pattern(3000), go);
        await drive.write(pattern(500), go);
        await drive.rewind(go);
        const buffer = Buffer.alloc(1024);
        expect(await drive.read(buffer, go)).toEqual({ kind: 'longer-block', lengthBytes: 3000 });
        expect(buffer.equals(pattern(3000).subarray(0, 1024))).toBe(true);
        expect(await drive.read(buffer, go)).toEqual({ kind: 'block', lengthBytes: 500 });
      });

      test('a flush leaves no mark', async () => {
        const { drive } = await blankTape(maker);
        await drive.write(pattern(100), go);
        await drive.flush(go);
        await drive.write(pattern(100), go);
        expect(await drive.provePosition(go)).toMatchObject({ block: 2, file: 0 });
      });
    });

    describe('position', () => {
      test('locate, space and rewind go where they say', async () => {
        const { drive } = await blankTape(maker);
        await threeFiles(drive); // blocks 0-2 mark 3, blocks 4-6 mark 7, blocks 8-10 mark 11
        await drive.locate(5, go);
        expect(drive.position).toEqual({ proven: true, block: 5, file: 1, atEndOfData: false });
        expect(await numberRead(drive)).toBe(5);
        await drive.spaceFilemarks(1, go);
        expect(drive.position).toMatchObject({ block: 8, file: 2 });
        await drive.spaceFilemarks(-2, go);
        expect(drive.position).toMatchObject({ block: 3, file: 0 });
        await drive.locate(10, go);
        expect(await numberRead(drive)).toBe(10);
        await drive.locate(0, go);
        expect(await drive.provePosition(go)).toMatchObject({
          atBeginning: true,
          block: 0,
          file: 0,
          partition: 0,
        });
        await drive.spaceToEndOfData(go);
        expect(drive.position).toEqual({ proven: true, block: 12, file: 3, atEndOfData: true });
        await drive.rewind(go);
        expect(drive.position).toEqual({ proven: true, block: 0, file: 0, atEndOfData: false });
      });

      test('beyond the end of data there is nothing to locate', async () => {
        const { drive } = await blankTape(maker);
        await threeFiles(drive);
        await expect(drive.locate(13, go)).rejects.toMatchObject({ code: 'MEDIUM_UNREADABLE' });
        expect(drive.position.proven).toBe(false);
        await expect(drive.spaceFilemarks(1, go)).rejects.toMatchObject({
          code: 'MEDIUM_UNREADABLE',
        });
        await drive.locate(12, go);
        expect(drive.position).toMatchObject({ block: 12 });
      });

      test('backwards past the beginning stops there', async () => {
        const { drive } = await blankTape(maker);
        await drive.write(pattern(10), go);
        await drive.spaceFilemarks(-1, go);
        expect(drive.position).toMatchObject({ block: 0, file: 0 });
      });
    });

    describe('writing', () => {
      test('at an unproven position, or not at end of data, is a bug and never reaches the drive', async () => {
        const { drive } = await blankTape(maker);
        await threeFiles(drive);
        await drive.locate(4, go);
        await expect(drive.write(pattern(10), go)).rejects.toThrow(AssertionError);
        await expect(drive.writeFilemarks(1, { immediate: false }, go)).rejects.toThrow(
          AssertionError,
        );
        await expect(drive.eraseShort(go)).rejects.toThrow(AssertionError);
        await expect(drive.locate(99, go)).rejects.toMatchObject({ code: 'MEDIUM_UNREADABLE' });
        await expect(drive.write(pattern(10), go)).rejects.toThrow(AssertionError);
        // proven to be the end, but not known to be
        await drive.locate(12, go);
        await expect(drive.write(pattern(10), go)).rejects.toThrow(AssertionError);
        await drive.locate(4, go);
        await expect(drive.allowOverwrite(go)).rejects.toThrow(AssertionError);
        await expectThreeFiles(drive);
      });

      test('the drive itself refuses to overwrite in append-only mode, and keeps what is there', async () => {
        const { drive } = await blankTape(maker);
        await threeFiles(drive);
        for (const block of [0, 4, 7, 11]) {
          await drive.locate(block, go);
          expect(await rawWrite(drive, 100)).toMatchObject({ key: 7 });
          expect(await rawFilemark(drive)).toMatchObject({ key: 7 });
        }
        await expectThreeFiles(drive);
      });

      test('permission to overwrite is for one place, and one write', async () => {
        const { drive } = await blankTape(maker);
        await threeFiles(drive);
        await drive.locate(4, go);
        expect(await rawAllowOverwrite(drive, 5)).toMatchObject({ key: 5 });
        expect(await rawAllowOverwrite(drive, 4)).toBeUndefined();
        await drive.locate(5, go);
        expect(await rawWrite(drive, 100)).toMatchObject({ key: 7 });
        await expectThreeFiles(drive);
        await drive.rewind(go);
        await drive.allowOverwrite(go);
        await drive.write(pattern(50), go);
        await drive.write(pattern(60), go);
        await drive.spaceToEndOfData(go);
        expect(drive.position).toMatchObject({ block: 2, file: 0, atEndOfData: true });
      });

      test('a short erase ends the data where the label was allowed to go', async () => {
        const { drive } = await blankTape(maker);
        await threeFiles(drive);
        await drive.rewind(go);
        await drive.allowOverwrite(go);
        await drive.eraseShort(go);
        await drive.rewind(go);
        expect(await drive.read(Buffer.alloc(100), go)).toEqual({ kind: 'end-of-data' });
      });

      test('data survive unloading and loading', async () => {
        const { drive } = await blankTape(maker);
        await threeFiles(drive);
        await drive.unload(go);
        expect(await drive.state(go)).not.toBe('ready');
        expect(drive.position.proven).toBe(false);
        await drive.load(go);
        await drive.waitReady(go);
        await expectThreeFiles(drive);
      });
    });

    describe('near the end', () => {
      test('programmable warning, early warning, the end: each block is counted once', {
        timeout: 120_000,
      }, async () => {
        const { drive } = await blankTape(maker, { programmableEarlyWarningMb: 4 });
        const block = pattern(256 * KIB);
        const warnings: { warning: string; bytes: number }[] = [];
        let written = 0;
        const fill = async () => {
          for (;;) {
            const warning = await drive.write(block, go);
            written += 1;
            const isNew = warning !== 'none' && warning !== warnings.at(-1)?.warning;
            if (isNew) warnings.push({ warning, bytes: written * block.length });
          }
        };
        await expect(fill()).rejects.toMatchObject({ code: 'MEDIUM_FULL' });
        expect(warnings.map(({ warning }) => warning)).toEqual(['programmable', 'early']);
        const [programmable, early] = warnings;
        expect((early?.bytes ?? 0) - (programmable?.bytes ?? 0)).toBeGreaterThan(3e6);
        expect(SHAPE.capacityBytes - (early?.bytes ?? 0)).toBeGreaterThan(1e6);
        expect(drive.position.proven).toBe(false);
        await drive.spaceToEndOfData(go);
        expect(drive.position).toMatchObject({ block: written });
        expect(await drive.writeFilemarks(1, { immediate: false }, go)).toBe('early');
        await drive.locate(written - 1, go);
        const last = Buffer.alloc(block.length);
        expect(await drive.read(last, go)).toMatchObject({ kind: 'block' });
        expect(last.equals(block)).toBe(true);
        expect(await drive.read(last, go)).toEqual({ kind: 'filemark' });
      });

      test('the programmable warning comes once each time the tape enters its zone, with a mark too', async () => {
        const { drive } = await blankTape(maker, { programmableEarlyWarningMb: 20 });
        const block = pattern(512 * KIB);
        const warnings: string[] = [];
        for (let index = 0; index < 8; index += 1) warnings.push(await drive.write(block, go));
        expect(warnings.filter((warning) => warning === 'programmable')).toHaveLength(1);
        await drive.rewind(go);
        await drive.spaceToEndOfData(go);
        expect(await drive.writeFilemarks(1, { immediate: false }, go)).toBe('programmable');
        expect(await drive.write(block, go)).toBe('none');
      });
    });

    describe('protection', () => {
      test('a write-protected cartridge is read, never written', async () => {
        const world = await maker.make();
        await world.hand.protect(SHAPE.barcodes[0], true);
        const drive = await loaded(world, 0);
        expect(await readMode(drive.unit, go)).toMatchObject({ writeProtected: true });
        await drive.spaceToEndOfData(go);
        await expect(drive.write(pattern(10), go)).rejects.toMatchObject({
          code: 'MEDIUM_PROTECTED',
        });
        expect(drive.position.proven).toBe(false);
      });

      test('a write-once cartridge is appended to, never overwritten, whatever is allowed', async () => {
        const world = await maker.make();
        const drive = await loaded(world, 3);
        expect(await readMode(drive.unit, go)).toMatchObject({ worm: true });
        await drive.spaceToEndOfData(go);
        await threeFiles(drive);
        await drive.rewind(go);
        await drive.allowOverwrite(go);
        await expect(drive.write(pattern(10), go)).rejects.toMatchObject({
          code: 'MEDIUM_PROTECTED',
        });
        await expectThreeFiles(drive);
        await drive.spaceToEndOfData(go);
        await drive.write(pattern(10), go);
      });

      test('a locked-in cartridge is not unloaded', async () => {
        const { drive } = await blankTape(maker);
        await drive.preventRemoval(true, go);
        await expect(drive.unload(go)).rejects.toMatchObject({ code: 'REMOVAL_PREVENTED' });
        await drive.preventRemoval(false, go);
        await drive.unload(go);
      });
    });

    describe('when things go wrong', () => {
      test('a reset by somebody else costs the write that meets it, and no block', async () => {
        const { drive, world } = await blankTape(maker);
        await threeFiles(drive);
        await world.hand.reset(0, { swallowed: false });
        await expect(drive.write(pattern(10), go)).rejects.toMatchObject({ code: 'DRIVE_RESET' });
        expect(drive.position.proven).toBe(false);
        await expectThreeFiles(drive);
      });

      test('a reset whose unit attention somebody swallowed is found out before the write', async () => {
        const { drive, world } = await blankTape(maker);
        await threeFiles(drive);
        await world.hand.reset(0, { swallowed: true });
        await expect(drive.write(pattern(10), go)).rejects.toMatchObject({ code: 'POSITION_LOST' });
        await expectThreeFiles(drive);
        await drive.spaceToEndOfData(go);
        await expect(drive.write(pattern(10), go)).rejects.toThrow(AssertionError);
        await drive.setMode(WRITING_MODE, go);
        await world.hand.reset(0, { swallowed: true });
        await expect(drive.writeFilemarks(1, { immediate: false }, go)).rejects.toMatchObject({
          code: 'POSITION_LOST',
        });
        await expectThreeFiles(drive);
      });

      test('a write error leaves the position unknown and earlier blocks whole', async () => {
        const { drive, world } = await blankTape(maker);
        await threeFiles(drive);
        await world.hand.fail('write', { drive: 0, key: 3, code: 0x0c00 });
        await expect(drive.write(pattern(10), go)).rejects.toMatchObject({
          code: 'MEDIUM_UNWRITABLE',
        });
        await expect(drive.write(pattern(10), go)).rejects.toThrow(AssertionError);
        await expectThreeFiles(drive);
        await drive.spaceToEndOfData(go);
        expect(await drive.write(pattern(10), go)).toBe('none');
      });

      test('a deferred error is not this command’s success', async () => {
        const { drive, world } = await blankTape(maker);
        await threeFiles(drive);
        await world.hand.fail('filemark', { drive: 0, key: 3, code: 0x0c00, deferred: true });
        const mark = drive.writeFilemarks(1, { immediate: false }, go);
        await expect(mark).rejects.toMatchObject({ code: 'MEDIUM_UNWRITABLE' });
        expect(drive.position.proven).toBe(false);
        await expectThreeFiles(drive);
      });

      test('a read error names the medium; reading on is possible after a locate', async () => {
        const { drive, world } = await blankTape(maker);
        await threeFiles(drive);
        await drive.rewind(go);
        await world.hand.fail('read', { drive: 0, key: 3, code: 0x1100 });
        await expect(drive.read(Buffer.alloc(100), go)).rejects.toMatchObject({
          code: 'MEDIUM_UNREADABLE',
        });
        expect(drive.position.proven).toBe(false);
        await drive.locate(1, go);
        expect(await numberRead(drive)).toBe(1);
      });

      test('hardware that fails is the drive’s fault, not the medium’s', async () => {
        const { drive, world } = await blankTape(maker);
        await world.hand.fail('write', { drive: 0, key: 4, code: 0x4400 });
        await expect(drive.write(pattern(10), go)).rejects.toMatchObject({ code: 'DRIVE_FAILED' });
      });

      test('a sense nobody understands loses nothing', async () => {
        const { drive, world } = await blankTape(maker);
        await threeFiles(drive);
        await world.hand.fail('write', { drive: 0, key: 9, code: 0x8001 });
        await expect(drive.write(pattern(10), go)).rejects.toMatchObject({ code: 'DRIVE_FAILED' });
        await expectThreeFiles(drive);
      });
    });

    describe('health and memory', () => {
      test('TapeAlert flags are read once', async () => {
        const { drive, world } = await blankTape(maker);
        await world.hand.alert(0, 20);
        await world.hand.alert(0, 3);
        await drive.rewind(go);
        expect((await readHealth(drive.unit, go)).alerts).toEqual([3, 20]);
        expect((await readHealth(drive.unit, go)).alerts).toEqual([]);
      });

      test('counters know the cartridge', async () => {
        const { drive } = await blankTape(maker);
        await drive.write(pattern(KIB * KIB), go);
        await drive.writeFilemarks(1, { immediate: false }, go);
        const { cartridge, write, read } = await readHealth(drive.unit, go);
        expect(cartridge.maximumMib).toBe(SHAPE.capacityBytes / KIB / KIB);
        expect(cartridge.remainingMib).toBe(SHAPE.capacityBytes / KIB / KIB - 1);
        expect(cartridge.loads).toBeGreaterThanOrEqual(1);
        expect(write).toEqual({ corrected: 0, uncorrected: 0 });
        expect(read).toEqual({ corrected: 0, uncorrected: 0 });
      });

      test('the memory chip keeps what the host writes, over an unload', async () => {
        const { drive } = await blankTape(maker);
        const before = await readMemory(drive.unit, go);
        expect(attributeCount(before, MAM.maximumCapacityMib)).toBe(
          SHAPE.capacityBytes / KIB / KIB,
        );
        expect(attributeText(before, MAM.serialNumber)).toMatch(/\S/);
        await writeMemory(
          drive.unit,
          [
            { id: MAM.userText, format: 'text', value: Buffer.from('films') },
            { id: MAM.barcode, format: 'ascii', value: Buffer.from('AAA001L8') },
          ],
          go,
        );
        await drive.unload(go);
        await drive.load(go);
        await drive.waitReady(go);
        const after = await readMemory(drive.unit, go);
        expect(attributeText(after, MAM.userText)).toBe('films');
        expect(attributeText(after, MAM.barcode)).toBe('AAA001L8');
        await writeMemory(
          drive.unit,
          [{ id: MAM.userText, format: 'text', value: Buffer.alloc(0) }],
          go,
        );
        expect((await readMemory(drive.unit, go)).has(MAM.userText)).toBe(false);
      });

      test('the chip holds so much and no more, and refuses as a whole', async () => {
        const { drive } = await blankTape(maker);
        const text = (lengthBytes: number) => [
          { id: MAM.userText, format: 'text' as const, value: Buffer.alloc(lengthBytes, 'x') },
        ];
        await writeMemory(drive.unit, text(160), go);
        await expect(writeMemory(drive.unit, text(2000), go)).rejects.toMatchObject({
          code: 'DRIVE_FAILED',
        });
        expect(attributeText(await readMemory(drive.unit, go), MAM.userText)).toHaveLength(160);
      });

      test('the change reference moves when somebody writes, and only then', async () => {
        const { drive } = await blankTape(maker);
        const reference = async () =>
          attributeCount(await readMemory(drive.unit, go), MAM.volumeChangeReference);
        await drive.write(pattern(10), go);
        await drive.writeFilemarks(1, { immediate: false }, go);
        const written = await reference();
        const reload = async () => {
          await drive.unload(go);
          await drive.load(go);
          await drive.waitReady(go);
        };
        await reload();
        await drive.read(Buffer.alloc(10), go);
        expect(await reference()).toBe(written);
        await drive.setMode(WRITING_MODE, go);
        await drive.spaceToEndOfData(go);
        await drive.write(pattern(10), go);
        await drive.writeFilemarks(1, { immediate: false }, go);
        expect(await reference()).not.toBe(written);
      });
    });
  });
}

/** Drive 0 with a cartridge loaded from a slot, ready and set up, at the beginning. */
async function loaded(world: World, slot: number, mode: Partial<WantedMode> = {}): Promise<Drive> {
  const changer = await world.openChanger();
  const elements = await changer.elements(go);
  const from = elements.filter(({ type }) => type === 'slot')[slot];
  const drive = await world.openDrive(0);
  const to = elements.find(({ driveSerial }) => driveSerial === drive.identity.serial);
  await changer.move(from?.address ?? -1, to?.address ?? -1, go);
  await drive.waitReady(go);
  expect(drive.position).toEqual({ proven: false });
  await drive.setMode({ ...WRITING_MODE, ...mode }, go);
  await drive.rewind(go);
  return drive;
}

/** The first cartridge, at the end of its data, of which there are none. */
async function blankTape(
  maker: WorldMaker,
  mode: Partial<WantedMode> = {},
): Promise<{ world: World; drive: Drive }> {
  const world = await maker.make();
  const drive = await loaded(world, 0, mode);
  await drive.spaceToEndOfData(go);
  expect(drive.position).toEqual({ proven: true, block: 0, file: 0, atEndOfData: true });
  return { world, drive };
}

/** Three files of three numbered blocks each. */
async function threeFiles(drive: Drive): Promise<void> {
  for (let file = 0; file < 3; file += 1) {
    for (let index = 0; index < 3; index += 1) await drive.write(numbered(file * 4 + index), go);
    await drive.writeFilemarks(1, { immediate: false }, go);
  }
}

/** Reads the whole tape and demands that nothing of the three files is missing or changed. */
async function expectThreeFiles(drive: Drive): Promise<void> {
  await drive.state(go);
  await drive.rewind(go);
  for (let block = 0; block < 12; block += 1) {
    if (block % 4 === 3)
      expect(await drive.read(Buffer.alloc(100), go)).toEqual({ kind: 'filemark' });
    else expect(await numberRead(drive)).toBe(block);
  }
  expect(await drive.read(Buffer.alloc(100), go)).toEqual({ kind: 'end-of-data' });
}

function numbered(block: number): Buffer {
  const bytes = Buffer.alloc(100);
  bytes.writeUInt32BE(block);
  return bytes;
}

async function numberRead(drive: Drive): Promise<number> {
  const bytes = Buffer.alloc(100);
  expect(await drive.read(bytes, go)).toEqual({ kind: 'block', lengthBytes: 100 });
  return bytes.readUInt32BE();
}

function pattern(lengthBytes: number): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  for (let at = 0; at < lengthBytes; at += 1) bytes[at] = (at * 31 + lengthBytes) & 0xff;
  return bytes;
}

/** Past the drive object's own guard, straight to the device. */
async function rawWrite(drive: Drive, lengthBytes: number) {
  const cdb = [0x0a, 0, 0, 0, lengthBytes, 0];
  return (await drive.unit.send({ cdb, dataOut: pattern(lengthBytes) }, go)).sense;
}

async function rawFilemark(drive: Drive) {
  return (await drive.unit.send({ cdb: [0x10, 0, 0, 0, 1, 0] }, go)).sense;
}

async function rawAllowOverwrite(drive: Drive, block: number) {
  const cdb = [0x82, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, block, 0, 0, 0, 0];
  return (await drive.unit.send({ cdb }, go)).sense;
}
