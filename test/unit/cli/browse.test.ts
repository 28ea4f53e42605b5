import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { SimClock } from '../../../src/base/clock.ts';
import { CodedError } from '../../../src/base/errors.ts';
import { rawOf } from '../../../src/base/raw.ts';
import { CommandLine, HOST } from '../../sim/command-line.ts';
import { type Told, tellRun, tellSnapshot } from '../../sim/told-run.ts';
import { DIRECTORY } from '../catalog/scratch.ts';

const HOUR_MS = 3_600_000;

/** Snapshots an hour apart, the first at 2026-01-01 00:00:00 UTC. */
async function told(...runs: readonly Told[]) {
  const clock = new SimClock(Date.UTC(2026, 0, 1));
  const line = await CommandLine.make(clock);
  const tell = (run: Told) => {
    line.withCatalog((catalog) => tellSnapshot(catalog, run, { hostName: HOST }));
    clock.advanceMs(HOUR_MS);
  };
  runs.forEach(tell);
  return { line, tell, clock };
}

const FIRST: Told = {
  put: { '/home/a': '12345', '/home/b': '1234567890', '/home/sub/c': 'c', '/etc/x': '' },
};
const SECOND: Told = {
  put: { '/home/a': '123', '/home/new': 'brand new' },
  gone: ['/home/sub', '/etc/x'],
  moved: { '/home/b': '/home/b2' },
};

describe('snapshots', () => {
  test('none yet', async () => {
    const { line } = await told();
    expect(await line.ok('snapshots')).toMatch(/no snapshot yet/);
    expect(await line.json('snapshots')).toEqual({ snapshots: [] });
    const { exit, stderr } = await line.fails('ls', '/');
    expect([exit, stderr]).toEqual([2, expect.stringMatching(/nothing was backed up yet/)]);
  });

  test('size, files, and what differs from the one before', async () => {
    const { line } = await told(FIRST, SECOND);
    expect((await line.json('snapshots')).snapshots).toMatchObject([
      {
        ...{ id: 1, name: '2026-01-01T000000Z', files: 4, bytes: 16, isPartial: false },
        ...{ added: 4, modified: 0, deleted: 0, changeRatio: 1 },
      },
      {
        ...{ id: 2, time: '2026-01-01T01:00:00.000Z', files: 3, bytes: 22 },
        // b2 and new are there; b, sub/c and x are gone; a is another one: 6 of 6.
        ...{ added: 2, modified: 1, deleted: 3, changeRatio: 1 },
      },
    ]);
    expect(await line.ok('snapshots')).toMatch(/^ 2 +2026-01-01T010000Z +2 +3 +22 B +\+2 M1 -3 /m);
  });

  test('an unfinished run is seen by nobody', async () => {
    const { line } = await told(FIRST);
    line.withCatalog((catalog) => tellRun(catalog, SECOND, HOST));
    expect((await line.json('snapshots')).snapshots).toHaveLength(1);
    expect(await line.ok('ls', '/home')).not.toContain('new');
  });
});

describe('diff', () => {
  test('added, modified, deleted and moved, in order of path', async () => {
    const { line } = await told(FIRST, SECOND);
    const { from, to, changes, counts } = await line.json('diff', '1', '2');
    expect([from, to]).toEqual(['2026-01-01T000000Z', '2026-01-01T010000Z']);
    expect(changes).toEqual([
      { change: 'deleted', path: '/etc/x', type: 'file', sizeBefore: 0 },
      { change: 'modified', path: '/home/a', type: 'file', sizeBefore: 5, size: 3 },
      { change: 'moved', path: '/home/b2', movedFrom: '/home/b', type: 'file', size: 10 },
      { change: 'added', path: '/home/new', type: 'file', size: 9 },
      { change: 'deleted', path: '/home/sub', type: 'directory' },
      { change: 'deleted', path: '/home/sub/c', type: 'file', sizeBefore: 1 },
    ]);
    expect(counts).toEqual({ added: 1, modified: 1, attributes: 0, deleted: 3, moved: 1 });
    expect((await line.ok('diff', '1', '2')).split('\n')).toEqual([
      '-  /etc/x',
      'M  /home/a',
      '>  /home/b -> /home/b2',
      '+  /home/new',
      '-  /home/sub/',
      '-  /home/sub/c',
      '1 added, 1 modified, 3 deleted, 1 moved',
      '',
    ]);
  });

  test('one alone is compared with the one before; the first with nothing', async () => {
    const { line } = await told(FIRST, SECOND);
    expect((await line.json('diff', 'latest')).counts).toMatchObject({ moved: 1, deleted: 3 });
    const first = await line.json('diff', '#1');
    expect(first).toMatchObject({ from: null, counts: { added: 8, deleted: 0 } });
    expect(await line.ok('diff', '2', '2')).toBe('nothing differs\n');
    expect((await line.json('diff', '2', '1')).counts).toMatchObject({ added: 3, moved: 1 });
    expect((await line.fails('diff', '3')).exit).toBe(2);
  });

  test('of equal files that moved each is one of the old ones', async () => {
    const { line } = await told(
      { put: { '/a/1': 'same', '/a/2': 'same', '/a/3': 'same' } },
      { put: { '/b/1': 'same', '/b/2': 'same' }, gone: ['/a/1', '/a/2', '/a/3'] },
    );
    expect((await line.ok('diff', '2')).split('\n')).toEqual([
      ...['-  /a/3', '+  /b/', '>  /a/1 -> /b/1', '>  /a/2 -> /b/2'],
      ...['1 added, 1 deleted, 2 moved', ''],
    ]);
  });
});

