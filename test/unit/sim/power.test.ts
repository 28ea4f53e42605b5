/** The power switch itself: it sees every way of writing, cuts where it is told, and loses what was not synced. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { beforeAll, describe, expect, test } from 'vitest';
import { seededRandom } from '../../../src/base/random.ts';
import { TapFile } from '../../../src/device/virtual/tap-file.ts';
import { mix } from '../../sim/power/image.ts';
import { buildPowerSwitch, type Ended, type Loss, PowerSwitch } from '../../sim/power/process.ts';
import { scratchDirectory } from '../../sim/scratch.ts';

const WRITER = join(import.meta.dirname, '..', '..', 'sim', 'power', 'writer.ts');

let library: string;

beforeAll(async () => {
  const built = await buildPowerSwitch();
  library = built.library;
  return built.remove;
});

async function makeBench(loss: Loss): Promise<{
  root: string;
  run(program: string, cutAt?: number): Promise<Ended>;
  power: PowerSwitch;
}> {
  const directory = await scratchDirectory();
  const root = join(directory, 'root');
  mkdirSync(root);
  const power = new PowerSwitch({ library, root, own: join(directory, 'own') }, loss);
  return { root, power, run: (program, cutAt) => power.run([WRITER, program, root], cutAt) };
}

describe('what is seen', () => {
  test.each([
    [
      'thread pool',
      [
        'open64 /a',
        'pwrite64 /a',
        'pwritev64 /a',
        'write /a',
        'ftruncate64 /a',
        'fdatasync /a',
        'fsync /a',
        'rename /b',
        'unlink /b',
        'mkdir /c',
        'rmdir /c',
      ],
    ],
    ['same thread', ['open64 /a', 'pwrite64 /a', 'write /a', 'fsync /a', 'unlink /a', 'mkdir /c']],
    ['door', ['open64 /a', 'mkdirat /d', 'renameat2 /b', 'unlinkat /b']],
  ])('by the %s', async (program, calls) => {
    const { run } = await makeBench('process');
    const ended = await run(program);
    expect(ended).toMatchObject({ status: 0, stderr: '' });
    expect(ended.calls).toEqual(calls);
  });

  test('by SQLite: each commit is written to the log and synced', async () => {
    const { run } = await makeBench('process');
    const { calls } = await run('sqlite');
    const of = (call: string) => calls.filter((each) => each === call).length;
    expect(of('pwrite64 /db-wal')).toBeGreaterThanOrEqual(40);
    expect(of('fsync /db-wal')).toBeGreaterThanOrEqual(20);
    expect(of('pwrite64 /db')).toBeGreaterThan(0);
    expect(of('fsync /db')).toBeGreaterThan(0);
  });
});

test('the process ends before the call it is told, and nothing is lost with it', async () => {
  const { run, root } = await makeBench('process');
  writeFileSync(join(root, 'blocks'), Buffer.alloc(40_960, 'o'));
  for (const cutAt of [1, 4, 10]) {
    const ended = await run('unsynced', cutAt);
    expect(ended.status).toBeNull();
    expect(ended.calls.length).toBe(cutAt);
    const text = readFileSync(join(root, 'blocks'), 'latin1');
    expect(text.replace(/n*/, '')).toBe('o'.repeat(40_960 - (cutAt - 1) * 4096));
  }
  expect((await run('unsynced', 11)).status).toBe(0);
});

/** What a run that was cut at `cutAt` may leave, by many seeds. */
async function outcomes(
  bench: Awaited<ReturnType<typeof makeBench>>,
  cut: { program: string; at: number; seeds: number },
  look: (root: string, promised: number) => Promise<void> | void,
): Promise<void> {
  const { status, stdout } = await bench.run(cut.program, cut.at);
  expect(status).toBeNull();
  for (let seed = 0; seed < cut.seeds; seed += 1) {
    const to = join(bench.root, '..', 'outcome');
    await bench.power.lose(seededRandom(1000 * cut.at + seed), to);
    await look(to, Number(stdout.trim().split('\n').at(-1)));
  }
}

test('after a power cut unsynced writes are there, gone or torn, page by page', async () => {
  const bench = await makeBench('power');
  writeFileSync(join(bench.root, 'blocks'), Buffer.alloc(40_960, 'o'));
  const seen = new Set<string>();
  await outcomes(bench, { program: 'unsynced', at: 9, seeds: 24 }, (root) => {
    const text = readFileSync(join(root, 'blocks'), 'latin1');
    expect(text.length).toBe(40_960);
    expect(text.slice(32_768)).toBe('o'.repeat(8192));
    const pages = text.match(/.{4096}/g) ?? [];
    for (const page of pages) expect(page).toMatch(/^(o+|n+)$/);
    seen.add(pages.map((page) => page[0]).join(''));
  });
  expect(seen).toContain('oooooooooo');
  expect(seen).toContain('nnnnnnnnoo');
  expect(seen.size).toBeGreaterThan(4);
});

