/**
 * Whole backups beside named peers: `npm run bench -- backup [--full] [--rounds N] [--only large,small,rescan] ...`.
 * In each round every program has its turn, on the same tree in a tmpfs; ours is the whole process, from its start to its
 * exit, with a fresh catalog and a fresh cartridge. A target is met where the figure is on the right side of it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { archivers, type Contender, find, shelfs, tar } from './contender.ts';
import type { Usage } from './program.ts';
import { expectTmpfs, largeFiles, smallFiles, type Tree, tinyFiles } from './trees.ts';

export type BackupSizes = {
  readonly largeFiles: number;
  readonly largeMib: number;
  readonly smallFiles: number;
  readonly rescanFiles: number;
};

/** What the targets are meant for. */
export const FULL: BackupSizes = {
  largeFiles: 20,
  largeMib: 256,
  smallFiles: 100_000,
  rescanFiles: 1_000_000,
};
/** Beside others on one machine. */
export const MODEST: BackupSizes = {
  largeFiles: 4,
  largeMib: 256,
  smallFiles: 20_000,
  rescanFiles: 100_000,
};

export type BackupOptions = {
  readonly sizes: BackupSizes;
  readonly rounds: number;
  readonly only: readonly string[];
  readonly peers: boolean;
  readonly directory: string;
};

const TARGETS = {
  largeToTar: 1.3,
  largeBytesPerSecond: 1.2e9,
  smallToTar: 1.5,
  rescanToFind: 2,
  archiversToOurs: 3,
  peakRssBytes: 400 * 2 ** 20,
};

type Result = { readonly contender: Contender; readonly usages: readonly Usage[] };

export function backup(options: BackupOptions): void {
  const { sizes, only, directory } = options;
  const largeBytes = sizes.largeFiles * sizes.largeMib * 2 ** 20;
  // A page of 4 KiB and an inode of 1 KiB for each; two repositories beside the tree.
  const neededBytes = Math.max(
    3 * largeBytes,
    sizes.smallFiles * 40_000,
    sizes.rescanFiles * 7_000,
  );
  expectTmpfs(directory, neededBytes);
  const workloads = { large, small, rescan };
  for (const [name, workload] of Object.entries(workloads)) {
    if (only.length > 0 && !only.includes(name)) continue;
    const here = mkdtempSync(join(directory, 'shelfs-bench-'));
    try {
      workload(here, options);
    } finally {
      rmSync(here, { recursive: true });
    }
  }
}

function large(here: string, { sizes, rounds, peers }: BackupOptions): void {
  const bytes = sizes.largeMib * 2 ** 20;
  const tree = largeFiles(join(here, 'tree'), { files: sizes.largeFiles, bytes });
  title('large', tree, rounds);
  const ours = shelfs(here);
  const results = alternate(tree, [ours, tar(), ...(peers ? archivers(here) : [])], rounds);
  const [own] = results;
  print(tree, results);
  printOnce(tree, shelfs(here, { name: 'with SHA-256', settings: SHA256 }));
  ratio('large, wall to tar', perRound(own, results[1]), TARGETS.largeToTar, 'most');
  const speed = tree.bytes / median(own?.usages.map(({ wallSeconds }) => wallSeconds) ?? []);
  ratio('large, GB/s', speed / 1e9, TARGETS.largeBytesPerSecond / 1e9, 'least');
  printCpu('large', own, results.slice(1));
  printArchivers(own, results.slice(2));
  printRss('large', ours.ends);
}

function small(here: string, { sizes, rounds, peers }: BackupOptions): void {
  const tree = smallFiles(join(here, 'tree'), { files: sizes.smallFiles, kibMax: 16 });
  title('small', tree, rounds);
  const ours = shelfs(here);
  const results = alternate(tree, [ours, tar(), ...(peers ? archivers(here) : [])], rounds);
  const [own] = results;
  print(tree, results);
  printOnce(tree, shelfs(here, { name: 'with SHA-256', settings: SHA256 }));
  ratio('small, wall to tar', perRound(own, results[1]), TARGETS.smallToTar, 'most');
  printCpu('small', own, results.slice(1));
  printArchivers(own, results.slice(2));
  printRss('small', ours.ends);
}

