import { AssertionError } from 'node:assert';
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { fromHex } from '../../../../src/base/bytes.ts';
import { SimClock } from '../../../../src/base/clock.ts';
import { seededRandom } from '../../../../src/base/random.ts';
import { Changer } from '../../../../src/device/changer.ts';
import { Drive } from '../../../../src/device/drive.ts';
import { readHealth } from '../../../../src/device/health.ts';
import type { ScsiPort, ScsiReply } from '../../../../src/device/port.ts';
import { parseSense } from '../../../../src/device/sense.ts';
import { FaultPlan } from '../../../../src/device/virtual/faults.ts';
import { VirtualLibrary } from '../../../../src/device/virtual/library.ts';
import type { Barcode } from '../../../../src/domain/barcode.ts';
import { WRITING_MODE } from '../../../../src/storage/writing-mode.ts';
import { memoryLocks } from '../../../sim/locks.ts';
import { scratchDirectory } from '../../../sim/scratch.ts';

const go = new AbortController().signal;
const MIB = 2 ** 20;
const [SLOT, DRIVE] = [1024, 256];

const BARCODES = ['AAA001L8', 'AAA002LY', 'AAA003L7', 'AAA004L6', 'CLN001L8'] as Barcode[];

async function makeLibrary(): Promise<string> {
  const directory = await scratchDirectory();
  const shape = {
    generation: 'LTO-8' as const,
    capacityBytes: 8 * MIB,
    drives: 1,
    slots: 6,
    ports: 0,
    barcodes: BARCODES,
  };
  await VirtualLibrary.create(directory, shape, seededRandom(1));
  return directory;
}

/** A fresh process on the library: locks of those before are gone with them. */
async function start(directory: string, bootId = 'boot 1', speed: 'model' | 'instant' = 'model') {
  const clock = new SimClock();
  const faults = new FaultPlan();
  const options = { clock, speed, lockFile: memoryLocks(), bootId, faults };
  const library = await VirtualLibrary.open(directory, options);
  const changer = await Changer.open(library.openChanger(), clock, go);
  return { library, changer, clock, faults };
}

/** The port of a drive with the cartridge from a slot threaded, and nothing pending. */
async function threaded(slot = 0) {
  const process = await start(await makeLibrary());
  await process.changer.move(SLOT + slot, DRIVE, go);
  const port = await process.library.openDrive(0);
  onTestFinished(() => port.close());
  const send = (hex: string, buffers: { in?: number; out?: Buffer } = {}) =>
    raw(port, hex, buffers);
  for (let count = 0; count < 3; count += 1) await send('00 00 00 00 00 00');
  return { ...process, port, send };
}

type Sent = ScsiReply & { data: Buffer; said: ReturnType<typeof parseSense> };

async function raw(
  port: ScsiPort,
  hex: string,
  buffers: { in?: number; out?: Buffer } = {},
): Promise<Sent> {
  const dataIn = buffers.in === undefined ? undefined : Buffer.alloc(buffers.in, 0xee);
  const reply = await port.execute(
    {
      cdb: fromHex(hex),
      timeoutMs: 1000,
      ...(dataIn && { dataIn }),
      ...(buffers.out && { dataOut: buffers.out }),
    },
    go,
  );
  const data = dataIn?.subarray(0, dataIn.length - reply.residualBytes) ?? Buffer.alloc(0);
  return { ...reply, data, said: parseSense(reply.sense) };
}

