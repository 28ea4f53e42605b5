/** Reads: answered late, by a file, by the kernel alone, or never, because their reader is gone. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Check,
  mounted,
  mountTree,
  run,
  start,
  startPython,
  type World,
} from './native.check.ts';
import {
  FOPEN_DIRECT_IO,
  FOPEN_KEEP_CACHE,
  FOPEN_PASSTHROUGH,
  OPCODE,
  type Read,
  Tree,
  type TreeFile,
} from './native.tree.ts';

const checks: Check[] = [];
const check = (name: string, run: Check['run']) => checks.push({ name, run });

export const READS_CHECKS: readonly Check[] = checks;

const bytes = Buffer.from('0123456789'.repeat(1000));
/** Its reads wait until somebody answers them. */
const late: TreeFile = {
  node: 2,
  name: 'late',
  bytes,
  openFlags: FOPEN_DIRECT_IO,
  onRead: () => {},
};
const plain: TreeFile = { node: 3, name: 'plain', bytes: Buffer.from('hello\n') };

/** A file of its own outside, open for reading. */
function staged(world: World, content: Buffer): { readonly file: number; readonly path: string } {
  const path = join(world.folder, 'staged');
  writeFileSync(path, content);
  return { file: openSync(path, 'r'), path };
}

/** Blocks this very thread until it is over. */
function blocked(script: string, ...words: string[]): string {
  return execFileSync('sh', ['-c', script, 'sh', ...words], {
    encoding: 'latin1',
    timeout: 20_000,
  });
}

check('200 readers wait without a thread each, and nobody else waits for them', async (world) => {
  const tree = new Tree([late, plain]);
  await mounted(world, tree, async ({ path }) => {
    // By a shell, for which making processes is little.
    const script = `
      read=0
      while [ $read -lt 200 ]; do read=$((read + 1)); cat "$1" & echo $! >>"$2"; done
      wait`;
    const pids = join(world.folder, 'pids');
    const shell = start('sh', '-c', script, 'sh', join(path, 'late'), pids);
    await tree.until(() => tree.waiting.size === 200);
    assert.equal(await run('cat', join(path, 'plain')), 'hello\n');
    assert.match(await run('ls', '-l', path), /late\n.*plain\n/);
    await run('sh', '-c', 'kill -9 $(head -n 50 "$1")', 'sh', pids);
    await tree.until(() => tree.waiting.size === 150);
    // Each reads on until its end; the one of the other file has let go of it too.
    const keepAnswering = tree.until(() => {
      for (const read of tree.waiting.values()) tree.answer(read);
      return tree.count(OPCODE.RELEASE) >= 201;
    });
    assert.equal((await shell.end).out.length, 150 * bytes.length);
    await keepAnswering;
  });
});

check(
  'a waiting reader ends at once by SIGINT with a handler, without one, and by SIGKILL',
  async (world) => {
    const tree = new Tree([late]);
    await mounted(world, tree, async ({ path }) => {
      const file = join(path, 'late');
      const expected = [
        { signal: 'SIGINT', begin: () => startPython(file), status: '0', out: 'interrupted\n' },
        { signal: 'SIGINT', begin: () => start('cat', file), status: 'SIGINT', out: '' },
        { signal: 'SIGKILL', begin: () => start('cat', file), status: 'SIGKILL', out: '' },
      ] as const;
      for (const { signal, begin, status, out } of expected) {
        const reader = begin();
        await tree.until(() => tree.waiting.size === 1);
        reader.child.kill(signal);
        assert.deepEqual(await reader.end, { status, out, errors: '' });
        await tree.until(() => tree.waiting.size === 0);
      }
      assert.equal(tree.seen.filter(({ opcode }) => opcode === OPCODE.INTERRUPT).length >= 3, true);
    });
  },
);

check('a reader that was stopped and continued reads on', async (world) => {
  const tree = new Tree([late]);
  await mounted(world, tree, async ({ path }) => {
    const reader = start('head', '-c', '100', join(path, 'late'));
    await tree.until(() => tree.waiting.size === 1);
    reader.child.kill('SIGSTOP');
    reader.child.kill('SIGCONT');
    // The kernel may have broken the read off and begun it again.
    void tree.until(() => {
      for (const read of tree.waiting.values()) tree.answer(read);
      return reader.child.exitCode !== null;
    });
    assert.equal((await reader.end).out, bytes.subarray(0, 100).toString());
  });
});

