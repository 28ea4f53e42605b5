/** The tables, as numbered migrations. SCHEMA.md beside this file is the law and says what each column means. */

/** "shlf": tells our file from any other SQLite file. */
export const APPLICATION_ID = 0x73686c66;

const TREE = `
CREATE TABLE counters(name TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE writers(process TEXT PRIMARY KEY, since_ms INTEGER NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE hosts(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, directory INTEGER NOT NULL UNIQUE) STRICT;
CREATE TABLE directories(
  id INTEGER PRIMARY KEY, parent INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE(parent, name)) STRICT;
CREATE TABLE owners(
  id INTEGER PRIMARY KEY, uid INTEGER NOT NULL, gid INTEGER NOT NULL, user TEXT NOT NULL,
  group_name TEXT NOT NULL, UNIQUE(uid, gid, user, group_name)) STRICT;
CREATE TABLE xattrs(id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, value BLOB NOT NULL) STRICT;
CREATE TABLE inodes(
  id INTEGER PRIMARY KEY, mode INTEGER NOT NULL, owner INTEGER NOT NULL, size INTEGER NOT NULL,
  mtime INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
  device INTEGER NOT NULL, inode INTEGER NOT NULL, links INTEGER NOT NULL,
  content INTEGER, target TEXT, xattrs INTEGER) STRICT;
CREATE TABLE versions(
  dir INTEGER NOT NULL, name TEXT NOT NULL, since INTEGER NOT NULL, until INTEGER, inode INTEGER NOT NULL,
  PRIMARY KEY(dir, name, since)) WITHOUT ROWID, STRICT;`;

const JOBS = `
CREATE TABLE jobs(
  number INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, verb TEXT NOT NULL,
  state TEXT NOT NULL CHECK(state IN ('running','waiting','finished','partial','failed','cancelled')),
  started_ms INTEGER NOT NULL, ended_ms INTEGER, host TEXT NOT NULL, os TEXT NOT NULL, pid INTEGER NOT NULL,
  parameters TEXT NOT NULL, report TEXT) STRICT;
CREATE TABLE job_logs(
  id INTEGER PRIMARY KEY, job INTEGER NOT NULL REFERENCES jobs(number), time_ms INTEGER NOT NULL,
  level TEXT NOT NULL CHECK(level IN ('debug','info','warning','error')), path TEXT,
  message TEXT NOT NULL, facts TEXT) STRICT;
CREATE INDEX job_logs_by_job ON job_logs(job, id);
CREATE TABLE snapshots(
  id INTEGER PRIMARY KEY, seconds INTEGER NOT NULL UNIQUE, job INTEGER NOT NULL UNIQUE REFERENCES jobs(number),
  state TEXT NOT NULL CHECK(state IN ('applying','finished')), is_partial INTEGER NOT NULL,
  cursor_dir INTEGER NOT NULL, cursor_name TEXT NOT NULL, journaled INTEGER NOT NULL) STRICT;
CREATE TABLE pending(
  job INTEGER NOT NULL, dir INTEGER NOT NULL, name TEXT NOT NULL, change INTEGER NOT NULL, inode INTEGER,
  archive INTEGER, moved_from TEXT, PRIMARY KEY(job, dir, name)) WITHOUT ROWID, STRICT;
CREATE TABLE run_links(
  job INTEGER NOT NULL, device INTEGER NOT NULL, inode_number INTEGER NOT NULL, inode INTEGER NOT NULL,
  PRIMARY KEY(job, device, inode_number)) WITHOUT ROWID, STRICT;
CREATE TABLE run_hashes(
  job INTEGER NOT NULL, inode INTEGER NOT NULL, hash BLOB NOT NULL,
  PRIMARY KEY(job, inode)) WITHOUT ROWID, STRICT;
CREATE INDEX run_hashes_by_hash ON run_hashes(job, hash);
CREATE TABLE run_partials(
  job INTEGER NOT NULL, inode INTEGER NOT NULL, content INTEGER NOT NULL,
  PRIMARY KEY(job, inode)) WITHOUT ROWID, STRICT;
CREATE TABLE sources(
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, host INTEGER NOT NULL REFERENCES hosts(id),
  path TEXT NOT NULL, original TEXT NOT NULL, options TEXT NOT NULL, UNIQUE(host, original)) STRICT;
CREATE TABLE rules(
  id INTEGER PRIMARY KEY AUTOINCREMENT, source INTEGER REFERENCES sources(id) ON DELETE CASCADE,
  kind TEXT NOT NULL CHECK(kind IN ('pattern','preset','track','untrack')), value TEXT NOT NULL,
  position INTEGER NOT NULL) STRICT;
CREATE INDEX rules_by_source ON rules(source);`;

