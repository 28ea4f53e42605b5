/** The anomaly guard on traces of ordinary life, which must be quiet, and of damage, which must not. */
import { createCipheriv, createHash } from 'node:crypto';
import { basename, dirname } from 'node:path';
import { deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../../src/base/random.ts';
import { rawOf } from '../../../src/base/raw.ts';
import { SIGNS_MIN, type SourceFacts, signsOf } from '../../../src/domain/anomaly.ts';
import { contradicts, expectationOf, isOrdinarySuffix } from '../../../src/domain/plausible.ts';
import { Life, type LifeTree } from '../../sim/ordinary-life.ts';
import { seedCount } from '../../sim/seeds.ts';

/** What a run would find between two trees: as catalog/run/facts.ts and job/backup/run-watch.ts say it. */
function factsOf(before: LifeTree, now: LifeTree): SourceFacts {
  const sum = (paths: readonly string[], tree: LifeTree) =>
    paths.reduce((bytes, path) => bytes + (tree.get(path)?.length ?? 0), 0);
  const created = [...now.keys()].filter((path) => !before.has(path));
  const gone = [...before.keys()].filter((path) => !now.has(path));
  const changed = [...now.keys()].filter((path) => {
    const old = before.get(path);
    return old !== undefined && old !== now.get(path);
  });
  const suffixes = new Map<string, number>();
  const beside = Map.groupBy(created, dirname);
  for (const path of gone) {
    const stems = [basename(path), basename(path).replace(/\.[^.]*$/, '')];
    const next = beside
      .get(dirname(path))
      ?.find((other) =>
        stems.some((stem) => stem !== '' && basename(other).startsWith(`${stem}.`)),
      );
    const suffix = next?.slice(next.lastIndexOf('.') + 1);
    if (suffix !== undefined && !isOrdinarySuffix(suffix))
      suffixes.set(suffix, (suffixes.get(suffix) ?? 0) + 1);
  }
  const [most] = [...suffixes].sort(([, a], [, b]) => b - a);
  // What moves stays the same buffer.
  const stored = new Set(before.values());
  let [sampled, odd] = [0, 0];
  for (const path of [...changed, ...created]) {
    const bytes = now.get(path) ?? Buffer.alloc(0);
    const expected = expectationOf(rawOf(basename(path)));
    if (!expected || stored.has(bytes)) continue;
    sampled += 1;
    if (contradicts(bytes, expected)) odd += 1;
  }
  const topOf = (path: string) => (path.includes('/') ? path.split('/')[0] : undefined);
  const tops = (paths: Iterable<string>) =>
    new Set([...paths].flatMap((path) => topOf(path) ?? []));
  return {
    ...{ entries: now.size, bytes: sum([...now.keys()], now), sampled, odd },
    ...{ created: created.length, createdBytes: sum(created, now), changed: changed.length },
    ...{ gone: gone.length, goneBytes: sum(gone, before) },
    ...{ renamed: most?.[1] ?? 0, suffix: most?.[0] },
    ...{ tops: tops(before.keys()).size, topsTouched: tops(gone).size },
  };
}

class Trace {
  readonly life: Life;
  readonly facts: SourceFacts[] = [];
  #before: LifeTree = new Map();

  constructor(seed: number) {
    this.life = new Life(seed);
    this.life.furnish();
    this.run();
  }

  /** A backup. @returns its signs */
  run(): string[] {
    const now = factsOf(this.#before, this.life.tree);
    this.#before = new Map(this.life.tree);
    const signs = signsOf(now, this.facts);
    this.facts.unshift(now);
    return signs.map(({ sign }) => sign);
  }
}

const SEEDS = seedCount({ usual: 6, soak: 2000 });

test('ordinary life: no alarm, whatever a week brings', () => {
  const met = new Set<string>();
  for (let seed = 0; seed < SEEDS; seed += 1) {
    const random = seededRandom(seed);
    const trace = new Trace(seed);
    const doings = Object.entries(trace.life.ordinary);
    for (let run = 0; run < 25; run += 1) {
      const today: string[] = [];
      for (let count = random.below(4); count >= 0; count -= 1) {
        const [name, does] = doings[random.below(doings.length)] ?? ['nothing', () => {}];
        does();
        today.push(name);
      }
      const signs = trace.run();
      for (const sign of signs) met.add(sign);
      const story = `seed ${seed}, run ${run}: ${today.join(', ')}: ${signs.join(', ')}`;
      expect(signs.length, story).toBeLessThan(SIGNS_MIN);
    }
  }
  // The traces are no walk in the park: single signs there are.
  expect([...met].toSorted()).toContain('much changed');
});

describe('damage is found, in the midst of ordinary life', () => {
  const weeks = (seed: number) => {
    const trace = new Trace(seed);
    const random = seededRandom(seed);
    const { checkout, mail, rotate, edit, vault, importPhotos, nothing } = trace.life.ordinary;
    const doings = [checkout, mail, rotate, edit, vault, importPhotos, nothing];
    const day = () => doings[random.below(doings.length)]?.();
    for (let run = 0; run < 10; run += 1) {
      day();
      trace.run();
    }
    return { trace, day };
  };

  test.each<[string, (life: Life) => void, string[]]>([
    ['encryption in place', ({ damage }) => damage.inPlace(0.9), ['much changed', 'contents']],
    ['of a third of all', ({ damage }) => damage.inPlace(0.45), ['much changed', 'contents']],
    ['with a new suffix', ({ damage }) => damage.newSuffix(0.8), ['contents', 'suffix']],
    ['with another suffix', ({ damage }) => damage.otherSuffix(0.8), ['suffix']],
    ['mass deletion', ({ damage }) => damage.deleted(0.95), ['deleted', 'everywhere']],
    ['deletion of most', ({ damage }) => damage.deleted(0.7), ['deleted', 'everywhere']],
  ])('%s', (_, does, expected) => {
    for (let seed = 0; seed < SEEDS; seed += 1) {
      const { trace, day } = weeks(seed);
      day();
      does(trace.life);
      const signs = trace.run();
      expect(signs, `seed ${seed}`).toEqual(expect.arrayContaining(expected));
      expect(signs.length, `seed ${seed}: ${signs}`).toBeGreaterThanOrEqual(SIGNS_MIN);
    }
  });

  test('slowly, a twentieth a day: within a week', () => {
    for (let seed = 0; seed < SEEDS; seed += 1) {
      const { trace, day } = weeks(seed);
      let days = 0;
      for (let found = 0; found < SIGNS_MIN; days += 1) {
        expect(days, `seed ${seed}`).toBeLessThan(7);
        if (days % 3 === 0) day();
        trace.life.damage.inPlace(0.05);
        found = trace.run().length;
      }
    }
  });
});

describe('what bytes say of names', () => {
  const random = seededRandom(1);
  const dense = Buffer.from(Array.from({ length: 4096 }, () => random.below(256)));
  const text = Buffer.from('a line of a letter that somebody wrote\n'.repeat(50));
  const cipher = createCipheriv('aes-256-ctr', Buffer.alloc(32, 7), Buffer.alloc(16, 9));
  test.each<[string, Buffer, boolean]>([
    ['letter.txt', text, false],
    ['letter.txt', cipher.update(text), true],
    ['letter.txt', Buffer.from(dense.toString('base64')), false],
    ['letter.txt', dense.subarray(0, 255), false],
    ['letter.txt', dense.subarray(0, 256), true],
    ['photo.JPG', Buffer.concat([Buffer.from('ffd8ffe1', 'hex'), dense]), false],
    ['photo.jpg', dense, true],
    ['photo.jpg.locked', dense, true],
    ['film.mp4', Buffer.concat([Buffer.from('00000020667479706d703432', 'hex'), dense]), false],
    ['table.xlsx', Buffer.concat([Buffer.from('504b0304', 'hex'), dense]), false],
    ['old.tar.gz', gzipSync(dense), false],
    ['main.c', deflateSync(text.subarray(0, 10)), false],
    ['empty.pdf', Buffer.alloc(0), false],
    ['zeros.pdf', Buffer.alloc(4096), false],
  ])('%s: %#', (name, bytes, expected) => {
    const expectation = expectationOf(rawOf(name));
    expect(expectation).toBeDefined();
    expect(contradicts(bytes, expectation ?? 'text')).toBe(expected);
  });

  test.each(['vault.kdbx', 'notes.txt.gpg', 'README', '.profile', 'a.b', 'letter.txt.bak'])(
    'nothing is expected of %s',
    (name) => expect(expectationOf(rawOf(name))).toBeUndefined(),
  );

  test('ciphertext of any key is seen through; digests of any input too', () => {
    for (let seed = 0; seed < 300; seed += 1) {
      const key = createHash('sha256').update(`${seed}`).digest();
      const encrypted = createCipheriv('aes-256-ctr', key, key.subarray(0, 16)).update(text);
      expect(contradicts(encrypted, 'text'), `key ${seed}`).toBe(true);
    }
  });
});
