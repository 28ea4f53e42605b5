/** restore.sh of the label, run by sh on media saved as files: what a person has when shelfs is gone. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { encodeDigest } from '../../../src/archive/digest.ts';
import { formatEntry, formatRun, formatStart } from '../../../src/archive/journal.ts';
import { ownMember, ownPath } from '../../../src/archive/own-member.ts';
import type { Raw } from '../../../src/base/raw.ts';
import { attributes, blake3, Media, uuidOf } from './media.ts';
import { pattern } from './stream.ts';

let scratch = '';
let media: Media;
let target = '';
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'shelfs-restore-'));
  media = new Media(join(scratch, 'media'));
  target = join(scratch, 'target');
  mkdirSync(target);
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

/** The script as it stands on a label, not as it stands in the source. */
function script(): string {
  const barcode = 'AAA001L9';
  execFileSync('tar', ['-xf', join(media.directory, barcode, '0'), '-C', scratch, 'restore.sh']);
  return join(scratch, 'restore.sh');
}

function restore(...paths: readonly string[]) {
  const { status, stderr, stdout } = spawnSync(
    'sh',
    [script(), '-d', media.directory, '-t', target, ...paths],
    { encoding: 'latin1' },
  );
  return { status, stderr, stdout };
}

function succeed(...paths: readonly string[]): void {
  const { status, stderr } = restore(...paths);
  expect(status, stderr).toBe(0);
}

const at = (path: string) => Buffer.from(`${target}${path}`, 'latin1');
const read = (path: string) => readFileSync(at(path));
const listing = () =>
  execFileSync('find', [target, '-mindepth', '1', '-printf', '/%P\\0'], { encoding: 'latin1' })
    .split('\0')
    .slice(0, -1)
    .sort();

