/** What the door makes of each request, byte by byte: a socket stands in for the kernel's device. */
import assert from 'node:assert/strict';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { seededRandom } from '../../../src/base/random.ts';
import { ANSWERED } from '../../../src/mount/protocol/opcodes.ts';
import type { Check } from './native.check.ts';
import { connected, type Kernel, type Message } from './native.kernel.ts';
import { EAGAIN, EINTR, ENODATA, ENOSYS, OPCODE, Tree } from './native.tree.ts';

const checks: Check[] = [];
const check = (name: string, run: Check['run']) => checks.push({ name, run });

export const BYTES_CHECKS: readonly Check[] = checks;

const ENOMEM = 12;
const EINVAL = 22;
const ENOTTY = 25;
const EROFS = 30;
const ESTALE = 116;

const VIRTUAL = 2 ** 52;
const XATTRS = 2 ** 51;

const name = (text: string) => Buffer.from(`${text}\0`, 'latin1');

function numbers(...values: (number | bigint)[]): Buffer {
  return Buffer.from(BigUint64Array.from(values.map(BigInt)).buffer);
}

/** struct fuse_read_in */
function readBody(handle: number, offset: number | bigint, lengthBytes: number): Buffer {
  return numbers(handle, offset, lengthBytes, 0, 0);
}

/** All is taken and nothing answered. */
function silent(): Tree {
  const tree = new Tree([]);
  tree.intercept = () => true;
  return tree;
}

check('what needs no decision is answered without JavaScript', async (world) => {
  await connected(world, silent(), ({ kernel }) => {
    const body = Buffer.alloc(120);
    // SETATTR, SYMLINK, MKNOD, MKDIR, UNLINK, RMDIR, RENAME, LINK, WRITE, SETXATTR, REMOVEXATTR, CREATE, FALLOCATE,
    // RENAME2, COPY_FILE_RANGE, TMPFILE
    for (const opcode of [4, 6, 8, 9, 10, 11, 12, 13, 16, 21, 24, 35, 43, 45, 47, 51])
      assert.equal(kernel.errnoOf({ opcode, body }), EROFS, `${opcode}`);
    // FSYNC, FLUSH, FSYNCDIR, locks, BMAP, POLL, mappings, SYNCFS, and what does not exist
    for (const opcode of [
      20,
      25,
      30,
      31,
      32,
      33,
      37,
      40,
      48,
      49,
      50,
      0,
      7,
      19,
      53,
      99,
      4096,
      2 ** 32 - 1,
    ])
      assert.equal(kernel.errnoOf({ opcode, body }), ENOSYS, `${opcode}`);
    assert.equal(kernel.errnoOf({ opcode: OPCODE.IOCTL, body }), ENOTTY);
    assert.equal(kernel.errnoOf({ opcode: OPCODE.DESTROY }), 0);
    for (const attribute of [
      'security.selinux',
      'security.capability',
      'system.posix_acl_access',
    ]) {
      const asked = Buffer.concat([numbers(0), name(attribute)]);
      for (const node of [2, VIRTUAL + 3, XATTRS - 1])
        assert.equal(kernel.errnoOf({ opcode: OPCODE.GETXATTR, node, body: asked }), ENODATA);
    }
  });
});

check('what needs one comes whole, in its order', async (world) => {
  const tree = silent();
  await connected(world, tree, async ({ kernel }) => {
    const messages: Message[] = [
      { opcode: OPCODE.LOOKUP, body: name('a\xff') },
      { opcode: OPCODE.GETXATTR, node: 2, body: Buffer.concat([numbers(0), name('user.a')]) },
      { opcode: OPCODE.GETXATTR, node: 1, body: Buffer.concat([numbers(0), name('system.a')]) },
      {
        opcode: OPCODE.GETXATTR,
        node: XATTRS + 1,
        body: Buffer.concat([numbers(0), name('security.a')]),
      },
      { opcode: OPCODE.READ, node: 2 ** 53 - 1, body: readBody(2 ** 53 - 1, 2n ** 63n - 1n, 4096) },
      ...[3, 5, 14, 17, 18, 22 + 1, 27, 28, 29, 34, 44, 46, 52].map((opcode) => ({
        opcode,
        body: Buffer.alloc(40),
      })),
    ];
    for (const [index, message] of messages.entries()) {
      const unique = kernel.send(message);
      await tree.until(() => tree.seen.length > index);
      const { opcode, node = 1, body = Buffer.alloc(0) } = message;
      assert.deepEqual(tree.seen[index], { opcode, unique, node: Number(node), body });
    }
  });
});