describe('commands as they come over the wire', () => {
  test('with no cartridge: what it is, and that it is empty', async () => {
    const { library } = await start(await makeLibrary());
    const port = await library.openDrive(0);
    expect((await raw(port, '12 00 00 00 24 00', { in: 36 })).data.toString('latin1', 8, 32)).toBe(
      'SHELFS  VIRTUAL LTO-8   ',
    );
    expect((await raw(port, '12 00 00 00 05 00', { in: 36 })).residualBytes).toBe(31);
    expect((await raw(port, '12 00 80 00 ff 00', { in: 255 })).said).toMatchObject({
      key: 5,
      asc: 0x24,
    });
    expect((await raw(port, '12 01 00 00 ff 00', { in: 255 })).data.toString('hex')).toBe(
      '01000003008083',
    );
    for (const hex of [
      '00 00 00 00 00 00',
      '01 00 00 00 00 00',
      '34 06 00 00 00 00 00 00 00 00',
      '1b 00 00 00 01 00',
      '1b 00 00 00 00 00',
      '19 00 00 00 00 00',
    ]) {
      expect((await raw(port, hex)).said).toMatchObject({ key: 2, asc: 0x3a });
    }
    expect((await raw(port, '03 00 00 00 12 00', { in: 18 })).data.readUInt16BE(12)).toBe(0x3a00);
    expect((await raw(port, '5a 08 0f 00 00 00 00 00 ff 00', { in: 255 })).status).toBe(0);
    expect(
      (await raw(port, '4d 00 71 00 00 00 00 00 ff 00', { in: 255 })).data.toString('hex'),
    ).toBe('31000000');
  });

  test.each([
    ['a command it does not know', 'c0 00 00 00 00 00', 0x20],
    ['SPACE to sequential marks', '11 02 00 00 01 00', 0x24],
    ['LOCATE to set marks', '92 10 00 00 00 00 00 00 00 00 00 00 00 00 00 00', 0x24],
    ['READ POSITION, extended form', '34 08 00 00 00 00 00 00 00 00', 0x24],
    ['READ, fixed blocks', '08 01 00 00 01 00', 0x24],
    ['WRITE, fixed blocks', '0a 01 00 00 01 00', 0x24],
    ['WRITE of more than was sent', '0a 00 00 00 09 00', 0x24],
    ['an unknown log page', '4d 00 7f 00 00 00 00 00 ff 00', 0x24],
    ['an unknown mode page', '5a 00 11 00 00 00 00 00 ff 00', 0x24],
    ['saved mode pages', '5a 00 cf 00 00 00 00 00 ff 00', 0x39],
    [
      'READ ATTRIBUTE of a list there is not',
      '8c 05 00 00 00 00 00 00 00 00 00 00 01 00 00 00',
      0x24,
    ],
    ['attributes behind the last', '8c 00 00 00 00 00 00 00 ff ff 00 00 01 00 00 00', 0x24],
    ['ALLOW OVERWRITE at another place', '82 00 01 00 00 00 00 00 00 00 00 07 00 00 00 00', 0x24],
    ['ALLOW OVERWRITE by an unknown code', '82 00 05 00 00 00 00 00 00 00 00 00 00 00 00 00', 0x24],
  ])('refused: %s', async (_, hex, asc) => {
    const { send } = await threaded();
    expect((await send(hex, { in: 255 })).said).toMatchObject({ key: 5, asc });
    expect((await send('00 00 00 00 00 00')).status).toBe(0);
  });

  test('commands of no length do nothing and succeed', async () => {
    const { send } = await threaded();
    expect((await send('08 00 00 00 00 00')).status).toBe(0);
    expect((await send('0a 00 00 00 00 00')).status).toBe(0);
    expect((await send('10 00 00 00 00 00')).status).toBe(0);
    expect((await send('34 06 00 00 00 00 00 00 00 00', { in: 32 })).data.readBigUInt64BE(8)).toBe(
      0n,
    );
  });

  test('read position, long and short form', async () => {
    const { send } = await threaded();
    await send('0a 00 00 00 05 00', { out: Buffer.alloc(5, 1) });
    await send('10 00 00 00 02 00');
    const long = await send('34 06 00 00 00 00 00 00 00 00', { in: 32 });
    expect(long.data.toString('hex')).toBe(
      `00000000${'00000000'}${'0000000000000003'}${'0000000000000002'}${'00'.repeat(8)}`,
    );
    const short = await send('34 00 00 00 00 00 00 00 00 00', { in: 20 });
    expect(short.data.toString('hex')).toBe(`30000000${'00000003'}${'00000003'}${'00'.repeat(8)}`);
    await send('01 00 00 00 00 00');
    expect((await send('34 06 00 00 00 00 00 00 00 00', { in: 32 })).data[0]).toBe(0x80);
  });

  test('LOCATE to a file, SPACE(16) and SPACE over blocks', async () => {
    const { send } = await threaded();
    const position = async () =>
      (await send('34 06 00 00 00 00 00 00 00 00', { in: 32 })).data.readBigUInt64BE(8);
    for (let file = 0; file < 3; file += 1) {
      await send('0a 00 00 00 05 00', { out: Buffer.alloc(5, 1) });
      await send('10 00 00 00 01 00');
    }
    await send('92 08 00 00 00 00 00 00 00 00 00 02 00 00 00 00');
    expect(await position()).toBe(4n);
    await send('91 01 00 00 ff ff ff ff ff ff ff fe 00 00 00 00');
    expect(await position()).toBe(1n);
    expect((await send('11 00 00 00 02 00')).said).toMatchObject({
      filemark: true,
      information: 2,
    });
    await send('92 18 00 00 00 00 00 00 00 00 00 00 00 00 00 00');
    expect(await position()).toBe(6n);
  });

  test('a READ leaves what is behind the block alone, and SILI silences its length', async () => {
    const { send } = await threaded();
    await send('0a 00 00 00 05 00', { out: Buffer.from('abcde') });
    await send('01 00 00 00 00 00');
    const longer = await send('08 00 00 00 09 00', { in: 20 });
    expect(longer.data.toString()).toBe('abcde');
    expect(longer.residualBytes).toBe(15);
    expect(longer.said).toMatchObject({ incorrectLength: true, information: 4 });
    await send('01 00 00 00 00 00');
    expect((await send('08 02 00 00 09 00', { in: 20 })).status).toBe(0);
  });

  test('TapeAlert is cleared by reading it, not by asking for its header', async () => {
    const { send, faults } = await threaded();
    faults.add({ note: 'alert', on: 'rewind', effect: { kind: 'tape-alert', flag: 4 } });
    await send('01 00 00 00 00 00');
    const flags = async (bytes: number) =>
      (
        await send(`4d 00 6e 00 00 00 00 00 ${bytes.toString(16).padStart(2, '0')} 00`, {
          in: bytes,
        })
      ).data;
    expect(await flags(4)).toHaveLength(4);
    expect((await send('4d 00 6e 00 00 00 00 02 00 00', { in: 512 })).data[4 + 3 * 5 + 4]).toBe(1);
    expect((await send('4d 00 6e 00 00 00 00 02 00 00', { in: 512 })).data[4 + 3 * 5 + 4]).toBe(0);
  });

  test('bytes refused are not counted as written', async () => {
    const { send } = await threaded(3); // an LTO-6 cartridge cannot even be read
    expect((await send('0a 00 00 00 05 00', { out: Buffer.alloc(5) })).said).toMatchObject({
      key: 2,
      asc: 0x30,
    });
    const page = (await send('4d 00 4c 00 00 00 00 00 ff 00', { in: 255 })).data;
    expect(page.readBigUInt64BE(8)).toBe(0n);
  });

  test('the memory chip has room for 1 KiB of the host’s', async () => {
    const { send } = await threaded();
    const write = async (id: string, lengthBytes: number) => {
      const list = Buffer.concat([
        fromHex(`00000000 ${id} 01 0000`),
        Buffer.alloc(lengthBytes, 0x41),
      ]);
      list.writeUInt32BE(list.length - 4);
      list.writeUInt16BE(lengthBytes, 7);
      return (await send('8d 01 00 00 00 00 00 00 00 00 00 00 04 00 00 00', { out: list })).said;
    };
    expect(await write('0803', 1000)).toBeUndefined();
    expect(await write('0806', 100)).toMatchObject({ key: 5, asc: 0x55 });
    expect(await write('0803', 900)).toBeUndefined();
    expect(await write('0806', 100)).toBeUndefined();
    expect(await write('0400', 4)).toMatchObject({ key: 5, asc: 0x26 });
    const ids = await send('8c 01 00 00 00 00 00 00 08 00 00 00 00 ff 00 00', { in: 255 });
    expect(ids.data.toString('hex')).toBe('0000000408030806');
  });

  test('a command that was aborted before its turn is not carried out', async () => {
    const { port, send } = await threaded();
    const abort = new AbortController();
    const first = send('0a 00 00 00 05 00', { out: Buffer.alloc(5, 1) });
    const second = port.execute(
      { cdb: fromHex('0a 00 00 00 05 00'), timeoutMs: 1, dataOut: Buffer.alloc(5, 2) },
      abort.signal,
    );
    abort.abort(new Error('enough'));
    await expect(second).rejects.toThrow('enough');
    expect((await first).status).toBe(0);
    expect((await send('34 06 00 00 00 00 00 00 00 00', { in: 32 })).data.readBigUInt64BE(8)).toBe(
      1n,
    );
  });

  test('a closed port takes nothing', async () => {
    const { port } = await threaded();
    await Promise.all([port.close(), port.close()]);
    await expect(async () => raw(port, '00 00 00 00 00 00')).rejects.toThrow(AssertionError);
  });
});

