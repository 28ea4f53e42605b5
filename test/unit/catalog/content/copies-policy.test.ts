/** Which contents are short of copies, against a model that looks at every byte: copies are cut anywhere, lie anywhere, are damaged anywhere. */
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { type Random, seededRandom } from '../../../../src/base/random.ts';
import type { Catalog } from '../../../../src/catalog/catalog.ts';
import {
  type CopiesPolicy,
  copiesOf,
  scarceArchives,
  shortageOf,
} from '../../../../src/catalog/content/copies-policy.ts';
import { Media } from '../../../../src/catalog/shelf/media.ts';
import { seedCount } from '../../../sim/seeds.ts';
import { world } from '../scratch.ts';

const SIZE = 12;
const MEDIA_STATES = ['full', 'full', 'full', 'filling', 'suspect'] as const;

type Extent = { readonly content: number; readonly from: number; readonly to: number };
type Copy = { readonly medium: number; readonly isGood: boolean; readonly isFresh: boolean };
type Archive = { readonly id: number; readonly extents: Extent[]; readonly copies: Copy[] };
type Model = {
  readonly archives: Archive[];
  readonly damages: { readonly archive: number; readonly medium: number; readonly at: number }[];
  readonly media: { readonly id: number; readonly isGood: boolean; readonly isOffsite: boolean }[];
  /** Contents by their bytes: two may have the same. */
  readonly bytesOf: number[];
};

function pick(random: Random, below: number): number {
  return below < 1 ? 0 : random.below(below);
}

function isLucky(random: Random, share: number): boolean {
  return random.below(1000) < share * 1000;
}

/** Extents of a content follow each other in the stream, ten bytes apart, so that damage of one touches no other. */
function position({ content, from }: Extent): number {
  return content * 1000 + from * 10;
}

function build(catalog: Catalog, poolId: number, random: Random): Model {
  const run = (sql: string, ...values: (number | string | Buffer | null)[]) =>
    catalog.prepare(sql).run(...values);
  const media = MEDIA_STATES.map((state, index) => {
    const id = index + 10;
    const isOffsite = index === 1;
    run(
      `INSERT INTO media(id, barcode, kind, pool, state, capacity_bytes, written_bytes, next_file, next_block,
         write_generation, location, created_ms) VALUES(?, ?, 'tape', ?, ?, 1, 0, 1, 1, 1, ?, 0)`,
      ...[id, `COP00${index}L9`, poolId, state, isOffsite ? 1 : null],
    );
    return { id, isGood: state !== 'suspect', isOffsite };
  });
  const bytesOf = Array.from({ length: 6 }, () => pick(random, 5));
  for (const [index, bytes] of bytesOf.entries()) {
    const hash = createHash('sha256').update(String(bytes)).digest();
    run('INSERT INTO contents(id, size, hash) VALUES(?, ?, ?)', index + 2, SIZE, hash);
    run('INSERT INTO content_keys VALUES(?, ?, ?)', SIZE, hash.readUIntBE(0, 6), index + 2);
  }
  const model: Model = { archives: [], damages: [], media, bytesOf };
  const archives = 4 + pick(random, 4);
  for (let id = 1; id <= archives; id += 1) addArchive(model, id, random);
  for (const archive of model.archives) write(run, archive);
  for (const { archive, medium, at } of model.damages)
    run('INSERT OR IGNORE INTO damages VALUES(?, ?, ?, 10)', archive, medium, at);
  return model;
}

function addArchive({ archives, damages, media, bytesOf }: Model, id: number, random: Random) {
  const extents: Extent[] = [];
  for (const index of bytesOf.keys()) {
    if (isLucky(random, 0.4)) continue;
    const cuts = [0, SIZE, ...Array.from({ length: pick(random, 3) }, () => pick(random, SIZE))];
    const edges = [...new Set(cuts)].sort((a, b) => a - b);
    for (const [at, from] of edges.slice(0, -1).entries())
      if (isLucky(random, 0.85))
        extents.push({ content: index + 2, from, to: edges[at + 1] ?? SIZE });
  }
  const copies = media
    .filter(() => isLucky(random, 0.45))
    .map(({ id: medium }) => ({
      medium,
      isGood: isLucky(random, 0.9),
      isFresh: isLucky(random, 0.9),
    }));
  archives.push({ id, extents, copies });
  for (const { medium } of copies) {
    const damaged = extents[pick(random, extents.length * 3)];
    if (damaged) damages.push({ archive: id, medium, at: position(damaged) });
  }
}