check(
  'an answer made ahead is sent once, to what it was made for, and JavaScript hears of it',
  async (world) => {
    const tree = silent();
    await connected(world, tree, async ({ kernel, port }) => {
      const opcode = OPCODE.READDIRPLUS;
      const listing = (offset: number, lengthBytes: number, handle = 7) => ({
        opcode,
        body: readBody(handle, offset, lengthBytes),
      });
      const made = Buffer.from('what was made ahead');
      // Another offset, another handle, too little room, another opcode: not what it was made for.
      port.answerAhead({ opcode, handle: 7, offset: 3 }, made);
      const others: Message[] = [
        listing(2, 4096),
        listing(3, 4096, 8),
        listing(3, made.length - 1),
        { ...listing(3, 4096), opcode: OPCODE.READDIR },
      ];
      for (const [index, message] of others.entries()) {
        kernel.send(message);
        await tree.until(() => tree.seen.length > index);
        assert.equal(tree.seen[index]?.opcode, message.opcode);
      }
      const unique = kernel.send(listing(3, made.length));
      assert.deepEqual(kernel.take(), { unique, errno: 0, body: made });
      await tree.until(() => tree.seen.length === 5);
      assert.deepEqual(tree.seen[4], {
        opcode: opcode + ANSWERED,
        unique,
        node: 1,
        body: listing(3, made.length).body,
      });
      // Once; a later one takes the place of an earlier; none is left when it is dropped. An empty one is one.
      kernel.send(listing(3, 4096));
      await tree.until(() => tree.seen.length === 6);
      assert.equal(tree.seen[5]?.opcode, opcode);
      port.answerAhead({ opcode, handle: 7, offset: 3 }, made);
      port.answerAhead({ opcode, handle: 7, offset: 4 }, Buffer.alloc(0));
      kernel.send(listing(3, 4096));
      await tree.until(() => tree.seen.length === 7);
      assert.equal(kernel.errnoOf(listing(4, 4096)), 0);
      port.answerAhead({ opcode, handle: 7, offset: 5 }, made);
      port.dropAhead(7);
      kernel.send(listing(5, 4096));
      await tree.until(() => tree.seen.length === 9);
      assert.equal(tree.seen[8]?.opcode, opcode);
      // Nobody outside can say that something was answered.
      assert.equal(kernel.errnoOf({ ...listing(5, 4096), opcode: opcode + ANSWERED }), ENOSYS);
    });
  },
);

/** Entries of READDIRPLUS, the byte before each name telling which one it is. */
function entriesOf(names: readonly string[]): Buffer[] {
  return names.map((name, index) => {
    const entry = Buffer.alloc((152 + name.length + 7) & ~7);
    entry.writeUInt32LE(index, 0);
    entry.writeUInt32LE(index + 1, 136);
    entry.writeUInt32LE(name.length, 144);
    entry.write(name, 152, 'latin1');
    return entry;
  });
}