describe('cartridges', () => {
  test.each([
    ['its own generation', 0, undefined, undefined],
    ['write-once', 1, undefined, undefined],
    ['one generation back', 2, undefined, undefined],
    ['two generations back', 3, { key: 2, asc: 0x30, ascq: 0 }, undefined],
    ['cleaning', 4, { key: 2, asc: 0x30, ascq: 3 }, 11],
  ])('%s', async (_, slot, said, alert) => {
    const { send } = await threaded(slot);
    const found = (await send('00 00 00 00 00 00')).said;
    if (said) expect(found).toMatchObject(said);
    else expect(found).toBeUndefined();
    const alerts = (await send('4d 00 6e 00 00 00 00 02 00 00', { in: 512 })).data;
    if (alert) expect(alerts[4 + (alert - 1) * 5 + 4]).toBe(1);
  });

  test('a cartridge that was exchanged is announced once; one that was reloaded is not', async () => {
    const { send, changer } = await threaded();
    await changer.move(DRIVE, SLOT, go);
    expect((await send('00 00 00 00 00 00')).said).toMatchObject({ key: 2, asc: 0x3a });
    await changer.move(SLOT + 1, DRIVE, go);
    expect((await send('00 00 00 00 00 00')).said).toMatchObject({ key: 6, asc: 0x28 });
    expect((await send('00 00 00 00 00 00')).said).toBeUndefined();
    await send('1b 00 00 00 00 00');
    expect((await send('00 00 00 00 00 00')).said).toMatchObject({ key: 2, asc: 4, ascq: 2 });
    await send('1b 00 00 00 01 00');
    expect((await send('00 00 00 00 00 00')).said).toBeUndefined();
  });
});

