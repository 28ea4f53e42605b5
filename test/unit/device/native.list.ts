/**
 * What is asked of the native door on a machine without SCSI devices: opening, locks, refusals, and that nothing it leaves
 * behind, threads, files or commands, outlives or upsets the process.
 *
 * A list without a test runner, so that it also runs under the sanitizers, where node alone is preloaded with them.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { CodedError, type FailureCode } from '../../../src/base/errors.ts';
import {
  type DoorHandle,
  loadScsiDoor,
  lockFile,
  openScsiPort,
  portOf,
  type ScsiDoor,
} from '../../../src/device/native.ts';

export type World = {
  readonly addonPath: string;
  readonly door: ScsiDoor;
  /** A folder of this check's own. */
  readonly folder: string;
};

type Check = { readonly name: string; readonly run: (world: World) => Promise<void> };

const checks: Check[] = [];
const check = (name: string, run: Check['run']) => checks.push({ name, run });

export const CHECKS: readonly Check[] = checks;

/** Runs one check in a folder that is removed afterwards. */
export async function runCheck({ run }: Check, addonPath: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'shelfs-door-'));
  try {
    await run({ addonPath, door: loadScsiDoor(addonPath), folder });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const TEST_UNIT_READY = new Uint8Array(6);
const ENOTTY = 25;
const ECANCELED = 125;
const EINVAL = 22;
const never = new AbortController().signal;

async function openFile(door: ScsiDoor, path: string): Promise<DoorHandle> {
  const reply = await door.open(path, { create: true });
  assert('handle' in reply);
  return reply.handle;
}

async function rejection(promise: Promise<unknown>): Promise<CodedError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert(error instanceof CodedError, `a CodedError, not ${error}`);
  return error;
}

async function rejectsWith(promise: Promise<unknown>, code: FailureCode): Promise<CodedError> {
  const error = await rejection(promise);
  assert.equal(error.code, code, error.message);
  return error;
}

/** Runs a script that finds the addon as `door`; it must end by itself with status 0. */
async function runScript(world: World, script: string, flags: readonly string[] = []) {
  const source = `const door = require(process.argv[1]); const folder = process.argv[2]; ${script}`;
  const args = [...flags, '-e', source, world.addonPath, world.folder];
  return promisify(execFile)(process.execPath, args, { timeout: 50_000 });
}

/** Starts a script and waits until it has said a line. */
async function startScript(world: World, script: string): Promise<ChildProcess> {
  const source = `const door = require(process.argv[1]); const folder = process.argv[2]; ${script}`;
  const args = ['-e', source, world.addonPath, world.folder];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child;
}

function openPaths(): string[] {
  return readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return '';
    }
  });
}

check('a missing device is DEVICE_MISSING', async ({ door, folder }) => {
  for (const path of [join(folder, 'sg0'), '/dev/null/sg0']) {
    const error = await rejectsWith(
      openScsiPort(path, { door, access: 'exclusive' }),
      'DEVICE_MISSING',
    );
    assert.equal(error.facts.device, path);
    assert(error.message.includes(path));
  }
});

check('what is no sg node is DEVICE_UNSUITABLE and not even opened', async ({ door, folder }) => {
  for (const path of [folder, '/dev/null', '/etc/passwd']) {
    const error = await rejectsWith(
      openScsiPort(path, { door, access: 'exclusive' }),
      'DEVICE_UNSUITABLE',
    );
    assert.match(error.message, /SCSI generic/);
  }
});

check('a plain file takes no commands: DEVICE_UNSUITABLE', async ({ door, folder }) => {
  const port = portOf('virtual', await openFile(door, join(folder, 'file')));
  const command = { cdb: TEST_UNIT_READY, timeoutMs: 1000 };
  await rejectsWith(port.execute(command, never), 'DEVICE_UNSUITABLE');
  await port.close();
  await rejectsWith(port.execute(command, never), 'INTERRUPTED');
  assert.equal(readFileSync(join(folder, 'file')).length, 0);
});

