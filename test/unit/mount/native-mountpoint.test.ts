/** Where it is mounted, by whom, and how it is taken away again: on the real kernel, as root and as an ordinary user. */
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { type Raw, rawBytes, rawOf } from '../../../src/base/raw.ts';
import { loadFuseDoor } from '../../../src/mount/door.ts';
import { escapedOption, mountByHelper, unmountByHelper } from '../../../src/mount/helper.ts';
import { mountAt, readMountTable } from '../../../src/mount/mount-table.ts';
import {
  MOUNT_TYPE,
  ownMountAt,
  refuseRequestTimeouts,
  umount,
} from '../../../src/mount/mountpoint.ts';
import { mountFuse } from '../../../src/mount/native.ts';
import {
  mounted,
  mountsIn,
  mountTree,
  run,
  start,
  startServer,
  type World,
} from './native.check.ts';
import { FOPEN_DIRECT_IO, Tree } from './native.tree.ts';

const addonPath = fileURLToPath(
  new URL('../../../native/fuse/build/Release/fuse.node', import.meta.url),
);
const NOBODY = 65534;
const late = {
  node: 2,
  name: 'late',
  bytes: Buffer.alloc(9),
  openFlags: FOPEN_DIRECT_IO,
  onRead: () => {},
};

const door = loadFuseDoor();
let world: World;

beforeEach(() => {
  const folder = mkdtempSync(join(tmpdir(), 'shelfs-mountpoint-'));
  chmodSync(folder, 0o755);
  world = { addonPath, door, folder };
});

afterEach(() => {
  expect(mountsIn(world.folder)).toEqual([]);
  rmSync(world.folder, { recursive: true });
});

const mountOn = (mountpoint: Raw, { allowOther = false, source = rawOf('shelfs') } = {}) =>
  mountFuse({ mountpoint, allowOther, source, clock: systemClock, listener: new Tree([]), door });

const umountPath = async (path: Raw, how: 'plain' | 'forced') =>
  umount(await ownMountAt(path), { door, how });

describe('what cannot be mounted on', () => {
  test.each([
    ['missing', /missing does not exist; make a directory there/],
    ['file', /file is no directory/],
    ['file/beneath', /is no directory/],
    ['full', /full is not empty/],
  ])('%s', async (name, message) => {
    writeFileSync(join(world.folder, 'file'), '');
    mkdirSync(join(world.folder, 'full', 'something'), { recursive: true });
    const refused = mountOn(rawOf(join(world.folder, name)));
    await expect(refused).rejects.toThrow(message);
    await expect(refused).rejects.toMatchObject({ code: 'MOUNTPOINT_UNSUITABLE' });
  });

  test('a live mount of ours, and what is in it', async () => {
    await mounted(world, new Tree([late]), async ({ path }) => {
      for (const place of [path, join(path, 'late')]) {
        const refused = mountOn(rawOf(place));
        await expect(refused).rejects.toThrow(/is in a mount of shelfs already/);
      }
    });
  });
});

test.each([
  ['blanks and more', rawOf('a b\tc\nd\\e')],
  ['what is no UTF-8', 'caf\xe9\xff' as Raw],
  ['quotes', rawOf(`'"$(touch x)\`%s`)],
])('a directory named with %s is mounted on, by ourselves and by the helper', async (_, name) => {
  const path = `${world.folder}/${name}` as Raw;
  mkdirSync(rawBytes(path));
  const source = `/state, of\\${name}` as Raw;
  const listed = { type: MOUNT_TYPE, path, source };
  const port = await mountOn(path, { source });
  expect(mountAt(await readMountTable(), path)).toMatchObject(listed);
  await port.unmount();
  expect(mountAt(await readMountTable(), path)).toBeUndefined();

  const options = `ro,subtype=shelfs,fsname=${escapedOption(source)}` as Raw;
  const device = await mountByHelper(door, path, options);
  expect(mountAt(await readMountTable(), path)).toMatchObject(listed);
  await unmountByHelper(path, 'plain');
  expect(mountAt(await readMountTable(), path)).toBeUndefined();
  door.close(device);
});

test('a link to a directory is mounted on where it leads', async () => {
  const [place, link] = [join(world.folder, 'place'), join(world.folder, 'link')];
  mkdirSync(place);
  symlinkSync('place', link);
  const port = await mountOn(rawOf(`${link}/`));
  expect(mountAt(await readMountTable(), rawOf(place))?.type).toBe(MOUNT_TYPE);
  await umountPath(rawOf(link), 'plain');
  await port.unmount();
});