check(
  'a listing that the door has is answered from anywhere, whole entries, and its end is told once it is sent',
  async (world) => {
    const tree = silent();
    await connected(world, tree, async ({ kernel, port }) => {
      const entries = entriesOf(['.', '..', 'name', 'x'.repeat(255), '\xff', 'last one']);
      port.serveListing(7, [Buffer.concat(entries.slice(0, 2)), Buffer.concat(entries.slice(2))]);
      const ask = (opcode: number, offset: number, lengthBytes: number) => {
        const unique = kernel.send({ opcode, body: readBody(7, offset, lengthBytes) });
        const { body, errno, unique: answered } = kernel.take();
        assert.deepEqual([errno, answered], [0, unique]);
        return body;
      };
      const plus = (from: number, to: number) => Buffer.concat(entries.slice(from, to));
      const names = (from: number, to: number) =>
        Buffer.concat(entries.slice(from, to).map((entry) => entry.subarray(128)));
      const room = plus(1, 4).length;
      assert.deepEqual(ask(OPCODE.READDIRPLUS, 1, room), plus(1, 4));
      assert.deepEqual(ask(OPCODE.READDIRPLUS, 1, room - 1), plus(1, 3));
      assert.deepEqual(ask(OPCODE.READDIRPLUS, 0, 159), plus(0, 0));
      assert.deepEqual(ask(OPCODE.READDIR, 0, names(0, 4).length), names(0, 4));
      assert.deepEqual(ask(OPCODE.READDIRPLUS, 6, 4096), plus(0, 0));
      assert.deepEqual(ask(OPCODE.READDIRPLUS, 2 ** 52, 4096), plus(0, 0));
      assert.equal(tree.seen.length, 0);
      assert.deepEqual(ask(OPCODE.READDIRPLUS, 4, 4096), plus(4, 6));
      await tree.until(() => tree.seen.length === 1);
      assert.equal(tree.seen[0]?.opcode, OPCODE.READDIRPLUS + ANSWERED);
      assert.deepEqual(ask(OPCODE.READDIR, 5, 4096), names(5, 6));
      await tree.until(() => tree.seen.length === 2);
      assert.equal(tree.seen[1]?.opcode, OPCODE.READDIR + ANSWERED);
      // Those of others, and what was dropped, are JavaScript's.
      kernel.send({ opcode: OPCODE.READDIRPLUS, body: readBody(8, 0, 4096) });
      await tree.until(() => tree.seen.length === 3);
      port.dropAhead(7);
      kernel.send({ opcode: OPCODE.READDIRPLUS, body: readBody(7, 0, 4096) });
      await tree.until(() => tree.seen.length === 4);
      // One that is empty is one; what is not whole is none.
      port.serveListing(7, [Buffer.alloc(0), Buffer.alloc(0)]);
      assert.deepEqual(ask(OPCODE.READDIRPLUS, 0, 4096), plus(0, 0));
      const [entry = Buffer.alloc(0)] = entries;
      const far = Buffer.from(entry);
      far.writeUInt32LE(0xffffffff, 144);
      for (const wrong of [
        entry.subarray(1),
        entry.subarray(0, 8),
        far,
        plus(0, 4).subarray(0, -8),
      ])
        assert.throws(() => port.serveListing(9, [entry, wrong]), /EINVAL/);
    });
  },
);

check('a malformed request is refused, and the next is answered', async (world) => {
  const tree = silent();
  await connected(world, tree, ({ kernel }) => {
    const alive = () => assert.equal(kernel.errnoOf({ opcode: OPCODE.FLUSH }), ENOSYS);
    const wrongs: Message[] = [
      ...['', 'a', 'a\0b', 'a\0\0', '\0'].map((text) => ({
        opcode: OPCODE.LOOKUP,
        body: Buffer.from(text, 'latin1'),
      })),
      { opcode: OPCODE.GETXATTR, body: numbers(0) },
      { opcode: OPCODE.GETXATTR, body: Buffer.concat([numbers(0), Buffer.from('user.a')]) },
      ...[3, 14, 15, 18, 23, 27, 28, 29, 34, 44, 46, 52].map((opcode) => ({
        opcode,
        body: Buffer.alloc(7),
      })),
      { opcode: OPCODE.READ, body: Buffer.alloc(39) },
      { opcode: OPCODE.INIT, body: Buffer.alloc(15) },
      { opcode: OPCODE.GETATTR, body: Buffer.alloc(16), lengthBytes: 55 },
      { opcode: OPCODE.GETATTR, body: Buffer.alloc(16), lengthBytes: 2 ** 32 - 1 },
      { opcode: OPCODE.GETATTR, body: Buffer.alloc(16), lengthBytes: 0 },
      { opcode: OPCODE.GETATTR, body: Buffer.alloc(24), extension: 1 },
    ];
    for (const wrong of wrongs) {
      assert.equal(kernel.errnoOf(wrong), EINVAL, JSON.stringify(wrong));
      alive();
    }
    for (const node of [2n ** 53n, 2n ** 64n - 1n])
      for (const opcode of [OPCODE.GETATTR, OPCODE.READ])
        assert.equal(kernel.errnoOf({ opcode, node, body: Buffer.alloc(40) }), ESTALE);
    // These take no answer, in whatever shape.
    kernel.sendBytes(Buffer.alloc(1));
    kernel.sendBytes(Buffer.alloc(39, 0xff));
    kernel.send({ opcode: OPCODE.FLUSH, unique: 0 });
    kernel.send({ opcode: OPCODE.FORGET, node: VIRTUAL });
    kernel.send({ opcode: OPCODE.INTERRUPT, body: Buffer.alloc(7) });
    kernel.send({ opcode: OPCODE.BATCH_FORGET, body: Buffer.alloc(7) });
    kernel.send({ opcode: OPCODE.BATCH_FORGET, body: numbers(2, VIRTUAL, 1) });
    kernel.send({ opcode: OPCODE.BATCH_FORGET, body: numbers(2 ** 32 - 1, VIRTUAL, 1) });
    kernel.send({ opcode: 41, body: Buffer.alloc(100) });
    alive();
  });
  assert.deepEqual(tree.seen, []);
});

