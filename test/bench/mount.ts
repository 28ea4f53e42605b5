/**
 * The mount: `npm run bench -- mount [--full] [--files N] [--rounds N]`, as root. How soon a catalog of many files is mounted and
 * walked with nothing cached, what a look costs while another process commits as many rows again, and what is staged
 * against the bare file: as root the kernel reads it by itself (passthrough), for an ordinary user the program does.
 */
import { strict as assert } from 'node:assert';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../src/base/clock.ts';
import { systemHost } from '../../src/base/machine.ts';
import { seededRandom } from '../../src/base/random.ts';
import { Catalog } from '../../src/catalog/catalog.ts';
import { CATALOG_FILE } from '../../src/config.ts';
import { ratio } from './backup.ts';
import { fillCatalog } from './filled-catalog.ts';
import { measure, run } from './program.ts';
import { expectTmpfs, largeFiles } from './trees.ts';

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const WRITER = fileURLToPath(new URL('mount-writer.ts', import.meta.url));
const FILES_A_DIRECTORY = 1000;
/** How many of them a walk takes; a catalog may have more. */
const WALKED_FILES = 1_000_000;
const TARGETS = {
  mountSeconds: 1,
  namesPerSecond: 250_000,
  sizesPerSecond: 150_000,
  rssMib: 300,
  statMs: 50,
  passthroughShare: 0.95,
  servedGbs: 2,
  copyShare: 0.9,
};

export type MountOptions = {
  readonly files: number;
  readonly rounds: number;
  /** Of the one large file, and of the tree that is copied. */
  readonly contentMib: number;
  readonly directory: string;
};

export async function mount(options: MountOptions): Promise<void> {
  if (process.getuid?.() !== 0) {
    console.log('mount: left out, only root can mount as each of its users');
    return;
  }
  // Both kinds of contents, each in the source, on tape, in the stage, and one copy; 300 bytes a file of the catalog.
  expectTmpfs(options.directory, options.contentMib * 2 ** 20 * 5 + options.files * 600);
  await metadata(options);
  contents(options);
}

class Bed {
  readonly at: string;
  readonly state: string;
  readonly here: string;

  /** @param stage on the disk that the peers of what is staged lie on; default: beside all else */
  constructor(directory: string, stage?: string) {
    this.here = mkdtempSync(join(directory, 'shelfs-bench-'));
    chmodSync(this.here, 0o755);
    this.state = join(this.here, 'state');
    this.at = join(this.here, 'mount');
    mkdirSync(this.at);
    this.run('init', '--virtual', '1');
    const config = join(this.state, 'config.toml');
    writeFileSync(config, readFileSync(config, 'utf8').replace('"model"', '"instant"'));
    appendFileSync(config, '\n[recall]\nhold = 0\n');
    if (stage) appendFileSync(config, `\n[stage]\ndirectory = "${stage}"\n`);
  }

  argv(...words: string[]): string[] {
    return [process.execPath, MAIN, '--state', this.state, ...words];
  }

  run(...words: string[]): void {
    run({ argv: this.argv(...words) });
  }

  /** @returns its process, and how long it took from the command to the prompt */
  mount(): { pid: number; seconds: number } {
    const { usage, stdout } = measure({ argv: this.argv('mount', this.at, '--json') }, 'kept');
    return { pid: JSON.parse(stdout).pid, seconds: usage.wallSeconds };
  }

  unmount(): void {
    this.run('umount', this.at);
  }

  close(): void {
    spawnSync('umount', ['-l', this.at], { stdio: 'ignore' });
    rmSync(this.here, { recursive: true });
  }
}