check(
  'of two readers of one file, one is killed and the other served; then it is read again',
  async (world) => {
    const tree = new Tree([late]);
    await mounted(world, tree, async ({ path }) => {
      const [killed, served] = [start('cat', join(path, 'late')), start('cat', join(path, 'late'))];
      await tree.until(() => tree.waiting.size === 2);
      killed.child.kill('SIGKILL');
      assert.equal((await killed.end).status, 'SIGKILL');
      await tree.until(() => tree.waiting.size === 1);
      const third = start('cat', join(path, 'late'));
      await tree.until(() => tree.waiting.size === 2);
      const answering = tree.until(() => {
        for (const read of tree.waiting.values()) tree.answer(read);
        return tree.count(OPCODE.RELEASE) === 3;
      });
      assert.equal((await served.end).out, bytes.toString());
      assert.equal((await third.end).out, bytes.toString());
      await answering;
    });
  },
);

check(
  'while JavaScript is busy a reader can be killed whose request it has not seen',
  async (world) => {
    const tree = new Tree([late]);
    await mounted(world, tree, async ({ path }) => {
      // The name is not known yet: the lookup waits for JavaScript, which waits for this.
      const script = `
      cat "$1" & reader=$!
      until grep -q request_wait /proc/$reader/wchan; do :; done
      kill -9 $reader
      wait $reader 2>/dev/null || echo $?`;
      assert.equal(blocked(script, join(path, 'late')), '137\n');
    });
    assert.equal(tree.waiting.size, 0);
  },
);

/** A file whose reads never enter JavaScript, and others. */
function servedTree(
  { content, file }: { readonly content: Buffer; readonly file: number },
  ...others: ConstructorParameters<typeof Tree>[0]
): Tree {
  const served: ConstructorParameters<typeof Tree>[0][number] = {
    node: 5,
    name: 'served',
    bytes: content,
    openFlags: FOPEN_DIRECT_IO,
    onOpen: (handle) => tree.port.serve(handle, file, content.length),
    onRead: () => assert.fail('answered natively'),
  };
  const tree: Tree = new Tree([served, ...others]);
  return tree;
}

check('while JavaScript is busy a served file is read', async (world) => {
  const content = Buffer.alloc(3_000_000, 'served');
  const { file, path: stagedPath } = staged(world, content);
  const tree = servedTree({ content, file });
  await mounted(world, tree, async ({ path }) => {
    const [go, done] = [join(world.folder, 'go'), join(world.folder, 'done')];
    execFileSync('mkfifo', [go, done]);
    const words = [join(path, 'served'), stagedPath, go, done];
    const wait = 'exec 3<"$1"; cat "$3"; cmp - "$2" <&3 && echo same >"$4"';
    const reader = start('sh', '-c', wait, 'sh', ...words);
    await tree.until(() => tree.count(OPCODE.OPEN) === 1);
    const before = tree.seen.length;
    assert.equal(blocked('echo >"$3"; cat "$4"', ...words), 'same\n');
    assert.equal(tree.seen.length, before);
    assert.equal((await reader.end).status, '0');
  });
  closeSync(file);
});