describe('one cartridge', () => {
  test('the newest of each path, with attributes; gone ones left out', () => {
    media.label('AAA001L9');
    const first = media.archive(['AAA001L9']).run(1);
    first.thing('/home', { type: 'directory', mode: 0o755 });
    first.file('/home/a', Buffer.from('old'));
    const stays = first.file('/home/b', Buffer.from('stays'));
    const moves = first.file('/home/before', Buffer.from('moves'));
    first.file('/home/gone', Buffer.from('gone'));
    first.file('/home/empty', Buffer.alloc(0));
    first.end(1).finish();
    const second = media.archive(['AAA001L9']).run(2);
    second.file('/home/a', Buffer.from('newer'), { change: 'changed' });
    second.entry('/home/gone', { change: 'gone' });
    second.entry('/home/before', { change: 'gone' });
    const moved = attributes({ sizeBytes: 5 });
    second.entry('/home/after', {
      change: 'moved',
      from: '/home/before' as Raw,
      attributes: moved,
      hash: blake3(Buffer.from('moves')),
      copies: moves,
    });
    second.entry('/home/b', {
      change: 'attributes',
      attributes: attributes({ sizeBytes: 5, mode: 0o600, mtime: { seconds: 5, nanoseconds: 7 } }),
      hash: blake3(Buffer.from('stays')),
      copies: stays,
    });
    second.entry('/home/twin', {
      change: 'duplicate',
      attributes: attributes({ sizeBytes: 5, mode: 0o640 }),
      hash: blake3(Buffer.from('stays')),
      copies: stays,
    });
    second.thing(
      '/home',
      { type: 'directory', mode: 0o2775, mtime: { seconds: 9, nanoseconds: 1 } },
      'attributes',
    );
    second.end(2).finish();

    succeed();
    expect(listing()).toEqual([
      '/home',
      '/home/a',
      '/home/after',
      '/home/b',
      '/home/empty',
      '/home/twin',
    ]);
    expect(read('/home/a').toString()).toBe('newer');
    expect(read('/home/after').toString()).toBe('moves');
    expect(read('/home/twin').toString()).toBe('stays');
    const stat = (path: string) => lstatSync(at(path), { bigint: true });
    expect(stat('/home/b')).toMatchObject({ mode: 0o100600n, mtimeNs: 5_000_000_007n });
    expect(stat('/home/a').mtimeNs).toBe(1_700_000_000_123_456_789n);
    expect(stat('/home/twin').mode).toBe(0o100640n);
    expect(stat('/home')).toMatchObject({ mode: 0o42775n, mtimeNs: 9_000_000_001n });
  });

  test('a path that took the name of one that moved', () => {
    media.label('AAA001L9');
    const first = media.archive(['AAA001L9']).run(1);
    const a = first.file('/a', Buffer.from('first a'));
    const b = first.file('/b', Buffer.from('first b'));
    first.end(1).finish();
    const second = media.archive(['AAA001L9']).run(2);
    const swap = (path: string, from: string, bytes: string, copies: typeof a) =>
      second.entry(path, {
        change: 'moved',
        from: from as Raw,
        attributes: attributes({ sizeBytes: 7 }),
        hash: blake3(Buffer.from(bytes)),
        copies,
      });
    swap('/b', '/a', 'first a', a);
    swap('/a', '/b', 'first b', b);
    second.end(2).finish();
    succeed();
    expect(read('/a').toString()).toBe('first b');
    expect(read('/b').toString()).toBe('first a');
  });

  test('hard links, symlinks, FIFOs, sparse files, odd names, a path of ours', () => {
    media.label('AAA001L9');
    const odd = '/-x \t\n\\ \'"*?[a]\xe4\x01\x7f';
    const archive = media.archive(['AAA001L9']).run(1);
    const group = { group: 7 };
    const linked = archive.file('/one', Buffer.from('linked'), { entry: group });
    archive.entry('/two', {
      change: 'linked',
      attributes: attributes({ sizeBytes: 6 }),
      hash: blake3(Buffer.from('linked')),
      copies: linked,
      ...group,
    });
    archive.thing('/link', { type: 'symlink', mode: 0o777, target: `a;b=c${odd}` as Raw });
    archive.thing('/pipe', { type: 'fifo', mode: 0o620 });
    archive.entry('/socket', { attributes: attributes({ type: 'socket' }) });
    archive.file(odd, Buffer.from('odd'));
    archive.file('/.shelfs/x', Buffer.from('ours'));
    archive.entry(`${odd}2`, {
      change: 'duplicate',
      attributes: attributes({ sizeBytes: 6 }),
      hash: blake3(Buffer.from('linked')),
      copies: linked,
    });
    archive.entry('/twin', {
      change: 'duplicate',
      attributes: attributes({
        sizeBytes: 3,
        xattrs: [{ name: 'user.a=b;c' as Raw, value: Buffer.from([0, 1, 255]) }],
      }),
      hash: blake3(Buffer.from('odd')),
      copies: archive.file('/odd', Buffer.from('odd')),
    });
    const holes = Buffer.alloc(3 * 2 ** 20);
    pattern(4096).copy(holes, 2 ** 20);
    archive.file('/holes', holes, { ranges: [{ offset: 2 ** 20, lengthBytes: 4096 }] });
    archive.end(1).finish();
    succeed();
    expect(listing()).toEqual(
      [
        '/one',
        '/two',
        '/link',
        '/pipe',
        odd,
        `${odd}2`,
        '/odd',
        '/twin',
        '/.shelfs',
        '/.shelfs/x',
        '/holes',
      ].sort(),
    );
    expect(lstatSync(at('/one')).ino).toBe(lstatSync(at('/two')).ino);
    expect(readlinkSync(at('/link'), 'latin1')).toBe(`a;b=c${odd}`);
    expect(lstatSync(at('/pipe')).isFIFO()).toBe(true);
    expect(lstatSync(at('/pipe')).mode & 0o777).toBe(0o620);
    expect(read(odd).toString()).toBe('odd');
    expect(read('/.shelfs/x').toString()).toBe('ours');
    expect(read('/holes').equals(holes)).toBe(true);
    expect(lstatSync(at('/holes')).blocks).toBeLessThan(1000);
    const dump = execFileSync('getfattr', ['-d', '-e', 'hex', 'twin'], {
      cwd: target,
      encoding: 'latin1',
    });
    expect(dump).toContain('0x0001ff');
  });

  test('only what was asked for', () => {
    media.label('AAA001L9');
    const archive = media.archive(['AAA001L9']).run(1);
    for (const path of ['/home/a', '/home/ab', '/home/a2/x', '/etc/c'])
      archive.file(path, Buffer.from(path));
    archive.end(1).finish();
    succeed('/home/a2', 'etc/');
    expect(listing()).toEqual(['/etc', '/etc/c', '/home', '/home/a2', '/home/a2/x']);
    rmSync(target, { recursive: true });
    expect(restore('-n', '/home').stdout.split('\n').sort()).toEqual([
      '',
      '/home/a',
      '/home/a2/x',
      '/home/ab',
    ]);
    rmSync(target, { recursive: true });
    expect(restore('/nowhere')).toMatchObject({ status: 1 });
  });

  test('names that would leave the target are left out', () => {
    media.label('AAA001L9');
    const archive = media.archive(['AAA001L9']).run(1);
    archive.file('/../../evil', Buffer.from('evil'));
    archive.file('/good', Buffer.from('good'));
    archive.end(1).finish();
    succeed();
    expect(listing()).toEqual(['/good']);
  });
});

