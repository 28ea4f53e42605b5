/** What layers above see when the disk below a virtual library fails. */
import fs from 'node:fs';
import { open, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { fromHex } from '../../../../src/base/bytes.ts';
import { SimClock } from '../../../../src/base/clock.ts';
import { seededRandom } from '../../../../src/base/random.ts';
import type { ScsiPort } from '../../../../src/device/port.ts';
import { parseSense } from '../../../../src/device/sense.ts';
import { VirtualCartridge } from '../../../../src/device/virtual/cartridge.ts';
import { VirtualLibrary } from '../../../../src/device/virtual/library.ts';
import type { Barcode } from '../../../../src/domain/barcode.ts';
import { failNextBlockWrite } from '../../../sim/block-writes.ts';
import { memoryLocks } from '../../../sim/locks.ts';
import { scratchDirectory } from '../../../sim/scratch.ts';

const go = new AbortController().signal;
const NAME = 'VIR001L8' as Barcode;
const DRIVE = 256;
const shape = {
  generation: 'LTO-8' as const,
  capacityBytes: 8 * 2 ** 20,
  drives: 1,
  slots: 2,
  ports: 0,
  barcodes: [NAME],
};
const MARK = '10 00 00 00 01 00';
const REWIND = '01 00 00 00 00 00';
const UNLOAD = '1b 00 00 00 00 00';
const LOAD = '1b 00 00 00 01 00';
const READY = '00 00 00 00 00 00';
const write = (lengthBytes: number) => `0a 00 00 00 0${lengthBytes} 00`;
const UNWRITABLE = { key: 3, asc: 0x0c, ascq: 0, deferred: false };

type Call = 'datasync' | 'readv';

async function failing(call: Call, { errno = 'EIO', times = 1 } = {}): Promise<void> {
  const handle = await open('/dev/null');
  const prototype = Object.getPrototypeOf(handle);
  await handle.close();
  const real = prototype[call];
  let left = times;
  const spy = vi.spyOn(prototype, call).mockImplementation(function (this: unknown, ...args) {
    left -= 1;
    if (left < 0) return real.apply(this, args);
    return Promise.reject(Object.assign(new Error(`${errno}: planned`), { code: errno }));
  });
  onTestFinished(() => spy.mockRestore());
}

/** Files of state are written at once (base/durable.ts). */
function failStateWrites({ errno = 'EIO', times = 1 } = {}): { restore(): void } {
  const real = fs.writeFileSync;
  let left = times;
  const spy = vi.spyOn(fs, 'writeFileSync').mockImplementation((...args) => {
    left -= 1;
    if (left < 0) return real(...args);
    throw Object.assign(new Error(`${errno}: planned`), { code: errno });
  });
  const restore = () => {
    spy.mockRestore();
    syncBuiltinESMExports();
  };
  // Modules that have imported it by name see what it is now.
  syncBuiltinESMExports();
  onTestFinished(restore);
  return { restore };
}

async function make() {
  const directory = await scratchDirectory();
  await VirtualLibrary.create(directory, shape, seededRandom(1));
  const options = {
    clock: new SimClock(),
    speed: 'instant' as const,
    lockFile: memoryLocks(),
    bootId: 'boot',
  };
  const library = await VirtualLibrary.open(directory, options);
  await library.removeByHand(1024);
  await library.insertByHand(NAME, DRIVE);
  return { directory, library };
}

async function ready() {
  const made = await make();
  const port = await made.library.openDrive(0);
  const send = sender(port);
  for (let count = 0; count < 3; count += 1) await send(READY);
  return { ...made, port, send };
}

function sender(port: ScsiPort) {
  return async (hex: string, buffers: { in?: number; out?: Buffer } = {}) => {
    const dataIn = buffers.in === undefined ? undefined : Buffer.alloc(buffers.in);
    const sent = await port.execute(
      {
        cdb: fromHex(hex),
        timeoutMs: 1000,
        ...(dataIn && { dataIn }),
        ...(buffers.out && { dataOut: buffers.out }),
      },
      go,
    );
    return { ...sent, dataIn, said: parseSense(sent.sense) };
  };
}

async function position(send: ReturnType<typeof sender>): Promise<number> {
  const { dataIn } = await send('34 06 00 00 00 00 00 00 00 00', { in: 32 });
  return Number(dataIn?.readBigUInt64BE(8));
}

async function openTapes(directory: string): Promise<string[]> {
  const names = await readdir('/proc/self/fd');
  const targets = await Promise.all(
    names.map((name) => readlink(`/proc/self/fd/${name}`).catch(() => '')),
  );
  return targets.filter((target) => target.startsWith(directory));
}

const recordOf = async (directory: string) =>
  JSON.parse(await readFile(join(directory, `${NAME}.json`), 'utf8'));

test('a block that finds no room is a write error; what was written before stays', async () => {
  const { send, port } = await ready();
  await send(write(4), { out: Buffer.from('abcd') });
  failNextBlockWrite({ errno: 'ENOSPC' });
  expect((await send(write(4), { out: Buffer.from('efgh') })).said).toMatchObject(UNWRITABLE);
  expect(await position(send)).toBe(1);
  expect((await send(MARK)).status).toBe(0);
  await port.close();
});

test('a mark that cannot be confirmed loses what was not: the tape goes on at the confirmed', async () => {
  const { directory, send, port } = await ready();
  await send(write(4), { out: Buffer.from('abcd') });
  await send(MARK);
  await send(write(4), { out: Buffer.from('lost') });
  await failing('datasync');
  expect((await send(MARK)).said).toMatchObject(UNWRITABLE);
  expect(await position(send)).toBe(2);
  // No second try confirms anything, but reading and moving go on.
  expect((await send(MARK)).said).toMatchObject(UNWRITABLE);
  expect((await send('10 00 00 00 00 00')).said).toMatchObject(UNWRITABLE);
  expect((await send(REWIND)).status).toBe(0);
  expect((await send('08 00 00 00 04 00', { in: 4 })).dataIn?.toString()).toBe('abcd');
  // TapeAlert 3, hard error
  expect((await send('4d 00 6e 00 00 00 00 01 44 00', { in: 324 })).dataIn?.[4 + 5 * 2 + 4]).toBe(
    1,
  );
  // Taken out and put in again it can be written, from the confirmed end on.
  expect((await send(UNLOAD)).status).toBe(0);
  expect((await recordOf(directory)).mistrustsTail).toBe(true);
  await send(LOAD);
  await send('11 03 00 00 00 00');
  expect(await position(send)).toBe(2);
  await send(write(4), { out: Buffer.from('anew') });
  expect((await send(MARK)).status).toBe(0);
  expect(await position(send)).toBe(4);
  await port.close();
  expect(await recordOf(directory)).not.toHaveProperty('mistrustsTail');
});

test('a motion that meets the error of a write before it says so once, deferred', async () => {
  const { send, port } = await ready();
  await send(write(4), { out: Buffer.from('lost') });
  await failing('datasync');
  expect((await send(REWIND)).said).toMatchObject({ ...UNWRITABLE, deferred: true });
  expect(await position(send)).toBe(0);
  expect((await send(REWIND)).status).toBe(0);
  await port.close();
});

test('a cartridge’s chip that cannot be written is a write error too', async () => {
  const { send, port } = await ready();
  failStateWrites({ errno: 'ENOSPC' });
  expect((await send(write(4), { out: Buffer.from('abcd') })).said).toMatchObject(UNWRITABLE);
  expect((await send(write(4), { out: Buffer.from('abcd') })).status).toBe(0);
  await port.close();
});

test('a block the disk does not give back is a read error, and the head stays before it', async () => {
  const { send, port } = await ready();
  await send(write(4), { out: Buffer.from('abcd') });
  await send(REWIND);
  await failing('readv');
  const { said, residualBytes } = await send('08 00 00 00 04 00', { in: 4 });
  expect(said).toMatchObject({ key: 3, asc: 0x11, ascq: 0 });
  expect(residualBytes).toBe(4);
  expect(await position(send)).toBe(0);
  expect((await send('08 00 00 00 04 00', { in: 4 })).dataIn?.toString()).toBe('abcd');
  await port.close();
});

test('other state that cannot be written rejects by name, not as the tape’s fault', async () => {
  const { directory, send, port } = await ready();
  failStateWrites({ errno: 'ENOSPC' });
  await expect(send('1e 00 00 00 01 00')).rejects.toMatchObject({
    code: 'FAILED',
    message: expect.stringMatching(/library\.json.*ENOSPC/),
    facts: { path: join(directory, 'library.json') },
  });
  await port.close();
});

test('a drive whose tape cannot be confirmed closes all the same, and says so', async () => {
  const { directory, library, send, port } = await ready();
  await send(write(4), { out: Buffer.from('lost') });
  await failing('datasync');
  await expect(port.close()).rejects.toMatchObject({ code: 'MEDIUM_UNWRITABLE' });
  expect(await openTapes(directory)).toEqual([]);
  // The lock is free, and what was lost does not come back.
  const again = await library.openDrive(0);
  const next = sender(again);
  for (let count = 0; count < 3; count += 1) await next(READY);
  await next('11 03 00 00 00 00');
  expect(await position(next)).toBe(0);
  await again.close();
});

test('a drive whose state cannot be written closes all the same', async () => {
  const { directory, library, port } = await ready();
  const { restore } = failStateWrites({ times: 99 });
  await expect(port.close()).rejects.toMatchObject({ code: 'FAILED' });
  restore();
  expect(await openTapes(directory)).toEqual([]);
  await (await library.openDrive(0)).close();
});

test('a cartridge that cannot be threaded leaves no file open and no lock', async () => {
  const { directory, library } = await make();
  failStateWrites();
  await expect(library.openDrive(0)).rejects.toMatchObject({ code: 'FAILED' });
  expect(await openTapes(directory)).toEqual([]);
  await (await library.openDrive(0)).close();
});

test('a library whose state cannot be read is named', async () => {
  const { directory, library } = await make();
  await writeFile(join(directory, 'library.json'), '{}');
  await expect(library.openDrive(0)).rejects.toThrow('is damaged');
});

test('a closed drive refuses by rejecting', async () => {
  const { port } = await ready();
  await port.close();
  const sent = port.execute({ cdb: fromHex(READY), timeoutMs: 1000 }, go);
  await expect(sent).rejects.toThrow('closed');
});

test.each([
  ['a negative count', { loads: -1 }],
  ['half a byte', { bytesWritten: 0.5 }],
  ['more than can be counted', { changeReference: 2 ** 53 }],
  ['a value that is not hexadecimal', { attributes: { '0803': { format: 'text', value: 'x' } } }],
])('a damaged cartridge is named: %s', async (_, change) => {
  const { directory, library } = await make();
  const path = join(directory, `${NAME}.json`);
  const text = JSON.stringify({ ...(await recordOf(directory)), ...change });
  await writeFile(path, text);
  await expect(library.openDrive(0)).rejects.toMatchObject({
    code: 'FAILED',
    message: expect.stringContaining(`${path} is damaged`),
  });
  expect(await readFile(path, 'utf8')).toBe(text);
});

test('a cartridge’s name is never a path', async () => {
  const { directory } = await make();
  await expect(VirtualCartridge.open(directory, '../A', 'boot')).rejects.toThrow('name');
});

test('after a power cut what lies behind the end stays mistrusted until it is cut off', async () => {
  const { directory } = await make();
  const first = await VirtualCartridge.open(directory, NAME, 'boot 1');
  await first.tape.append(Buffer.from('kept'));
  await first.tape.sync();
  await first.tape.append(Buffer.from('torn'));
  await first.drop();
  // looked at after the cut, and killed, and looked at again, and given back
  for (const end of ['drop', 'close', 'close'] as const) {
    const next = await VirtualCartridge.open(directory, NAME, 'boot 2');
    expect(next.tape.end.block).toBe(1);
    await next[end]();
  }
  const writing = await VirtualCartridge.open(directory, NAME, 'boot 2');
  await writing.tape.append(Buffer.from('new'));
  await writing.close();
  const last = await VirtualCartridge.open(directory, NAME, 'boot 2');
  expect(last.tape.end.block).toBe(2);
  await last.close();
});
