import { execFileSync } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import type { DoorHandle } from '../../../src/device/native.ts';
import { loadScsiDoor, portOf } from '../../../src/device/native.ts';
import { CHECKS, runCheck } from './native.list.ts';

const native = fileURLToPath(new URL('../../../native', import.meta.url));

describe('the native door', () => {
  beforeAll(() => {
    execFileSync('sh', [join(native, 'build'), 'release']);
  });

  for (const check of CHECKS) {
    test(check.name, () => runCheck(check, join(native, 'scsi/build/Release/scsi.node')));
  }

  test('is found without a path', () => {
    expect(loadScsiDoor()).toHaveProperty('open');
  });

  test('says how to get it where it is not built', () => {
    expect(() => loadScsiDoor('/nowhere/scsi.node')).toThrow(/npm run build/);
  });
});

describe('the meaning of an errno', () => {
  const good = {
    status: 0,
    hostStatus: 0,
    driverStatus: 0,
    sense: new Uint8Array(0),
    residualBytes: 0,
  };
  const scripted = (replies: (typeof good | { errno: number })[]): DoorHandle => ({
    execute: async () => replies.shift() ?? good,
    drop: () => false,
    close: async () => ({ errno: 0 }),
  });
  const { errno } = constants;
  const block = new Uint8Array(512);
  const command = { cdb: new Uint8Array(6), timeoutMs: 1000 };
  const signal = new AbortController().signal;

  test.each([
    ['ENOTTY', 'first', undefined, 'DEVICE_UNSUITABLE', /takes no SCSI commands/],
    ['EINVAL', 'first', block, 'DEVICE_UNSUITABLE', /takes no SCSI commands/],
    ['EINVAL', 'later', block, 'DEVICE_UNSUITABLE', /512 bytes .* smaller blocks/],
    ['ENOMEM', 'first', block, 'DEVICE_UNSUITABLE', /512 bytes .* smaller blocks/],
    ['ENODEV', 'later', undefined, 'DEVICE_MISSING', /went away/],
    ['ENXIO', 'first', undefined, 'DEVICE_MISSING', /went away/],
    ['EPERM', 'later', undefined, 'DEVICE_FORBIDDEN', /this user/],
    ['ECANCELED', 'later', undefined, 'INTERRUPTED', /closed/],
    ['EIO', 'later', block, 'DRIVE_FAILED', /not known/],
  ] as const)('%s on the %s command', async (name, when, dataOut, code, message) => {
    const refusal = { errno: errno[name] };
    const port = portOf('/dev/sg1', scripted(when === 'first' ? [refusal] : [good, refusal]));
    if (when === 'later') expect(await port.execute(command, signal)).toEqual(good);
    const sent = port.execute(dataOut === undefined ? command : { ...command, dataOut }, signal);
    await expect(sent).rejects.toMatchObject({ code, facts: { device: '/dev/sg1' } });
    await expect(sent).rejects.toThrow(message);
  });

  test.each([
    ['two buffers', { dataIn: block, dataOut: block }],
    ['no CDB', { cdb: new Uint8Array(0) }],
    ['no time', { timeoutMs: 0 }],
    [
      'a buffer that may shrink',
      { dataIn: new Uint8Array(new ArrayBuffer(8, { maxByteLength: 9 })) },
    ],
  ])('%s is a bug', async (_, wrong) => {
    const sent = portOf('/dev/sg1', scripted([])).execute({ ...command, ...wrong }, signal);
    await expect(sent).rejects.toHaveProperty('code', 'ERR_ASSERTION');
  });
});