test('a link where the journal says a file ends the restore', () => {
  media.label('AAA001L9');
  const outside = join(scratch, 'outside');
  mkdirSync(outside);
  const first = media.archive(['AAA001L9']).run(1);
  first.thing('/a', { type: 'symlink', mode: 0o777, target: outside as Raw });
  first.finish();
  const [place] = first.opening.copies;
  const here = {
    block: place?.block ?? 0,
    skipBytes: 1536,
    contentOffset: 0,
    form: 'plain' as const,
  };
  const copies = [
    [{ medium: 'AAA001L9' as Raw, file: 1, ...here, storedBytes: 4, lengthBytes: 4 }],
  ];
  const second = media.archive(['AAA001L9']).run(2);
  const four = attributes({ sizeBytes: 4 });
  second.entry('/a', {
    change: 'changed',
    attributes: four,
    hash: blake3(Buffer.from('evil')),
    copies,
  });
  second.finish();
  const third = media.archive(['AAA001L9']).run(2);
  third.file('/a/evil', Buffer.from('evil'));
  third.end(2).finish();
  const { status } = restore();
  expect(status).toBe(1);
  expect(existsSync(join(outside, 'evil'))).toBe(false);
});

describe('several cartridges', () => {
  test('parts over three, a duplicate of the whole, the second copy where the first is not there', () => {
    const barcodes = ['AAA001L9', 'AAA002L9', 'AAA003L9', 'AAA004L9'];
    for (const barcode of barcodes) media.label(barcode);
    const whole = pattern(30_000);
    const cuts = [0, 9_000, 20_000, 30_000];
    const extents = [];
    for (let index = 0; index < 3; index += 1) {
      const archive = media.archive([barcodes[index] ?? '']).run(1);
      const [offset = 0, end = 0] = cuts.slice(index);
      const part = { number: index + 1, count: 3, offset, totalBytes: 30_000 };
      const [place] = archive.store('/big', whole.subarray(offset, end), { part });
      extents.push(...(place ?? []));
      const size = attributes({ sizeBytes: 30_000 });
      if (index < 2) archive.entry('/big', { attributes: size, copies: [extents] });
      else {
        const hash = blake3(whole);
        archive.entry('/big', { attributes: size, hash, copies: [extents] });
        archive.entry('/again', { change: 'duplicate', attributes: size, hash, copies: [extents] });
        archive.end(1);
      }
      archive.finish();
    }
    const both = media.archive(['AAA004L9', 'AAA001L9']).run(2);
    both.file('/safe', Buffer.from('safe'));
    both.end(2).finish();
    rmSync(join(media.directory, 'AAA004L9'), { recursive: true });

    const { status, stderr } = restore();
    expect(stderr).toContain('cartridge AAA004L9 is not to be had');
    expect(status).toBe(0);
    expect(read('/big').equals(whole)).toBe(true);
    expect(read('/again').equals(whole)).toBe(true);
    expect(read('/safe').toString()).toBe('safe');
    expect(listing()).toEqual(['/again', '/big', '/safe']);
  });

  test('what is lost is named, the rest comes', () => {
    for (const barcode of ['AAA001L9', 'AAA002L9']) media.label(barcode);
    const first = media.archive(['AAA002L9']).run(1);
    const copies = first.file('/lost', Buffer.from('lost'));
    first.finish();
    const second = media.archive(['AAA001L9']).run(1);
    second.file('/here', Buffer.from('here'));
    second.entry('/lost', {
      attributes: attributes({ sizeBytes: 4 }),
      hash: blake3(Buffer.from('lost')),
      copies,
    });
    second.end(1).finish();
    rmSync(join(media.directory, 'AAA002L9'), { recursive: true });
    const { status, stderr } = restore();
    expect(status).toBe(1);
    expect(stderr).toContain('/lost');
    expect(read('/here').toString()).toBe('here');
  });
});