describe('ls', () => {
  test('a directory, now and as it was', async () => {
    const { line } = await told(FIRST, SECOND);
    const names = async (...argv: string[]) =>
      (await line.json('ls', ...argv)).entries.map(({ path }: { path: string }) => path);
    expect(await names('/home')).toEqual(['/home/a', '/home/b2', '/home/new']);
    const first = ['/home/a', '/home/b', '/home/sub'];
    for (const at of ['1', '#1', '2026-01-01T000000Z', '2026-01-01 00:59', '2026-01-01 00:30:10'])
      expect(await names('/home', '--at', at)).toEqual(first);
    expect(await names('/home', '--at', '2026-01-01')).toContain('/home/new');
    expect(await names('/')).toEqual(['/etc', '/home']);
    expect(await names('/home/./../home/')).toHaveLength(3);
  });

  test('a line an entry, a file by itself', async () => {
    const { line } = await told({
      put: {
        '/d/file': '12345',
        '/d/link': { type: 'symlink', target: rawOf('to\x1b[2J'), sizeBytes: 0, mode: 0o777 },
        '/d/null': { type: 'character', device: { major: 1, minor: 3 }, sizeBytes: 0 },
        '/d/sticky': { ...DIRECTORY, mode: 0o1777 },
      },
    });
    expect((await line.ok('ls', '/d')).split('\n')).toEqual([
      '-rw-r--r--  me:us              5 B  2023-11-14 22:13:20Z  file',
      'lrwxrwxrwx  me:us                   2023-11-14 22:13:20Z  link -> to\\x1b[2J',
      'crw-r--r--  me:us             1, 3  2023-11-14 22:13:20Z  null',
      'drwxrwxrwt  me:us                   2023-11-14 22:13:20Z  sticky',
      '',
    ]);
    expect(await line.ok('ls', '/d/file')).toMatch(/5 B .* \/d\/file\n$/);
    expect((await line.json('ls', '/d')).entries[1]).toMatchObject({
      ...{ type: 'symlink', target: 'to\x1b[2J', mode: '0777', user: 'me', size: 0 },
      mtime: '2023-11-14T22:13:20.999999999Z',
    });
  });

  test('names that are no UTF-8 are found as they are printed', async () => {
    const { line } = await told({ put: { '/caf\\xe9/na\\xefve': '1', '/caf\\xe9/\x1b[2J': '2' } });
    const { entries, path, pathBase64 } = await line.json('ls', '/caf\\xe9');
    expect([path, Buffer.from(pathBase64, 'base64')]).toEqual([
      '/caf\\xe9',
      Buffer.from('/caf\xe9', 'latin1'),
    ]);
    expect(entries).toHaveLength(2);
    const text = await line.ok('ls', '/caf\\xe9');
    expect(text).toMatch(/na\\xefve$/m);
    expect(text).toMatch(/\\x1b\[2J$/m);
    expect(await line.json('stat', '/caf\\xe9/na\\xefve')).toMatchObject({ size: 1 });
    expect(await line.json('stat', '/caf\\xe9/\\x1b[2J')).toMatchObject({ size: 1 });
  });

  test('what is not there is exit 1; at no such time, or of no such host, a usage error', async () => {
    const { line } = await told(FIRST, SECOND);
    const gone = await line.fails('ls', '/home/sub');
    expect([gone.exit, gone.stderr]).toEqual([
      1,
      expect.stringMatching(/not in snapshot 2026-01-01T010000Z; `shelfs versions/),
    ]);
    expect((await line.fails('ls', '/never')).exit).toBe(1);
    expect((await line.fails('ls', '/', '--at', 'noon')).exit).toBe(2);
    expect((await line.fails('ls', '/', '--at', '2025-12-31')).exit).toBe(2);
    const other = await line.fails('ls', '/', '--host', 'there');
    expect([other.exit, other.stderr]).toEqual([2, expect.stringMatching(/names one of here/)]);
  });

  test('another host', async () => {
    const { line } = await told(FIRST);
    line.withCatalog((catalog) =>
      tellSnapshot(catalog, { put: { '/srv/y': '1' } }, { hostName: 'there' }),
    );
    expect(await line.ok('ls', '/srv', '--host', 'there')).toMatch(/ y\n$/);
    expect((await line.fails('ls', '/srv')).exit).toBe(1);
  });

  test('a great many entries come as one document', async () => {
    const names = Array.from({ length: 3000 }, (_, index) => `/big/${'n'.repeat(40)}${index}`);
    const { line } = await told({ put: Object.fromEntries(names.map((name) => [name, 'x'])) });
    const { entries } = await line.json('ls', '/big');
    expect(entries.map(({ path }: { path: string }) => path)).toEqual(names.toSorted());
    const interrupt = AbortSignal.abort(new CodedError('INTERRUPTED', 'stopped'));
    expect((await line.sayUntil(interrupt, 'ls', '/big')).exit).toBe(130);
  });
});

describe('stat and versions', () => {
  test('attributes, hash, and where the copies are', async () => {
    const { line } = await told(FIRST, SECOND);
    const hash = createHash('sha256').update('1234567890').digest('hex');
    const found = await line.json('stat', '/home/b2');
    expect(found).toMatchObject({
      ...{ path: '/home/b2', host: HOST, snapshot: '2026-01-01T010000Z', type: 'file', size: 10 },
      ...{ mode: '0644', uid: 1000, hash, versions: 1, goodCopies: 1, links: 1 },
      extents: [
        {
          extent: { contentOffset: 0, lengthBytes: 10, form: 'plain' },
          copies: [{ barcode: 'TLD001L9', isGood: true, location: 'Bank', fileNumber: 1 }],
        },
      ],
    });
    const text = await line.ok('stat', '/home/b2');
    expect(text).toContain(hash);
    expect(text).toMatch(/^TLD001L9 +1:2 +10 B +good +Bank$/m);
    expect((await line.json('stat', '/home/a', '--at', '1')).size).toBe(5);
    const directory = await line.json('stat', '/home');
    expect(directory).toMatchObject({ type: 'directory', hash: null, goodCopies: null });
    const empty = await line.json('stat', '/etc/x', '--at', '1');
    expect(empty).toMatchObject({ size: 0, goodCopies: null, extents: [] });
  });

  test('extended attributes and ACLs', async () => {
    const xattrs = [
      { name: rawOf('system.posix_acl_access'), value: Buffer.from([2, 0]) },
      { name: rawOf('user.a\x1b'), value: Buffer.from('b') },
    ];
    const { line } = await told({ put: { '/f': { xattrs, sizeBytes: 0 } } });
    expect(await line.ok('stat', '/f')).toMatch(/^attributes +ACL, user\.a\\x1b$/m);
    expect((await line.json('stat', '/f')).xattrs[1]).toEqual({
      name: 'user.a\\x1b',
      valueBase64: 'Yg==',
    });
  });

  test('every version, also of what is deleted', async () => {
    const { line, tell } = await told(FIRST, SECOND);
    tell({ gone: ['/home/a'] });
    tell({ put: { '/home/a': 'back again' } });
    const { versions } = await line.json('versions', '/home/a');
    expect(versions).toMatchObject([
      { since: '2026-01-01T000000Z', until: '2026-01-01T010000Z', size: 5 },
      { since: '2026-01-01T010000Z', until: '2026-01-01T020000Z', size: 3 },
      { since: '2026-01-01T030000Z', until: null, size: 10 },
    ]);
    expect(await line.ok('versions', '/home/sub/c')).toMatch(
      /^2026-01-01T000000Z +2026-01-01T010000Z +-rw-r--r-- +1 B/m,
    );
    const { exit, stderr } = await line.fails('versions', '/never');
    expect([exit, stderr]).toEqual([1, expect.stringMatching(/never backed up/)]);
  });

  test('times that no calendar has', async () => {
    const mtime = { seconds: -(2 ** 60), nanoseconds: 5 };
    const { line } = await told({ put: { '/old': { mtime, sizeBytes: 0 } } });
    expect((await line.json('stat', '/old')).mtime).toBe('@-1152921504606847000.000000005');
    expect(await line.ok('ls', '/')).toMatch(/-1152921504606847000 s +old/);
  });
});
