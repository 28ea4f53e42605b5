/** Recovery from cartridges that are damaged, forged, exchanged, or say what is not so. */
import {
  copyFileSync,
  existsSync,
  linkSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findDigest } from '../../src/archive/digest.ts';
import { seededRandom } from '../../src/base/random.ts';
import type { Catalog } from '../../src/catalog/catalog.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { spoil, spoilCopies } from '../sim/broken-tape.ts';
import { changeRandomly } from '../sim/history.ts';
import { streamsOn } from '../sim/media-streams.ts';
import { findings, recoverWorld, restorable } from '../sim/recover-world.ts';
import { differences } from '../sim/rich-tree.ts';
import { expectSameLines } from '../sim/same-lines.ts';

const BLOCK_BYTES = 4096;
const FIRST = 'BKP001L8';

/** Three backups on one cartridge. */
async function makeWorld(): Promise<BackupWorld> {
  const world = await BackupWorld.make({ cartridges: 2, config: '[archive]\nblock = "4KiB"\n' });
  changeRandomly(world.source, seededRandom(9), 0);
  writeFileSync(join(world.source, 'first name'), 'of two');
  linkSync(join(world.source, 'first name'), join(world.source, 'second name'));
  writeFileSync(join(world.source, 'sparse'), 'in front of a hole');
  truncateSync(join(world.source, 'sparse'), 300_000);
  symlinkSync('first name', join(world.source, 'link'));
  await world.backup();
  for (const day of [1, 2]) {
    changeRandomly(world.source, seededRandom(day), day);
    writeFileSync(join(world.source, `day ${day}`), `stored on day ${day}`);
    await world.backup();
  }
  return world;
}

/** Path and hash of the files of the newest snapshot. */
function liveFiles(catalog: Catalog): string[] {
  const newest = catalog.prepare<[number]>('SELECT max(seconds) FROM snapshots').get()?.[0];
  return restorable(catalog)
    .filter((line) => line.startsWith(`${newest} `))
    .flatMap((line) => {
      const found = /("(?:[^"\\]|\\.)*").* ([0-9A-F]{64}) .*(there|lost)$/.exec(line);
      return found ? [`${found[1]} ${found[2]} ${found[3]}`] : [];
    });
}

function startBlockOf(catalog: Catalog, file: number): number {
  const row = catalog
    .prepare<[number]>('SELECT start_block FROM archive_copies WHERE file_number = ?')
    .get(file);
  return row?.[0] ?? 0;
}

function endOf(world: BackupWorld, file: number) {
  const stream = streamsOn(world.sim.directory, FIRST)[file - 1] ?? Buffer.alloc(0);
  const digest = findDigest(stream.subarray(-2 * BLOCK_BYTES), stream.length);
  if (!digest) throw new Error('an archive without a digest');
  return { stream, digest };
}

function spoilDigest(world: BackupWorld, file: number): void {
  const { digest } = endOf(world, file);
  const startBlock = startBlockOf(world.catalog, file);
  const at = { startBlock, position: digest.lengthBytes, lengthBytes: 4 };
  spoil(world.sim.directory, { barcode: FIRST, blockBytes: BLOCK_BYTES, ...at });
}

/** Bytes behind so many lines of a journal. */
function spoilJournal(world: BackupWorld, file: number, lines: number): void {
  const { stream, digest } = endOf(world, file);
  let position = digest.journal.offset;
  for (let line = 0; line < lines; line += 1) position = stream.indexOf(0x0a, position) + 1;
  const startBlock = startBlockOf(world.catalog, file);
  const place = { barcode: FIRST, blockBytes: BLOCK_BYTES, startBlock, position, lengthBytes: 2 };
  spoil(world.sim.directory, place);
}

describe('a journal that cannot be read', () => {
  test.each([
    ['at its run', 1],
    ['at its first entry', 2],
    ['after ten', 12],
  ])('%s: the members are known from their headers', async (_, lines) => {
    const world = await makeWorld();
    spoilCopies(world.catalog, world.sim.directory);
    spoilJournal(world, 1, lines);
    const { catalog, report } = await recoverWorld(world);
    expect(report.base).toBe(null);
    expect(report.warnings).toBeGreaterThan(0);
    expect(findings(catalog)).toEqual([]);
    // Moves, duplicates and links to other archives stand in the journal alone.
    const known = new Set(liveFiles(catalog));
    const hashes = new Set([...known].map((line) => line.split(' ').at(-2)));
    const missing = liveFiles(world.catalog).filter((line) => !known.has(line));
    expect(missing.filter((line) => !hashes.has(line.split(' ').at(-2)))).toEqual([]);
    expect(missing.length).toBeLessThan(8);
  });
});