check('a lock file that may not be opened is no tape device, and says so', async (world) => {
  const { door, folder } = world;
  const path = join(folder, 'lock');
  await (await lockFile(door, path)).close();
  chmodSync(path, 0);
  if (process.getuid?.() !== 0) {
    const error = await rejectsWith(lockFile(door, path), 'FAILED');
    assert.match(error.message, /EACCES/);
    return;
  }
  // For root there are no permissions; another process becomes nobody once it has loaded what it needs.
  chmodSync(folder, 0o755);
  const native = fileURLToPath(new URL('../../../src/device/native.ts', import.meta.url));
  const { stdout } = await runScript(
    world,
    `import(${JSON.stringify(native)}).then(async ({ lockFile }) => {
      process.setgroups([]); process.setgid(65534); process.setuid(65534);
      await lockFile(door, folder + '/lock').catch((e) => console.log(e.code, e.message));
    });`,
  );
  assert.match(stdout, /^FAILED .*lock cannot be opened to lock it \(EACCES\)/);
});

check('an open refused with EBUSY or a lock refused is an errno and a step', async (world) => {
  const { door, folder } = world;
  assert.deepEqual(await door.open(join(folder, 'no'), {}), { errno: 2, step: 'open' });
  assert.deepEqual(await door.open(folder, {}), { errno: 21, step: 'open' });
  const readOnly = await door.open(folder, { readOnly: true, lock: true });
  assert('handle' in readOnly, 'a folder can be locked');
  assert.deepEqual(await door.open(folder, { readOnly: true, lock: true }), {
    errno: 11,
    step: 'lock',
  });
  await readOnly.handle.close();
});

check('a lock of another process names its pid, and is free after kill -9', async (world) => {
  const path = join(world.folder, 'lock');
  const child = await startScript(
    world,
    `door.open(folder + '/lock', { create: true, lock: true }).then((reply) => {
      globalThis.kept = reply.handle; console.log('locked'); setInterval(() => {}, 1000);
    });`,
  );
  const error = await rejectsWith(lockFile(world.door, path), 'DRIVE_BUSY');
  assert.equal(error.facts.pid, child.pid);
  assert.match(error.message, new RegExp(`process ${child.pid} \\(`));
  child.kill('SIGKILL');
  await once(child, 'close');
  await (await lockFile(world.door, path)).close();
});

check('a lock of this process says so, and close frees it, also twice', async (world) => {
  const path = join(world.folder, 'lock');
  const lock = await lockFile(world.door, path);
  const error = await rejectsWith(lockFile(world.door, path), 'DRIVE_BUSY');
  assert.equal(error.facts.pid, process.pid);
  await Promise.all([lock.close(), lock.close()]);
  await lock.close();
  assert(!openPaths().includes(path));
  await (await lockFile(world.door, path)).close();
  await rejectsWith(lockFile(world.door, join(world.folder, 'none', 'lock')), 'FAILED');
});

check('wrong arguments are answered with EINVAL', async ({ door, folder }) => {
  const handle = await openFile(door, join(folder, 'file'));
  const wrongOpens = [
    [],
    [7],
    ['/a\0b', {}],
    ['/a', 7],
    ['/a', { reservedBytes: -1 }],
    ['/a', { exclusive: true, create: true }],
  ];
  for (const args of wrongOpens)
    assert.deepEqual(await Reflect.apply(door.open, door, args), { errno: EINVAL, step: 'open' });

  const wrongCommands = [
    [],
    ['cdb', 0, undefined, 1],
    [new Uint8Array(0), 0, undefined, 1],
    [new Uint8Array(17), 0, undefined, 1],
    [new Uint16Array(6), 0, undefined, 1],
    [TEST_UNIT_READY, 3, undefined, 1],
    [TEST_UNIT_READY, 0, new Uint8Array(1), 1],
    [TEST_UNIT_READY, 1, 'buffer', 1],
    [TEST_UNIT_READY, 1, new DataView(new ArrayBuffer(1)), 1],
    [TEST_UNIT_READY, 0, undefined, -1],
    [TEST_UNIT_READY, 0, undefined, 1.5],
    [TEST_UNIT_READY, 0, undefined, Number.NaN],
    [TEST_UNIT_READY, 0, undefined, 2 ** 32],
    [TEST_UNIT_READY, 0, undefined, 1, -1],
  ];
  for (const args of wrongCommands)
    assert.deepEqual(await Reflect.apply(handle.execute, handle, args), { errno: EINVAL });
  assert.equal(Reflect.apply(handle.drop, handle, ['x']), false);
  assert.throws(() => Reflect.apply(handle.execute, {}, [TEST_UNIT_READY, 0, undefined, 1]));
  const made: DoorHandle = Reflect.construct(handle.constructor, []);
  assert.deepEqual(await made.execute(TEST_UNIT_READY, 0, undefined, 1), { errno: ECANCELED });
  assert.deepEqual(await made.close(), { errno: 0 });
  await handle.close();
});

