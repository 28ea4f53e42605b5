/** The architecture as a test: which folder may import which, and no cycles. It judges nothing else. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { expect, test } from 'vitest';

const PURE = ['base', 'domain'];

/** What each folder (or file at the top) of src may import besides itself. A name not listed here fails. */
const FLOORS: Record<string, readonly string[]> = {
  base: [],
  domain: ['base'],
  config: PURE,
  'config.ts': [...PURE, 'config'],
  source: PURE,
  hash: PURE,
  pack: PURE,
  archive: PURE,
  device: PURE,
  notify: PURE,
  catalog: PURE,
  storage: [...PURE, 'archive', 'device'],
  recall: [...PURE, 'hash', 'archive', 'catalog', 'storage'],
  mount: [...PURE, 'catalog'],
  job: [...PURE, 'config.ts', 'source', 'hash', 'pack', 'archive', 'catalog', 'storage', 'recall'],
  cli: [...PURE, 'config.ts', 'job', 'storage', 'wire.ts'],
  'wire.ts': [
    ...PURE,
    'config.ts',
    'device',
    'catalog',
    'storage',
    'mount',
    'job',
    'notify',
    'wire',
    'recall',
  ],
  wire: [
    ...PURE,
    'config.ts',
    'source',
    'device',
    'hash',
    'catalog',
    'storage',
    'recall',
    'mount',
    'notify',
    'job',
  ],
  'main.ts': ['base', 'cli'],
};

const TREE = ['.', 'row', 'tree'];
const STORED = [...TREE, 'shelf', 'content'];

/** The same within catalog/, of its rooms; '.' are the files at its top. ARCHITECTURE.md says what each is about. */
const CATALOG_FLOORS: Record<string, readonly string[]> = {
  '.': [],
  row: ['.'],
  job: ['.'],
  'run-db': ['.'],
  file: ['.'],
  tree: ['.', 'row'],
  shelf: ['.'],
  content: [...TREE, 'shelf'],
  restore: STORED,
  expiry: [...STORED, 'job'],
  care: [...STORED, 'job', 'restore', 'expiry'],
  pending: STORED,
  run: [...STORED, 'expiry', 'pending'],
  rebuild: [...STORED, 'pending', 'run'],
};

/** Type-only imports count too: they bind a folder to another's words just the same. */
const IMPORT =
  /(?:^|[\n;])\s*(?:import|export)\s[^'"`;]*?from\s*['"]([^'"]+)['"]|\bimport\s*\(\s*['"]([^'"]+)['"]\s*\)|(?:^|[\n;])\s*import\s*['"]([^'"]+)['"]/g;

type Sources = ReadonlyMap<string, string>;

function readSources(root: string): Sources {
  const sources = new Map<string, string>();
  for (const entry of readdirSync(root, { recursive: true, encoding: 'utf8' })) {
    if (entry.endsWith('.ts')) sources.set(entry, readFileSync(join(root, entry), 'utf8'));
  }
  return sources;
}

function importsOf(file: string, text: string): string[] {
  return [...text.matchAll(IMPORT)]
    .map((match) => match[1] ?? match[2] ?? match[3] ?? '')
    .filter((path) => path.startsWith('.'))
    .map((path) => normalize(join(dirname(file), path)));
}

type Floors = {
  readonly floors: Readonly<Record<string, readonly string[]>>;
  /** Undefined where the file is of another part of src. */
  readonly roomOf: (file: string) => string | undefined;
};

const WHOLE: Floors = { floors: FLOORS, roomOf: (file) => file.split('/')[0] };
const CATALOG: Floors = {
  floors: CATALOG_FLOORS,
  roomOf: (file) => (file.startsWith('catalog/') ? dirname(relative('catalog', file)) : undefined),
};

function violations(sources: Sources, { floors, roomOf }: Floors = WHOLE): string[] {
  const found: string[] = [];
  for (const [file, text] of sources) {
    const room = roomOf(file);
    if (room === undefined) continue;
    const allowed = floors[room];
    if (!allowed) found.push(`${file}: ${room} has no floor`);
    for (const target of importsOf(file, text)) {
      if (!sources.has(target)) found.push(`${file}: imports ${target}, which is not there`);
      const to = roomOf(target);
      if (to !== undefined && to !== room && !allowed?.includes(to))
        found.push(`${file}: ${room} may not import ${to} (${target})`);
    }
  }
  return found;
}

/** The first cycle found, as a chain of files; empty when there is none. */
function cycle(sources: Sources): string[] {
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): string[] => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return [];
    for (const target of importsOf(file, sources.get(file) ?? '')) {
      const found = visit(target, [...path, file]);
      if (found.length > 0) return found;
    }
    done.add(file);
    return [];
  };
  for (const file of sources.keys()) {
    const found = visit(file, []);
    if (found.length > 0) return found;
  }
  return [];
}

const sources = readSources(join(import.meta.dirname, '..', 'src'));
const planted = (file: string, line: string) =>
  new Map(sources).set(file, `${line}\n${sources.get(file) ?? ''}`);

test('every folder imports only from the floors below', () =>
  expect(violations(sources)).toEqual([]));

test('every room of the catalog imports only from the rooms below', () =>
  expect(violations(sources, CATALOG)).toEqual([]));

test('there are no cycles', () => expect(cycle(sources)).toEqual([]));

test.each([
  ['base/clock.ts', "import { wire } from '../wire.ts';"],
  ['domain/barcode.ts', "import type { Drive } from '../device/drive.ts';"],
  ['job/init.ts', "import {\n  Drive,\n} from '../device/drive.ts';"],
  ['device/drive.ts', "export { Library } from '../storage/library.ts';"],
  ['storage/library.ts', "const job = await import('../job/init.ts');"],
  ['novelty/new.ts', 'export {};'],
  ['base/text.ts', "import '../main.ts';"],
])('a planted violation in %s is found', (file, line) => {
  expect(violations(planted(file, line))).not.toEqual([]);
});

test.each([
  ['catalog/catalog.ts', "import { Packed } from './row/packed.ts';"],
  ['catalog/tree/tree.ts', "import type { Run } from '../run/run.ts';"],
  ['catalog/novelty/new.ts', 'export {};'],
  ['catalog/run/within/new.ts', 'export {};'],
])('a planted violation in %s is found among the rooms of the catalog', (file, line) => {
  expect(violations(planted(file, line), CATALOG)).not.toEqual([]);
});

test.each([
  ['base/bytes.ts', "import type { X } from './bytes.ts';"],
  ['device/sense.ts', "import type { Drive } from './drive.ts';"],
])('a planted cycle in %s is found', (file, line) => {
  expect(cycle(planted(file, line))).not.toEqual([]);
});
