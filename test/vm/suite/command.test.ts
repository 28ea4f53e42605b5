/** The command line on real device nodes: the same picture as `mtx`, and one clear sentence for whatever is wrong. */
import { execFile, spawn } from 'node:child_process';
import { chmod, mkdtemp, readdir, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { run } from '../../../src/cli/run.ts';
import type { LibraryStatus } from '../../../src/storage/library-status.ts';
import { SHAPE } from '../../contract/world.ts';
import { control, tapeNodes } from './world.ts';

const root = join(import.meta.dirname, '../../..');
const main = join(root, 'dist/main.js');

type Result = { exit: number; stdout: string; stderr: string };

async function execute(
  program: string,
  args: readonly string[],
  options: { uid?: number } = {},
): Promise<Result> {
  try {
    const { stdout, stderr } = await promisify(execFile)(program, args, {
      timeout: 60_000,
      ...options,
    });
    return { exit: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { exit: code, stdout, stderr };
  }
}

let state = '';

/** In this process: a new one takes four seconds to start here. What needs another process or user starts one. */
async function shelfs(...args: string[]): Promise<Result> {
  const written = { stdout: '', stderr: '' };
  const into = (name: 'stdout' | 'stderr') => ({
    write: (text: string) => {
      written[name] += text;
    },
  });
  const exit = await run(['--state', state, ...args], {
    environment: process.env,
    isRoot: true,
    streams: { stdout: into('stdout'), stderr: into('stderr') },
    signal: new AbortController().signal,
    version: 'test',
  });
  return { exit, ...written };
}

async function statusNow(verb: 'status' | 'inventory' = 'status'): Promise<LibraryStatus> {
  const { stdout, stderr } = await shelfs('library', verb, '--json');
  expect(stderr).toBe('');
  return JSON.parse(stdout) as LibraryStatus;
}

/** What `mtx status` prints, by its own numbers: drives from 0, slots from 1, ports behind the slots. */
async function mtx(...args: string[]): Promise<string[]> {
  const { stdout, exit } = await execute('mtx', ['-f', '/dev/changer', ...args]);
  expect(exit).toBe(0);
  return [
    ...stdout.matchAll(
      /Element (\d+)(?: IMPORT\/EXPORT)?:(Full|Empty)(?:.*?VolumeTag ?= ?(\S+))?/g,
    ),
  ].map(([, number, full, barcode]) => `${number} ${full} ${barcode ?? ''}`.trim());
}

/** Our picture in mtx's words. */
function asMtx(status: LibraryStatus): string[] {
  const line = (number: number, place: { full: boolean; barcode: string | null }) =>
    `${number} ${place.full ? 'Full' : 'Empty'} ${place.barcode ?? ''}`.trim();
  const slots = [...status.slots, ...status.ports].map((place, index) => line(index + 1, place));
  const drives = status.drives.map((drive) =>
    line(drive.number, { full: drive.barcode !== null, barcode: drive.barcode }),
  );
  return [...drives, ...slots];
}

/** A second process that holds a drive as a job does; returns its pid. */
async function holder(nst: string): Promise<number> {
  const script = `
    const { holdDrive } = await import('${root}/src/device/hold.ts');
    const { resolveDevice } = await import('${root}/src/device/node.ts');
    const { loadScsiDoor } = await import('${root}/src/device/native.ts');
    await holdDrive(await resolveDevice('${nst}'), loadScsiDoor());
    console.log('held');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('close', resolve));
  });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  return child.pid ?? -1;
}

function expectSentence(result: Result, exit: number, sentence: RegExp): void {
  expect(result.stderr).toMatch(sentence);
  expect(result.stderr.trim().split('\n')).toHaveLength(1);
  expect(result.stderr).not.toMatch(/ {4}at /);
  expect(result.exit).toBe(exit);
}

describe('the command line on the kernel’s devices', () => {
  beforeEach(async () => {
    await control('restart');
    // The changer's first answer after a restart is its unit attention; mtx does not ask twice.
    await execute('mtx', ['-f', '/dev/changer', 'status']);
    state = await mkdtemp(join(tmpdir(), 'shelfs-vm-state-'));
    onTestFinished(() => rm(state, { recursive: true, force: true }));
    const drives = (await tapeNodes()).flatMap((node) => ['--drive', node]);
    const made = await shelfs('init', '--changer', '/dev/changer', ...drives);
    expect(made).toMatchObject({ exit: 0, stderr: '' });
  });

  test('inventory is what mtx prints, and stays so after loads and unloads by either', async () => {
    expect(asMtx(await statusNow('inventory'))).toEqual(await mtx('status'));
    expect(await shelfs('library', 'load', SHAPE.barcodes[1])).toMatchObject({ exit: 0 });
    const loaded = await mtx('status');
    expect(loaded[0]).toBe(`0 Full ${SHAPE.barcodes[1]}`);
    expect(asMtx(await statusNow())).toEqual(loaded);
    expect((await statusNow()).drives[0]).toMatchObject({ state: 'ready', from: 'slot 2' });
    await mtx('load', '1', '1');
    expect(asMtx(await statusNow())).toEqual(await mtx('status'));
    expect(await shelfs('library', 'unload', 'drive0')).toMatchObject({ exit: 0 });
    expect(await shelfs('library', 'unload')).toMatchObject({ exit: 0 });
    expect(await shelfs('library', 'export', SHAPE.barcodes[0])).toMatchObject({ exit: 0 });
    expect(await shelfs('library', 'transfer', SHAPE.barcodes[2], 'slot6')).toMatchObject({
      exit: 0,
    });
    const after = await mtx('status');
    expect(after.slice(0, 2)).toEqual(['0 Empty', '1 Empty']);
    expect(after.at(-1)).toBe(`7 Full ${SHAPE.barcodes[0]}`);
    expect(asMtx(await statusNow('inventory'))).toEqual(after);
  });

  test('drives may be named by every node they have, in any order', async () => {
    const links = (await readdir('/dev/tape/by-id')).map((name) => `/dev/tape/by-id/${name}`);
    const nst = links
      .filter((path) => path.endsWith('-nst'))
      .sort()
      .reverse();
    const sg = await realpath(links.filter((path) => path.endsWith('-sg')).sort()[0] ?? '');
    for (const drives of [nst, [sg, nst[0] ?? '']]) {
      await rm(state, { recursive: true });
      const names = drives.flatMap((path) => ['--drive', path]);
      expect(await shelfs('init', '--changer', '/dev/sch0', ...names)).toMatchObject({
        exit: 0,
        stderr: '',
      });
      await shelfs('library', 'load', 'slot1', 'drive0');
      const status = await statusNow();
      expect(status.drives.map((drive) => drive.state)).toEqual(['ready', 'empty']);
      expect(new Set(status.drives.map(({ serial }) => serial)).size).toBe(2);
      await shelfs('library', 'unload');
    }
  });

  test('what the robot refuses has its own sentence, and nothing else changes', async () => {
    const before = await mtx('status');
    expectSentence(await shelfs('library', 'transfer', 'slot5', 'slot6'), 23, /source empty/);
    expectSentence(await shelfs('library', 'transfer', 'slot1', 'slot2'), 23, /destination full/);
    expectSentence(
      await shelfs('library', 'transfer', 'slot1', 'slot99'),
      2,
      /there is no slot 99/,
    );
    await control('fail 0 m 1 4 15 01');
    expectSentence(await shelfs('library', 'transfer', 'slot1', 'slot6'), 23, /mechanical/);
    expect(await mtx('status')).toEqual(before);
    await shelfs('library', 'load', 'slot1', 'drive0');
    const sg = await realpath(
      '/dev/tape/by-id/'.concat(
        (await readdir('/dev/tape/by-id')).filter((n) => n.endsWith('-sg')).sort()[0] ?? '',
      ),
    );
    await execute('sg_prevent', ['--prevent=1', sg]);
    expectSentence(await shelfs('library', 'unload', 'drive0'), 23, /removal prevented/);
    expectSentence(await shelfs('library', 'transfer', 'drive0', 'slot6'), 23, /removal prevented/);
    expect((await mtx('status'))[0]).toBe(`0 Full ${SHAPE.barcodes[0]}`);
    await execute('sg_prevent', ['--allow', sg]);
    expect(await shelfs('library', 'unload', 'drive0')).toMatchObject({ exit: 0 });
  });

  test('a drive that another process holds is named with its pid', async () => {
    const [nst = ''] = await tapeNodes();
    await shelfs('library', 'load', 'slot1', 'drive0');
    const pid = await holder(nst);
    const status = await statusNow();
    expect(status.drives[0]).toMatchObject({ state: 'held', heldBy: pid });
    expect(status.drives[1]).toMatchObject({ state: 'empty' });
    expectSentence(
      await shelfs('library', 'unload', 'drive0'),
      11,
      new RegExp(`process ${pid}\\b`),
    );
  });

  test('bad devices are refused before anything is made', async () => {
    const mine = state;
    state = join(mine, 'other');
    const init = (...args: string[]) => shelfs('init', ...args);
    expectSentence(await init('--drive', '/dev/nst77'), 23, /there is no \/dev\/nst77/);
    expectSentence(await init('--drive', '/dev/null'), 23, /\/dev\/null is not a SCSI device/);
    expectSentence(await init('--drive', '/etc/passwd'), 23, /is not a device/);
    expectSentence(await init('--drive', '/dev/changer'), 23, /is a changer, not a tape drive/);
    expectSentence(
      await init('--changer', '/dev/nst0', '--drive', '/dev/nst1'),
      23,
      /is a tape drive, not a changer/,
    );
    expect((await readdir(mine)).toSorted()).toEqual(['catalog.sqlite', 'config.toml']);
  });

  test('an empty drive and no changer', async () => {
    await rm(state, { recursive: true });
    expect(await shelfs('init', '--drive', '/dev/nst0')).toMatchObject({ exit: 0 });
    expect((await statusNow()).drives[0]).toMatchObject({ state: 'empty', device: '/dev/nst0' });
    expectSentence(await shelfs('library', 'unload'), 20, /\/dev\/nst0 is empty/);
    expectSentence(await shelfs('library', 'load', 'ABC001L9'), 2, /no changer/);
  });

  test('without permission it says which group to join', async () => {
    for (const path of [state, join(state, 'config.toml')]) await chmod(path, 0o755);
    const result = await execute(process.execPath, [main, '--state', state, 'library', 'status'], {
      uid: 65534,
    });
    expectSentence(result, 23, /no permission.*group tape/);
  });

  test('doctor finds the devices and their limits', async () => {
    const { stdout, exit } = await shelfs('doctor', '--json');
    const { findings } = JSON.parse(stdout) as {
      findings: { name: string; ok: boolean; found: string }[];
    };
    const finding = (name: RegExp) => findings.find((candidate) => name.test(candidate.name));
    expect(finding(/^tape devices/)).toMatchObject({ ok: true, found: '3' });
    expect(finding(/^kernel driver sg/)).toMatchObject({ ok: true });
    expect(finding(/^block size of/)?.found).toMatch(/KiB a command/);
    expect(exit).toBe(0);
  });
});
