/** Bytes as programs ask for them otherwise than by reading on: by seeking holes, by mapping, without waiting, by running them. */
import { randomBytes } from 'node:crypto';
import { chmodSync, copyFileSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Mounted, okProgram, runProgram, Shelf, until } from './program.ts';

let shelf: Shelf;
let source: string;
let mounted: Mounted;

const MIB = 2 ** 20;

beforeAll(async () => {
  shelf = await Shelf.make();
  source = shelf.folder('source');
  for (const name of ['private', 'shared', 'waits', 'refused', 'glanced at'])
    writeFileSync(join(source, name), randomBytes(300_000));
  const sparse = join(source, 'sparse');
  await okProgram(['truncate', '-s', String(8 * MIB), sparse]);
  for (const at of [0, 4 * MIB])
    await okProgram(['sh', '-c', `printf data | dd of="$0" bs=1 seek=${at} conv=notrunc`, sparse]);
  copyFileSync('/bin/true', join(source, 'program'));
  chmodSync(join(source, 'program'), 0o755);
  await shelf.ok('source', 'add', source);
  await shelf.ok('backup');
  mounted = await shelf.mount('mount');
});

afterAll(() => shelf.close());

const inMount = (name: string) => join(mounted.at, source, name);

/** What a script of Python prints; its argument is a path. */
async function python(script: string, path: string): Promise<string> {
  return (
    await okProgram(['python3', '-c', `import errno, mmap, os, sys\n${script}`, path])
  ).trim();
}

/** The errno's name, or what was read. */
const READ_NON_BLOCKING = `
f = os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK)
try: print(len(os.read(f, 100)))
except OSError as e: print(errno.errorcode[e.errno])`;

test('holes are told before anything is read', async () => {
  const script = `
f = os.open(sys.argv[1], os.O_RDONLY)
at, found = 0, []
while True:
    try: at = os.lseek(f, at, os.SEEK_DATA)
    except OSError as e:
        found.append(errno.errorcode[e.errno]); break
    end = os.lseek(f, at, os.SEEK_HOLE)
    found.append((at, end)); at = end
print(found)`;
  expect(await python(script, inMount('sparse'))).toBe(
    await python(script, join(source, 'sparse')),
  );
  const state = await okProgram([
    ...['getfattr', '--only-values', '-n', 'user.shelfs.state', inMount('sparse')],
  ]);
  expect(state).toBe('nearline');
});

test('who will not wait is told so, and gets the bytes when they are there', async () => {
  const path = inMount('waits');
  expect(await python(READ_NON_BLOCKING, path)).toBe('EAGAIN');
  await okProgram(['cmp', path, join(source, 'waits')]);
  expect(await python(READ_NON_BLOCKING, path)).toBe('100');
});

test('a thumbnailer never moves a tape, and is named in the log', async () => {
  const thumbnailer = join(shelf.directory, 'tumblerd');
  copyFileSync('/bin/cat', thumbnailer);
  chmodSync(thumbnailer, 0o755);
  const refused = await runProgram([thumbnailer, inMount('glanced at')]);
  expect(refused.exit).toBe(1);
  expect(refused.stderr).toContain('Resource temporarily unavailable');
  await until(() => shelf.log.includes('tumblerd'), 'the log names it');
  await okProgram(['cmp', inMount('glanced at'), join(source, 'glanced at')]);
  await okProgram([thumbnailer, inMount('glanced at')]);
});

test('a private mapping of what is on tape waits for it; a shared one comes with the file in the stage', async () => {
  const mapped = (kind: string) => `
import hashlib
f = os.open(sys.argv[1], os.O_RDONLY)
try: print(hashlib.md5(mmap.mmap(f, 0, mmap.${kind}, mmap.PROT_READ)).hexdigest())
except OSError as e: print(errno.errorcode[e.errno])`;
  for (const [name, kind] of [
    ['private', 'MAP_PRIVATE'],
    ['shared', 'MAP_SHARED'],
  ] as const) {
    const expected = await python(mapped(kind), join(source, name));
    const first = await python(mapped(kind), inMount(name));
    expect([expected, 'ENODEV']).toContain(first);
    if (kind === 'MAP_PRIVATE') expect(first).toBe(expected);
    await okProgram(['cmp', inMount(name), join(source, name)]);
    expect(await python(mapped(kind), inMount(name))).toBe(expected);
  }
});

test('a program is run from tape', async () => {
  await okProgram([inMount('program')]);
});

test('a mount that recalls nothing refuses at once, and shows what is staged', async () => {
  const other = await shelf.mount('other', '--recall', 'fail');
  const refused = await runProgram(['cat', join(other.at, source, 'refused')]);
  expect([refused.exit, refused.stderr]).toEqual([
    1,
    expect.stringContaining('Resource temporarily unavailable'),
  ]);
  await okProgram(['cmp', join(other.at, source, 'waits'), join(source, 'waits')]);
  await shelf.unmount(other);
  expect(existsSync(inMount('refused'))).toBe(true);
});
