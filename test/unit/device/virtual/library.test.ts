import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate, setTimeout } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { fromHex } from '../../../../src/base/bytes.ts';
import { type Clock, SimClock } from '../../../../src/base/clock.ts';
import { CodedError } from '../../../../src/base/errors.ts';
import { seededRandom } from '../../../../src/base/random.ts';
import { Changer } from '../../../../src/device/changer.ts';
import { Drive } from '../../../../src/device/drive.ts';
import type { ScsiPort } from '../../../../src/device/port.ts';
import { parseSense } from '../../../../src/device/sense.ts';
import { FaultPlan } from '../../../../src/device/virtual/faults.ts';
import { createCartridge, VirtualLibrary } from '../../../../src/device/virtual/library.ts';
import type { LockFile } from '../../../../src/device/virtual/state.ts';
import type { Barcode } from '../../../../src/domain/barcode.ts';
import type { LibraryShape } from '../../../../src/domain/library-shape.ts';
import { WRITING_MODE } from '../../../../src/storage/writing-mode.ts';
import { memoryLocks } from '../../../sim/locks.ts';
import { scratchDirectory } from '../../../sim/scratch.ts';

/** An attempt at a lock that is taken costs time on the real clock: files are written meanwhile. */
function slowLocks(): LockFile {
  const locks = memoryLocks();
  return (path) =>
    locks(path).catch(async (error) => {
      await setTimeout(1);
      throw error;
    });
}

const go = new AbortController().signal;
const SHAPE: LibraryShape = {
  generation: 'LTO-9',
  capacityBytes: 8 * 2 ** 20,
  drives: 2,
  slots: 4,
  ports: 1,
  barcodes: ['VIR001L9' as Barcode, 'VIR002L9' as Barcode],
};
const [SLOT, PORT, DRIVE] = [1024, 768, 256];

/** One process that uses the library: what it opens it also closes. */
type Process = {
  readonly library: VirtualLibrary;
  readonly changer: Changer;
  open(index: number): Promise<Drive>;
  close(index: number): Promise<void>;
};

/** Two processes over one directory: each has its objects, they share the disk and the locks. */
async function twoProcesses(faults = new FaultPlan(), clockOfA: Clock = new SimClock()) {
  const directory = await scratchDirectory();
  await VirtualLibrary.create(directory, SHAPE, seededRandom(1));
  const lockFile = slowLocks();
  const process = async (clock: Clock): Promise<Process> => {
    const options = { clock, speed: 'model' as const, lockFile, bootId: 'boot', faults };
    const library = await VirtualLibrary.open(directory, options);
    const ports = new Map<number, ScsiPort>();
    onTestFinished(async () => {
      for (const port of ports.values()) await port.close();
    });
    return {
      library,
      changer: await Changer.open(library.openChanger(), clock, go),
      open: async (index) => {
        const port = ports.get(index) ?? (await library.openDrive(index));
        ports.set(index, port);
        return Drive.open(port, clock, go);
      },
      close: async (index) => {
        await ports.get(index)?.close();
        ports.delete(index);
      },
    };
  };
  return { directory, a: await process(clockOfA), b: await process(new SimClock()) };
}