/** A tape as anybody would write it down: bytes, or null for a mark. */
type Records = readonly (Buffer | null)[];

type Act =
  | { kind: 'write'; lengthBytes: number; byte: number }
  | { kind: 'marks'; count: number; immediate: boolean }
  | {
      kind:
        | 'flush'
        | 'rewind'
        | 'end'
        | 'prove'
        | 'reload'
        | 'erase'
        | 'health'
        | 'reset'
        | 'swallowed'
        | 'reopen';
    }
  | { kind: 'locate'; share: number; beyond: boolean }
  | { kind: 'space'; count: number }
  | { kind: 'read'; room: number }
  | { kind: 'label'; byte: number };

const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      lengthBytes: fc.integer({ min: 1, max: 300 }),
      byte: fc.nat(255),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('marks' as const),
      count: fc.integer({ min: 1, max: 2 }),
      immediate: fc.boolean(),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('read' as const),
      room: fc.constantFrom(1, 100, 300, 1000),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('locate' as const),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
      beyond: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('space' as const),
      count: fc.integer({ min: -3, max: 3 }),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('end' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('label' as const), byte: fc.nat(255) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'flush' as const,
        'rewind' as const,
        'prove' as const,
        'reload' as const,
        'erase' as const,
        'health' as const,
        'reset' as const,
        'swallowed' as const,
        'reopen' as const,
      ),
    }),
  },
);

/** Lets through and notes whether a write was ever sent that no READ POSITION had just preceded. */
function watched(port: ScsiPort): { port: ScsiPort; blind: string[] } {
  const blind: string[] = [];
  let before = 0;
  return {
    blind,
    port: {
      name: port.name,
      close: () => port.close(),
      execute: (command, signal) => {
        const opcode = command.cdb[0] ?? 0;
        const isFlush = opcode === 0x10 && Buffer.from(command.cdb).readUIntBE(2, 3) === 0;
        if ([0x0a, 0x10, 0x19].includes(opcode) && !isFlush && before !== 0x34)
          blind.push(`${opcode} after ${before}`);
        before = opcode;
        return port.execute(command, signal);
      },
    },
  };
}

/** The drive and the paper side by side. */
class Play {
  records: (Buffer | null)[] = [];
  position = 0;
  proven = true;
  atEnd = false;
  drive: Drive;
  readonly #reopen: () => Promise<Drive>;
  readonly #faults: FaultPlan;