function rescan(here: string, { sizes, rounds, peers }: BackupOptions): void {
  const tree = tinyFiles(join(here, 'tree'), sizes.rescanFiles);
  title('rescan', tree, rounds);
  const ours = shelfs(here);
  const contenders = [ours, find(), ...(peers ? archivers(here) : [])];
  for (const contender of contenders) {
    contender.prepare(tree);
    // Stored once before; what is measured finds nothing changed.
    if (contender.name.startsWith('find')) continue;
    line(`${contender.name}, at first`, tree, [contender.run(tree)]);
  }
  printRss('first backup', ours.ends);
  const usages = contenders.map((): Usage[] => []);
  for (let round = 0; round < rounds; round += 1)
    for (const [index, contender] of contenders.entries()) usages[index]?.push(contender.run(tree));
  const results = contenders.map((contender, index) => ({
    contender,
    usages: usages[index] ?? [],
  }));
  for (const contender of contenders) contender.clear();
  const [own] = results;
  print(tree, results);
  ratio('rescan, wall to find', perRound(own, results[1]), TARGETS.rescanToFind, 'most');
  printCpu('rescan', own, results.slice(1));
  printArchivers(own, results.slice(2));
  printRss('rescan', ours.ends.slice(1));
}

const SHA256 = '\n[archive]\nsha256 = "always"\n';

/** Each with a fresh state, in turn. */
function alternate(tree: Tree, contenders: readonly Contender[], rounds: number): Result[] {
  const usages = contenders.map((): Usage[] => []);
  for (let round = 0; round < rounds; round += 1) {
    for (const [index, contender] of contenders.entries()) {
      contender.prepare(tree);
      usages[index]?.push(contender.run(tree));
      contender.clear();
    }
  }
  return contenders.map((contender, index) => ({ contender, usages: usages[index] ?? [] }));
}

function printOnce(tree: Tree, contender: Contender): void {
  line(contender.name, tree, alternate(tree, [contender], 1)[0]?.usages ?? []);
}

function printArchivers(own: Result | undefined, others: readonly Result[]): void {
  for (const other of others) {
    const name = `${other.contender.name}, wall to ours`;
    ratio(name, perRound(other, own), TARGETS.archiversToOurs, 'least');
  }
}

function printRss(name: string, ends: readonly { readonly peakRssBytes: number }[]): void {
  const peak = Math.max(...ends.map(({ peakRssBytes }) => peakRssBytes)) / 2 ** 20;
  ratio(`${name}, peak MiB`, peak, TARGETS.peakRssBytes / 2 ** 20, 'most');
}

/** The median of the rounds' own ratios: what disturbs one round disturbs both sides of it. */
export function perRound(
  one: Pick<Result, 'usages'> | undefined,
  other: Pick<Result, 'usages'> | undefined,
  figure: 'wallSeconds' | 'cpuSeconds' = 'wallSeconds',
): number {
  const pairs = one?.usages.map(
    (usage, round) => usage[figure] / (other?.usages[round]?.[figure] ?? Number.NaN),
  );
  return median(pairs ?? []);
}

/** Beside the wall, which says little where others work on the same processors. */
function printCpu(name: string, own: Result | undefined, peers: readonly Result[]): void {
  for (const peer of peers) {
    const found = perRound(own, peer, 'cpuSeconds').toFixed(2).padStart(7);
    console.log(`  ${`${name}, cpu to ${peer.contender.name}`.padEnd(30)} ${found}`);
  }
}

function title(name: string, { files, bytes }: Tree, rounds: number): void {
  console.log(`${name}: ${files} files, ${(bytes / 1e9).toFixed(2)} GB, ${rounds} rounds`);
}

function print(tree: Tree, results: readonly Result[]): void {
  for (const { contender, usages } of results) line(contender.name, tree, usages);
}

export function line(name: string, { files, bytes }: Tree, usages: readonly Usage[]): void {
  const of = (figure: (usage: Usage) => number) => median(usages.map(figure));
  const wall = of(({ wallSeconds }) => wallSeconds);
  const rates = `${(bytes / wall / 1e9).toFixed(2)} GB/s, ${(files / wall / 1000).toFixed(1)}k files/s`;
  const cpu = of(({ cpuSeconds }) => cpuSeconds).toFixed(2);
  const rss = Math.round(of(({ peakRssBytes }) => peakRssBytes) / 2 ** 20);
  console.log(
    `  ${name.padEnd(18)} wall ${wall.toFixed(2).padStart(6)} s  cpu ${cpu.padStart(6)} s  ${String(rss).padStart(4)} MiB  ${rates}`,
  );
}

export function ratio(name: string, found: number, target: number, better: 'least' | 'most'): void {
  const isMet = better === 'most' ? found <= target : found >= target;
  const sign = better === 'most' ? '<=' : '>=';
  console.log(
    `  ${name.padEnd(24)} ${found.toFixed(2).padStart(7)} | target ${sign} ${target} | ${isMet ? 'met' : 'missed'}`,
  );
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
