/** Programs for the power switch's own test: each writes below a directory in one way, and says what it was promised. */
import { strict as assert } from 'node:assert';
import { closeSync, fsyncSync, mkdirSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { mkdir, open, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { replaceFile } from '../../../src/base/durable.ts';
import { TapFile } from '../../../src/device/virtual/tap-file.ts';
import { loadFsDoor } from '../../../src/source/door.ts';

type Program = (root: string, say: (text: string) => void) => Promise<void> | void;

const programs: Readonly<Record<string, Program>> = {
  /** Every call that changes a file, by the thread pool of the runtime. */
  'thread pool': async (root) => {
    const file = await open(join(root, 'a'), 'w+');
    await file.write(Buffer.from('1'), 0, 1, 0);
    await file.writev([Buffer.from('2'), Buffer.from('3')], 1);
    await file.write('4');
    await file.truncate(2);
    await file.datasync();
    await file.sync();
    await file.close();
    await rename(join(root, 'a'), join(root, 'b'));
    await unlink(join(root, 'b'));
    await mkdir(join(root, 'c'));
    await rm(join(root, 'c'), { recursive: true });
  },
  'same thread': (root) => {
    const file = openSync(join(root, 'a'), 'w');
    writeSync(file, Buffer.from('1'), 0, 1, 0);
    writeSync(file, '2');
    fsyncSync(file);
    closeSync(file);
    unlinkSync(join(root, 'a'));
    mkdirSync(join(root, 'c'));
  },
  door: async (root) => {
    await writeFile(join(root, 'a'), '');
    const directory = openSync(root, 'r');
    const door = loadFsDoor();
    assert(door.makeDirectory(directory, Buffer.from('d'), 0o700) === 0);
    assert(door.rename(directory, Buffer.from('a'), directory, Buffer.from('b'), 0) === 0);
    assert(door.unlink(directory, Buffer.from('b'), 0) === 0);
    closeSync(directory);
  },
  /** Ten blocks, of which no write is confirmed. */
  unsynced: async (root) => {
    const file = await open(join(root, 'blocks'), 'r+');
    for (let block = 0; block < 10; block += 1) {
      await file.write(Buffer.alloc(4096, 'n'), 0, 4096, block * 4096);
    }
    await file.close();
  },
  'never named': async (root) => {
    const file = await open(join(root, 'new'), 'w');
    await file.writeFile('written');
    await file.datasync();
    await file.close();
    await writeFile(join(root, 'last'), '');
  },
  /** Files and directories that only a sync of the whole file system makes durable. */
  'file system': async (root) => {
    mkdirSync(join(root, 'c'));
    await writeFile(join(root, 'c', 'a'), 'synced');
    const directory = openSync(root, 'r');
    assert(loadFsDoor().syncFileSystem(directory) === 0);
    closeSync(directory);
    await writeFile(join(root, 'c', 'a'), 'lost, or not');
  },
  replace: async (root, say) => {
    for (let count = 1; count <= 8; count += 1) {
      await replaceFile(join(root, 'state'), String(count).repeat(10_000));
      say(String(count));
    }
  },
  sqlite: (root, say) => {
    const db = new Database(join(root, 'db'));
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.pragma('wal_autocheckpoint = 8');
    db.exec('CREATE TABLE IF NOT EXISTS t(x INTEGER PRIMARY KEY, y TEXT)');
    for (let x = 1; x <= 20; x += 1) {
      db.prepare('INSERT INTO t VALUES(?, ?)').run(x, 'y'.repeat(1000));
      say(String(x));
    }
    db.close();
  },
  'sqlite without syncs': (root, say) => {
    const db = new Database(join(root, 'db'));
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = OFF');
    db.exec('CREATE TABLE IF NOT EXISTS t(x INTEGER PRIMARY KEY, y TEXT)');
    for (let x = 1; x <= 20; x += 1) {
      db.prepare('INSERT INTO t VALUES(?, ?)').run(x, 'y'.repeat(1000));
      say(String(x));
    }
    db.close();
  },
  tape: async (root, say) => {
    const tape = await TapFile.open(join(root, 'A.tap'), { keepUnsynced: false });
    for (let block = 1; block <= 24; block += 1) {
      await tape.append(Buffer.alloc(10_000, block));
      if (block % 3 > 0) continue;
      await tape.sync();
      say(String(block));
    }
    await tape.close();
  },
};

const [name = '', root = ''] = process.argv.slice(2);
const program = programs[name];
assert(program, `no program ${name}`);
// Unbuffered: what was said before the cut was said.
await program(root, (text) => void writeSync(1, `${text}\n`));