check('nodes that are counted are forgotten one by one, others in silence', async (world) => {
  const tree = silent();
  await connected(world, tree, async ({ kernel }) => {
    for (const node of [1, 2, XATTRS + 1, 2n ** 53n, 2n ** 64n - 1n])
      kernel.send({ opcode: OPCODE.FORGET, node, body: numbers(1) });
    kernel.send({
      opcode: OPCODE.BATCH_FORGET,
      body: numbers(4, 2, 1, VIRTUAL + 5, 7, 3, 1, VIRTUAL + 6, 1),
    });
    await tree.until(() => tree.seen.length === 2);
    kernel.send({ opcode: OPCODE.FORGET, node: VIRTUAL + 9, body: numbers(2n ** 40n) });
    await tree.until(() => tree.seen.length === 3);
  });
  const forgotten = tree.seen.map(({ opcode, node, body }) => [
    opcode,
    node - VIRTUAL,
    Number(body.readBigUInt64LE(0)),
  ]);
  assert.deepEqual(forgotten, [
    [OPCODE.FORGET, 5, 7],
    [OPCODE.FORGET, 6, 1],
    [OPCODE.FORGET, 9, 2 ** 40],
  ]);
});

check('a flood of forgets is nothing to JavaScript', async (world) => {
  const tree = silent();
  await connected(world, tree, ({ kernel }) => {
    const many = numbers(4000, ...Array.from({ length: 4000 }, (_, node) => [node + 2, 1]).flat());
    for (let round = 0; round < 100; round += 1)
      kernel.send({ opcode: OPCODE.BATCH_FORGET, body: many });
    assert.equal(kernel.errnoOf({ opcode: OPCODE.FLUSH }), ENOSYS);
  });
  assert.deepEqual(tree.seen, []);
});

/** Tells it until the door knows the request: two threads may take the two the other way round. */
function interrupt(kernel: Kernel, target: number): void {
  for (;;) {
    kernel.send({ opcode: OPCODE.INTERRUPT, unique: target + 1, body: numbers(target) });
    const answer = kernel.take();
    if (answer.unique === target) {
      assert.equal(answer.errno, EINTR);
      return;
    }
    assert.deepEqual([answer.unique, answer.errno], [target + 1, EAGAIN]);
  }
}

check(
  'an interrupt breaks off what JavaScript has not seen, and is asked for again where nobody knows it',
  async (world) => {
    const tree = silent();
    await connected(world, tree, async ({ kernel }) => {
      kernel.send({ opcode: OPCODE.INTERRUPT, unique: 1001, body: numbers(1000) });
      assert.deepEqual(kernel.take(), { unique: 1001, errno: EAGAIN, body: Buffer.alloc(0) });
      for (let round = 0; round < 20; round += 1) {
        interrupt(kernel, kernel.send({ opcode: OPCODE.READ, body: readBody(1, 0, 4096) }));
        interrupt(kernel, kernel.send({ opcode: OPCODE.LOOKUP, body: name('x') }));
      }
      const seen = kernel.send({ opcode: OPCODE.READ, body: readBody(1, 0, 4096) });
      await tree.until(() => tree.seen.length === 1);
      // Others wait; it comes before them.
      for (let count = 0; count < 1000; count += 1) kernel.send({ opcode: OPCODE.READLINK });
      kernel.send({ opcode: OPCODE.INTERRUPT, unique: seen + 1, body: numbers(seen) });
      assert.equal(kernel.errnoOf({ opcode: OPCODE.FLUSH }), ENOSYS);
      await tree.until(() => tree.seen.length === 1002);
      const place = tree.seen.findIndex(({ opcode }) => opcode === OPCODE.INTERRUPT);
      assert(place > 0 && place < 500, `at ${place}`);
    });
  },
);

