/** Batches of small files on a tree that changes between the scan and the reading. */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { blake3 } from '@napi-rs/blake-hash';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Raw, rawBytes, rawOf } from '../../../../src/base/raw.ts';
import { type FragmentResult, SLAB_BYTES } from '../../../../src/job/backup/fragment.ts';
import { ReadAhead } from '../../../../src/job/backup/read-ahead.ts';
import { Reader } from '../../../../src/job/backup/reader.ts';
import { scanSource } from '../../../../src/source/scan.ts';
import { SourceTree } from '../../../../src/source/tree.ts';
import { scratchDirectory } from '../../../sim/scratch.ts';
import { isRoot } from '../../source/place.ts';
import { packMembers, type SmallMember } from './pack-members.ts';

/** A tree, and what a scan of it saw as members of a task. */
async function tree(files: Readonly<Record<string, string>>, followsLinks = false) {
  const root = await scratchDirectory();
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, 'latin1')]), text);
  }
  const reader = new Reader();
  onTestFinished(() => reader.close());
  const slab = Buffer.from(new SharedArrayBuffer(SLAB_BYTES));
  slab.fill(0xff);
  const at = (path: string) => join(root, path);
  const members = () => membersOf(root, followsLinks);
  const fill = (of: readonly SmallMember[]) =>
    reader.fill({ kind: 'small', packed: packMembers(of) }, slab);
  return { root, at, members, fill, slab };
}

function membersOf(root: string, followsLinks: boolean): SmallMember[] {
  const source = SourceTree.open(rawOf(root), { followLinks: followsLinks });
  const members: SmallMember[] = [];
  for (const { path: directory, entries } of scanSource(source)) {
    for (const { name, type, sizeBytes, mtime, ctime, inode } of entries) {
      if (type !== 'file') continue;
      const path = (directory === '' ? name : `${directory}/${name}`) as Raw;
      const place = { source: rawOf(root), followsLinks, path };
      const stamp = { sizeBytes, mtime, ctime, inode };
      members.push({ place, stamp, head: headOf(path) });
    }
  }
  source.close();
  return members;
}

function headOf(path: Raw): Buffer {
  const head = Buffer.alloc(512);
  rawBytes(path).copy(head);
  return head;
}

/** What stands in the slab for those that were read. */
function expected(stored: readonly (readonly [member: SmallMember, text: string])[]): Buffer {
  const parts = stored.flatMap(([{ head }, text]) => {
    const data = Buffer.alloc(Math.ceil(text.length / 512) * 512);
    data.write(text);
    return [head, data];
  });
  return Buffer.concat(parts);
}

test('each behind its head, in order, with its hash; those that changed take no room', async () => {
  const { at, members, fill, slab } = await tree({
    a: 'one',
    'd/b': 'x'.repeat(512),
    'd/c': 'gone',
    'd/e': 'grown',
    'd/e2': 'of another time',
    'd/f/g': 'y'.repeat(70_000),
    'd/f/h': 'cut',
    z: 'last',
  });
  const found = members();
  const paths = found.map(({ place }) => place?.path);
  expect(paths).toEqual(['a', 'z', 'd/b', 'd/c', 'd/e', 'd/e2', 'd/f/g', 'd/f/h']);
  rmSync(at('d/c'));
  appendFileSync(at('d/e'), '!');
  utimesSync(at('d/e2'), 1, 1);
  truncateSync(at('d/f/h'), 0);
  const { lengthBytes, members: results } = fill(found);
  expect(results.map(({ outcome }) => outcome)).toEqual([
    'stored',
    'stored',
    'stored',
    'changed-before',
    'changed-before',
    'changed-before',
    'stored',
    'changed-before',
  ]);
  const texts = ['one', 'last', 'x'.repeat(512), 'y'.repeat(70_000)];
  const stored = [0, 1, 2, 6].map((index, at) => [found[index], texts[at] ?? ''] as const);
  const bytes = expected(stored.flatMap(([member, text]) => (member ? [[member, text]] : [])));
  expect(slab.subarray(0, lengthBytes).equals(bytes)).toBe(true);
  for (const [position, index] of [0, 1, 2, 6].entries()) {
    const { hash, offset, readBytes } = results[index] ?? {};
    expect(Buffer.from(hash ?? []).equals(blake3(texts[position] ?? ''))).toBe(true);
    expect(readBytes).toBe(texts[position]?.length);
    expect(slab.subarray(offset, (offset ?? 0) + 512).equals(found[index]?.head ?? slab)).toBe(
      true,
    );
  }
  expect(results[3]).toMatchObject({ hash: undefined, readBytes: 0 });
});

