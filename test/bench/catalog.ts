/**
 * The catalog at size: `npm run bench -- [FILES]`, default one million. Each figure stands beside its target
 * for the reference machine (FACTS: EPYC); the ratio above 1 is better. A loop of prepared single-row inserts into a bare
 * table, in the same run, says how fast this machine is.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { systemClock } from '../../src/base/clock.ts';
import { type Raw, rawOf } from '../../src/base/raw.ts';
import { Catalog } from '../../src/catalog/catalog.ts';
import { columnsOf } from '../../src/catalog/content/keys.ts';
import { Jobs } from '../../src/catalog/job/jobs.ts';
import type { AddedEntry } from '../../src/catalog/run/findings.ts';
import { Run } from '../../src/catalog/run/run.ts';
import type { StoredEntry } from '../../src/catalog/run/stored-rows.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import { Directories } from '../../src/catalog/tree/directories.ts';
import { Tree } from '../../src/catalog/tree/tree.ts';
import type { Attributes } from '../../src/domain/entry.ts';

const FILES_PER_DIRECTORY = 10;
const BIG_DIRECTORY = 1000;
/** As a backup hands them over. */
const FOUND_BATCH = 512;
const ASKED_BATCH = 128;
const STORED_BATCH = 4096;
const TARGETS = {
  bytesPerFile: 220,
  insertsPerCpuSecond: 200_000,
  knownPerCpuSecond: 1_000_000,
  listMs: 2,
  lookupUs: 50,
};