async function metadata({ files, directory }: MountOptions): Promise<void> {
  const bed = new Bed(directory);
  try {
    const shape = {
      host: systemHost().name,
      directories: Math.ceil(files / FILES_A_DIRECTORY),
      filesEach: FILES_A_DIRECTORY,
    };
    const path = join(bed.state, CATALOG_FILE);
    const catalog = Catalog.open(path, { mode: 'write', clock: systemClock });
    fillCatalog(catalog, shape);
    catalog.close();

    const data = join(bed.at, 'data');
    const walked = Math.min(shape.directories, WALKED_FILES / FILES_A_DIRECTORY);
    const walk = (...what: string[]) => {
      const names = Array.from({ length: walked }, (_, index) => directoryOf(data, index));
      const { usage, stdout } = measure({ argv: ['find', ...names, ...what] }, 'kept');
      return stdout.trimEnd().split('\n').length / usage.wallSeconds;
    };
    console.log(`mount: catalog of ${shape.directories * FILES_A_DIRECTORY} files`);
    const first = bed.mount();
    ratio('mount, seconds to mount', first.seconds, TARGETS.mountSeconds, 'most');
    const names = walk('-type', 'f');
    ratio('mount, find -type f, entries/s', names, TARGETS.namesPerSecond, 'least');
    bed.unmount();
    const second = bed.mount();
    const sizes = walk('-type', 'f', '-printf', '%s\\n');
    ratio('mount, find -printf %s, entries/s', sizes, TARGETS.sizesPerSecond, 'least');

    const looks = await looksBeside(bed, shape);
    ratio('mount, stat beside a writer, worst ms', looks.worstMs, TARGETS.statMs, 'most');
    console.log(
      `  ${looks.count} looks in ${looks.seconds.toFixed(1)} s, ${looks.late} of over 10 ms`,
    );
    ratio('mount, peak MiB', peakMib(second.pid), TARGETS.rssMib, 'most');
    bed.unmount();
  } finally {
    bed.close();
  }
}

const directoryOf = (data: string, index: number) =>
  join(data, `d${String(index).padStart(5, '0')}`);

/** While another process commits as many rows as a walk takes. */
async function looksBeside(bed: Bed, shape: { host: string; directories: number }) {
  const random = seededRandom(1);
  const directories = Math.min(shape.directories, WALKED_FILES / FILES_A_DIRECTORY);
  const words = [bed.state, shape.host, String(directories), String(FILES_A_DIRECTORY)];
  const writer = spawn(process.execPath, [WRITER, ...words], { stdio: 'inherit' });
  const closed = once(writer, 'close');
  const startMs = performance.now();
  let [worstMs, count, late] = [0, 0, 0];
  while (writer.exitCode === null) {
    const folder = directoryOf(join(bed.at, 'data'), random.below(directories));
    const name = `picture-${String(random.below(FILES_A_DIRECTORY)).padStart(5, '0')}.jpg`;
    const beganMs = performance.now();
    lstatSync(join(folder, name));
    const tookMs = performance.now() - beganMs;
    worstMs = Math.max(worstMs, tookMs);
    count += 1;
    if (tookMs > 10) late += 1;
    await turn();
  }
  await closed;
  assert.equal(writer.exitCode, 0);
  return { worstMs, count, late, seconds: (performance.now() - startMs) / 1000 };
}

function peakMib(pid: number): number {
  const [, kib] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? [];
  return Number(kib) / 1024;
}

/** What is staged, and what it is compared with, lie in the page cache of one disk: file systems in memory read at another speed. */
function contents({ contentMib, rounds, directory }: MountOptions): void {
  const disk = mkdtempSync(join(tmpdir(), 'shelfs-bench-'));
  chmodSync(disk, 0o755);
  const bed = new Bed(directory, join(disk, 'stage'));
  try {
    const film = join(bed.here, 'film');
    largeFiles(film, { files: 1, bytes: contentMib * 2 ** 20 });
    const tree = join(bed.here, 'tree');
    const sizeMib = Math.min(100, contentMib / 8);
    largeFiles(tree, { files: Math.ceil(contentMib / sizeMib), bytes: sizeMib * 2 ** 20 });
    bed.run('source', 'add', film);
    bed.run('source', 'add', tree);
    bed.run('backup');
    bed.mount();
    run({
      argv: ['sh', '-c', 'cat "$0"/* "$1"/* >/dev/null', join(bed.at, film), join(bed.at, tree)],
    });
    const name = 'film-0000.mkv';
    const onDisk = diskCopy(disk, film);
    const [staged, bare] = [join(bed.at, film, name), join(onDisk, name)];
    console.log(`mount: ${contentMib} MiB staged, ${rounds} rounds`);
    const read = inTurn(
      rounds,
      () => dd(staged),
      () => dd(bare),
    );
    ratio('mount, dd with passthrough to the bare file', read, TARGETS.passthroughShare, 'least');
    const treeOnDisk = diskCopy(disk, tree);
    run({ argv: ['sync', '-f', disk] });
    const copied = inTurn(
      rounds,
      () => copy(bed, join(bed.at, tree)),
      () => copy(bed, treeOnDisk),
    );
    ratio('mount, cp -r to that from a disk', copied, TARGETS.copyShare, 'least');
    bed.unmount();
    // What else is large would push the staged file out of memory, and the disk would be measured.
    for (const path of [film, tree, onDisk, treeOnDisk]) rmSync(path, { recursive: true });
    run({ argv: ['chown', '-R', 'nobody:nogroup', join(disk, 'stage')] });
    const served = (contentMib * 2 ** 20 * 1e-9) / asUser(bed, staged, rounds);
    ratio('mount, dd without passthrough, GB/s', served, TARGETS.servedGbs, 'least');
  } finally {
    bed.close();
    rmSync(disk, { recursive: true });
  }
}