/** A clock whose minute begins with `inDrive` and lasts until `goOn`. */
function slowPicker() {
  const [inDrive, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const clock = new SimClock();
  const sleepMs = clock.sleepMs.bind(clock);
  clock.sleepMs = async (ms, signal) => {
    if (ms !== 60_000) return sleepMs(ms, signal);
    inDrive.resolve();
    await goOn.promise;
  };
  return { clock, inDrive, goOn };
}

const barcodeAt = async (changer: Changer, address: number) =>
  (await changer.elements(go)).find((element) => element.address === address)?.barcode;

describe('making', () => {
  test('nothing but what is needed, the same for the same chance', async () => {
    const [first, second] = [await scratchDirectory(), await scratchDirectory()];
    const shape = {
      ...SHAPE,
      barcodes: ['VIR001L9', 'VIR002L8', 'VIR003LZ', 'CLN001L9'] as Barcode[],
    };
    await VirtualLibrary.create(first, shape, seededRandom(4));
    await VirtualLibrary.create(second, shape, seededRandom(4));
    expect((await readdir(first)).sort()).toEqual([
      'CLN001L9.json',
      'VIR001L9.json',
      'VIR002L8.json',
      'VIR003LZ.json',
      'library.json',
    ]);
    const options = {
      clock: new SimClock(),
      speed: 'model' as const,
      lockFile: memoryLocks(),
      bootId: 'b',
    };
    const serials = await (await VirtualLibrary.open(first, options)).driveSerials();
    expect(serials).toEqual(await (await VirtualLibrary.open(second, options)).driveSerials());
    expect(new Set(serials).size).toBe(2);
  });

  test('there has to be one', async () => {
    const options = {
      clock: new SimClock(),
      speed: 'model' as const,
      lockFile: memoryLocks(),
      bootId: 'b',
    };
    await expect(VirtualLibrary.open(await scratchDirectory(), options)).rejects.toMatchObject({
      code: 'STATE_MISSING',
    });
  });

  test.each([{ drives: 0 }, { slots: 1 }, { capacityBytes: 1000 }])(
    'a library that cannot be is a bug: %j',
    async (change) => {
      await expect(
        VirtualLibrary.create(
          join(await scratchDirectory(), 'x'),
          { ...SHAPE, ...change },
          seededRandom(1),
        ),
      ).rejects.toThrow();
    },
  );
});

describe('two processes', () => {
  test('a drive belongs to one of them at a time, and the other is told whose', async () => {
    const { a, b } = await twoProcesses();
    await a.open(0);
    await expect(b.open(0)).rejects.toMatchObject({
      code: 'DRIVE_BUSY',
      message: expect.stringContaining(`held by process ${process.pid}`),
      facts: { pid: process.pid, device: 'virtual drive 0' },
    });
    await b.open(1);
    await a.close(0);
    await a.close(0);
    expect((await b.open(0)).identity.serial).toMatch(/D0$/);
  });

  test('what A has threaded B’s picker cannot take; nothing moves', async () => {
    const { a, b } = await twoProcesses();
    await b.changer.move(SLOT, DRIVE, go);
    const drive = await a.open(0);
    await drive.waitReady(go);
    const before = await b.changer.elements(go);
    await expect(b.changer.move(DRIVE, SLOT + 3, go)).rejects.toMatchObject({
      code: 'REMOVAL_PREVENTED',
    });
    expect(await b.changer.elements(go)).toEqual(before);
    expect(await drive.state(go)).toBe('ready');
    await a.changer.move(DRIVE, SLOT + 3, go); // its own picker can
    expect(await drive.state(go)).toBe('empty');
  });

  test('what B brings into A’s empty drive A notices', async () => {
    const { a, b } = await twoProcesses();
    const drive = await a.open(0);
    expect(await drive.state(go)).toBe('empty');
    await b.changer.move(SLOT, DRIVE, go);
    await drive.waitReady(go);
    await drive.rewind(go);
    expect(drive.position).toMatchObject({ proven: true, block: 0 });
    expect(await barcodeAt(a.changer, DRIVE)).toBe('VIR001L9');
  });

  test('a drive that nobody powers can be emptied, by either', async () => {
    const { a, b } = await twoProcesses();
    await a.changer.move(SLOT, DRIVE, go);
    const drive = await a.open(0);
    await drive.waitReady(go);
    await drive.setMode(WRITING_MODE, go);
    await drive.spaceToEndOfData(go);
    await drive.write(Buffer.from('kept'), go);
    await a.close(0);
    await b.changer.move(DRIVE, DRIVE + 1, go);
    const other = await b.open(1);
    await other.waitReady(go);
    await other.rewind(go);
    const buffer = Buffer.alloc(4);
    expect(await other.read(buffer, go)).toMatchObject({ kind: 'block' });
    expect(buffer.toString()).toBe('kept');
  });

  test('a picker and a process that want the same drive: one of them gets it', async () => {
    const { a, b } = await twoProcesses();
    await a.changer.move(SLOT, DRIVE, go);
    const [moved, opened] = await Promise.allSettled([
      a.changer.move(DRIVE, SLOT + 3, go),
      b.open(0).then((drive) => drive.waitReady(go)),
    ]);
    if (moved.status === 'fulfilled') {
      // not powered, or powered and found empty: never a drive with a cartridge that stands in a slot
      expect(opened).toMatchObject({
        reason: { code: expect.stringMatching(/^DRIVE_(BUSY|EMPTY)$/) },
      });
      expect(await barcodeAt(a.changer, SLOT + 3)).toBe('VIR001L9');
    } else {
      expect(moved.reason).toMatchObject({ code: 'REMOVAL_PREVENTED' });
      expect(opened.status).toBe('fulfilled');
      expect(await barcodeAt(a.changer, DRIVE)).toBe('VIR001L9');
    }
  });

  test('while the picker has its hand in a drive nobody powers it', async () => {
    const faults = new FaultPlan();
    const { clock, inDrive, goOn } = slowPicker();
    const { a, b } = await twoProcesses(faults, clock);
    await a.changer.move(SLOT, DRIVE, go);
    faults.add({ note: 'slow', on: 'move', effect: { kind: 'delay', ms: 60_000 } });
    const moving = a.changer.move(DRIVE, SLOT + 3, go);
    await inDrive.promise;
    await expect(b.open(0)).rejects.toMatchObject({ code: 'DRIVE_BUSY' });
    goOn.resolve();
    await moving;
    expect(await (await b.open(0)).state(go)).toBe('empty');
  });

  test('while the picker has its hand in it the drive of the same process answers nothing', async () => {
    const faults = new FaultPlan();
    const { clock, inDrive, goOn } = slowPicker();
    const { a } = await twoProcesses(faults, clock);
    await a.changer.move(SLOT, DRIVE, go);
    const drive = await a.open(0);
    await drive.waitReady(go);
    faults.add({ note: 'slow', on: 'move', effect: { kind: 'delay', ms: 60_000 } });
    const moving = a.changer.move(DRIVE, SLOT + 3, go);
    await inDrive.promise;
    // would thread the tape again under the picker's hand
    const loading = drive.load(go).then(
      () => 'loaded',
      (error: CodedError) => error.code,
    );
    for (let turn = 0; turn < 100; turn += 1) await setImmediate();
    goOn.resolve();
    await moving;
    expect(await loading).toBe('DRIVE_EMPTY');
  });

  test.each([
    [
      'one place for two cartridges',
      [SLOT, SLOT + 3],
      [SLOT + 1, SLOT + 3],
      'CHANGER_DESTINATION_FULL',
    ],
    ['one cartridge for two places', [SLOT, SLOT + 2], [SLOT, SLOT + 3], 'CHANGER_SOURCE_EMPTY'],
  ] as const)('two pickers, %s: one move is done', async (_, first, second, code) => {
    const { a, b } = await twoProcesses();
    const outcomes = await Promise.allSettled([
      a.changer.move(...first, go),
      b.changer.move(...second, go),
    ]);
    const refused = outcomes.filter(({ status }) => status === 'rejected');
    expect(refused).toMatchObject([{ reason: { code } }]);
    const found = (await a.changer.elements(go)).flatMap(({ barcode }) => barcode ?? []);
    expect(found.sort()).toEqual(['VIR001L9', 'VIR002L9']);
  });

  test('a command sent while the drive gives its cartridge up finds it gone, not half gone', async () => {
    const { a } = await twoProcesses();
    await a.changer.move(SLOT, DRIVE, go);
    const drive = await a.open(0);
    await drive.waitReady(go);
    await drive.setMode(WRITING_MODE, go);
    await drive.spaceToEndOfData(go);
    const moving = a.changer.move(DRIVE, SLOT + 3, go);
    const outcomes = await Promise.allSettled([
      drive.write(Buffer.from('x'), go),
      drive.load(go),
      moving,
    ]);
    expect(outcomes[2]?.status).toBe('fulfilled');
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(Error);
    }
    expect(await drive.state(go)).toBe('empty');
    expect(await barcodeAt(a.changer, SLOT + 3)).toBe('VIR001L9');
  });

  test('moves and drives of both, in any order: no cartridge is lost or doubled', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            who: fc.nat(1),
            act: fc.constantFrom('move', 'move', 'move', 'open', 'close', 'state'),
            from: fc.constantFrom(SLOT, SLOT + 1, SLOT + 2, PORT, DRIVE, DRIVE + 1),
            to: fc.constantFrom(SLOT, SLOT + 1, SLOT + 2, PORT, DRIVE, DRIVE + 1),
            index: fc.nat(1),
            wait: fc.boolean(),
          }),
          { minLength: 4, maxLength: 14 },
        ),
        async (steps) => {
          const { a, b } = await twoProcesses();
          const all: Promise<unknown>[] = [];
          const queues = [Promise.resolve(), Promise.resolve()];
          for (const { who, act, from, to, index, wait } of steps) {
            const process = who === 0 ? a : b;
            const done = (queues[who] ?? Promise.resolve()).then(async () => {
              try {
                if (act === 'move') await process.changer.move(from, to, go);
                else if (act === 'open') await process.open(index);
                else if (act === 'close') await process.close(index);
                else await (await process.open(index)).state(go);
              } catch (error) {
                if (!(error instanceof CodedError)) throw error;
                expect(error.code).toMatch(
                  /^(CHANGER_(SOURCE_EMPTY|DESTINATION_FULL)|REMOVAL_PREVENTED|DRIVE_BUSY)$/,
                );
              }
            });
            queues[who] = done;
            all.push(done);
            if (wait) await done;
          }
          await Promise.all(all);
          for (const process of [a, b]) for (const index of [0, 1]) await process.close(index);
          const found = (await a.changer.elements(go)).flatMap(({ barcode }) => barcode ?? []);
          expect(found.sort()).toEqual(['VIR001L9', 'VIR002L9']);
        },
      ),
      { numRuns: 40 },
    ));
});