describe('umount of what somebody else serves', () => {
  test('is refused while it is in use, unless by force', async () => {
    const tree = new Tree([late]);
    const { path, port } = await mountTree(world, tree);
    const reader = start('cat', join(path, 'late'));
    await tree.until(() => tree.waiting.size === 1);
    const busy = umountPath(rawOf(path), 'plain');
    await expect(busy).rejects.toMatchObject({ code: 'MOUNT_BUSY' });
    expect(tree.ends).toBe(0);
    await umountPath(rawOf(path), 'forced');
    expect((await reader.end).status).toBe('1');
    expect(await tree.ended.promise).toEqual({ why: 'unmounted' });
    await port.unmount();
  });

  test('clears a dead one', async () => {
    const path = join(world.folder, 'mnt');
    const server = await startServer(world, path, 'serve');
    server.child.kill('SIGKILL');
    await server.end;
    expect(mountsIn(path)).toHaveLength(1);
    await umountPath(rawOf(path), 'plain');
  });

  test.each(['', 'missing'])('is refused of %j, which is no mount', async (name) => {
    const refused = umountPath(rawOf(join(world.folder, name)), 'forced');
    await expect(refused).rejects.toMatchObject({
      code: name === '' ? 'NOT_MOUNTED' : 'MOUNTPOINT_UNSUITABLE',
    });
  });

  test('leaves what is not ours alone', async () => {
    const refused = umountPath(rawOf('/proc'), 'forced');
    await expect(refused).rejects.toMatchObject({ code: 'NOT_MOUNTED' });
    expect(statSync('/proc/self').isDirectory()).toBe(true);
  });
});

describe('a kernel that ends requests after a time', () => {
  test.each(['default_request_timeout', 'max_request_timeout'])(
    'by %s is refused',
    async (name) => {
      for (const other of ['default_request_timeout', 'max_request_timeout'])
        writeFileSync(join(world.folder, other), '0\n');
      await refuseRequestTimeouts(world.folder);
      writeFileSync(join(world.folder, name), '600\n');
      const refused = refuseRequestTimeouts(world.folder);
      await expect(refused).rejects.toMatchObject({ code: 'MOUNT_UNSUPPORTED' });
      await expect(refused).rejects.toThrow(`sysctl fs.fuse.${name}=0`);
    },
  );

  test('is not one that knows no such thing', () =>
    refuseRequestTimeouts(join(world.folder, 'none')));
});

describe('an ordinary user', () => {
  let mode = 0;
  // Usual, but not everywhere: on a machine without udev the device is root's alone.
  beforeAll(() => {
    mode = statSync('/dev/fuse').mode;
    chmodSync('/dev/fuse', 0o666);
  });
  afterAll(() => chmodSync('/dev/fuse', mode));

  const asNobody = (...words: string[]) =>
    start('setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', ...words);

  function place(): string {
    const path = join(world.folder, 'mnt');
    mkdirSync(path);
    chownSync(path, NOBODY, NOBODY);
    return path;
  }

  test('mounts by the helper, for nobody else, and unmounts', async () => {
    const path = place();
    const server = await startServer(world, path, 'nobody: serve');
    expect(mountsIn(path)[0]).toMatch(/ro,nosuid,nodev.*fuse\.shelfs.*user_id=65534/);
    expect((await asNobody('ls', path).end).out).toBe('cached\nlate\n');
    expect((await start('ls', path).end).errors).toMatch(/Permission denied/);
    const reader = asNobody('cat', join(path, 'late'));
    await server.said(1, 'read');
    reader.child.kill('SIGINT');
    expect((await reader.end).status).toBe('SIGINT');
    expect((await asNobody('fusermount3', '-u', path).end).status).toBe('0');
    expect(await server.end).toMatchObject({ status: '0', out: 'mounted\nread\nunmounted\n' });
  });

  test.each([
    ['exit', '7'],
    ['throw', '1'],
    ['unmount', '0'],
  ])('leaves no mount when it ends by "%s" in the middle of a read', async (deed, status) => {
    const path = place();
    for (let round = 0; round < 2; round += 1) {
      const server = await startServer(world, path, `nobody: ${deed}`);
      const reader = asNobody('cat', join(path, 'late'));
      expect((await server.end).status).toBe(status);
      expect((await reader.end).status).toBe('1');
      expect(mountsIn(path)).toEqual([]);
    }
  });

  test('clears the dead mount of one that was killed', async () => {
    const path = place();
    for (const deed of ['nobody: serve', 'nobody: unmount']) {
      const server = await startServer(world, path, deed);
      const reader = asNobody('cat', join(path, 'late'));
      await server.said(1, 'read');
      if (deed === 'nobody: serve') server.child.kill('SIGKILL');
      await reader.end;
      await server.end;
    }
    expect(mountsIn(path)).toEqual([]);
  });

  test('is told who may allow it to mount for others', async () => {
    const allowed = readFileSync('/etc/fuse.conf', 'utf8').match(/^\s*user_allow_other/m) !== null;
    const path = place();
    if (!allowed) {
      const refused = startServer(world, path, 'nobody: for others');
      await expect(refused).rejects.toThrow(/user_allow_other/);
      return;
    }
    const server = await startServer(world, path, 'nobody: for others');
    expect(await run('ls', path)).toBe('cached\nlate\n');
    await run('umount', path);
    await server.end;
  });

  test('is told what the helper says', async () => {
    // Not its own directory.
    const path = join(world.folder, 'roots');
    mkdirSync(path, { mode: 0o700 });
    chmodSync(path, 0o755);
    await expect(startServer(world, path, 'nobody: serve')).rejects.toThrow(
      /no write access to mountpoint.*roots/,
    );
  });
});

test('what runs in a mount of its own name is found by programs', async () => {
  await mounted(world, new Tree([late]), async ({ path }) => {
    expect(await run('findmnt', '-n', '-o', 'SOURCE,FSTYPE', path)).toMatch(
      /^shelfs\s+fuse\.shelfs/,
    );
  });
});
