/** Wrong arguments: each call answers EINVAL or what the kernel says, and goes on. */
import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { composeOffer } from '../../../src/mount/init.ts';
import type { Check, World } from './native.check.ts';
import { Kernel } from './native.kernel.ts';
import { OPCODE } from './native.tree.ts';

const checks: Check[] = [];
const check = (name: string, run: Check['run']) => checks.push({ name, run });

export const ARGUMENTS_CHECKS: readonly Check[] = checks;

const EBADF = 9;
const EINVAL = 22;
const ENOTTY = 25;
const EPERM = 1;

const WRONGS: readonly unknown[] = [
  undefined,
  null,
  true,
  'text',
  -1,
  1.5,
  Number.NaN,
  2 ** 60,
  {},
  [],
  () => {},
  new Uint16Array(2),
  new DataView(new ArrayBuffer(4)),
];

const listener = { agreed() {}, requests() {}, more() {}, ended() {} };
const path = Buffer.from('/nowhere');

/** Each call of the door, with what would be right. */
function doorCalls(world: World): readonly (readonly [string, readonly unknown[]])[] {
  return [
    ['mount', [path, path, path, 0, path]],
    ['unmount', [path, 0]],
    ['socketPair', [1]],
    ['receiveFile', [2 ** 31 - 1]],
    ['close', [2 ** 31 - 1]],
    ['start', [2 ** 31 - 1, composeOffer(world.door.pageBytes), listener]],
  ];
}

const HANDLE_CALLS: readonly (readonly [string, readonly unknown[]])[] = [
  ['reply', [Buffer.alloc(0)]],
  ['replyFromFile', [2, 0, 0, 1]],
  ['serve', [1, 2 ** 31 - 1, 2 ** 53 - 1]],
  ['stopServing', [1]],
  ['answerAhead', [44, 1, 0, Buffer.alloc(8)]],
  ['serveListing', [1, Buffer.alloc(0), Buffer.alloc(0)]],
  ['dropAhead', [1]],
  ['openBacking', [2 ** 31 - 1]],
  ['closeBacking', [1]],
  ['forgetName', [1, Buffer.from('name')]],
  ['forgetNode', [1]],
  ['guard', [Buffer.alloc(0), path, []]],
];

/** Calls with one argument after the other wrong. */
async function tryWrongs(target: object, [name, right]: readonly [string, readonly unknown[]]) {
  const call: unknown = Reflect.get(target, name);
  assert(typeof call === 'function', name);
  for (const place of right.keys()) {
    for (const wrong of WRONGS) {
      const kind = typeof right[place];
      // Of these any is taken: a listener without functions hears nothing.
      if (kind === 'object' && !ArrayBuffer.isView(right[place]) && typeof wrong === 'object')
        continue;
      if (typeof wrong === 'function') continue;
      const args = right.with(place, wrong);
      const answer: unknown = await Reflect.apply(call, target, args);
      assert.equal(answer, -EINVAL, `${name} ${place} ${String(wrong)}`);
    }
  }
  assert.equal(await Reflect.apply(call, target, []), -EINVAL, name);
}

check('wrong arguments of the door are answered with EINVAL', async (world) => {
  for (const call of doorCalls(world)) await tryWrongs(world.door, call);
  const { door } = world;
  assert.equal(door.start(0, Buffer.alloc(63), listener), -EINVAL);
  assert.equal(door.start(2 ** 31 - 1, composeOffer(4096), listener), -EBADF);
  assert.equal(door.close(2 ** 31 - 1), -EBADF);
  assert.equal(door.receiveFile(2 ** 31 - 1), -EBADF);
  assert.equal(await door.unmount(Buffer.from('a\0b'), 0), -EINVAL);
  assert((await door.mount(path, path, path, 0, path)) < 0);
});

check('a socket that brings no file says so', ({ door }) => {
  const pair = door.socketPair(1);
  assert(typeof pair !== 'number');
  const [ours, theirs] = pair;
  const EAGAIN = 11;
  const ENOMSG = 42;
  assert.equal(door.receiveFile(ours), -EAGAIN);
  door.close(theirs);
  assert.equal(door.receiveFile(ours), -ENOMSG);
  door.close(ours);
  return Promise.resolve();
});

check('wrong arguments of a session are answered with EINVAL, and it goes on', async (world) => {
  const { door } = world;
  const pair = door.socketPair(5);
  assert(typeof pair !== 'number');
  const [ours, theirs] = pair;
  const ended = Promise.withResolvers<number>();
  const handle = door.start(theirs, composeOffer(4096), { ...listener, ended: ended.resolve });
  assert(typeof handle !== 'number');
  for (const call of HANDLE_CALLS) await tryWrongs(handle, call);
  assert.equal(handle.forgetName(1, Buffer.alloc(0)), -EINVAL);
  assert.equal(handle.forgetName(1, Buffer.alloc(256, 'x')), -EINVAL);
  assert.equal(handle.forgetName(1, Buffer.from('a\0b')), -EINVAL);
  assert.equal(handle.guard(path, path, [Buffer.from('a\0b')]), -EINVAL);
  assert.throws(() => Reflect.apply(handle.reply, {}, [Buffer.alloc(0)]));

  // Made by its constructor it has no session.
  const made: object = Reflect.construct(handle.constructor, []);
  for (const [name, right] of HANDLE_CALLS) {
    const call: unknown = Reflect.get(made, name);
    assert(typeof call === 'function');
    assert.equal(await Reflect.apply(call, made, right), -EINVAL, name);
  }
  for (const name of ['drain', 'refuse', 'stop', 'abandon']) {
    const call: unknown = Reflect.get(made, name);
    assert(typeof call === 'function');
    Reflect.apply(call, made, []);
  }

  assert.equal(handle.stop(), 0);
  assert.equal(await ended.promise, 0);
  for (const name of ['drain', 'refuse', 'stop', 'abandon'] as const) handle[name]();
  door.close(ours);
});

check('a device that nobody mounted is no connection', async ({ door }) => {
  const device = door.openDevice();
  assert(device > 0);
  const ended = Promise.withResolvers<number>();
  const handle = door.start(device, composeOffer(4096), { ...listener, ended: ended.resolve });
  assert(typeof handle !== 'number');
  // EPERM, by which the kernel also says that it has ended.
  assert([0, EPERM].includes(await ended.promise));
});

/** A session whose handle nobody keeps. @returns our end, and its errno when it has ended */
function startUnheld({ door }: World): {
  readonly socket: number;
  readonly ended: Promise<number>;
} {
  const pair = door.socketPair(5);
  assert(typeof pair !== 'number');
  const [socket, theirs] = pair;
  const { promise, resolve } = Promise.withResolvers<number>();
  const handle = door.start(theirs, composeOffer(4096), { ...listener, ended: resolve });
  assert(typeof handle !== 'number');
  return { socket, ended: promise };
}

check('a session that nobody holds is not collected before it has ended', async (world) => {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  for (let round = 0; round < 5; round += 1) {
    const { socket, ended } = startUnheld(world);
    collect();
    await setImmediate();
    collect();
    const kernel = new Kernel(socket);
    assert.equal(kernel.errnoOf({ opcode: OPCODE.IOCTL }), ENOTTY);
    kernel.close();
    assert.equal(await ended, 0);
  }
});