describe('a process that is killed', () => {
  test('leaves a drive that has lost its power: rewound and unlocked', async () => {
    const directory = await scratchDirectory();
    await VirtualLibrary.create(directory, SHAPE, seededRandom(1));
    const clock = new SimClock();
    // each process its own locks: those of the killed one are gone with it
    const start = (bootId: string) =>
      VirtualLibrary.open(directory, { clock, speed: 'model', lockFile: memoryLocks(), bootId });
    const killed = await start('boot 1');
    const changer = await Changer.open(killed.openChanger(), clock, go);
    await changer.move(SLOT, DRIVE, go);
    const port = await killed.openDrive(0);
    const drive = await Drive.open(port, clock, go);
    await drive.waitReady(go);
    await drive.setMode(WRITING_MODE, go);
    await drive.spaceToEndOfData(go);
    await drive.preventRemoval(true, go);
    await drive.write(Buffer.from('confirmed'), go);
    await drive.writeFilemarks(1, { immediate: false }, go);
    await drive.write(Buffer.from('accepted'), go);

    const inherited = await (await start('boot 1')).openDrive(0);
    const heir = await Drive.open(inherited, clock, go);
    expect(await heir.provePosition(go)).toMatchObject({ block: 0 });
    await heir.spaceToEndOfData(go);
    expect(heir.position).toMatchObject({ block: 3, file: 1 });
    await heir.unload(go);
    await inherited.close();
    await port.close();
  });

  test('leaves the tape at its beginning, wherever the process before it had left it', async () => {
    const directory = await scratchDirectory();
    await VirtualLibrary.create(directory, SHAPE, seededRandom(1));
    const clock = new SimClock();
    const start = () =>
      VirtualLibrary.open(directory, {
        clock,
        speed: 'model',
        lockFile: memoryLocks(),
        bootId: 'b',
      });
    const first = await start();
    await (await Changer.open(first.openChanger(), clock, go)).move(SLOT, DRIVE, go);
    const send = (port: ScsiPort, cdb: string, lengthBytes = 0) => {
      const dataIn = Buffer.alloc(lengthBytes);
      const command = { cdb: fromHex(cdb), timeoutMs: 1000, ...(lengthBytes > 0 && { dataIn }) };
      return port.execute(command, go).then(({ sense }) => ({ dataIn, sense: parseSense(sense) }));
    };
    const ended = await first.openDrive(0);
    await send(ended, '10 00 00 00 05 00');
    expect((await send(ended, '34 06 00 00 00 00 00 00 00 00', 32)).dataIn[15]).toBe(5);
    await ended.close();
    const killed = await (await start()).openDrive(0);
    expect((await send(killed, '34 06 00 00 00 00 00 00 00 00', 32)).dataIn[15]).toBe(5);
    const heir = await (await start()).openDrive(0);
    expect((await send(heir, '00 00 00 00 00 00')).sense).toMatchObject({
      key: 6,
      asc: 0x29,
      ascq: 1,
    });
    expect((await send(heir, '34 06 00 00 00 00 00 00 00 00', 32)).dataIn[15]).toBe(0);
    await killed.close();
    await heir.close();
  });

  test('one that ends leaves the tape where it stands, and says nothing', async () => {
    const { a, b } = await twoProcesses();
    await a.changer.move(SLOT, DRIVE, go);
    const drive = await a.open(0);
    await drive.waitReady(go);
    await drive.setMode(WRITING_MODE, go);
    await drive.spaceToEndOfData(go);
    await drive.write(Buffer.from('one'), go);
    await drive.write(Buffer.from('two'), go);
    await drive.locate(1, go);
    await drive.preventRemoval(true, go);
    await a.close(0);
    const next = await b.open(0);
    expect(await next.provePosition(go)).toMatchObject({ block: 1 });
    await next.unload(go);
    await b.close(0);
    expect(await (await a.open(0)).state(go)).toBe('unloaded');
  });
});

