/**
 * What is asked of native/fuse and of the port over it, on the kernel's own FUSE: mounts with a tree of raw bytes, looked at by
 * other processes, for who serves a mount must never wait for it.
 *
 * Lists without a test runner, so that they also run under the sanitizers, where node alone is preloaded with them.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Check, mounted, mountsIn, run, start } from './native.check.ts';
import { ENODATA, ENOENT, OPCODE, reply, Tree } from './native.tree.ts';
import { ARGUMENTS_CHECKS } from './native-arguments.list.ts';
import { BYTES_CHECKS } from './native-bytes.list.ts';
import { ENDS_CHECKS } from './native-ends.list.ts';
import { INIT_CHECKS } from './native-init.list.ts';
import { READS_CHECKS } from './native-reads.list.ts';

const checks: Check[] = [];
const check = (name: string, run: Check['run']) => checks.push({ name, run });

const VIRTUAL = 2 ** 52;
const XATTRS = 2 ** 51;
const hello = { node: 2, name: 'file', bytes: Buffer.from('hello\n') };

check('what is mounted is listed and read, and gone after unmount', async (world) => {
  const names = ['file\xff', 'new\nline', 'x'.repeat(255)];
  const files = names.map((name, index) => ({ ...hello, node: index + 2, name }));
  const tree = new Tree(files);
  await mounted(world, tree, async ({ path }) => {
    assert.equal(await run('ls', '-U', path), `${names.join('\n')}\n`);
    assert.equal(await run('sh', '-c', 'cat "$1"/*', 'sh', path), 'hello\n'.repeat(3));
    const options = `shelfs ${path} fuse.shelfs ro,nosuid,nodev`;
    assert((await run('cat', '/proc/mounts')).includes(options));
    assert(tree.count(OPCODE.READDIRPLUS) > 0);
    assert.equal(tree.count(OPCODE.FLUSH), 0);
  });
  assert.deepEqual(mountsIn(world.folder), []);
});

check('the kernel agreed to what makes it fast', async (world) => {
  await mounted(world, new Tree([]), async ({ path, port }) => {
    assert.equal(port.agreement.readBytesMax, 2 ** 20);
    const device = / (\d+:\d+) /.exec(mountsIn(path)[0] ?? '')?.[1];
    assert.equal(readFileSync(`/sys/class/bdi/${device}/read_ahead_kb`, 'utf8'), '1024\n');
  });
});

check('nothing can be written, and the door is not even asked', async (world) => {
  await mounted(world, new Tree([hello]), async ({ path, tree }) => {
    for (const command of [
      'echo x >"$1/new"',
      'rm "$1/file"',
      'mkdir "$1/d"',
      'chmod 0 "$1/file"',
    ]) {
      const { errors } = await start('sh', '-c', command, 'sh', path).end;
      assert.match(errors, /Read-only file system/);
    }
    const { errors } = await start('setfattr', '-n', 'user.a', '-v', 'b', join(path, 'file')).end;
    assert.match(errors, /Read-only file system/);
    assert.equal(tree.count(OPCODE.SETATTR) + tree.count(OPCODE.MKDIR), 0);
  });
});

check('attributes of the system are asked for only where a node may have some', async (world) => {
  const with_ = { ...hello, node: XATTRS + 3, name: 'with' };
  await mounted(world, new Tree([hello, with_]), async ({ path, tree }) => {
    const asked = () => tree.seen.filter(({ opcode }) => opcode === OPCODE.GETXATTR);
    await run('ls', '-l', path);
    assert(asked().every(({ node }) => node === 1 || node === XATTRS + 3));
    assert(asked().some(({ node }) => node === XATTRS + 3));
    const { errors } = await start('getfattr', '-n', 'user.none', join(path, 'file')).end;
    assert.match(errors, /No such attribute/);
    assert(asked().some(({ node, body }) => node === 2 && body.includes('user.none\0')));
  });
});

check(
  'the kernel forgets a name and a node when told, and says so of counted nodes',
  async (world) => {
    const counted = { ...hello, node: VIRTUAL + 7, name: 'counted' };
    const files = [{ ...hello }, counted];
    const tree = new Tree(files);
    await mounted(world, tree, async ({ path, port }) => {
      const looked = (name: string) =>
        tree.seen.filter(({ opcode, body }) => opcode === OPCODE.LOOKUP && body.includes(name))
          .length;
      const sizeOf = (name: string) => run('stat', '-c', '%s', join(path, name));
      for (let round = 0; round < 2; round += 1) {
        assert.equal(await sizeOf('counted'), '6\n');
        assert.equal(await sizeOf('file'), '6\n');
      }
      assert.equal(looked('counted'), 1);
      port.forgetName(1, Buffer.from('counted'));
      port.forgetName(1, Buffer.from('file'));
      port.forgetName(1, Buffer.from('nobody'));
      await tree.until(() => tree.count(OPCODE.FORGET) > 0);
      const forgets = tree.seen.filter(({ opcode }) => opcode === OPCODE.FORGET);
      assert.deepEqual(
        forgets.map(({ node, body }) => [node, Number(body.readBigUInt64LE(0))]),
        [[VIRTUAL + 7, 1]],
      );
      await sizeOf('counted');
      assert.equal(looked('counted'), 2);

      await sizeOf('file');
      files[0] = { ...hello, bytes: Buffer.from('longer than before\n') };
      assert.equal(await sizeOf('file'), '6\n');
      port.forgetNode(2);
      // Told by another thread: until it was heard the old answer is right.
      while ((await sizeOf('file')) !== '19\n') assert(tree.seen.length < 1000);
    });
  },
);

check('a flood of things to forget never waits', async (world) => {
  await mounted(world, new Tree([hello]), async ({ path, port }) => {
    for (let index = 0; index < 20_000; index += 1) {
      port.forgetName(1, Buffer.from(`nobody-${index}`));
      port.forgetNode(index + 2);
    }
    assert.equal(await run('cat', join(path, 'file')), 'hello\n');
  });
});

check(
  'to forget may wait for an answer that is not there: only it does, and unmount ends it',
  async (world) => {
    for (const end of ['answer', 'unmount']) {
      const tree = new Tree([hello, { ...hello, node: 3, name: 'asleep' }]);
      let held = 0;
      tree.intercept = ({ opcode, unique, body }) => {
        if (opcode !== OPCODE.LOOKUP || !body.includes('asleep')) return false;
        held = unique;
        return true;
      };
      await mounted(world, tree, async ({ path, port }) => {
        const open = start(
          'sh',
          '-c',
          'exec 3<"$1"; echo; read line; cat <&3',
          'sh',
          join(path, 'file'),
        );
        await tree.until(() => tree.count(OPCODE.OPEN) === 1);
        const asleep = start('cat', join(path, 'asleep'));
        await tree.until(() => held !== 0);
        // The kernel holds the directory for the lookup, and wants it for itself for this.
        port.forgetName(1, Buffer.from('file'));
        open.child.stdin?.end('\n');
        assert.equal((await open.end).out, '\nhello\n');
        if (end === 'unmount') return;
        tree.intercept = () => false;
        tree.fail(held, ENOENT);
        assert.match((await asleep.end).errors, /No such file/);
        assert.equal(await run('cat', join(path, 'file')), 'hello\n');
      });
    }
  },
);

check('children inherit nothing, and threads take no signals', async (world) => {
  await mounted(world, new Tree([hello]), async () => {
    const own = readdirSync('/proc/self/fd').length;
    assert(own > 0);
    const listing = await run('ls', '-l', '/proc/self/fd');
    assert.doesNotMatch(listing, /fuse|eventfd/);
    const masks = readdirSync('/proc/self/task').flatMap((task) => {
      const status = readFileSync(`/proc/self/task/${task}/status`, 'utf8');
      return /^Name:\tshelfs-/m.test(status) ? [/^SigBlk:\t(\w+)$/m.exec(status)?.[1]] : [];
    });
    // Two that read the device, four that read files, one that tells what to forget.
    assert.equal(masks.length, 7);
    // All but SIGKILL and SIGSTOP, which nobody can block, and the two that glibc keeps for itself.
    for (const mask of masks) assert.equal(mask, 'fffffffe7ffbfeff');
  });
  const names = readdirSync('/proc/self/fd').length;
  await mounted(world, new Tree([]), async () => {});
  assert.equal(readdirSync('/proc/self/fd').length, names);
});

check(
  'a reply that is none is a bug and named; the kernel refuses one, its caller gets EIO',
  async (world) => {
    const tree = new Tree([hello]);
    const failures: unknown[] = [];
    const attempt = (bytes: Uint8Array) => {
      try {
        tree.port.reply(bytes);
      } catch (error) {
        failures.push(error);
      }
    };
    tree.intercept = ({ opcode, unique, body }) => {
      if (opcode !== OPCODE.LOOKUP || !body.includes('odd')) return false;
      const wrongs = [Buffer.alloc(15), Buffer.alloc(16), Buffer.from('ff'.repeat(16), 'hex')];
      for (const wrong of wrongs) attempt(wrong);
      attempt(reply(unique, 0, Buffer.alloc(3)));
      return true;
    };
    await mounted(world, tree, async ({ path }) => {
      const { errors } = await start('stat', join(path, 'odd')).end;
      assert.match(errors, /Input\/output error|Invalid argument/);
      assert.equal(failures.length, 4);
      for (const failure of failures) {
        assert(failure instanceof assert.AssertionError);
        assert.match(failure.message, /native\/fuse said EINVAL/);
      }
      // A second reply finds nobody.
      tree.intercept = ({ unique, opcode }) => {
        if (opcode === OPCODE.LOOKUP) tree.fail(unique, ENODATA);
        return false;
      };
      const { errors: second } = await start('stat', join(path, 'other')).end;
      assert.match(second, /No data available/);
    });
  },
);

check('two mounts in one process are two, and unmount may be called twice', async (world) => {
  const other = { ...world, folder: join(world.folder, 'second') };
  await mounted(world, new Tree([hello]), async ({ path, port }) => {
    await mounted(other, new Tree([{ ...hello, name: 'other' }]), async ({ path: second }) => {
      assert.equal(await run('ls', path, second), `${path}:\nfile\n\n${second}:\nother\n`);
    });
    assert.equal(await run('ls', path), 'file\n');
    await Promise.all([port.unmount(), port.unmount()]);
  });
});

check('what is asked of a mount that has ended is nothing', async (world) => {
  const path = join(world.folder, 'plain');
  writeFileSync(path, 'x');
  const tree = new Tree([hello]);
  await mounted(world, tree, async () => {});
  const { port } = tree;
  port.reply(reply(2, 0));
  port.replyFromFile({ unique: 2, file: 0, offset: 0, lengthBytes: 1 });
  port.forgetName(1, Buffer.from('x'));
  port.forgetNode(1);
  port.closeBacking(1);
  assert(port.openBacking(0) < 0);
  await port.unmount();
});

export const CHECKS: readonly Check[] = [
  ...checks,
  ...READS_CHECKS,
  ...ENDS_CHECKS,
  ...ARGUMENTS_CHECKS,
  ...INIT_CHECKS,
  ...BYTES_CHECKS,
];