check('any Uint8Array will do: shared, a part of another, empty, a Buffer', async (world) => {
  const handle = await openFile(world.door, join(world.folder, 'file'));
  const buffers = [
    new Uint8Array(new SharedArrayBuffer(1 << 20)),
    new Uint8Array(new ArrayBuffer(100), 10, 20),
    new Uint8Array(0),
    Buffer.from('abc'),
    new Uint8Array(new ArrayBuffer(8, { maxByteLength: 16 })),
    new Uint8Array(8 << 20),
  ];
  for (const buffer of buffers) {
    for (const direction of [1, 2] as const) {
      const reply = await handle.execute(TEST_UNIT_READY, direction, buffer, 1000);
      assert.deepEqual(reply, { errno: ENOTTY });
    }
  }
  await handle.close();
});

check('10,000 commands are answered in call order', async ({ door, folder }) => {
  const handle = await openFile(door, join(folder, 'file'));
  const order: number[] = [];
  const buffer = new Uint8Array(64);
  const replies = Array.from({ length: 10_000 }, async (_, index) => {
    assert.deepEqual(await handle.execute(TEST_UNIT_READY, 1, buffer, 1000), { errno: ENOTTY });
    order.push(index);
  });
  await Promise.all(replies);
  assert.equal(order.length, 10_000);
  assert(order.every((value, index) => value === index));
  await handle.close();
});

check('a dropped command was not sent, and one that was sent is not dropped', async (world) => {
  const handle = await openFile(world.door, join(world.folder, 'file'));
  const replies = Array.from({ length: 2000 }, (_, number) =>
    handle.execute(TEST_UNIT_READY, 0, undefined, 1000, number),
  );
  const dropped = replies.map((_, index) => handle.drop(replies.length - 1 - index)).reverse();
  for (const [number, reply] of (await Promise.all(replies)).entries()) {
    assert.deepEqual(reply, { errno: dropped[number] ? ECANCELED : ENOTTY });
  }
  assert.equal(handle.drop(1999), false);
  await handle.close();
});

check('close cancels what was not sent, and comes last', async ({ door, folder }) => {
  const path = join(folder, 'file');
  const handle = await openFile(door, path);
  let answered = 0;
  const replies = Array.from({ length: 2000 }, async () => {
    const reply = await handle.execute(TEST_UNIT_READY, 0, undefined, 1000);
    answered += 1;
    return 'errno' in reply ? reply.errno : 0;
  });
  const closed = handle.close();
  assert.equal(handle.close(), closed);
  assert.deepEqual(await closed, { errno: 0 });
  assert.equal(answered, 2000);
  assert(!openPaths().includes(path));
  const errnos = await Promise.all(replies);
  const sent = errnos.filter((errno) => errno === ENOTTY).length;
  assert(errnos.every((errno, index) => errno === (index < sent ? ENOTTY : ECANCELED)));
  const late = await handle.execute(TEST_UNIT_READY, 0, undefined, 1000);
  assert.deepEqual(late, { errno: ECANCELED });
});

check('an abort rejects with its reason and leaves no listener', async ({ door, folder }) => {
  const port = portOf('virtual', await openFile(door, join(folder, 'file')));
  const command = { cdb: TEST_UNIT_READY, timeoutMs: 1000 };
  const reason = new Error('enough');
  await assert.rejects(port.execute(command, AbortSignal.abort(reason)), reason);
  const controller = new AbortController();
  const replies = Array.from({ length: 2000 }, () => port.execute(command, controller.signal));
  controller.abort(reason);
  for (const reply of await Promise.allSettled(replies)) {
    assert(reply.status === 'rejected');
    // Those that went out before the abort are refused by the plain file.
    assert(reply.reason === reason || reply.reason.code === 'DEVICE_UNSUITABLE');
  }
  await port.close();
});

check('the thread blocks all signals', async ({ door, folder }) => {
  const handle = await openFile(door, join(folder, 'file'));
  const masks = readdirSync('/proc/self/task').flatMap((task) => {
    const status = readFileSync(`/proc/self/task/${task}/status`, 'utf8');
    return /^Name:\tshelfs-scsi$/m.test(status) ? [/^SigBlk:\t(\w+)$/m.exec(status)?.[1]] : [];
  });
  assert(masks.length > 0);
  // All but SIGKILL and SIGSTOP, which nobody can block, and the two that glibc keeps for itself.
  for (const mask of masks) assert.equal(mask, 'fffffffe7ffbfeff');
  await handle.close();
});