/** The longer ones are not copied. */
for (const [place, lengthBytes] of [
  ['/tmp', 2_500_000],
  ['/dev/shm', 2_500_000],
  ['/tmp', 5_000_001],
  ['/dev/shm', 5_000_001],
] as const) {
  check(
    `a served file of ${lengthBytes} bytes in ${place} is read as it is, from memory or not, also beyond its end`,
    async (world) => {
      const content = Buffer.alloc(lengthBytes, 'bytes of a staged file');
      const path = execFileSync('mktemp', ['-p', place, 'shelfs-served-XXXXXX'], {
        encoding: 'utf8',
      }).trim();
      writeFileSync(path, content);
      // Out of the cache, where the file system has one to leave.
      execFileSync('dd', [
        `of=${path}`,
        'oflag=nocache',
        'conv=notrunc,fdatasync',
        'count=0',
        'status=none',
      ]);
      const file = openSync(path, 'r');
      const served = new Map<number, number>();
      const file_: TreeFile = {
        node: 5,
        name: 'served',
        bytes: Buffer.concat([content, Buffer.alloc(5000)]),
        openFlags: FOPEN_DIRECT_IO,
        onOpen: (handle, tree) => {
          served.set(handle, file);
          tree.port.serve(handle, file, lengthBytes);
        },
        onRead: () => assert.fail('answered natively'),
      };
      const cached = { ...file_, node: 6, name: 'cached', openFlags: FOPEN_KEEP_CACHE };
      const tree = new Tree([file_, { ...cached, bytes: content }]);
      await mounted(world, tree, async ({ path: at, port }) => {
        for (let round = 0; round < 2; round += 1) {
          await run('cmp', path, join(at, 'served'));
          await run('cmp', path, join(at, 'cached'));
        }
        const blocks = Math.floor(lengthBytes / 4096);
        const tail = await run(
          'dd',
          `if=${join(at, 'served')}`,
          'bs=4096',
          `skip=${blocks}`,
          'status=none',
        );
        assert.equal(tail, content.subarray(4096 * blocks).toString('latin1'));
        assert.throws(() => port.serve([...served.keys()][0] ?? 0, file, lengthBytes), /EEXIST/);
        await Promise.all([...served.keys()].map((handle) => port.stopServing(handle)));
      });
      closeSync(file);
      execFileSync('rm', [path]);
    },
  );
}

check(
  'of a served file that somebody cuts short, what is gone is EIO, and reads of others go on',
  async (world) => {
    const content = Buffer.alloc(8_000_000, 'bytes of a staged file');
    const { file, path: stagedPath } = staged(world, content);
    const tree = servedTree({ content, file }, plain);
    await mounted(world, tree, async ({ path }) => {
      const words = [join(path, 'served'), stagedPath];
      const script =
        'exec 3<"$1"; head -c 65536 <&3 | wc -c; truncate -s 1048576 "$2"; cat <&3 | wc -c';
      const { out, errors } = await start('sh', '-c', script, 'sh', ...words).end;
      const [begun, rest] = out.trim().split('\n');
      assert.equal(Number(begun), 65_536);
      // A short copy that looks whole would be worse than none.
      assert.match(errors, /Input\/output error/);
      assert(Number(rest) <= 1_048_576 - 65_536);
      assert.equal(await run('cat', join(path, 'plain')), 'hello\n');
    });
    closeSync(file);
  },
);

check(
  'pages that go while they are handed to the kernel fail a read at most: a file cut short and made long without end',
  async (world) => {
    const content = Buffer.alloc(8_000_000, 'bytes of a staged file');
    const { file, path: stagedPath } = staged(world, content);
    const tree = servedTree({ content, file }, plain);
    await mounted(world, tree, async ({ path }) => {
      const script = `
import os, sys, threading
served, staged = sys.argv[1:]
def cut():
    for _ in range(800):
        os.truncate(staged, 4096)
        os.truncate(staged, ${content.length})
        os.pwrite(backing, block, 0)
backing = os.open(staged, os.O_WRONLY)
block = bytes(1 << 20)
cutting = threading.Thread(target=cut)
reading = os.open(served, os.O_RDONLY)
cutting.start()
while cutting.is_alive():
    for at in range(0, 1 << 20, 1 << 17):
        try: os.pread(reading, 1 << 17, at)
        except OSError as error: assert error.errno == 5, error
`;
      assert.deepEqual(await start('python3', '-c', script, join(path, 'served'), stagedPath).end, {
        status: '0',
        out: '',
        errors: '',
      });
      assert.equal(await run('cat', join(path, 'plain')), 'hello\n');
    });
    closeSync(file);
  },
);

check('a read that waited is answered from a file, and one cut short fails it', async (world) => {
  const { file, path: stagedPath } = staged(world, bytes);
  const tree = new Tree([
    {
      ...late,
      onRead: ({ unique, offset, lengthBytes }, { port }) =>
        port.replyFromFile({
          ...{ unique, file, offset },
          lengthBytes: Math.max(0, Math.min(lengthBytes, bytes.length - offset)),
        }),
    },
  ]);
  await mounted(world, tree, async ({ path }) => {
    const readers = Array.from({ length: 20 }, () => start('cat', join(path, 'late')));
    for (const { end } of readers) assert.equal((await end).out, bytes.toString());
    truncateSync(stagedPath, 4000);
    assert.match((await start('cat', join(path, 'late')).end).errors, /Input\/output error/);
  });
  closeSync(file);
});