  constructor(drive: Drive, reopen: () => Promise<Drive>, faults: FaultPlan) {
    this.drive = drive;
    this.#reopen = reopen;
    this.#faults = faults;
  }

  get #file(): number {
    return this.records.slice(0, this.position).filter((record) => record === null).length;
  }

  async step(done: Act): Promise<void> {
    const { drive } = this;
    switch (done.kind) {
      case 'write':
        return this.#append([Buffer.alloc(done.lengthBytes, done.byte)], () =>
          drive.write(Buffer.alloc(done.lengthBytes, done.byte), go),
        );
      case 'marks':
        return this.#append(new Array<null>(done.count).fill(null), () =>
          drive.writeFilemarks(done.count, { immediate: done.immediate }, go),
        );
      case 'erase':
        return this.#append([], () => drive.eraseShort(go));
      case 'label':
        await drive.setMode(WRITING_MODE, go);
        await drive.rewind(go);
        await drive.allowOverwrite(go);
        await drive.write(Buffer.alloc(100, done.byte), go);
        this.records = [Buffer.alloc(100, done.byte)];
        return this.#stand(1, { atEnd: true });
      case 'flush':
        await drive.flush(go);
        return;
      case 'rewind':
        await drive.rewind(go);
        return this.#stand(0);
      case 'end':
        await drive.setMode(WRITING_MODE, go);
        await drive.spaceToEndOfData(go);
        return this.#stand(this.records.length, { atEnd: true });
      case 'prove': {
        const reported = await drive.provePosition(go);
        expect(reported).toMatchObject({ block: this.position, file: this.#file });
        this.proven = true;
        return;
      }
      case 'locate':
        return this.#locate(done);
      case 'space':
        return this.#space(done.count);
      case 'read':
        return this.#read(done.room);
      case 'reload':
        await drive.unload(go);
        await drive.load(go);
        this.position = 0;
        return this.#lose();
      case 'reopen':
        this.drive = await this.#reopen();
        return this.#lose();
      case 'health':
        await readHealth(drive.unit, go);
        return;
      case 'reset':
      case 'swallowed':
        return this.#reset(done.kind === 'swallowed');
    }
  }

  async #append(added: Records, write: () => Promise<unknown>): Promise<void> {
    if (!this.proven || !this.atEnd) {
      await expect(write()).rejects.toThrow(AssertionError);
      return;
    }
    await write();
    this.records = [...this.records.slice(0, this.position), ...added];
    this.#stand(this.records.length, { atEnd: true });
  }

  async #locate({ share, beyond }: { share: number; beyond: boolean }): Promise<void> {
    const block = beyond ? this.records.length + 1 : Math.round(this.records.length * share);
    if (!beyond) {
      await this.drive.locate(block, go);
      return this.#stand(block);
    }
    await expect(this.drive.locate(block, go)).rejects.toMatchObject({ code: 'MEDIUM_UNREADABLE' });
    this.position = this.records.length;
    this.#lose();
  }

  async #space(count: number): Promise<void> {
    const marks = this.records.flatMap((record, block) => (record === null ? [block] : []));
    const passed = this.#file;
    const target = count > 0 ? marks[passed + count - 1] : marks[passed + count];
    if (count > 0 && target === undefined) {
      await expect(this.drive.spaceFilemarks(count, go)).rejects.toMatchObject({
        code: 'MEDIUM_UNREADABLE',
      });
      this.position = this.records.length;
      return this.#lose();
    }
    await this.drive.spaceFilemarks(count, go);
    if (count === 0) return this.#stand(this.position);
    this.#stand(target === undefined ? 0 : count > 0 ? target + 1 : target);
  }

  async #read(room: number): Promise<void> {
    const buffer = Buffer.alloc(room, 0xee);
    const result = await this.drive.read(buffer, go);
    const record = this.records[this.position];
    if (record === undefined) {
      expect(result).toEqual({ kind: 'end-of-data' });
    } else if (record === null) {
      expect(result).toEqual({ kind: 'filemark' });
      this.position += 1;
      this.atEnd = false;
    } else {
      const kind = record.length > room ? 'longer-block' : 'block';
      expect(result).toEqual({ kind, lengthBytes: record.length });
      const placed = Math.min(room, record.length);
      expect(buffer.subarray(0, placed).equals(record.subarray(0, placed))).toBe(true);
      this.position += 1;
      this.atEnd = false;
    }
  }

  /** Somebody else resets the drive, and perhaps a third one sees the unit attention before us. */
  async #reset(swallowed: boolean): Promise<void> {
    this.#faults.add({ note: 'reset', on: 'position', effect: { kind: 'reset', swallowed } });
    const wasKnown = this.proven && this.position === 0;
    this.position = 0;
    if (!this.proven) {
      if (!swallowed)
        await expect(this.drive.provePosition(go)).rejects.toMatchObject({ code: 'DRIVE_RESET' });
      await this.drive.provePosition(go);
      this.proven = true;
      this.atEnd = false;
      return;
    }
    const check = this.drive.checkPosition(go);
    if (!swallowed) await expect(check).rejects.toMatchObject({ code: 'DRIVE_RESET' });
    else if (!wasKnown) await expect(check).rejects.toMatchObject({ code: 'POSITION_LOST' });
    else return check; // it stands where we thought it stood
    this.#lose();
  }

  #stand(position: number, { atEnd = false } = {}): void {
    this.position = position;
    this.proven = true;
    this.atEnd = atEnd;
  }

  #lose(): void {
    this.proven = false;
    this.atEnd = false;
  }

  expectSamePosition(): void {
    const { position } = this.drive;
    expect(position.proven).toBe(this.proven);
    if (!position.proven) return;
    expect(position).toEqual({
      proven: true,
      block: this.position,
      file: this.#file,
      atEndOfData: this.atEnd,
    });
  }
}

