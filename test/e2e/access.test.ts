/** Who may do what: nobody writes; other users only see a mount that is for them, and of it what its permissions let them. */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Namespace } from './namespace.ts';
import { ended, MAIN, type Mounted, okProgram, runProgram, Shelf } from './program.ts';

/** Users that each Debian has; the first is let in where a list of access control says so. */
const DAEMON = 1;
const NOBODY = 65_534;

let shelf: Shelf;
let source: string;
let mounted: Mounted;

beforeAll(async () => {
  shelf = await Shelf.make();
  chmodSync(shelf.directory, 0o755);
  source = shelf.folder('source');
  for (const name of ['open', 'closed', 'listed', 'gone', 'theirs'])
    writeFileSync(join(source, name), `${name}\n`);
  shelf.folder('source/empty');
  shelf.folder('source/hidden');
  writeFileSync(join(source, 'hidden', 'inside'), 'x');
  chmodSync(join(source, 'hidden'), 0o700);
  for (const name of ['closed', 'listed', 'theirs']) chmodSync(join(source, name), 0o600);
  chownSync(join(source, 'theirs'), NOBODY, NOBODY);
  execFileSync('setfacl', ['-m', `u:${DAEMON}:r`, join(source, 'listed')]);
  await shelf.ok('source', 'add', source);
  await shelf.ok('backup');
  mounted = await shelf.mount('mount', '--allow-other');
});

afterAll(() => shelf.close());

const inMount = (name: string) => join(mounted.at, source, name);

/** What another user makes of a file: its bytes, or why not. */
async function readAs(uid: number, path: string): Promise<string> {
  const user = ['setpriv', '--reuid', String(uid), '--regid', String(uid), '--clear-groups'];
  const { stdout, stderr } = await runProgram([...user, 'cat', path]);
  return stdout || stderr.replace(/^.*: /, '').trim();
}

/** What it complains of is in the error. */
const run = (program: string, ...words: string[]) =>
  execFileSync(program, words, { stdio: ['ignore', 'ignore', 'pipe'] });

test('each way of writing is refused, also to root', () => {
  const [file, folder] = [inMount('gone'), inMount('empty')];
  const fresh = inMount('fresh');
  const ways: Record<string, () => void> = {
    create: () => closeSync(openSync(fresh, 'w')),
    write: () => closeSync(openSync(file, 'r+')),
    append: () => appendFileSync(file, 'x'),
    truncate: () => truncateSync(file),
    remove: () => rmSync(file),
    rename: () => renameSync(file, fresh),
    move: () => renameSync(file, join(folder, 'gone')),
    'make a directory': () => mkdirSync(fresh),
    'remove a directory': () => rmdirSync(folder),
    link: () => linkSync(file, fresh),
    'link by name': () => symlinkSync('x', fresh),
    chmod: () => chmodSync(file, 0o777),
    chown: () => chownSync(file, NOBODY, NOBODY),
    utimes: () => utimesSync(file, 0, 0),
    mknod: () => run('mkfifo', fresh),
    setxattr: () => run('setfattr', '-n', 'user.a', '-v', 'b', file),
    'remove an xattr': () => run('setfattr', '-x', 'user.a', file),
    'set an ACL': () => run('setfacl', '-m', 'u:1:rwx', file),
    'write what tells': () => appendFileSync(join(mounted.at, '.shelfs', 'wanted'), 'x'),
  };
  for (const [name, write] of Object.entries(ways))
    expect(write, name).toThrow(/EROFS|Read-only file system/);
});

test('permissions and lists of access control hold for others', async () => {
  const denied = 'Permission denied';
  expect(await readAs(NOBODY, inMount('open'))).toBe('open\n');
  expect(await readAs(NOBODY, inMount('closed'))).toBe(denied);
  expect(await readAs(NOBODY, inMount('theirs'))).toBe('theirs\n');
  expect(await readAs(DAEMON, inMount('theirs'))).toBe(denied);
  expect(await readAs(DAEMON, inMount('listed'))).toBe('listed\n');
  expect(await readAs(NOBODY, inMount('listed'))).toBe(denied);
  expect(await readAs(NOBODY, inMount('hidden/inside'))).toBe(denied);
  expect(await readAs(0, inMount('hidden/inside'))).toBe('x');
});

test('a mount that is not for others shows them nothing', async () => {
  const own = await shelf.mount('own');
  expect(await readAs(NOBODY, join(own.at, source, 'open'))).toBe('Permission denied');
  await shelf.unmount(own);
});

test('mount(8) and its options mount it, by the name of the type', async () => {
  // mount(8) gives no PATH, so `env node` finds the system's own Node or none: where ours is elsewhere a line of sh names it.
  const namespace = await Namespace.make(
    [
      `ln -s '${MAIN}' mount.fuse.shelfs; mount -t tmpfs -o mode=755 none /usr/sbin`,
      `printf '#!/bin/sh\nexec %s %s "$@"\n' '${process.execPath}' "$PWD/mount.fuse.shelfs" >/usr/sbin/mount.fuse.shelfs`,
      'chmod 755 /usr/sbin/mount.fuse.shelfs',
    ].join('; '),
  );
  try {
    const at = shelf.folder('by mount');
    const root = namespace.prefix('root');
    const mount = (options: string) =>
      runProgram([...root, 'mount', '-t', 'fuse.shelfs', shelf.state, at, '-o', options]);
    const refused = await mount('rw,allow_other');
    expect(refused.stderr).toContain('mounted read-only');
    expect(refused.exit).not.toBe(0);

    const said = await mount('ro,allow_other,recall=fail,xattrs=never,_netdev');
    expect(said.exit, said.stderr).toBe(0);
    const nobody = namespace.prefix('nobody');
    expect(await okProgram([...nobody, 'ls', join(at, source)])).toContain('open\n');
    const [, pid] = /process (\d+)/.exec(said.stdout + said.stderr) ?? [];
    await okProgram([...root, 'umount', at]);
    if (pid !== undefined) await ended(Number(pid));
  } finally {
    await namespace.close();
  }
});
