/**
 * Other programs at the drive while a job writes: they may cost the job, never a recorded block.
 *
 * The job is a loop that writes archives as a backup does: blocks, a synchronous filemark, and only then the archive
 * counts. Whatever ends it, the whole cartridge is read afterwards and must hold every archive that counted.
 */
import { execFile } from 'node:child_process';
import { readdir, realpath } from 'node:fs/promises';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { CodedError } from '../../../src/base/errors.ts';
import { Changer } from '../../../src/device/changer.ts';
import { Drive } from '../../../src/device/drive.ts';
import { setMode } from '../../../src/device/drive-mode.ts';
import { type DriveHold, holdDrive } from '../../../src/device/hold.ts';
import { openScsiPort } from '../../../src/device/native.ts';
import { resolveDevice } from '../../../src/device/node.ts';
import { control, doorUnderTest, tapeNodes } from './world.ts';

const go = new AbortController().signal;
const run = promisify(execFile);
const BLOCK_BYTES = 64 * 1024;
const BLOCKS_PER_ARCHIVE = 3;

type Bench = {
  hold: DriveHold;
  drive: Drive;
  sgPath: string;
  changerSg: string;
  bsgPath: string;
  stPath: string;
};

/** A cartridge in drive 0, held and set up as a job does it. */
async function bench(): Promise<Bench> {
  await control('restart');
  const door = doorUnderTest();
  const changerSg = await realpath('/dev/changer');
  const port = await openScsiPort(changerSg, { door, access: 'exclusive' });
  const changer = await Changer.open(port, systemClock, go);
  const elements = await changer.elements(go);
  const nst = (await tapeNodes())[0] ?? '';
  const node = await resolveDevice(nst);
  const slot = elements.find(({ type }) => type === 'slot');
  const element = elements.find(({ driveSerial }) => driveSerial === node.serial);
  await changer.move(slot?.address ?? -1, element?.address ?? -1, go);
  await port.close();
  const hold = await holdDrive(node, door);
  const drive = await Drive.open(hold.port, systemClock, go);
  await drive.waitReady(go);
  await drive.preventRemoval(true, go);
  const address = (await readdir(`/sys/class/scsi_tape/${nst.slice(5)}/device/bsg`))[0];
  return {
    hold,
    drive,
    sgPath: node.sgPath,
    changerSg,
    bsgPath: `/dev/bsg/${address}`,
    stPath: nst.replace('nst', 'st'),
  };
}

async function setUp(drive: Drive): Promise<void> {
  const mode = {
    blockLengthBytes: 0,
    buffered: true,
    compression: false,
    appendOnly: true,
    programmableEarlyWarningMb: 0,
  };
  await setMode(drive.unit, mode, go);
}

function block(archive: number, index: number): Buffer {
  const bytes = Buffer.alloc(BLOCK_BYTES, archive * 16 + index + 1);
  bytes.writeUInt32BE(archive, 0);
  bytes.writeUInt32BE(index, 4);
  return bytes;
}

/** Writes archives until stopped or stopped by a failure; returns how many counted, and the failure. */
async function job(
  drive: Drive,
  first: number,
  stop: AbortSignal,
): Promise<{ counted: number; failure: unknown }> {
  let counted = first;
  try {
    await setUp(drive);
    await drive.spaceToEndOfData(go);
    while (!stop.aborted) {
      for (let index = 0; index < BLOCKS_PER_ARCHIVE; index += 1)
        await drive.write(block(counted, index), go);
      await drive.writeFilemarks(1, { immediate: false }, go);
      counted += 1;
    }
    return { counted, failure: undefined };
  } catch (failure) {
    return { counted, failure };
  }
}

/** Reads the whole cartridge: every archive that counted is there, whole and in order; a torn one may follow. */
async function expectArchives(drive: Drive, counted: number): Promise<void> {
  await drive.state(go);
  await drive.rewind(go);
  const buffer = Buffer.alloc(BLOCK_BYTES);
  for (let archive = 0; archive < counted; archive += 1) {
    for (let index = 0; index < BLOCKS_PER_ARCHIVE; index += 1) {
      expect(await drive.read(buffer, go)).toEqual({ kind: 'block', lengthBytes: BLOCK_BYTES });
      expect([buffer.readUInt32BE(0), buffer.readUInt32BE(4)]).toEqual([archive, index]);
      expect(buffer.equals(block(archive, index))).toBe(true);
    }
    expect(await drive.read(buffer, go)).toEqual({ kind: 'filemark' });
  }
  const rest = await drive.read(buffer, go);
  expect(['end-of-data', 'block']).toContain(rest.kind);
}