async function readAll(drive: Drive): Promise<(Buffer | null)[]> {
  await drive.rewind(go);
  const records: (Buffer | null)[] = [];
  for (;;) {
    const buffer = Buffer.alloc(1000);
    const result = await drive.read(buffer, go);
    if (result.kind === 'end-of-data') return records;
    records.push(result.kind === 'filemark' ? null : buffer.subarray(0, result.lengthBytes));
  }
}

test('a drive and a sheet of paper agree, whatever is done; nothing is ever written blindly', () =>
  fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 40 }), async (acts) => {
      const { library, changer, clock, faults } = await start(await makeLibrary());
      await changer.move(SLOT, DRIVE, go);
      let inner = await library.openDrive(0);
      let watch = watched(inner);
      const blind: string[][] = [watch.blind];
      const open = async () => {
        const drive = await Drive.open(watch.port, clock, go);
        await drive.waitReady(go);
        return drive;
      };
      const play = new Play(
        await open(),
        async () => {
          await inner.close();
          inner = await library.openDrive(0);
          watch = watched(inner);
          blind.push(watch.blind);
          return open();
        },
        faults,
      );
      await play.step({ kind: 'rewind' });
      for (const done of acts) {
        await play.step(done);
        play.expectSamePosition();
      }
      expect(await readAll(play.drive)).toEqual(play.records);
      expect(blind.flat()).toEqual([]);
      expect(faults.unfired()).toEqual([]);
      await inner.close();
    }),
    { numRuns: 120 },
  ));