describe('what took a file’s place is not read', () => {
  const OUTSIDE = 'a secret';

  test.each([
    ['a FIFO', (path: string) => execFileSync('mkfifo', [path])],
    ['a directory', (path: string) => mkdirSync(path)],
    ['another file', (path: string) => writeFileSync(path, 'hello')],
    [
      'a symbolic link to it',
      (path: string) => {
        writeFileSync(`${path}-else`, 'hello');
        symlinkSync(`${path}-else`, path);
      },
    ],
  ] as const)('%s', async (_, replace) => {
    const { at, members, fill } = await tree({ 'd/a': 'hello', 'd/b': 'there' });
    const found = members();
    rmSync(at('d/a'));
    replace(at('d/a'));
    expect(fill(found).members.map(({ outcome }) => outcome)).toEqual(['changed-before', 'stored']);
  });

  test('a socket', async () => {
    const { at, members, fill } = await tree({ a: 'hello' });
    const found = members();
    rmSync(at('a'));
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(at('a'), resolve);
    });
    onTestFinished(() => void server.close());
    expect(fill(found)).toMatchObject({ lengthBytes: 0, members: [{ outcome: 'changed-before' }] });
  });

  test('a link in place of the directory, though the very same file lies behind it', async () => {
    const { at, members, fill } = await tree({ 'd/e/a': OUTSIDE, 'd/e/b': OUTSIDE, f: 'fine' });
    const found = members();
    renameSync(at('d/e'), at('moved'));
    symlinkSync('../moved', at('d/e'));
    const outcomes = fill(found).members.map(({ outcome }) => outcome);
    expect(outcomes).toEqual(['stored', 'changed-before', 'changed-before']);
  });

  test('a link further up, and a path that leads out', async () => {
    const { at, members, fill, root } = await tree({ 'd/e/a': OUTSIDE });
    const [member] = members();
    renameSync(at('d'), at('moved'));
    symlinkSync('moved', at('d'));
    for (const path of ['d/e/a', '../x', '/etc/passwd', 'moved/../../x'] as Raw[]) {
      const place = { source: rawOf(root), followsLinks: false, path };
      const [result] = fill(member ? [{ ...member, place }] : []).members;
      expect(['changed-before', 'unreadable'], path).toContain(result?.outcome);
      expect(result?.hash).toBe(undefined);
    }
  });
});

test('a source that follows links is read through them', async () => {
  const { root, at, fill } = await tree({ 'real/a': 'far', x: 'near' });
  symlinkSync('real', at('link'));
  symlinkSync('x', at('y'));
  const found = membersOf(root, true);
  expect(found.map(({ place }) => place?.path)).toEqual(['x', 'y', 'link/a', 'real/a']);
  const { members } = fill(found);
  expect(members.map(({ outcome }) => outcome)).toEqual(Array(4).fill('stored'));
  expect(Buffer.from(members[2]?.hash ?? []).equals(blake3('far'))).toBe(true);
});

test('names of every byte, and paths longer than the kernel takes at once', async () => {
  const bytes = Array.from({ length: 255 }, (_, index) => index + 1).filter((byte) => byte !== 47);
  const files = Object.fromEntries(
    bytes.map((byte) => [`n${String.fromCharCode(byte)}`, `byte ${byte}`]),
  );
  const { root, members, fill } = await tree(files);
  const long = 'l'.repeat(250);
  const script = `for i in $(seq 50); do mkdir ${long} && cd -P ./${long} || exit 1; done; printf deep >deep`;
  execFileSync('bash', ['-c', script], { cwd: root });
  onTestFinished(() => void execFileSync('rm', ['-rf', root]));
  const found = members();
  expect(found).toHaveLength(bytes.length + 1);
  expect(found.at(-1)?.place?.path.length).toBeGreaterThan(10_000);
  const results = fill(found).members;
  expect(new Set(results.map(({ outcome }) => outcome))).toEqual(new Set(['stored']));
  expect(Buffer.from(results.at(-1)?.hash ?? []).equals(blake3('deep'))).toBe(true);
});

test('a source that is not there any more, beside one that is', async () => {
  const { root, members, fill } = await tree({ a: 'hello' });
  const [member] = members();
  const stamp = member?.stamp;
  const gone = { source: rawOf(`${root}/gone`), followsLinks: false, path: rawOf('a') };
  const head = Buffer.alloc(512);
  const { members: results } = fill([
    { place: gone, stamp, head },
    ...members(),
    { place: undefined, stamp: undefined, head },
  ]);
  expect(results.map(({ outcome }) => outcome)).toEqual(['changed-before', 'stored', 'stored']);
});