check(
  'a full queue refuses what would lengthen it, but neither reads nor releases nor interrupts',
  async (world) => {
    const tree = silent();
    await connected(world, tree, async ({ kernel }) => {
      // JavaScript hears nothing while this runs.
      const body = name('x'.repeat(255));
      const room = Math.floor((8 * 2 ** 20) / (40 + 256));
      for (let count = 0; count < room; count += 1) kernel.send({ opcode: OPCODE.LOOKUP, body });
      for (let count = 0; count < 3; count += 1) kernel.send({ opcode: OPCODE.LOOKUP, body });
      for (let count = 0; count < 3; count += 1) assert.equal(kernel.take().errno, ENOMEM);
      const read = kernel.send({ opcode: OPCODE.READ, body: readBody(1, 0, 4096) });
      kernel.send({ opcode: OPCODE.RELEASE, body: Buffer.alloc(24) });
      interrupt(kernel, read);
      await tree.until(() => tree.count(OPCODE.RELEASE) === 1);
      assert.equal(tree.count(OPCODE.LOOKUP), room);
      assert.equal(tree.count(OPCODE.READ), 0);
    });
  },
);

check(
  'a served handle is read without JavaScript, within its file and no further',
  async (world) => {
    const path = join(world.folder, 'staged');
    const content = Buffer.alloc(10_000, 'staged bytes');
    writeFileSync(path, content);
    const file = openSync(path, 'r');
    const tree = silent();
    await connected(world, tree, async ({ kernel, port }) => {
      port.serve(2 ** 53 - 1, file, content.length);
      const bytesAt = (offset: number | bigint, lengthBytes: number) => {
        kernel.send({ opcode: OPCODE.READ, body: readBody(2 ** 53 - 1, offset, lengthBytes) });
        const { errno, body } = kernel.take();
        return errno === 0 ? body : errno;
      };
      for (const [offset, length] of [
        [0, 4096],
        [4096, 8192],
        [9999, 1],
        [9999, 2],
        [10_000, 1],
        [2 ** 52, 4096],
        [3, 0],
      ] as const)
        assert.deepEqual(bytesAt(offset, length), content.subarray(offset, offset + length));
      assert.equal(bytesAt(2n ** 63n, 4096), EINVAL);
      assert.equal(bytesAt(2n ** 64n - 1n, 4096), EINVAL);
      assert.equal(bytesAt(0, 2 ** 32 - 1), EINVAL);
      assert.deepEqual(tree.seen, []);
      await port.stopServing(2 ** 53 - 1);
      kernel.send({ opcode: OPCODE.READ, body: readBody(2 ** 53 - 1, 0, 4096) });
      await tree.until(() => tree.seen.length === 1);
    });
    closeSync(file);
  },
);

check('any bytes are survived: 20,000 requests by chance', async (world) => {
  const seed = 4711;
  const random = seededRandom(seed);
  const tree = silent();
  await connected(world, tree, async ({ kernel }) => {
    for (let round = 0; round < 20_000; round += 1) {
      const body = Buffer.from(Array.from({ length: random.below(100) }, () => random.below(256)));
      const isShaped = random.below(4) > 0;
      if (isShaped) {
        const opcode = random.below(55);
        const odd = random.below(10) === 0 ? { lengthBytes: random.below(200) } : {};
        if (random.below(2) === 0) body.fill(0, Math.max(0, body.length - 1));
        // INIT and numbers that the marker has would be confusing only here.
        kernel.send({
          opcode: opcode === OPCODE.INIT ? 0 : opcode,
          node: random.below(2 ** 30),
          body,
          unique: 2 + random.below(1000),
          ...odd,
        });
      } else if (body.length > 0) {
        kernel.sendBytes(body);
      }
      const marker = kernel.send({ opcode: OPCODE.IOCTL, unique: 1_000_000 + round });
      while (kernel.take().unique !== marker);
      if (round % 1000 === 0) await tree.until(() => true);
    }
    // Longer than the kernel's ever are; it has a number of its own.
    kernel.sendBytes(Buffer.alloc(100_000, 1));
    assert.equal(kernel.take().errno, EINVAL);
    assert.equal(kernel.errnoOf({ opcode: OPCODE.IOCTL }), ENOTTY);
  });
});