test('one wrong letter in a name that a journal tells is noticed', async () => {
  const world = await makeWorld();
  spoilCopies(world.catalog, world.sim.directory);
  const { stream, digest } = endOf(world, 1);
  const { offset } = digest.journal;
  const position = stream.indexOf('/first name\n', offset, 'latin1') + 1;
  expect(position).toBeGreaterThan(offset);
  const path = join(world.sim.directory, `${FIRST}.tap`);
  const bytes = readFileSync(path);
  const at = bytes.indexOf(stream.subarray(position - 100, position + 20)) + 100;
  expect(bytes.toString('latin1', at, at + 5)).toBe('first');
  bytes[at] = 'F'.charCodeAt(0);
  writeFileSync(path, bytes);
  const { catalog, events } = await recoverWorld(world);
  const warnings = events.flatMap((event) => (event.event === 'warning' ? [event.message] : []));
  expect(warnings.join()).toMatch(/not what was written/);
  expect(findings(catalog)).toEqual([]);
  const { tree } = await world.restore({ catalog });
  expect(readFileSync(join(tree, 'first name'), 'latin1')).toBe('of two');
  expect(existsSync(join(tree, 'First name'))).toBe(false);
});

test('an archive without its end: its whole members are there', async () => {
  const world = await makeWorld();
  spoilCopies(world.catalog, world.sim.directory);
  spoilDigest(world, 1);
  const { catalog, report } = await recoverWorld(world);
  expect(findings(catalog)).toEqual([]);
  expect(report.snapshots).toBe(3);
  const known = new Set(liveFiles(catalog));
  const hashes = new Set([...known].map((line) => line.split(' ').at(-2)));
  const missing = liveFiles(world.catalog).filter((line) => !known.has(line));
  expect(missing.filter((line) => !hashes.has(line.split(' ').at(-2)))).toEqual([]);
  const { tree } = await world.restore({ catalog });
  for (const name of ['first name', 'second name', 'sparse'])
    expect(readFileSync(join(tree, name)).equals(readFileSync(join(world.source, name)))).toBe(
      true,
    );
  expect(statSync(join(tree, 'first name')).ino).toBe(statSync(join(tree, 'second name')).ino);
});

test('a cartridge that says it is another is left out, with a sentence', async () => {
  const world = await makeWorld();
  const { directory } = world.sim;
  copyFileSync(join(directory, `${FIRST}.tap`), join(directory, 'BKP002L8.tap'));
  const { catalog, report, events } = await recoverWorld(world);
  expect(report.leftOut).toEqual(['BKP002L8']);
  const warnings = events.flatMap((event) => (event.event === 'warning' ? [event.message] : []));
  expect(warnings).toEqual([expect.stringMatching(/BKP002L8 is left out.*labelled BKP001L8/)]);
  expectSameLines(restorable(catalog), restorable(world.catalog));
});

test('places that other journals claim on an archive do not count against its own', async () => {
  const world = await makeWorld();
  spoilCopies(world.catalog, world.sim.directory);
  // A duplicate's place a block further on: what stands there is something else.
  const path = join(world.sim.directory, `${FIRST}.tap`);
  const bytes = readFileSync(path);
  const duplicate = /\tduplicate\t[^\n]*\tBKP001L8:(\d+):(\d+)\+/g;
  let changed = 0;
  const text = bytes.toString('latin1').replace(duplicate, (line, _file: string, block: string) => {
    changed += 1;
    const other = String(Number(block) + 1).padStart(block.length, '0');
    return other.length === block.length ? line.replace(`:${block}+`, `:${other}+`) : line;
  });
  expect(changed).toBeGreaterThan(0);
  // As if their proofs had been forged too: they say they have none.
  writeFileSync(path, Buffer.from(text.replaceAll('\tproofs\n', '\tproofz\n'), 'latin1'));
  const { catalog } = await recoverWorld(world);
  expectSameLines(restorable(catalog), restorable(world.catalog));
  const restored = await world.restore({ catalog });
  expect(differences(world.source, restored.tree)).toBe('');
});