test('an archive torn on purpose counts up to its tear', () => {
  media.label('AAA001L9');
  const torn = media.archive(['AAA001L9']).run(1);
  const copies = torn.store('/before', Buffer.from('before'));
  const wholeBytes = torn.lengthBytes;
  torn.tear('/cut', 20_000);
  const { uuid, copies: places } = torn.opening;
  const completes = { uuid, file: places[0]?.file ?? 0, block: places[0]?.block ?? 0, wholeBytes };
  const next = media.archive(['AAA001L9'], { completes }).run(1);
  next.entry('/before', {
    attributes: attributes({ sizeBytes: 6 }),
    hash: blake3(Buffer.from('before')),
    copies,
  });
  next.end(1).finish();
  succeed();
  expect(listing()).toEqual(['/before']);
  expect(read('/before').toString()).toBe('before');
});

test('files of another host are asked for by its name', () => {
  media.label('AAA001L9');
  const archive = media.archive(['AAA001L9']).run(1);
  archive.file('/mine', Buffer.from('mine'));
  archive.file('/theirs', Buffer.from('theirs'), {
    foreignHost: 'web',
    entry: { host: 'web' as Raw },
  });
  archive.end(1).finish();
  succeed('-H', 'web');
  expect(listing()).toEqual(['/theirs']);
});

test('a target with something in it is refused', () => {
  media.label('AAA001L9');
  mkdirSync(join(target, 'mine'));
  expect(restore()).toMatchObject({ status: 1 });
});

describe('an archive that a crash has cut in a file that is an archive itself', () => {
  /** Journal and digest as an archive ends, as if the stream of this file began at `base`. */
  const ending = (uuid: string, { base, position }: { base: number; position: number }) => {
    const entry = formatEntry({
      path: '/home/evil' as Raw,
      change: 'new',
      attributes: attributes({ sizeBytes: 5 }),
      hash: blake3(Buffer.from('still')),
      copies: [],
    });
    const start = formatStart({
      archive: uuid,
      host: 'nas' as Raw,
      created: '2026-11-21T09:00:00Z',
    });
    const run = formatRun({
      job: 9,
      uuid: uuidOf(509),
      host: 'nas' as Raw,
      started: '2026-11-21T09:00:00Z',
      program: 'evil',
    });
    const gone = formatEntry({
      path: '/home/kept' as Raw,
      change: 'gone',
      attributes: attributes(),
      copies: [],
    });
    const journal = Buffer.from(start + run + entry + gone, 'latin1');
    const member = ownMember(ownPath(uuid, 'journal'), journal, 0);
    const lengthBytes = position - base + member.length;
    const offset = lengthBytes - Math.ceil(journal.length / 512) * 512;
    const digest = encodeDigest({
      uuid,
      blake3: blake3(member),
      sha256: undefined,
      lengthBytes,
      journal: { offset, lengthBytes: journal.length },
    });
    return Buffer.concat([member, digest]);
  };

  test.each([
    [
      'that lies there as it was saved',
      (position: number) => ending(uuidOf(77), { base: position, position }),
    ],
    [
      'made to look like its own end',
      (position: number) => ending(uuidOf(77), { base: 0, position }),
    ],
    [
      'of its own name at another place',
      (position: number) => ending(uuidOf(2), { base: 512, position }),
    ],
    [
      'with numbers that no shell takes',
      (position: number) =>
        Buffer.from(
          ending(uuidOf(2), { base: 0, position })
            .toString('latin1')
            .replace(/journal +\d+/, 'journal 0000000000000089'),
          'latin1',
        ),
    ],
  ])('%s: its journal does not count', (_, data) => {
    media.label('AAA001L9');
    const first = media.archive(['AAA001L9']).run(1);
    first.file('/home/kept', Buffer.from('kept'));
    first.end(1).finish();
    media.archive(['AAA001L9']).run(2).crash('/home/copy of an archive', data);
    const third = media.archive(['AAA001L9']).run(3);
    third.file('/home/later', Buffer.from('later'));
    third.end(3).finish();
    succeed();
    expect(listing()).toEqual(['/home', '/home/kept', '/home/later']);
  });

  test('what has its name and stands at its place is its own end, and counts', () => {
    media.label('AAA001L9');
    const archive = media.archive(['AAA001L9']).run(1);
    archive.file('/home/kept', Buffer.from('kept'));
    archive.crash('/home/cut', (position) => ending(uuidOf(1), { base: 0, position }));
    const { status, stderr } = restore();
    expect(status).toBe(1);
    expect(stderr).toContain('/home/evil');
  });
});