const MEDIA = `
CREATE TABLE pools(
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, copies INTEGER NOT NULL,
  margin_bytes INTEGER, options TEXT NOT NULL) STRICT;
CREATE TABLE locations(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE media(
  id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT UNIQUE, barcode TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK(kind IN ('tape','disk','s3')), pool INTEGER REFERENCES pools(id),
  set_uuid TEXT, set_number INTEGER, generation TEXT,
  state TEXT NOT NULL
    CHECK(state IN ('unlabelled','scratch','filling','full','suspect','retired','lost','hold')),
  capacity_bytes INTEGER NOT NULL, written_bytes INTEGER NOT NULL, block_bytes INTEGER,
  next_file INTEGER NOT NULL, next_block INTEGER NOT NULL, write_generation INTEGER NOT NULL,
  location INTEGER REFERENCES locations(id), label TEXT, created_ms INTEGER NOT NULL) STRICT;
CREATE INDEX media_by_pool ON media(pool);
CREATE TABLE media_moves(
  id INTEGER PRIMARY KEY, medium INTEGER NOT NULL REFERENCES media(id), time_ms INTEGER NOT NULL,
  from_location INTEGER REFERENCES locations(id), to_location INTEGER REFERENCES locations(id)) STRICT;
CREATE INDEX media_moves_by_medium ON media_moves(medium);
CREATE TABLE drives(
  id INTEGER PRIMARY KEY AUTOINCREMENT, serial TEXT NOT NULL UNIQUE, path TEXT NOT NULL,
  generation TEXT, facts TEXT NOT NULL, seen_ms INTEGER NOT NULL) STRICT;`;

const CONTENTS = `
CREATE TABLE contents(
  id INTEGER PRIMARY KEY, size INTEGER NOT NULL, hash BLOB, segments BLOB, holes BLOB) STRICT;
CREATE INDEX sparse_contents ON contents(id) WHERE holes IS NOT NULL;
CREATE TABLE content_keys(
  size INTEGER NOT NULL, key INTEGER NOT NULL, content INTEGER NOT NULL,
  PRIMARY KEY(size, key, content)) WITHOUT ROWID, STRICT;
CREATE TABLE unkeyed(first INTEGER PRIMARY KEY, last INTEGER NOT NULL) STRICT;
CREATE TABLE extents(
  content INTEGER NOT NULL, content_offset INTEGER NOT NULL, archive INTEGER NOT NULL,
  position INTEGER NOT NULL, length INTEGER, stored INTEGER, form INTEGER NOT NULL,
  PRIMARY KEY(content, content_offset, archive)) WITHOUT ROWID, STRICT;
CREATE TABLE archives(
  id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, job INTEGER REFERENCES jobs(number),
  sequence INTEGER NOT NULL, state TEXT NOT NULL CHECK(state IN ('writing','good','torn','orphan')),
  block_bytes INTEGER NOT NULL, length_bytes INTEGER, length_blocks INTEGER, blake3 BLOB, sha256 BLOB,
  created_ms INTEGER NOT NULL, committed_ms INTEGER, completed_by INTEGER REFERENCES archives(id)) STRICT;
CREATE INDEX archives_by_job ON archives(job);
CREATE TABLE archive_copies(
  archive INTEGER NOT NULL REFERENCES archives(id), medium INTEGER NOT NULL REFERENCES media(id),
  file_number INTEGER NOT NULL, start_block INTEGER NOT NULL,
  state TEXT NOT NULL CHECK(state IN ('writing','good','bad','lost')),
  written_ms INTEGER, verified_ms INTEGER, PRIMARY KEY(archive, medium)) WITHOUT ROWID, STRICT;
CREATE INDEX archive_copies_by_medium ON archive_copies(medium, file_number);
CREATE TABLE damages(
  archive INTEGER NOT NULL, medium INTEGER NOT NULL, position INTEGER NOT NULL, length INTEGER NOT NULL,
  PRIMARY KEY(archive, medium, position)) WITHOUT ROWID, STRICT;
INSERT INTO contents(id, size, hash)
  VALUES(1, 0, x'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262');
INSERT INTO content_keys VALUES(0, 192497376163321, 1);
INSERT INTO counters VALUES('directories', 1), ('inodes', 1), ('contents', 2);`;

const COPIES = `
ALTER TABLE archives ADD COLUMN journal_bytes INTEGER;
CREATE TABLE catalog_copies(
  archive INTEGER PRIMARY KEY REFERENCES archives(id), position INTEGER NOT NULL, length INTEGER NOT NULL,
  database_bytes INTEGER NOT NULL, taken_ms INTEGER NOT NULL) STRICT;`;