export async function catalog(files = 1_000_000): Promise<void> {
  const directory = mkdtempSync('/dev/shm/shelfs-bench-');
  try {
    const path = join(directory, 'catalog.sqlite');
    const machine = bareInserts(join(directory, 'bare.sqlite'));
    console.log(`catalog, ${files} files; this machine: ${machine.toFixed(0)} bare inserts/s-cpu`);
    const opened = Catalog.create(path, systemClock);
    fill(opened, files);
    opened.close();
    const reader = Catalog.open(path, { mode: 'write', clock: systemClock });
    const [free = 0] = reader.prepare<[number]>('PRAGMA freelist_count').get() ?? [];
    const size = statSync(path).size;
    console.log(`  file ${(size / files).toFixed(0)} bytes a file, with what the run left free`);
    print('size, bytes a file', TARGETS.bytesPerFile, (size - free * 4096) / files, 'less');
    read(reader, files);
    reader.close();
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function fill(opened: Catalog, files: number): void {
  const media = new Media(opened);
  media.add([{ barcode: 'BEN001L9', kind: 'tape', capacityBytes: 1e15 }]);
  const host = new Directories(opened).ensureHost('bench');
  const run = new Run(opened, newJob(opened, 'one'));
  const found = cpuSeconds(() => addAll(run, host.id, files));
  const archive = run.archives.begin({
    uuid: 'archive',
    sequence: 1,
    blockBytes: 524_288,
    copies: [{ mediumId: 1, fileNumber: 1, startBlock: 2 }],
  });
  const stored = cpuSeconds(() => storeAll(run, archive));
  const hash = Buffer.alloc(32);
  const committed = cpuSeconds(() =>
    run.archives.commit(archive, {
      lengthBytes: 1e9,
      lengthBlocks: 2000,
      blake3: hash,
      sha256: hash,
      copiesGood: [1],
    }),
  );
  const finished = cpuSeconds(() => run.finish({ state: 'finished', timeMs: 1e12 }));
  const perSecond = (seconds: number) => `${(files / seconds / 1000).toFixed(0)}k`;
  console.log(
    `  found ${perSecond(found)}/s, read for the plan, asked for and stored ${perSecond(stored)}/s, ` +
      `keys written ${perSecond(committed)}/s, finished and swept ${perSecond(finished)}/s`,
  );
  const total = files / (found + stored + committed + finished);
  print('insert, files/s-cpu', TARGETS.insertsPerCpuSecond, total, 'more');
}

function addAll(run: Run, hostId: number, files: number): void {
  const directories = Math.ceil(files / FILES_PER_DIRECTORY);
  let inode = 1;
  let entries: AddedEntry[] = [];
  for (let index = 0; index < directories; index += 1) {
    const path = directoryPath(index);
    const known = run.findDirectory(path, hostId);
    if (known !== undefined) run.known(known);
    const directory = known ?? { path, hostId };
    const count = index === 0 ? BIG_DIRECTORY : FILES_PER_DIRECTORY;
    for (let file = 0; file < count; file += 1) entries.push(entry(directory, file, inode++));
    if (entries.length < FOUND_BATCH && index + 1 < directories) continue;
    run.add(entries);
    entries = [];
  }
}

const directoryPath = (index: number) =>
  rawOf(
    `/srv/d${String(Math.floor(index / 100)).padStart(6, '0')}/e${String(index % 100).padStart(2, '0')}`,
  );

function entry(directoryId: AddedEntry['directoryId'], file: number, inode: number): AddedEntry {
  return {
    directoryId,
    name: `picture-${String(file).padStart(5, '0')}.jpg` as Raw,
    change: 'new',
    attributes: attributesOf(inode),
    sourceInode: { device: 2049, inode: 10_000_000 + inode, links: 1 },
  };
}

function attributesOf(inode: number): Attributes {
  const seconds = 1_600_000_000 + inode;
  return {
    type: 'file',
    mode: 0o644,
    uid: 1000,
    gid: 1000,
    user: rawOf('somebody'),
    group: rawOf('users'),
    sizeBytes: 1000 + ((inode * 7919) % 5_000_000),
    mtime: { seconds, nanoseconds: (inode * 104_729) % 1e9 },
    ctime: { seconds, nanoseconds: (inode * 104_723) % 1e9 },
    xattrs: [],
  };
}

function storeAll(run: Run, archiveId: number): void {
  const policy = { copies: 1 };
  let asked: StoredEntry[] = [];
  let stored: StoredEntry[] = [];
  const ask = () => {
    const contents = asked.flatMap(({ content }) => content ?? []);
    const known = run.archives.areStored(columnsOf(contents), { policy, archiveId });
    stored.push(...asked.filter((_, index) => !known.has(index)));
    asked = [];
  };
  for (const entry of storedEntries(run)) {
    asked.push(entry);
    if (asked.length === ASKED_BATCH) ask();
    if (stored.length < STORED_BATCH) continue;
    run.archives.store(archiveId, stored);
    stored = [];
  }
  ask();
  run.archives.store(archiveId, stored);
}

function* storedEntries(run: Run): Generator<StoredEntry> {
  let archiveOffset = 1024;
  for (const { directoryId, name, inode } of run.entries('unstored')) {
    if (!inode) continue;
    const { sizeBytes: lengthBytes, inodeId } = inode;
    yield {
      directoryId,
      name,
      inodeId,
      content: { hash: hashOf(inodeId), sizeBytes: lengthBytes, segments: undefined },
      extents: [
        { contentOffset: 0, lengthBytes, archiveOffset, storedBytes: lengthBytes, form: 'plain' },
      ],
    };
    archiveOffset += 1024 + lengthBytes;
  }
}

/** Spread as hashes are, at a fraction of the cost of one. */
function hashOf(inodeId: number): Buffer {
  const hash = Buffer.alloc(32);
  for (let at = 0; at < 32; at += 4)
    hash.writeInt32LE(
      Math.imul(Math.imul(inodeId + at, 0x9e3779b1) ^ (inodeId >>> 7), 0x85ebca6b),
      at,
    );
  return hash;
}

function read(opened: Catalog, files: number): void {
  const run = new Run(opened, newJob(opened, 'two'));
  const directories = Math.ceil(files / FILES_PER_DIRECTORY);
  let known = 0;
  const seconds = cpuSeconds(() =>
    opened.read(() => {
      for (let index = 0; index < directories; index += 1)
        known += run.known(run.directory(directoryPath(index), 1)).length;
    }),
  );
  print('known, entries/s-cpu', TARGETS.knownPerCpuSecond, known / seconds, 'more');
  const tree = new Tree(opened);
  const big = tree.directories.find(1, directoryPath(0)) ?? 0;
  const list = cpuSeconds(() => repeat(50, () => tree.list(big, 1))) / 50;
  print('listing of 1000 names, ms', TARGETS.listMs, list * 1000, 'less');
  const name = rawOf('picture-00003.jpg');
  const look = cpuSeconds(() =>
    repeat(20_000, (index) => tree.entry(2 + ((index * 7919) % directories), name, 1)),
  );
  print('as-of look-up, us', TARGETS.lookupUs, (look / 20_000) * 1e6, 'less');
}

function bareInserts(path: string): number {
  const db = new Database(path);
  db.exec('CREATE TABLE t(a INTEGER, b TEXT, c INTEGER, PRIMARY KEY(a, b)) WITHOUT ROWID; BEGIN');
  const insert = db.prepare('INSERT INTO t VALUES(?, ?, ?)');
  const count = 300_000;
  const seconds = cpuSeconds(() =>
    repeat(count, (index) =>
      insert.run(index >> 4, `picture-${String(index & 15).padStart(5, '0')}.jpg`, index),
    ),
  );
  db.close();
  return count / seconds;
}

function newJob(opened: Catalog, uuid: string): number {
  const about = { host: 'bench', os: 'bench', pid: process.pid, parameters: {} };
  return new Jobs(opened).add({ uuid, verb: 'backup', ...about });
}

function repeat(times: number, work: (index: number) => void): void {
  for (let index = 0; index < times; index += 1) work(index);
}

function cpuSeconds(work: () => void): number {
  const start = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1e6;
}

function print(name: string, target: number, found: number, better: 'less' | 'more'): void {
  const ratio = better === 'less' ? target / found : found / target;
  const figure = found >= 1000 ? found.toFixed(0) : found.toFixed(2);
  console.log(`  ${name}: ${figure} | target ${target} | ratio ${ratio.toFixed(2)}`);
}
