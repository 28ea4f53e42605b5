import { expect, test } from 'vitest';
import type { Clock } from '../../../src/base/clock.ts';
import { CodedError } from '../../../src/base/errors.ts';
import type { ScsiCommand, ScsiPort, ScsiReply } from '../../../src/device/port.ts';
import { tracePort } from '../../../src/device/trace.ts';

const GOOD: ScsiReply = {
  status: 0,
  hostStatus: 0,
  driverStatus: 0,
  sense: new Uint8Array(0),
  residualBytes: 0,
};
const signal = new AbortController().signal;

function trace(outcome: Partial<ScsiReply> | Error) {
  let monotonicMs = 0;
  const clock: Clock = {
    nowMs: () => 0,
    monotonicMs: () => monotonicMs,
    sleepMs: async () => {},
  };
  const lines: string[] = [];
  const inner: ScsiPort & { closed: number } = {
    name: '/dev/sg1',
    closed: 0,
    execute: async () => {
      monotonicMs += 12.34;
      if (outcome instanceof Error) throw outcome;
      return { ...GOOD, ...outcome };
    },
    close: async () => {
      inner.closed += 1;
    },
  };
  return { port: tracePort(inner, (line) => lines.push(line), clock), inner, lines };
}

function command(hex: string, buffers: Partial<ScsiCommand> = {}): ScsiCommand {
  return { cdb: Uint8Array.from(Buffer.from(hex, 'hex')), timeoutMs: 1000, ...buffers };
}

test.each<[string, ScsiCommand, Partial<ScsiReply> | Error, string]>([
  ['no data', command('010000000000'), {}, 'REWIND: 01 00 00 00 00 00 -> GOOD, 12.3 ms'],
  [
    'data in, some missing',
    command('080000001000', { dataIn: new Uint8Array(16) }),
    { residualBytes: 6 },
    'READ: 08 00 00 00 10 00 in 16 -> GOOD, residual 6, 12.3 ms',
  ],
  [
    'sense, and a driver status that only says so',
    command('000000000000'),
    { status: 2, driverStatus: 8, sense: Uint8Array.of(0x70, 0, 2) },
    'TEST UNIT READY: 00 00 00 00 00 00 -> CHECK CONDITION, sense 70 00 02, 12.3 ms',
  ],
  [
    'a timeout below SCSI',
    command('000000000000'),
    { hostStatus: 3, driverStatus: 6 },
    'TEST UNIT READY: 00 00 00 00 00 00 -> GOOD, host 03h, driver 06h, 12.3 ms',
  ],
  [
    'unheard-of command and status',
    command('ff0000000000'),
    { status: 0x30 },
    'unknown command: ff 00 00 00 00 00 -> status 30h, 12.3 ms',
  ],
])('%s', async (_, sent, outcome, line) => {
  const { port, lines } = trace(outcome);
  expect(await port.execute(sent, signal)).toMatchObject(outcome);
  expect(lines).toEqual([`/dev/sg1 ${line}`]);
});

test('a key on its way to the drive is not told', async () => {
  const { port, lines } = trace({});
  await port.execute(
    command('b52000100000000000040000', { dataOut: Uint8Array.of(0xde, 0xad, 0xbe, 0xef) }),
    signal,
  );
  expect(lines[0]).toContain('SECURITY PROTOCOL OUT: b5 20 00 10 00 00 00 00 00 04 00 00 out 4 ->');
  expect(lines[0]).not.toMatch(/de ad|dead/);
});

test.each([
  [new CodedError('DEVICE_MISSING', '/dev/sg1 went away'), 'DEVICE_MISSING'],
  [new Error('stop'), 'not sent'],
])('a rejection is told and passed on', async (error, said) => {
  const { port, lines } = trace(error);
  await expect(port.execute(command('000000000000'), signal)).rejects.toBe(error);
  expect(lines[0]).toContain(`-> ${said}, 12.3 ms`);
});

test('close goes through, and the name stays', async () => {
  const { port, inner } = trace({});
  await port.close();
  expect(inner.closed).toBe(1);
  expect(port.name).toBe('/dev/sg1');
});