check('children inherit nothing', async ({ door, folder }) => {
  const path = join(folder, 'lock');
  const lock = await lockFile(door, path);
  assert(openPaths().includes(path));
  const { stdout } = await promisify(execFile)('ls', ['-l', '/proc/self/fd']);
  assert(!stdout.includes(path), stdout);
  assert(!stdout.includes('eventfd'), stdout);
  await lock.close();
});

check('an unclosed handle is closed when collected, its thread ends', async (world) => {
  await runScript(
    world,
    `const fs = require('fs');
    const count = () => fs.readdirSync('/proc/self/fd').length + fs.readdirSync('/proc/self/task').length;
    const use = async (i) => {
      const { handle } = await door.open(folder + '/file' + i, { create: true, lock: true });
      handle.execute(new Uint8Array(6), 0, undefined, 1000);
    };
    (async () => {
      const before = count();
      for (let i = 0; i < 100; i += 1) await use(i);
      if (count() < before + 200) throw new Error('expected 100 files and threads');
      const deadline = Date.now() + 20000;
      while (count() > before) {
        if (Date.now() > deadline) throw new Error(count() + ' still, ' + before + ' before');
        gc();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();`,
    ['--expose-gc'],
  );
});

check('a pending command keeps the process alive, an idle handle does not', async (world) => {
  const { stdout } = await runScript(
    world,
    `door.open(folder + '/file', { create: true }).then(({ handle }) => {
      globalThis.kept = handle;
      handle.execute(new Uint8Array(6), 0, undefined, 1000).then((reply) => console.log(reply.errno));
    });`,
  );
  assert.equal(stdout, `${ENOTTY}\n`);
});

check('process.exit with commands under way neither hangs nor crashes', async (world) => {
  for (const when of ['process.exit(0)', 'setImmediate(() => process.exit(0))']) {
    await runScript(
      world,
      `Promise.all([1, 2, 3, 4].map((i) => door.open(folder + '/file' + i, { create: true }))).then((replies) => {
        for (const { handle } of replies) {
          for (let i = 0; i < 5000; i += 1) handle.execute(new Uint8Array(6), 1, new Uint8Array(512), 1000);
        }
        replies[0].handle.close();
        door.open(folder + '/late', { create: true });
        ${when};
      });`,
    );
  }
});

check('workers end with commands under way, and unload the door', async (world) => {
  // The first round only in workers, so that the last of them unloads it; then also in the main thread.
  const source = `
    const { Worker } = require('node:worker_threads');
    const code = \`
      const { workerData: { addonPath, folder, leave }, parentPort } = require('node:worker_threads');
      const door = require(addonPath);
      door.open(folder + '/file' + Math.random(), { create: true, lock: true }).then(({ handle }) => {
        for (let i = 0; i < 3000; i += 1) handle.execute(new Uint8Array(6), 1, new Uint8Array(512), 1000);
        door.open(folder + '/late', { create: true });
        if (leave) process.exit();
        parentPort.postMessage('under way');
      });\`;
    const round = (leave) => new Promise((resolve, reject) => {
      const workerData = { addonPath: process.argv[1], folder: process.argv[2], leave };
      const worker = new Worker(code, { eval: true, workerData });
      worker.on('error', reject);
      worker.on('exit', resolve);
      worker.on('message', () => worker.terminate());
    });
    (async () => {
      for (let i = 0; i < 8; i += 1) await Promise.all([round(true), round(false)]);
      require(process.argv[1]);
      for (let i = 0; i < 8; i += 1) await Promise.all([round(true), round(false)]);
      const fs = require('fs');
      const left = () => fs.readdirSync('/proc/self/fd').filter((fd) => {
        try { return fs.readlinkSync('/proc/self/fd/' + fd).startsWith(process.argv[2]); } catch { return false; }
      });
      for (let i = 0; left().length > 0; i += 1) {
        if (i > 3000) throw new Error('files left open: ' + left().map((fd) => fs.readlinkSync('/proc/self/fd/' + fd)));
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    })();`;
  const args = ['-e', source, world.addonPath, world.folder];
  await promisify(execFile)(process.execPath, args, { timeout: 50_000 });
});
