/** The end of a mount, whoever brings it about and whatever waits: nobody hangs, nothing is left, it can be mounted again. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Check,
  type MountedTree,
  mounted,
  mountsIn,
  mountTree,
  run,
  type Started,
  start,
  startServer,
} from './native.check.ts';
import { EIO, FOPEN_DIRECT_IO, OPCODE, Tree } from './native.tree.ts';

const checks: Check[] = [];
const check = (name: string, run: Check['run']) => checks.push({ name, run });

export const ENDS_CHECKS: readonly Check[] = checks;

const bytes = Buffer.alloc(10_000, 'x');
const late = { node: 2, name: 'late', bytes, openFlags: FOPEN_DIRECT_IO, onRead: () => {} };
const cached = { ...late, node: 3, name: 'cached', openFlags: 0 };
const plain = { node: 4, name: 'plain', bytes };

/** So many readers of each kind wait. */
async function startReaders({ path, tree }: MountedTree, count: number): Promise<Started[]> {
  const names = ['late', 'cached'];
  const readers = names.flatMap((name) =>
    Array.from({ length: count }, () => start('cat', join(path, name))),
  );
  // Readers of a cached file share one request.
  await tree.until(() => tree.waiting.size === count + 1 && tree.count(OPCODE.OPEN) === 2 * count);
  return readers;
}

const GONE = /Software caused connection abort|Input\/output error|not connected|Interrupted/;

async function assertFailed(readers: readonly Started[]): Promise<void> {
  for (const { end } of readers) {
    const { status, errors } = await end;
    assert.equal(status, '1');
    assert.match(errors, GONE);
  }
}

/** As fs/fuse/connections names it: the minor number of its device. */
function abort({ path }: MountedTree): Promise<string> {
  const minor = / \d+:(\d+) /.exec(mountsIn(path)[0] ?? '')?.[1];
  const connections = '/sys/fs/fuse/connections';
  // In a namespace of its own: not every machine has it mounted.
  const mount = `[ -e ${connections}/${minor} ] || mount -t fusectl none ${connections}`;
  const script = `${mount}; echo 1 >${connections}/${minor}/abort`;
  return run('unshare', '-m', 'sh', '-c', script);
}

type Deed = { readonly name: string; readonly end: (mount: MountedTree) => Promise<unknown> };

const DEEDS: readonly Deed[] = [
  { name: 'its own unmount', end: ({ port }) => port.unmount() },
  // Says EBUSY, and has done it.
  { name: 'umount -f', end: ({ path }) => start('umount', '-f', path).end },
  { name: 'an abort of the connection', end: abort },
];

for (const { name, end } of DEEDS) {
  for (const count of [0, 5]) {
    check(
      `${name} with ${count} readers waiting ends them and leaves nothing, twice`,
      async (world) => {
        for (let round = 0; round < 2; round += 1) {
          const tree = new Tree([late, cached]);
          const mount = await mountTree(world, tree);
          const readers = count === 0 ? [] : await startReaders(mount, count);
          await end(mount);
          assert.deepEqual(await tree.ended.promise, { why: 'unmounted' });
          await assertFailed(readers);
          assert.deepEqual(mountsIn(world.folder), []);
          await mount.port.unmount();
          assert.equal(tree.ends, 1);
        }
      },
    );
  }
}

check('umount is refused while it is used, and ends it when it is not', async (world) => {
  for (let round = 0; round < 2; round += 1) {
    const tree = new Tree([late, cached]);
    const mount = await mountTree(world, tree);
    const readers = await startReaders(mount, 3);
    assert.match((await start('umount', mount.path).end).errors, /busy/);
    assert.equal(tree.waiting.size, 4);
    // Those of the cached file ask again, one after the other.
    const failing = tree.until(() => {
      for (const { unique } of tree.waiting.values()) tree.fail(unique, EIO);
      return tree.count(OPCODE.RELEASE) === 6;
    });
    await assertFailed(readers);
    await failing;
    assert.equal((await start('umount', mount.path).end).status, '0');
    assert.deepEqual(await tree.ended.promise, { why: 'unmounted' });
    assert.deepEqual(mountsIn(world.folder), []);
  }
});

check('umount -l lets readers read on, and ends it with the last of them', async (world) => {
  for (let round = 0; round < 2; round += 1) {
    const tree = new Tree([late]);
    const mount = await mountTree(world, tree);
    const reader = start('cat', join(mount.path, 'late'));
    await tree.until(() => tree.waiting.size === 1);
    await run('umount', '-l', mount.path);
    assert.equal(tree.ends, 0);
    const answering = tree.until(() => {
      for (const read of tree.waiting.values()) tree.answer(read);
      return tree.count(OPCODE.READ) === 2 && tree.waiting.size === 0;
    });
    assert.equal((await reader.end).out.length, bytes.length);
    await answering;
    assert.deepEqual(await tree.ended.promise, { why: 'unmounted' });
  }
});

check('a process that stands in it does not keep it', async (world) => {
  const tree = new Tree([plain]);
  const mount = await mountTree(world, tree);
  const stander = start(
    'sh',
    '-c',
    'cd "$1"; exec 3<plain; echo; read line; cat <&3',
    'sh',
    mount.path,
  );
  await tree.until(() => tree.count(OPCODE.OPEN) === 1);
  await mount.port.unmount();
  assert.deepEqual(mountsIn(world.folder), []);
  stander.child.stdin?.end('\n');
  assert.match((await stander.end).errors, GONE);
});