/** How fast ours is of the peer, both measured in turn: the median of the rounds' own ratios. */
function inTurn(rounds: number, ours: () => number, peer: () => number): number {
  const shares = Array.from({ length: rounds }, () => {
    const own = ours();
    return peer() / own;
  });
  return median(shares);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** Within one file system `cp` leaves the copying to the kernel, and between two it does not: the source itself would be no peer. */
function diskCopy(disk: string, tree: string): string {
  assert.notEqual(statSync(disk).dev, statSync(tree).dev, `${disk} is no other file system`);
  const to = join(disk, basename(tree));
  run({ argv: ['cp', '-r', tree, to] });
  return to;
}

function dd(path: string): number {
  return measure({ argv: ['dd', `if=${path}`, 'of=/dev/null', 'bs=1M'] }, 'quiet').usage
    .wallSeconds;
}

function copy(bed: Bed, from: string): number {
  const to = join(bed.here, 'copy');
  const { wallSeconds } = measure({ argv: ['cp', '-r', from, to] }, 'quiet').usage;
  rmSync(to, { recursive: true });
  return wallSeconds;
}

/** In mounts of his own, where /dev/fuse is everybody's. @returns seconds of a reading with nothing cached: the median */
function asUser(bed: Bed, path: string, rounds: number): number {
  const shelfs = bed.argv().map((word) => `'${word}'`);
  const script = [
    'mkdir -p "$0"; mount -t tmpfs none "$0"; mknod "$0/fuse" c 10 229; chmod 666 "$0/fuse"',
    'mount --bind "$0/fuse" /dev/fuse; chown -R nobody:nogroup "$1"',
    'user() { setpriv --reuid nobody --regid nogroup --clear-groups -- env HOME=/nonexistent "$@"; }',
    // With another owner a staged file is hashed anew before it is believed: that is not what is measured.
    `user ${shelfs.join(' ')} mount "$2" >/dev/null`,
    'user cat "$3" >/dev/null',
    `user ${shelfs.join(' ')} umount "$2" >/dev/null`,
    ...Array.from({ length: rounds }, () => [
      `user ${shelfs.join(' ')} mount "$2" >/dev/null`,
      'user dd if="$3" of=/dev/null bs=1M',
      `user ${shelfs.join(' ')} umount "$2" >/dev/null`,
    ]).flat(),
  ].join('\n');
  const own = join(bed.here, 'devices');
  const words = ['--mount', '--propagation', 'private', 'sh', '-ec', script];
  // Users mount only on what they may write.
  chmodSync(bed.at, 0o777);
  const { status, stderr } = spawnSync('unshare', [...words, own, bed.state, bed.at, path], {
    env: { ...process.env, LC_ALL: 'C' },
    encoding: 'latin1',
  });
  assert.equal(status, 0, stderr);
  const all = [...stderr.matchAll(/ copied, ([\d.e-]+) s/g)].map(([, seconds]) => Number(seconds));
  assert.equal(all.length, rounds);
  return median(all);
}