function write(
  run: (sql: string, ...values: (number | string | null)[]) => unknown,
  { id, extents, copies }: Archive,
): void {
  run(
    `INSERT INTO archives(id, uuid, sequence, state, block_bytes, length_bytes, length_blocks, blake3, created_ms, committed_ms)
     VALUES(?, ?, 1, 'good', 512, 100000, 1, x'00', 0, 0)`,
    ...[id, `archive ${id}`],
  );
  for (const extent of extents)
    run(
      'INSERT INTO extents VALUES(?, ?, ?, ?, ?, NULL, 0)',
      ...[extent.content, extent.from, id, position(extent)],
      extent.to === SIZE ? null : extent.to - extent.from,
    );
  for (const { medium, isGood, isFresh } of copies)
    run(
      'INSERT INTO archive_copies VALUES(?, ?, ?, 0, ?, ?, NULL)',
      ...[id, medium, id, isGood ? 'good' : 'bad', isFresh ? 1_000_000 : 0],
    );
}

/** The fewest media that hold any one byte. */
function counted(model: Model, content: number) {
  const same = new Set(
    model.bytesOf.flatMap((bytes, at) => (bytes === model.bytesOf[content - 2] ? [at + 2] : [])),
  );
  const least = { written: 99, fresh: 99, offsite: 99 };
  for (let byte = 0; byte < SIZE; byte += 1) {
    const media = {
      written: new Set<number>(),
      fresh: new Set<number>(),
      offsite: new Set<number>(),
    };
    for (const { id, extents, copies } of model.archives)
      for (const extent of extents) {
        if (!same.has(extent.content) || byte < extent.from || byte >= extent.to) continue;
        for (const { medium, isGood, isFresh } of copies) {
          const known = model.media.find((one) => one.id === medium);
          const isDamaged = model.damages.some(
            (one) => one.archive === id && one.medium === medium && one.at === position(extent),
          );
          if (!isGood || !known?.isGood || isDamaged) continue;
          media.written.add(medium);
          if (isFresh) media.fresh.add(medium);
          if (isFresh && known.isOffsite) media.offsite.add(medium);
        }
      }
    for (const key of ['written', 'fresh', 'offsite'] as const)
      least[key] = Math.min(least[key], media[key].size);
  }
  return least;
}

test('contents are short where a model that looks at every byte says so', () => {
  const { catalog } = world();
  const poolId = new Media(catalog).ensurePool('copies').id;
  catalog.prepare("INSERT INTO locations(id, name, is_offsite) VALUES(1, 'bank', 1)").run();
  const policy: CopiesPolicy = { poolId, copies: 2, offsite: 0, readBackMs: undefined };
  let short = 0;
  for (let seed = 1; seed <= seedCount({ usual: 10, soak: 3000 }); seed += 1) {
    const random = seededRandom(seed);
    catalog.write(() => {
      for (const table of ['damages', 'archive_copies', 'extents', 'archives', 'content_keys'])
        catalog.prepare(`DELETE FROM ${table}`).run();
      catalog.prepare('DELETE FROM contents WHERE id > 1').run();
      catalog.prepare('DELETE FROM media WHERE id >= 10').run();
    });
    const model = catalog.write(() => build(catalog, poolId, random));
    for (const one of [
      policy,
      { ...policy, copies: 1 + pick(random, 3), offsite: pick(random, 2) },
      { ...policy, readBackMs: catalog.clock.nowMs() - 500_000 },
    ]) {
      const fresh = (content: number) => {
        const found = counted(model, content);
        return one.readBackMs === undefined
          ? { ...found, fresh: found.written, offsite: offsiteOf(model, content) }
          : found;
      };
      const inPool = contentsInPool(model);
      const expected = inPool.filter((content) => {
        const found = fresh(content);
        return found.fresh < one.copies || found.offsite < one.offsite;
      });
      expect(shortageOf(catalog, one).contents, `seed ${seed}`).toBe(expected.length);
      short += expected.length;
      for (const content of inPool) {
        const { fresh: copies, offsite } = fresh(content);
        expect(copiesOf(catalog, content, one), `seed ${seed}`).toEqual({ copies, offsite });
      }
      const scarce = new Set(scarceArchives(catalog, one).map(({ archiveId }) => archiveId));
      for (const { id, copies } of model.archives)
        if (!model.damages.some(({ archive }) => archive === id) && scarce.has(id))
          expect(copies.filter(({ isGood }) => isGood).length).toBeGreaterThan(0);
    }
  }
  expect(short).toBeGreaterThan(20);
});

function offsiteOf(model: Model, content: number): number {
  const archives = model.archives.map((archive) => ({
    ...archive,
    copies: archive.copies.map((copy) => ({ ...copy, isFresh: true })),
  }));
  return counted({ ...model, archives }, content).offsite;
}

/** Some of it lies in an archive that the pool has. */
function contentsInPool({ archives, bytesOf }: Model): number[] {
  const held = archives
    .filter(({ copies }) => copies.length > 0)
    .flatMap(({ extents }) => extents.map(({ content }) => content));
  return [...new Set(held)].filter((content) => content - 2 < bytesOf.length);
}
