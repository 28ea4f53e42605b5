/** A catalog made anew from the cartridges of a world, and what can be restored from one, to be compared with another. */
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { seededRandom, systemRandom } from '../../src/base/random.ts';
import { Catalog } from '../../src/catalog/catalog.ts';
import { checkCatalog } from '../../src/catalog/file/check.ts';
import { CATALOG_FILE } from '../../src/config.ts';
import { mergeMedia, recover } from '../../src/job/recover/recover.ts';
import type { RecoverEvent, RecoverReport } from '../../src/job/recover/report.ts';
import type { Library } from '../../src/storage/library.ts';
import { absentOperator, type Operator } from '../../src/storage/operator.ts';
import type { BackupWorld } from './backup-world.ts';
import { libraryOf } from './library-of.ts';
import { memoryLocks } from './locks.ts';
import { scratchDirectory } from './scratch.ts';
import type { SimWorld } from './world.ts';

const go = new AbortController().signal;

export type Recovered = {
  readonly catalog: Catalog;
  readonly report: RecoverReport;
  readonly events: readonly RecoverEvent[];
  readonly state: string;
};

export async function recoverWorld(
  world: BackupWorld,
  options: {
    readonly media?: readonly string[];
    readonly state?: string;
    readonly from?: Pick<SimWorld, 'library' | 'clock'>;
    /** Into the catalog of `state`, which nobody has open. */
    readonly into?: 'merge';
    readonly library?: Library;
    readonly operator?: Operator;
    /** Sees each event as it comes. */
    readonly listen?: (event: RecoverEvent) => void;
  } = {},
): Promise<Recovered> {
  const state = options.state ?? join(await scratchDirectory(), 'recovered');
  const events: RecoverEvent[] = [];
  const locks = memoryLocks();
  const { operator = absentOperator } = options;
  const report = await (options.into === 'merge' ? mergeMedia : recover)(
    {
      from: { kind: 'virtual', directory: world.sim.directory, speed: 'model' },
      media: options.media ?? [],
    },
    {
      stateDirectory: state,
      clock: world.sim.clock,
      random: options.into === 'merge' ? systemRandom : seededRandom(7),
      host: { name: 'elsewhere', system: 'test' },
      pid: process.pid,
      openLibrary: async () => options.library ?? libraryOf(options.from ?? world.sim),
      openOperator: async () => ({ operator, close: async () => {} }),
      lock: locks,
    },
    (event) => {
      events.push(event);
      options.listen?.(event);
    },
    go,
  );
  const catalog = openRecovered(world, state);
  return { catalog, report, events, state };
}

export function openRecovered(world: BackupWorld, state: string): Catalog {
  const { clock } = world.sim;
  const catalog = Catalog.open(join(state, CATALOG_FILE), { mode: 'write', clock });
  onTestFinished(() => catalog.close());
  return catalog;
}

/** What `catalog check` finds. */
export function findings(catalog: Catalog): string[] {
  return [...checkCatalog(catalog)].map(({ sentence, count }) => `${count} ${sentence}`);
}

type Row = readonly unknown[];

const ENTRIES = `
SELECT s.seconds, v.dir, v.name, i.id, i.mode, o.uid, o.gid, o.user, o.group_name, i.size, i.mtime, i.mtime_ns, i.ctime,
  i.ctime_ns, i.device, i.inode, i.links, i.target, hex(x.value), hex(c.hash), hex(c.segments), hex(c.holes), i.content
FROM snapshots s CROSS JOIN versions v ON v.since <= s.id AND (v.until IS NULL OR v.until > s.id)
  CROSS JOIN inodes i ON i.id = v.inode CROSS JOIN owners o ON o.id = i.owner
  LEFT JOIN xattrs x ON x.id = i.xattrs LEFT JOIN contents c ON c.id = i.content
WHERE s.state = 'finished' AND s.expired_by IS NULL ORDER BY s.id, v.dir, v.name`;

/** Contents each byte of which lies on a medium that can be read, by id. */
const RESTORABLE = `
SELECT c.id FROM contents c WHERE c.size = 0 OR c.size <= (
  SELECT coalesce(sum(length), 0) FROM (SELECT e.content_offset, max(coalesce(e.length, c.size - e.content_offset)) AS length
    FROM extents e JOIN archives a ON a.id = e.archive JOIN archive_copies k ON k.archive = a.id JOIN media m ON m.id = k.medium
    WHERE e.content = c.id AND a.state = 'good' AND k.state = 'good' AND m.state NOT IN ('suspect', 'retired', 'lost')
    GROUP BY e.content_offset))`;

/**
 * Every path of every snapshot that is held: attributes, hash, which names are links of each other, whether its bytes can be
 * had. A line each; ids are none of it.
 */
export function restorable(catalog: Catalog): string[] {
  const paths = pathsOf(catalog);
  const good = new Set(catalog.prepare<[number]>(RESTORABLE).all().flat());
  const lines: string[] = [];
  const firstOf = new Map<string, string>();
  const rows = catalog.prepare(ENTRIES).all();
  const snapshots = catalog
    .prepare(
      "SELECT seconds, is_partial FROM snapshots WHERE state = 'finished' AND expired_by IS NULL",
    )
    .all();
  const placed = rows
    .map((row: Row): readonly [path: string, Row] => [
      `${paths.get(Number(row[1])) ?? ''}/${String(row[2])}`,
      row,
    ])
    .toSorted(([a, one], [b, two]) =>
      one[0] === two[0] ? (a < b ? -1 : 1) : Number(one[0]) - Number(two[0]),
    );
  for (const [path, row] of placed) {
    const [seconds, , , inode, ...facts] = row;
    const content = facts.pop();
    const key = `${String(seconds)} ${String(inode)}`;
    const first = firstOf.get(key) ?? path;
    firstOf.set(key, first);
    const bytes = content === null ? '-' : good.has(Number(content)) ? 'there' : 'lost';
    lines.push(
      [seconds, JSON.stringify(path), ...facts, first === path ? '-' : first, bytes].join(' '),
    );
  }
  return [...snapshots.map((row) => `snapshot ${row.join(' ')}`), ...lines];
}

function pathsOf(catalog: Catalog): ReadonlyMap<number, string> {
  const paths = new Map<number, string>();
  const rows = catalog
    .prepare<[number, number, string]>('SELECT id, parent, name FROM directories')
    .all();
  const byId = new Map(rows.map(([id, parent, name]) => [id, { parent, name }]));
  const pathOf = (id: number): string => {
    const known = paths.get(id);
    if (known !== undefined) return known;
    const row = byId.get(id);
    const path = row ? `${pathOf(row.parent)}/${row.name}` : '';
    paths.set(id, path);
    return path;
  };
  for (const id of byId.keys()) pathOf(id);
  return paths;
}