test('a file whose directory was not synced may be gone, though its bytes were', async () => {
  const seen = new Set<string>();
  const cut = { program: 'never named', at: 4, seeds: 12 };
  await outcomes(await makeBench('power'), cut, (root) => {
    seen.add(
      readdirSync(root)
        .map((name) => readFileSync(join(root, name), 'utf8'))
        .join(),
    );
  });
  expect([...seen].sort()).toEqual(['', 'written']);
});

test('what syncfs found is durable, bytes and names', async () => {
  const bench = await makeBench('power');
  const { calls } = await bench.run('file system');
  expect(calls).toContain('syncfs ');
  const seen = new Set<string>();
  // The next call is the one that empties the file, to write it once more.
  const at = calls.lastIndexOf('open64 /c/a') + 1;
  expect(at).toBeGreaterThan(calls.indexOf('syncfs ') + 1);
  const cut = { program: 'file system', at, seeds: 12 };
  await outcomes(await makeBench('power'), cut, (root) => {
    seen.add(readFileSync(join(root, 'c', 'a'), 'utf8'));
  });
  expect([...seen]).toEqual(['synced']);
});

const CUTS = 8;

/** Runs to the end once, then cut at places spread over the whole run; `look` sees what was promised and what is left. */
async function everywhere(
  program: string,
  look: (root: string, promised: number) => Promise<void> | void,
): Promise<void> {
  const { calls } = await (await makeBench('power')).run(program);
  for (let index = 0; index < CUTS; index += 1) {
    const at = 1 + Math.floor(((index + 0.5) * calls.length) / CUTS);
    await outcomes(await makeBench('power'), { program, at, seeds: 8 }, look);
  }
}

test('what SQLite committed survives every cut', async () => {
  await everywhere('sqlite', (root, promised) => {
    if (promised > 0) expect(countRows(root)).toBeGreaterThanOrEqual(promised);
  });
});

test('SQLite that is told not to sync loses what it committed', async () => {
  let lost = 0;
  await everywhere('sqlite without syncs', (root, promised) => {
    try {
      if (countRows(root) < promised) lost += 1;
    } catch {
      lost += 1;
    }
  });
  expect(lost).toBeGreaterThan(10);
});

function countRows(root: string): number {
  const db = new Database(join(root, 'db'), { fileMustExist: true });
  try {
    expect(db.pragma('quick_check', { simple: true })).toBe('ok');
    return Number(db.prepare('SELECT count(*) FROM t').pluck().get());
  } finally {
    db.close();
  }
}

test('a state file is the old one or the new one after every cut', async () => {
  await everywhere('replace', (root, promised) => {
    const isThere = readdirSync(root).includes('state');
    if (!isThere) return expect(promised).toBe(0);
    const text = readFileSync(join(root, 'state'), 'latin1');
    expect(text).toMatch(/^(.)\1{9999}$/);
    expect(Number(text[0])).toBeGreaterThanOrEqual(promised);
  });
});

test('what a tape confirmed is there after every cut, and nothing that was never written', async () => {
  await everywhere('tape', async (root, promised) => {
    const tape = await TapFile.open(join(root, 'A.tap'), { keepUnsynced: false });
    try {
      expect(tape.end.block).toBeGreaterThanOrEqual(promised);
      for (let block = 0; block < tape.end.block; block += 1) {
        const record = tape.recordAt(block);
        const bytes = Buffer.alloc(10_000);
        if (record) await tape.read(record, bytes);
        expect(bytes.equals(Buffer.alloc(10_000, block + 1))).toBe(true);
      }
    } finally {
      await tape.close();
    }
  });
});

test('a mixture has pages of both, also where one is longer', () => {
  for (let seed = 0; seed < 200; seed += 1) {
    const random = seededRandom(seed);
    const synced = Buffer.alloc(random.below(20_000), 's');
    const current = Buffer.alloc(random.below(20_000), 'c');
    const mixed = mix(synced, current, random);
    expect([synced.length, current.length]).toContain(mixed.length);
    expect(mixed.toString('latin1')).toMatch(/^[sc\0]*$/);
  }
});
