import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { CodedError } from '../../../src/base/errors.ts';
import { Catalog } from '../../../src/catalog/catalog.ts';
import { Jobs } from '../../../src/catalog/job/jobs.ts';
import { MIGRATIONS } from '../../../src/catalog/schema.ts';
import { Media } from '../../../src/catalog/shelf/media.ts';
import { JOB, scratchDirectory, world } from './scratch.ts';

const open = (path: string, mode: 'read' | 'write' = 'write') =>
  Catalog.open(path, { mode, clock: systemClock });

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
  } catch (error) {
    if (error instanceof CodedError) return error.code;
    throw error;
  }
  return undefined;
}

/** As the catalog knows a process: boot, pid and start time. */
function nameOf(pid: number): string {
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return `${boot}:${pid}:${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`;
}

async function second(path: string, what: string, ms = 0) {
  const program = join(import.meta.dirname, 'busy-writer.ts');
  const child = spawn(process.execPath, [program, path, what, String(ms)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return { child, ended: once(child, 'exit') };
}

describe('opening', () => {
  test('none is STATE_MISSING, also for reading', () => {
    const path = join(scratchDirectory(), 'none.sqlite');
    expect(codeOf(() => open(path))).toBe('STATE_MISSING');
    expect(codeOf(() => open(path, 'read'))).toBe('STATE_MISSING');
    expect(existsSync(path)).toBe(false);
  });

  test('one there is not made again', () => {
    const { path } = world();
    expect(codeOf(() => Catalog.create(path, systemClock))).toBe('STATE_EXISTS');
  });

  test('creation that was cut short before its transaction is begun anew', () => {
    const path = join(scratchDirectory(), 'c.sqlite');
    writeFileSync(path, '');
    expect(codeOf(() => open(path))).toBe('STATE_MISSING');
    Catalog.create(path, systemClock).close();
    open(path).close();
  });

  test('a newer schema is refused, for reading too', () => {
    const { path, catalog } = world();
    catalog.close();
    const db = new Database(path);
    db.pragma(`user_version = ${MIGRATIONS.length + 1}`);
    db.close();
    expect(codeOf(() => open(path))).toBe('CATALOG_NEWER');
    expect(codeOf(() => open(path, 'read'))).toBe('CATALOG_NEWER');
  });

  test('a schema is not changed under a living writer that knows the older one', () => {
    const path = join(scratchDirectory(), 'c.sqlite');
    Catalog.create(path, systemClock).close();
    const db = new Database(path);
    const application = Number(db.pragma('application_id', { simple: true }));
    db.close();
    const older = join(scratchDirectory(), 'older.sqlite');
    const made = new Database(older);
    for (const sql of MIGRATIONS.slice(0, -1)) made.exec(sql);
    made.pragma(`application_id = ${application}`);
    made.pragma(`user_version = ${MIGRATIONS.length - 1}`);
    made.prepare('INSERT INTO writers VALUES(?, 0)').run(nameOf(process.ppid));
    for (const mode of ['read', 'write'] as const)
      expect(codeOf(() => open(older, mode))).toBe('CATALOG_BUSY');
    expect(made.pragma('user_version', { simple: true })).toBe(MIGRATIONS.length - 1);
    made.prepare('DELETE FROM writers').run();
    made.close();
    open(older, 'read').close();
  });

  test('who has it open when a later program changes the schema does not write', () => {
    const path = join(scratchDirectory(), 'c.sqlite');
    Catalog.create(path, systemClock).close();
    const catalog = open(path);
    const db = new Database(path);
    db.pragma(`user_version = ${MIGRATIONS.length + 1}`);
    db.close();
    expect(codeOf(() => catalog.write(() => new Jobs(catalog)))).toBe('CATALOG_NEWER');
    expect(catalog.prepare('SELECT count(*) FROM writers').raw().get()).toEqual([0]);
    catalog.close();
  });

  test('a file of another program is refused', () => {
    const path = join(scratchDirectory(), 'c.sqlite');
    const db = new Database(path);
    db.exec('CREATE TABLE foreign_table(x)');
    db.close();
    expect(codeOf(() => open(path))).toBe('CATALOG_DAMAGED');
    writeFileSync(path, 'this is no database, but long enough to look at '.repeat(100));
    expect(codeOf(() => open(path))).toBe('CATALOG_DAMAGED');
  });

  test('commits are synchronous, and WAL', () => {
    const { catalog } = world();
    expect(catalog.prepare('PRAGMA synchronous').get()).toEqual([2]);
    expect(catalog.prepare('PRAGMA journal_mode').get()).toEqual(['wal']);
    expect(catalog.prepare('PRAGMA foreign_keys').get()).toEqual([1]);
  });

  test('a reader cannot write, and sees what a writer committed', () => {
    const { path, catalog } = world();
    const reader = open(path, 'read');
    new Media(catalog).add([{ barcode: 'NEW001L9', kind: 'tape', capacityBytes: 1 }]);
    expect(new Media(reader).find('NEW001L9')?.state).toBe('unlabelled');
    expect(() => new Media(reader).setState(1, 'full')).toThrow(/open for reading/);
    reader.close();
  });
});

describe('after an unclean end', () => {
  test('kill -9 in mid-transaction leaves the state before, and the mark of the dead', async () => {
    const { path, catalog } = world();
    const { ended } = await second(path, 'die');
    expect(await ended).toEqual([null, 'SIGKILL']);
    expect(catalog.prepare('SELECT count(*) FROM writers').get()).toEqual([2]);
    const again = open(path);
    const job = new Jobs(again).list(1)[0];
    expect(job).toMatchObject({ verb: 'test', report: undefined });
    new Jobs(again).setState(job?.number ?? 0, 'failed');
    expect(catalog.prepare('SELECT count(*) FROM writers').get()).toEqual([1]);
    again.close();
  });

  test('damage is found then', async () => {
    const { path, catalog } = world();
    const jobs = new Jobs(catalog);
    const jobNumber = jobs.add({ ...JOB, uuid: 'x' });
    const line = { jobNumber, timeMs: 1, level: 'info', message: 'm'.repeat(500) } as const;
    jobs.log(Array.from({ length: 2000 }, () => line));
    catalog.close();
    const { ended } = await second(path, 'die');
    await ended;
    const copy = join(scratchDirectory(), 'damaged.sqlite');
    // Opened and closed by SQLite itself, so that the log is in the file; the dead writer's mark is still there.
    const db = new Database(path);
    db.pragma('wal_checkpoint(TRUNCATE)');
    db.close();
    copyFileSync(path, copy);
    const file = openSync(copy, 'r+');
    const middle = Math.floor(statSync(copy).size / 8192) * 4096;
    writeSync(file, Buffer.alloc(4096, 0x5a), 0, 4096, middle);
    expect(codeOf(() => open(copy))).toBe('CATALOG_DAMAGED');
    open(path).close();
  });
});

describe('a busy catalog', () => {
  test('waits for a long transaction of another process', async () => {
    const { path, catalog } = world();
    const { ended } = await second(path, 'hold', 1500);
    new Media(catalog).setState(1, 'full');
    expect(new Media(catalog).get(1).state).toBe('full');
    expect(await ended).toEqual([0, null]);
  });

  test('gets in between the portions of a long operation', async () => {
    const { path, catalog } = world();
    const { child, ended } = await second(path, 'batches', 60_000);
    for (let count = 0; count < 20; count += 1)
      new Media(catalog).setState(1, count % 2 ? 'full' : 'filling');
    // Still writing: nobody waited for its end.
    expect(child.exitCode).toBe(null);
    child.kill('SIGKILL');
    await ended;
  });
});

test('nested calls are one transaction, and a failure takes all of it back', () => {
  const { catalog } = world();
  const media = new Media(catalog);
  expect(() =>
    catalog.write(() => {
      media.setState(1, 'full');
      media.add([{ barcode: 'NEW001L9', kind: 'tape', capacityBytes: 1 }]);
      media.add([{ barcode: 'NEW001L9', kind: 'tape', capacityBytes: 1 }]);
    }),
  ).toThrow(/registered already/);
  expect(media.get(1).state).toBe('scratch');
  expect(media.find('NEW001L9')).toBeUndefined();
});

test('SCHEMA.md names every table', () => {
  const { catalog } = world();
  const law = readFileSync(join(import.meta.dirname, '../../../src/catalog/SCHEMA.md'), 'utf8');
  const tables = catalog
    .prepare<[string]>(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'",
    )
    .all()
    .flat();
  expect(tables.filter((table) => !law.includes(table))).toEqual([]);
});