test.skipIf(!isRoot)('without permission it is unreadable, and says why', async () => {
  const { root, at, members } = await tree({ a: 'hello', 'd/b': 'hidden', e: 'fine' });
  const found = members();
  chmodSync(root, 0o755);
  chmodSync(at('a'), 0);
  chmodSync(at('d'), 0);
  const [a, e, b] = members();
  // What the scan of root saw, read by somebody else: a thread's own user is beyond node, so another process.
  const script = `
    import { Reader } from ${JSON.stringify(new URL('../../../../src/job/backup/reader.ts', import.meta.url).href)};
    import { packMembers } from ${JSON.stringify(new URL('./pack-members.ts', import.meta.url).href)};
    process.setgid(65534); process.setuid(65534);
    const members = JSON.parse(process.argv[1]).map((member) => ({ ...member, head: Buffer.alloc(512) }));
    const { members: results } = new Reader().fill({ kind: 'small', packed: packMembers(members) }, Buffer.alloc(2 ** 20));
    const run = { kind: 'run', member: 1, isFirst: true, isLast: true, hashFrom: 0, hashTo: 5, paddingBytes: 507 };
    const large = { ...run, ...members[0], ranges: [{ offset: 0, lengthBytes: 5 }] };
    results.push(...new Reader().fill(large, Buffer.alloc(2 ** 20)).members);
    console.log(JSON.stringify(results.map(({ outcome, errno }) => [outcome, errno])));`;
  const asked = JSON.stringify([a, e, b].map((member) => ({ ...member, head: undefined })));
  const said = execFileSync(process.execPath, ['--input-type=module', '-e', script, asked], {
    encoding: 'utf8',
  });
  expect(found).toHaveLength(3);
  expect(JSON.parse(said)).toEqual([
    ['unreadable', 'EACCES'],
    ['stored', null],
    ['unreadable', 'EACCES'],
    ['unreadable', 'EACCES'],
  ]);
});

test('on a thread of its own: the same bytes and hashes', async () => {
  const { members, fill, slab } = await tree({ a: 'one', 'd/b': 'two', 'd/c': 'y'.repeat(9999) });
  const found = members();
  const task = { kind: 'small', packed: packMembers(found) } as const;
  const here = fill(found);
  const readAhead = new ReadAhead({ workers: 1, slabs: 2 });
  onTestFinished(() => readAhead.close());
  for await (const { fragment } of readAhead.fragments([{ task }])) {
    expect(plain(fragment.result)).toEqual(plain(here));
    expect(fragment.bytes.equals(slab.subarray(0, here.lengthBytes))).toBe(true);
    fragment.release();
  }
});

test('fragments that are ready come while a slab of an earlier one is still in use', async () => {
  const { members } = await tree({ a: 'one' });
  const readAhead = new ReadAhead({ workers: 0, slabs: 3 });
  const tasks = Array.from({ length: 7 }, () => ({
    task: { kind: 'small', packed: packMembers(members()) } as const,
  }));
  const inUse: (() => void)[] = [];
  let inUseMax = 0;
  for await (const { fragment } of readAhead.fragments(tasks)) {
    inUse.push(() => fragment.release());
    inUseMax = Math.max(inUseMax, inUse.length);
    // A drive lets go of the first when the next blocks have long been handed to it.
    if (inUse.length === 3) setImmediate(() => inUse.shift()?.());
  }
  expect(inUseMax).toBe(3);
  while (inUse.length > 0) inUse.shift()?.();
});

test('a mistake that ends a reading thread is told to whoever asks, and nobody waits for it after that', async () => {
  const { members } = await tree({ a: 'one' });
  const readAhead = new ReadAhead({ workers: 1, slabs: 2 });
  onTestFinished(() => readAhead.close());
  const read = async () => {
    const packed = { ...packMembers(members()), stamps: new Float64Array(0) };
    const task = { kind: 'small', packed } as const;
    for await (const { fragment } of readAhead.fragments([{ task }])) fragment.release();
  };
  const failure = await read().catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(Error);
  await expect(read()).rejects.toBe(failure);
});

/** A hash that has travelled is no Buffer any more. */
function plain({ lengthBytes, members }: FragmentResult) {
  const hex = (hash: Uint8Array | undefined) => hash && Buffer.from(hash).toString('hex');
  return { lengthBytes, members: members.map((one) => ({ ...one, hash: hex(one.hash) })) };
}
