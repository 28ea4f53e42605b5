/** How a connection begins: what is agreed with kernels of all ages, and with those that say something odd. */
import assert from 'node:assert/strict';
import type { Check } from './native.check.ts';
import { begin, connect, initBody, NEWEST } from './native.kernel.ts';
import { EIO, OPCODE, Tree } from './native.tree.ts';

const checks: Check[] = [];
const check = (name: string, run: Check['run']) => checks.push({ name, run });

export const INIT_CHECKS: readonly Check[] = checks;

const EPROTO = 71;
const VIRTUAL = 2 ** 52;

const INIT_EXT = 1 << 30;
const PASSTHROUGH = 1 << 5;
/** ASYNC_READ, DO_READDIRPLUS, PARALLEL_DIROPS, POSIX_ACL, MAX_PAGES, EXPLICIT_INVAL_DATA. */
const WANTED = (1 << 0) | (1 << 13) | (1 << 18) | (1 << 20) | (1 << 22) | (1 << 25);

const KERNELS = [
  // Linux 5.10: a short INIT, no extension.
  { offer: { minor: 32, flags: 0x3ffffff, isShort: true }, minor: 32, flags: WANTED, flags2: 0 },
  // What is behind the flags counts with INIT_EXT only.
  {
    offer: { minor: 35, flags: 0x3ffffff, flags2: PASSTHROUGH },
    minor: 35,
    flags: WANTED,
    flags2: 0,
  },
  // 6.1: the extension, no passthrough.
  {
    offer: { minor: 37, flags: 0x7fffffff, flags2: 1 },
    minor: 37,
    flags: WANTED | INIT_EXT,
    flags2: 0,
  },
  { offer: NEWEST, minor: 43, flags: WANTED | INIT_EXT, flags2: PASSTHROUGH },
  { offer: { minor: 23, flags: 0 }, minor: 23, flags: 0, flags2: 0 },
];

for (const { offer, minor, flags, flags2 } of KERNELS) {
  check(`INIT of a kernel of minor ${offer.minor} gets of it what it knows`, async (world) => {
    const { kernel, port, reply } = await connect(world, new Tree([]), offer);
    const { body } = reply;
    assert.deepEqual([reply.errno, body.length], [0, 64]);
    assert.deepEqual([body.readUInt32LE(0), body.readUInt32LE(4)], [7, minor]);
    assert.equal(body.readUInt32LE(8), 131072);
    assert.equal(body.readUInt32LE(12), flags >>> 0);
    assert.equal(body.readUInt32LE(32), flags2);
    // Many waiting reads, times to the nanosecond, one storey, and no request that times out.
    assert(body.readUInt16LE(16) > 10_000);
    assert.deepEqual(
      [body.readUInt32LE(24), body.readUInt32LE(36), body.readUInt16LE(40)],
      [1, 1, 0],
    );
    const pages = (flags & (1 << 22)) === 0 ? 32 : body.readUInt16LE(28);
    const { pageBytes } = world.door;
    // A socket takes no backing files.
    assert.deepEqual(port.agreement, {
      minor,
      hasPassthrough: false,
      readBytesMax: pages * pageBytes,
    });
    kernel.close();
    await port.unmount();
  });
}

check('a kernel of a later major asks again, one of an earlier is refused', async (world) => {
  const tree = new Tree([]);
  const { kernel, serving } = begin(world, tree);
  kernel.send({ opcode: OPCODE.INIT, body: initBody({ ...NEWEST, major: 8 }) });
  assert.equal(kernel.take().body.readUInt32LE(0), 7);
  assert.equal(kernel.errnoOf({ opcode: OPCODE.INIT, body: initBody(NEWEST) }), 0);
  const port = await serving;
  kernel.close();
  await port.unmount();

  for (const offer of [
    { ...NEWEST, major: 6 },
    { ...NEWEST, minor: 22 },
  ]) {
    const second = begin(world, new Tree([]));
    const refused = assert.rejects(second.serving, { code: 'MOUNT_FAILED', message: /EPROTO/ });
    assert.equal(second.kernel.errnoOf({ opcode: OPCODE.INIT, body: initBody(offer) }), EPROTO);
    await refused;
    second.kernel.close();
  }
});

check('who goes away before INIT is a mount that failed', async (world) => {
  const tree = new Tree([]);
  const { kernel, serving } = begin(world, tree);
  const refused = assert.rejects(serving, { code: 'MOUNT_FAILED', message: /unmounted/ });
  kernel.close();
  await refused;
  assert.equal(tree.ends, 0);
});

check('nothing is passed on before INIT, and a second INIT is an error', async (world) => {
  const tree = new Tree([]);
  const { kernel, serving } = begin(world, tree);
  for (const opcode of [OPCODE.GETATTR, OPCODE.READLINK, OPCODE.READ])
    assert.equal(kernel.errnoOf({ opcode, body: Buffer.alloc(40) }), EIO);
  kernel.send({ opcode: OPCODE.FORGET, node: VIRTUAL, body: Buffer.alloc(8, 1) });
  assert.equal(kernel.errnoOf({ opcode: OPCODE.INIT, body: initBody(NEWEST) }), 0);
  const port = await serving;
  assert.equal(kernel.errnoOf({ opcode: OPCODE.INIT, body: initBody(NEWEST) }), EIO);
  kernel.close();
  await port.unmount();
  assert.deepEqual(tree.seen, []);
});