describe('by hand', () => {
  test('what is put into a port is marked as a person’s until it is moved', async () => {
    const { a, directory } = await twoProcesses();
    await createCartridge(directory, 'NEW001L9' as Barcode, SHAPE, seededRandom(9));
    await a.library.insertByHand('NEW001L9', PORT);
    const port = async () => (await a.changer.elements(go)).find(({ address }) => address === PORT);
    expect(await port()).toMatchObject({ barcode: 'NEW001L9', importedByOperator: true });
    await expect(a.library.insertByHand('NEW001L9', PORT)).rejects.toThrow();
    await a.changer.move(PORT, SLOT + 3, go);
    await a.changer.move(SLOT + 3, PORT, go);
    expect(await port()).toMatchObject({ importedByOperator: false, sourceAddress: SLOT + 3 });
    await a.library.removeByHand(PORT);
    expect(await port()).toMatchObject({
      full: false,
      barcode: undefined,
      sourceAddress: undefined,
    });
  });
});

test('statistics of every drive, also of those nobody has opened', async () => {
  const { a } = await twoProcesses();
  await a.changer.move(SLOT, DRIVE + 1, go);
  const drive = await a.open(1);
  await drive.waitReady(go);
  await drive.setMode(WRITING_MODE, go);
  await drive.spaceToEndOfData(go);
  await drive.write(Buffer.alloc(1000), go);
  await a.close(1);
  const [first, second] = await a.library.statistics();
  expect(first).toMatchObject({ loads: 0, modelSeconds: 0 });
  expect(second).toMatchObject({ loads: 1, blocksWritten: 1, bytesWritten: 1000 });
  expect(second?.modelSeconds).toBeGreaterThanOrEqual(18);
});
