/**
 * Other programs at the drive while a job writes: they may cost the job, never a recorded block.
 *
 * Whatever ends the job, the whole cartridge is read afterwards and must hold every archive that counted.
 */
import { execFile } from 'node:child_process';
import { readdir, realpath } from 'node:fs/promises';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { CodedError } from '../../../src/base/errors.ts';
import { Changer } from '../../../src/device/changer.ts';
import { Drive } from '../../../src/device/drive.ts';
import { type DriveHold, holdDrive } from '../../../src/device/hold.ts';
import { openScsiPort } from '../../../src/device/native.ts';
import { resolveDevice } from '../../../src/device/node.ts';
import { ArchiveJob } from '../../sim/archive-job.ts';
import { control, doorUnderTest, tapeNodes } from './world.ts';

const go = new AbortController().signal;
const run = promisify(execFile);
const BLOCK_BYTES = 64 * 1024;

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
      const archives = new ArchiveJob(BLOCK_BYTES);
      const counted: number[] = [];
      for (let round = 0; round < 3; round += 1) {
        let isOver = false;
        const running = archives.write(at.drive, () => isOver);
        await intruder.run(at);
        isOver = true;
        const ended = await running;
        if (ended.failure !== undefined) expectClear(ended.failure);
        counted.push(...ended.counted);
        await archives.expectOnTape(at.drive, counted);
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