describe('crashes, through the drive', () => {
  type Written = { lengthBytes: number; byte: number } | 'mark' | 'sync' | 'label';
  const written: fc.Arbitrary<Written> = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ lengthBytes: fc.integer({ min: 1, max: 200 }), byte: fc.nat(255) }),
    },
    { weight: 2, arbitrary: fc.constant('mark' as const) },
    { weight: 2, arbitrary: fc.constant('sync' as const) },
    { weight: 1, arbitrary: fc.constant('label' as const) },
  );

  /** Writes, and leaves the process hanging there: what is on disk, what was confirmed, what accepted. */
  async function interrupted(steps: readonly Written[]) {
    const directory = await makeLibrary();
    const { library, changer, clock } = await start(directory, 'boot 1', 'instant');
    await changer.move(SLOT, DRIVE, go);
    const port = await library.openDrive(0);
    const drive = await Drive.open(port, clock, go);
    await drive.waitReady(go);
    await drive.setMode(WRITING_MODE, go);
    await drive.spaceToEndOfData(go);
    let records: (Buffer | null)[] = [];
    let confirmed: Records = [];
    for (const step of steps) {
      if (step === 'label') {
        await drive.rewind(go);
        await drive.allowOverwrite(go);
        records = [];
        // the old data are gone with the first block of the new label
        await drive.write(Buffer.alloc(50, 0x4c), go);
        records.push(Buffer.alloc(50, 0x4c));
        confirmed = [];
      } else if (typeof step === 'object') {
        await drive.write(Buffer.alloc(step.lengthBytes, step.byte), go);
        records.push(Buffer.alloc(step.lengthBytes, step.byte));
      } else {
        await drive.writeFilemarks(1, { immediate: step === 'mark' }, go);
        records.push(null);
        if (step === 'sync') confirmed = [...records];
      }
    }
    const copy = await scratchDirectory();
    for (const name of readdirSync(directory))
      copyFileSync(join(directory, name), join(copy, name));
    await port.close(); // what it confirms now comes too late for the copy
    return { copy, records, confirmed };
  }

  async function found(directory: string, bootId: string): Promise<(Buffer | null)[]> {
    const { library, clock } = await start(directory, bootId, 'instant');
    const port = await library.openDrive(0);
    const drive = await Drive.open(port, clock, go);
    await drive.waitReady(go);
    expect(await drive.provePosition(go)).toMatchObject({ block: 0 });
    const records = await readAll(drive);
    await drive.setMode(WRITING_MODE, go);
    await drive.spaceToEndOfData(go);
    await drive.write(Buffer.from('after'), go);
    await drive.writeFilemarks(1, { immediate: false }, go);
    expect(await readAll(drive)).toEqual([...records, Buffer.from('after'), null]);
    await port.close();
    return records;
  }

  test('killed: everything that was accepted', () =>
    fc.assert(
      fc.asyncProperty(fc.array(written, { maxLength: 15 }), async (steps) => {
        const { copy, records } = await interrupted(steps);
        expect(await found(copy, 'boot 1')).toEqual(records);
      }),
      { numRuns: 60 },
    ));

  test('power cut: exactly what a synchronous filemark confirmed', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(written, { maxLength: 15 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.array(fc.tuple(fc.nat(600), fc.nat(255)), { maxLength: 10 }),
        async (steps, share, noise) => {
          const { copy, confirmed } = await interrupted(steps);
          const path = join(copy, 'AAA001L8.tap');
          const data = readFileSync(path);
          const holds = confirmed.reduce((sum, record) => {
            const length = record?.length ?? 0;
            return sum + (length === 0 ? 4 : 8 + length + (length % 2));
          }, 0);
          const torn = Buffer.from(
            data.subarray(0, holds + Math.floor((data.length - holds) * share)),
          );
          for (const [at, byte] of noise) if (holds + at < torn.length) torn[holds + at] = byte;
          writeFileSync(path, torn);
          expect(await found(copy, 'boot 2')).toEqual(confirmed);
        },
      ),
      { numRuns: 60 },
    ));
});

describe('counting', () => {
  test('what is refused is neither counted nor timed', async () => {
    const { send, library } = await threaded();
    await send('10 00 00 00 01 00');
    await send('01 00 00 00 00 00');
    const guard = Buffer.concat([
      fromHex('0000 00 10 00 00 0000 50 01 001c 00 10 0000'),
      Buffer.alloc(24),
    ]);
    await send(`55 10 00 00 00 00 00 00 ${guard.length.toString(16)} 00`, { out: guard });
    expect((await send('0a 00 00 00 05 00', { out: Buffer.alloc(5) })).said).toMatchObject({
      key: 7,
    });
    expect((await send('10 00 00 00 07 00')).said).toMatchObject({ key: 7 });
    await send('1b 00 00 00 00 00');
    expect((await library.statistics())[0]).toMatchObject({
      filemarks: 1,
      blocksWritten: 0,
      rewinds: 1,
    });
    const page = (await send('4d 00 4c 00 00 00 00 00 ff 00', { in: 255 })).data;
    expect(page.readBigUInt64BE(8)).toBe(0n);
  });

  test('in model time a day of loading takes no time', async () => {
    const { clock, changer, library } = await threaded();
    await changer.move(DRIVE, SLOT, go);
    expect(clock.monotonicMs()).toBe(0);
    expect((await library.statistics())[0]).toMatchObject({ loads: 1, unloads: 1 });
  });
});

test('a failure in one command does not stop the next', async () => {
  const { send, port } = await threaded();
  const failing = port.execute({ cdb: new Uint8Array(0), timeoutMs: 1 }, go);
  await expect(failing).rejects.toThrow();
  expect((await send('00 00 00 00 00 00')).status).toBe(0);
});