/** An intruder may fail or be kept waiting: it is given two seconds. */
async function intrude(program: string, ...args: string[]): Promise<void> {
  await run(program, args, { timeout: 2000, killSignal: 'SIGKILL' }).catch(() => undefined);
}

type Intruder = { name: string; run: (at: Bench) => Promise<void> };

const INTRUDERS: readonly Intruder[] = [
  {
    name: 'mt status on the rewinding node',
    run: (at) => intrude('mt', '-f', at.stPath, 'status'),
  },
  { name: 'mt rewind', run: (at) => intrude('mt', '-f', at.stPath, 'rewind') },
  {
    name: 'mt rewind on the other node',
    run: (at) => intrude('mt', '-f', at.stPath.replace('st', 'nst'), 'rewind'),
  },
  { name: 'tar over the tape', run: (at) => intrude('tar', '-cf', at.stPath, '/etc/hostname') },
  { name: 'sg_turs', run: (at) => intrude('sg_turs', '-n', '5', at.sgPath) },
  { name: 'sg_logs', run: (at) => intrude('sg_logs', '-a', at.sgPath) },
  { name: 'sg_reset of the device', run: (at) => intrude('sg_reset', '-d', at.sgPath) },
  {
    name: 'sg_reset of the bus, by way of the changer',
    run: (at) => intrude('sg_reset', '-b', at.changerSg),
  },
  {
    name: 'sg_reset of the adapter, by way of the changer',
    run: (at) => intrude('sg_reset', '-H', at.changerSg),
  },
  {
    name: 'a rewind by the bsg node',
    run: (at) => intrude('sg_raw', at.bsgPath, '01', '00', '00', '00', '00', '00'),
  },
  {
    name: 'a reset by another host',
    run: async () => {
      await control('reset 1');
    },
  },
  {
    name: 'a reset by another host, its unit attention swallowed by the bsg node',
    run: async (at) => {
      await control('reset 1');
      await intrude('sg_turs', '-n', '3', at.bsgPath);
    },
  },
  {
    name: 'a power cycle, its unit attention swallowed',
    run: async () => {
      await control('power 1');
      await control('swallow 1');
    },
  },
];

describe('while a job writes', () => {
  test.each(INTRUDERS)('$name costs at most the job', async (intruder) => {
    const at = await bench();
    try {
      let counted = 0;
      for (let round = 0; round < 3; round += 1) {
        const stop = new AbortController();
        const running = job(at.drive, counted, stop.signal);
        await intruder.run(at);
        stop.abort();
        const ended = await running;
        if (ended.failure !== undefined) expectClear(ended.failure);
        expect(ended.counted).toBeGreaterThanOrEqual(counted);
        await expectArchives(at.drive, ended.counted);
        // As the next run does it: a torn archive is closed by a filemark, and what counted stays.
        counted = await closeTorn(at.drive, ended.counted);
        if (counted === -1) return;
      }
    } finally {
      await at.drive.preventRemoval(false, go).catch(() => undefined);
      await at.hold.close();
    }
  });
});

/** One sentence that names the drive and what to do; no stack, no errno of C. */
function expectClear(failure: unknown): void {
  expect(failure).toBeInstanceOf(CodedError);
  if (!(failure instanceof CodedError)) return;
  expect(['DRIVE_RESET', 'POSITION_LOST', 'DRIVE_FAILED', 'MEDIUM_UNWRITABLE']).toContain(
    failure.code,
  );
  expect(failure.message).toMatch(/\/dev\/sg\d+/);
  expect(failure.message).not.toMatch(/\n/);
}

/** -1 where a torn archive lies at the end: then the rounds end, for its blocks are in the way of the count. */
async function closeTorn(drive: Drive, counted: number): Promise<number> {
  await drive.spaceToEndOfData(go);
  const expected = counted * (BLOCKS_PER_ARCHIVE + 1);
  return drive.position.proven && drive.position.block === expected ? counted : -1;
}

test('while a drive is held, other programs are told so', async () => {
  const at = await bench();
  try {
    for (const [program, ...args] of [
      ['mt', '-f', at.stPath, 'status'],
      ['sg_turs', at.sgPath],
      ['sg_reset', '-d', at.sgPath],
    ] as const) {
      const result = await run(program, args, { timeout: 5000, killSignal: 'SIGKILL' }).catch(
        (error: Error) => error,
      );
      expect(result, program).toBeInstanceOf(Error);
      expect(String(result)).toMatch(/busy/i);
    }
  } finally {
    await at.drive.preventRemoval(false, go);
    await at.hold.close();
  }
});
