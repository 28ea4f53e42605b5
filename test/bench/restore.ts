/**
 * A whole restore beside `tar -xf` of the same tree: `npm run bench -- restore [--full] [--rounds N] [--small-files N]`. Both
 * write into a fresh directory of the same tmpfs; ours proves every byte and gives names only to what is on disk.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { line, perRound, ratio } from './backup.ts';
import { shelfs } from './contender.ts';
import { measure, run, type Usage } from './program.ts';
import { expectTmpfs, smallFiles } from './trees.ts';

const TARGETS = { cpuToTar: 5, peakRssMib: 400 };

export type RestoreOptions = {
  readonly files: number;
  readonly rounds: number;
  readonly directory: string;
};

export function restore({ files, rounds, directory }: RestoreOptions): void {
  // The tree, its tar, its cartridge and what is restored, each with a page and an inode a file.
  expectTmpfs(directory, files * 60_000);
  const here = mkdtempSync(join(directory, 'shelfs-bench-'));
  try {
    const tree = smallFiles(join(here, 'tree'), { files, kibMax: 16 });
    const ours = shelfs(here);
    const archive = join(here, 'tree.tar');
    run({ argv: ['tar', '-C', here, '-cf', archive, 'tree'] });
    ours.prepare(tree);
    ours.run(tree);
    const own: Usage[] = [];
    const peer: Usage[] = [];
    for (let round = 0; round < rounds; round += 1) {
      own.push(into(here, (to) => ours.restore(tree, to)));
      peer.push(
        into(here, (to) => measure({ argv: ['tar', '-C', to, '-xf', archive] }, 'quiet').usage),
      );
    }
    console.log(`restore: ${files} files, ${(tree.bytes / 1e9).toFixed(2)} GB, ${rounds} rounds`);
    line('shelfs', tree, own);
    line('tar -x', tree, peer);
    const results = [{ usages: own }, { usages: peer }] as const;
    ratio('restore, cpu to tar', perRound(...results, 'cpuSeconds'), TARGETS.cpuToTar, 'most');
    const peakMib = Math.max(...own.map(({ peakRssBytes }) => peakRssBytes)) / 2 ** 20;
    ratio('restore, peak MiB', peakMib, TARGETS.peakRssMib, 'most');
  } finally {
    rmSync(here, { recursive: true });
  }
}

function into(here: string, work: (to: string) => Usage): Usage {
  const to = join(here, 'to');
  mkdirSync(to);
  const usage = work(to);
  rmSync(to, { recursive: true });
  return usage;
}