const CARE = `
ALTER TABLE snapshots ADD COLUMN expired_by INTEGER REFERENCES jobs(number);
ALTER TABLE snapshots ADD COLUMN hold TEXT;
ALTER TABLE media ADD COLUMN label_bytes INTEGER;
ALTER TABLE media ADD COLUMN label_blake3 BLOB;
ALTER TABLE media ADD COLUMN held_from TEXT;
ALTER TABLE locations ADD COLUMN is_offsite INTEGER NOT NULL DEFAULT 0;
ALTER TABLE archives ADD COLUMN dead_bytes INTEGER NOT NULL DEFAULT 0;
CREATE TRIGGER extents_deleted AFTER DELETE ON extents BEGIN
  UPDATE archives SET dead_bytes = min(coalesce(length_bytes, 9000000000000000), dead_bytes + 1536 + 512 * ((511 + coalesce(
    OLD.stored, OLD.length, (SELECT size FROM contents WHERE id = OLD.content) - OLD.content_offset, 0)) / 512))
  WHERE id = OLD.archive; END;
CREATE TABLE snapshot_tags(
  snapshot INTEGER NOT NULL REFERENCES snapshots(id), tag TEXT NOT NULL,
  PRIMARY KEY(snapshot, tag)) WITHOUT ROWID, STRICT;
CREATE TABLE expiries(
  id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL CHECK(kind IN ('snapshot','medium')),
  uuid TEXT NOT NULL, name TEXT NOT NULL, job INTEGER REFERENCES jobs(number), time_ms INTEGER NOT NULL,
  archive INTEGER REFERENCES archives(id), UNIQUE(kind, uuid)) STRICT;
CREATE TABLE bygones(
  snapshot INTEGER NOT NULL, dir INTEGER NOT NULL, name TEXT NOT NULL,
  PRIMARY KEY(snapshot, dir, name)) WITHOUT ROWID, STRICT;
CREATE TRIGGER versions_deleted AFTER DELETE ON versions WHEN OLD.until IS NOT NULL
  AND NOT EXISTS(SELECT 1 FROM versions v WHERE v.dir = OLD.dir AND v.name = OLD.name AND v.since = OLD.until) BEGIN
  INSERT OR IGNORE INTO bygones VALUES(OLD.until, OLD.dir, OLD.name); END;
CREATE TABLE told_runs(
  archive INTEGER NOT NULL REFERENCES archives(id), job INTEGER NOT NULL REFERENCES jobs(number),
  PRIMARY KEY(archive, job)) WITHOUT ROWID, STRICT;
CREATE TABLE run_facts(job INTEGER PRIMARY KEY REFERENCES jobs(number), facts TEXT NOT NULL) STRICT;
CREATE TABLE alarms(
  id INTEGER PRIMARY KEY AUTOINCREMENT, job INTEGER NOT NULL REFERENCES jobs(number),
  time_ms INTEGER NOT NULL, signals TEXT NOT NULL, settled_ms INTEGER) STRICT;
CREATE TABLE health(
  id INTEGER PRIMARY KEY, medium INTEGER REFERENCES media(id), drive INTEGER REFERENCES drives(id),
  time_ms INTEGER NOT NULL, job INTEGER REFERENCES jobs(number), facts TEXT NOT NULL) STRICT;
CREATE INDEX health_by_medium ON health(medium);
CREATE INDEX health_by_drive ON health(drive);
CREATE INDEX jobs_by_state ON jobs(state, verb, pid, ended_ms);
CREATE INDEX untold_snapshots ON snapshots(id) WHERE journaled = 0;
CREATE INDEX expiries_by_archive ON expiries(archive);
CREATE INDEX held_snapshots ON snapshots(id) WHERE expired_by IS NULL;
INSERT INTO counters VALUES('swept', 0);
INSERT INTO counters SELECT 'clock_ms', coalesce(max(max(started_ms, coalesce(ended_ms, 0))), 0) FROM jobs;`;

const ENDS = `
ALTER TABLE archives ADD COLUMN end_seconds INTEGER;
ALTER TABLE archives ADD COLUMN end_is_partial INTEGER;`;

const BYGONES = `
ALTER TABLE bygones ADD COLUMN job INTEGER NOT NULL DEFAULT 0;
UPDATE bygones SET job = (SELECT coalesce(max(number), 0) FROM jobs);
DROP TRIGGER versions_deleted;
CREATE TRIGGER versions_deleted AFTER DELETE ON versions WHEN OLD.until IS NOT NULL
  AND NOT EXISTS(SELECT 1 FROM versions v WHERE v.dir = OLD.dir AND v.name = OLD.name AND v.since = OLD.until) BEGIN
  INSERT INTO bygones VALUES(OLD.until, OLD.dir, OLD.name, (SELECT coalesce(max(number), 0) FROM jobs))
    ON CONFLICT DO UPDATE SET job = excluded.job; END;`;

/** Migration N, counted from 1, is at index N - 1. One that was released is never changed again. */
export const MIGRATIONS: readonly string[] = [
  TREE + JOBS + MEDIA + CONTENTS,
  COPIES,
  CARE,
  ENDS,
  BYGONES,
];

/** BLAKE3 of no bytes is row 1 of contents: an empty file needs no extent. */
export const EMPTY_CONTENT = 1;
