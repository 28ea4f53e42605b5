/**
 * What is asked of native/fuse and of the port over it, on the kernel's own FUSE: mounts with a tree of raw bytes, looked at by
 * other processes, for who serves a mount must never wait for it.
 *
 * A list without a test runner, so that it also runs under the sanitizers, where node alone is preloaded with them.
 */
import assert from 'node:assert/strict';
import { type Check, mounted, run } from './native.check.ts';
import { OPCODE, Tree } from './native.tree.ts';

const checks: Check[] = [];
const check = (name: string, run: Check['run']) => checks.push({ name, run });

export const CHECKS: readonly Check[] = checks;

check('what is mounted is listed and read, and gone after unmount', async (world) => {
  const bytes = Buffer.from('hello\n');
  const tree = new Tree([{ node: 2, name: 'file\xff', bytes }]);
  await mounted(world, tree, async ({ path }) => {
    assert.equal(await run('ls', path), 'file\xff\n');
    assert.equal(await run('sh', '-c', 'cat "$1"/*', 'sh', path), 'hello\n');
    assert.match(
      await run('cat', '/proc/mounts'),
      new RegExp(`shelfs ${path} fuse\\.shelfs ro,nosuid,nodev`),
    );
    assert.equal(tree.count(OPCODE.READDIRPLUS) > 0, true);
  });
  assert.equal(tree.ends, 1);
  assert.doesNotMatch(await run('cat', '/proc/mounts'), new RegExp(world.folder));
});