check('requests that come after unmount has begun fail at once', async (world) => {
  const tree = new Tree([late, plain]);
  const mount = await mountTree(world, tree);
  const stander = start(
    'sh',
    '-c',
    'exec 3<"$1"; while cat "$1"; do :; done',
    'sh',
    join(mount.path, 'late'),
  );
  await tree.until(() => tree.waiting.size === 1);
  await mount.port.unmount();
  await stander.end;
  assert.deepEqual(mountsIn(world.folder), []);
});

const SERVER_DEEDS = [
  { deed: 'exit', status: '7' },
  { deed: 'exit later', status: '7' },
  { deed: 'throw', status: '1' },
  { deed: 'worker: exit', status: '0' },
  { deed: 'worker: exit later', status: '0' },
  { deed: 'worker: throw', status: '0' },
  { deed: 'worker: terminate', status: '0' },
] as const;

for (const { deed, status } of SERVER_DEEDS) {
  check(
    `a server that ends by "${deed}" in the middle of a read leaves no mount`,
    async (world) => {
      const path = join(world.folder, 'mnt');
      const server = await startServer(world, path, deed);
      const readers = [start('cat', join(path, 'late')), start('cat', join(path, 'late'))];
      const ended = await server.end;
      assert.equal(ended.status, status, ended.errors);
      if (deed.startsWith('worker')) assert.match(ended.out, /worker left\n$/);
      for (const { end } of readers) assert.match((await end).errors, /./);
      assert.deepEqual(mountsIn(world.folder), []);
      await mounted(world, new Tree([plain]), async () => {});
    },
  );
}

check(
  'a server that exits when it was aborted, before it has cleared its mount, leaves none',
  async (world) => {
    const path = join(world.folder, 'mnt');
    const server = await startServer(world, path, 'exit at end');
    const reader = start('cat', join(path, 'late'));
    await server.said(1, 'read');
    assert.match((await start('umount', '-f', path).end).errors, /busy/);
    assert.match((await reader.end).errors, GONE);
    assert.equal((await server.end).status, '7');
    assert.deepEqual(mountsIn(path), []);
  },
);

check('a server whose disk hangs can end, and leaves no mount', async (world) => {
  // The disk is another mount, whose reads wait.
  const disk = new Tree([late]);
  const other = { ...world, folder: join(world.folder, 'disk') };
  await mounted(other, disk, async ({ path: diskPath }) => {
    const path = join(world.folder, 'mnt');
    for (const [deed, status] of [
      ['exit', '7'],
      ['worker: exit', '0'],
    ] as const) {
      const server = await startServer(world, path, deed, join(diskPath, 'late'));
      const readers = [start('cat', join(path, 'served'))];
      await disk.until(() => disk.waiting.size === 1);
      readers.push(start('cat', join(path, 'late')));
      assert.equal((await server.end).status, status);
      for (const { end } of readers) assert.match((await end).errors, /./);
      assert.equal(mountsIn(path).length, 0);
    }
  });
});

check(
  'an uncaught bug in a handler fails what it left, and the next is answered',
  async (world) => {
    const path = join(world.folder, 'mnt');
    const server = await startServer(world, path, 'throw and go on');
    assert.match((await start('cat', join(path, 'late')).end).errors, /Input\/output error/);
    const reader = start('cat', join(path, 'late'));
    await server.said(2, 'read');
    reader.child.kill('SIGKILL');
    await reader.end;
    await run('umount', path);
    const { status, out } = await server.end;
    assert.equal(status, '0');
    assert.equal(out, 'mounted\nread\na bug in a handler\nread\nunmounted\n');
  },
);

check(
  'a server killed with 20 readers: they get errors at once, and it is mounted again, twice',
  async (world) => {
    const path = join(world.folder, 'mnt');
    for (let round = 0; round < 2; round += 1) {
      const server = await startServer(world, path, 'serve');
      const readers = Array.from({ length: 20 }, () => start('cat', join(path, 'late')));
      await server.said(20, 'read');
      server.child.kill('SIGKILL');
      await assertFailed(readers);
      assert.equal(mountsIn(path).length, 1);
    }
    // The second server found a dead mount and cleared it; so does this one.
    await mounted(world, new Tree([plain]), async () => {
      assert.equal(mountsIn(path).length, 1);
      assert.deepEqual(await run('ls', path), 'plain\n');
    });
  },
);

check('a mount over the dead one of another program is refused', async (world) => {
  const path = join(world.folder, 'mnt');
  mkdirSync(path);
  const device = world.door.openDevice();
  assert(device > 0);
  const options = Buffer.from(`fd=${device},rootmode=40755,user_id=0,group_id=0`);
  const answer = await world.door.mount(
    Buffer.from('x'),
    Buffer.from(path),
    Buffer.from('fuse.other'),
    1,
    options,
  );
  assert.equal(answer, 0);
  world.door.close(device);
  await assert.rejects(mountTree(world, new Tree([])), {
    code: 'MOUNTPOINT_UNSUITABLE',
    message: /dead mount of another/,
  });
  await run('umount', path);
});

check('threads of a mount are gone when it has ended', async (world) => {
  const names = () =>
    readdirSync('/proc/self/task').map((task) =>
      readFileSync(`/proc/self/task/${task}/comm`, 'utf8').trim(),
    );
  for (let round = 0; round < 3; round += 1) {
    await mounted(world, new Tree([plain]), async () => assert(names().includes('shelfs-fuse')));
    assert.doesNotMatch(names().join(), /shelfs-(fuse|file|notify)/);
  }
});