check('a file that cannot be read is EIO, a wrong one a bug', async (world) => {
  const { path: stagedPath } = staged(world, bytes);
  const writeOnly = openSync(stagedPath, constants.O_WRONLY);
  const byFile = ({ unique, offset, lengthBytes }: Read, { port }: Tree) =>
    port.replyFromFile({ unique, file: writeOnly, offset, lengthBytes });
  const tree = new Tree([
    { ...late, onRead: byFile },
    {
      ...late,
      node: 5,
      name: 'served',
      onOpen: (handle, { port }) => port.serve(handle, writeOnly, bytes.length),
    },
  ]);
  await mounted(world, tree, async ({ path, port }) => {
    for (const name of ['late', 'served']) {
      assert.match((await start('cat', join(path, name)).end).errors, /Input\/output error/);
    }
    assert.throws(() => port.serve(77, 9999, 1), /EBADF/);
    await assert.rejects(port.stopServing(77), /ENOENT/);
  });
  closeSync(writeOnly);
});

check('the kernel reads a file alone where it is permitted', async (world) => {
  const { file, path: stagedPath } = staged(world, bytes);
  let backingId = 0;
  const through: TreeFile = {
    node: 5,
    name: 'through',
    bytes,
    get openFlags() {
      return backingId > 0 ? FOPEN_PASSTHROUGH : 0;
    },
    get backingId() {
      return Math.max(0, backingId);
    },
  };
  const tree = new Tree([through]);
  await mounted(world, tree, async ({ path, port }) => {
    backingId = port.openBacking(file);
    // Linux 6.9 and CAP_SYS_ADMIN, or it says why not.
    assert.equal(backingId > 0, port.agreement.hasPassthrough);
    assert.equal(await run('cat', join(path, 'through')), bytes.toString());
    assert.equal(tree.count(OPCODE.READ), backingId > 0 ? 0 : 1);
    if (backingId <= 0) return;
    const [first, second] = [
      await run('sha256sum', stagedPath),
      await run('sha256sum', join(path, 'through')),
    ];
    assert.equal(first.split(' ')[0], second.split(' ')[0]);
    port.closeBacking(backingId);
    assert(port.openBacking(9999) < 0);
    assert.throws(() => port.closeBacking(9999), /ENOENT/);
  });
  closeSync(file);
});

check('a disk that hangs holds up only those who wait for it', async (world) => {
  // The disk is another mount, whose reads wait.
  const disk = new Tree([{ ...late, bytes: Buffer.alloc(2 ** 20) }]);
  const other = { ...world, folder: join(world.folder, 'disk') };
  const hanging = await mountTree(other, disk);
  const file = await open(join(hanging.path, 'late'));
  const served: TreeFile = {
    node: 5,
    name: 'served',
    bytes: Buffer.alloc(2 ** 20),
    openFlags: FOPEN_DIRECT_IO,
    onOpen: (handle, { port }) => port.serve(handle, file.fd, 2 ** 20),
  };
  const mount = await mountTree(world, new Tree([served, plain]));
  const waiting = Array.from({ length: 4 }, () => start('cat', join(mount.path, 'served')));
  await disk.until(() => disk.waiting.size === 4);
  // All threads that read files are in it: this one stands in line, and can leave it.
  const queued = start('cat', join(mount.path, 'served'));
  await mount.tree.until(() => mount.tree.count(OPCODE.OPEN) === 5);
  assert.equal(await run('cat', join(mount.path, 'plain')), 'hello\n');
  queued.child.kill('SIGKILL');
  assert.equal((await queued.end).status, 'SIGKILL');
  assert.equal(disk.waiting.size, 4);

  const unmounted = mount.port.unmount();
  await hanging.port.unmount();
  for (const { end } of waiting) assert.match((await end).errors, /./);
  await unmounted;
  await file.close();
});
