/** The whole product on the kernel's devices, and the hands that bring the data back without it: mtx, mt, tar, sh. */
import { type ExecFileException, execFile, execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { run } from '../../../src/cli/run.ts';
import type { BackupReport } from '../../../src/job/backup/report.ts';
import type { RestoreReport } from '../../../src/job/restore/report.ts';
import { control, tapeNodes } from './world.ts';

/** The drive of the hand; the product uses it too, but never at the same time. */
export const TAPE = '/dev/nst0';
export const CHANGER = '/dev/changer';
const DISK_BYTES = 2 ** 30;

export type Result = { readonly exit: number; readonly stdout: string; readonly stderr: string };

/** A program and what it says, byte for byte; it need not succeed. */
export function execute(program: string, args: readonly string[]): Promise<Result> {
  return new Promise((resolve) => {
    execFile(
      program,
      args,
      { encoding: 'latin1', maxBuffer: 2 ** 28 },
      (error: ExecFileException | null, stdout, stderr) => {
        const exit = error ? Number(error.code ?? -1) : 0;
        resolve({ exit, stdout, stderr });
      },
    );
  });
}

/** Lines of a shell, the first that fails ends them. */
export const sh = (lines: string) => execute('sh', ['-euc', lines]);

/** A program that must succeed. @returns what it printed */
export async function succeed(program: string, ...args: string[]): Promise<string> {
  const { exit, stdout, stderr } = await execute(program, args);
  if (exit === 0) return stdout;
  throw new Error(`${program} ${args.join(' ')}: ${exit}\n${stderr}${stdout}`);
}

/**
 * An ext4 of its own: the guest's root is an overlay on tmpfs, which keeps no extended attributes of users.
 * Unmounted when the suite's machine goes; its file is sparse.
 */
export function makeDisk(): string {
  for (const name of ['loop', 'ext4']) execFileSync('modprobe', [name]);
  const scratch = mkdtempSync(join(tmpdir(), 'shelfs-disk-'));
  const image = join(scratch, 'image');
  const disk = join(scratch, 'disk');
  mkdirSync(disk);
  writeFileSync(image, '');
  execFileSync('truncate', ['-s', String(DISK_BYTES), image]);
  execFileSync('mke2fs', ['-q', '-t', 'ext4', '-O', '^has_journal', image]);
  execFileSync('mount', ['-o', 'loop', image, disk]);
  return disk;
}

/** As `control`, and nothing else of this process goes on meanwhile. */
function controlNow(line: string): void {
  const script = 'exec 5<>/dev/tcp/127.0.0.1/3261; echo "$1" >&5; cat <&5';
  const answer = execFileSync('bash', ['-c', script, 'bash', line], { encoding: 'latin1' });
  if (answer.startsWith('error')) throw new Error(`${line}: ${answer}`);
}

export type EventLine = { readonly event: string } & Record<string, unknown>;

export class Product {
  readonly state: string;
  /** Everything below it is ext4. */
  readonly disk: string;
  readonly source: string;

  private constructor(disk: string) {
    this.disk = mkdtempSync(join(disk, 'world-'));
    this.state = join(this.disk, 'state');
    this.source = join(this.disk, 'source');
    mkdirSync(this.source);
  }

  /**
   * A fresh library and a state directory that knows it, with one source.
   * @param drives of the library that it may use, the first so many; default: all
   */
  static async make(disk: string, config: string, drives?: number): Promise<Product> {
    await control('restart');
    // The changer's first answer after a restart is its unit attention; mtx does not ask twice.
    await execute('mtx', ['-f', CHANGER, 'status']);
    const product = new Product(disk);
    const nodes = (await tapeNodes()).slice(0, drives);
    const named = nodes.flatMap((node) => ['--drive', node]);
    await product.expect(0, 'init', '--changer', CHANGER, ...named);
    appendFileSync(join(product.state, 'config.toml'), config);
    await product.expect(0, 'source', 'add', product.source, '--name', 'tree');
    return product;
  }

  /** In this process: a new one takes four seconds to start here. */
  async shelfs(
    args: readonly string[],
    onText: (text: string) => void = () => {},
    signal: AbortSignal = new AbortController().signal,
  ): Promise<Result> {
    const written = { stdout: '', stderr: '' };
    const into = (name: 'stdout' | 'stderr') => ({
      write: (text: string) => {
        written[name] += text;
        onText(text);
      },
    });
    const exit = await run(['--state', this.state, ...args], {
      environment: process.env,
      isRoot: true,
      streams: { stdout: into('stdout'), stderr: into('stderr') },
      signal,
      version: 'test',
    });
    return { exit, ...written };
  }

  /** Mounts in this process, which therefore must not look into it itself. @returns unmounts */
  async mount(directory: string): Promise<() => Promise<Result>> {
    const ending = new AbortController();
    const mounted = Promise.withResolvers<void>();
    const onText = (text: string) => {
      if (text.includes(' is mounted')) mounted.resolve();
    };
    const ended = this.shelfs(['mount', directory, '--foreground'], onText, ending.signal);
    const early = ended.then(({ exit, stderr }) => {
      throw new Error(`the mount ended with ${exit}: ${stderr}`);
    });
    early.catch(() => {});
    await Promise.race([mounted.promise, early]);
    return () => {
      ending.abort();
      return ended;
    };
  }

  /** @throws Error with all it said where the exit status is another one */
  async expect(exit: number, ...args: string[]): Promise<EventLine[]> {
    const result = await this.shelfs(['--json', ...args]);
    if (result.exit !== exit) {
      throw new Error(`shelfs ${args.join(' ')}: ${result.exit}\n${result.stderr}${result.stdout}`);
    }
    return events(result);
  }

  async backup(...args: string[]): Promise<BackupReport> {
    return endOf<BackupReport>(await this.expect(0, 'backup', ...args));
  }

  /**
   * A backup in which something happens when the n-th block has gone out to a tape, before any further command.
   * @param hand.command for the library; DRIVE stands for the number of the drive that writes
   */
  async backupWith(hand: { atBlock: number; command: string }): Promise<Result> {
    let blocks = 0;
    const result = await this.shelfs(['--json', '-vv', 'backup', '--single-threaded'], (text) => {
      // sg0 is the changer, so sg nodes count as the library does.
      const [, drive] = /^\/dev\/sg(\d+) WRITE: /.exec(text) ?? [];
      if (drive === undefined) return;
      blocks += 1;
      if (blocks === hand.atBlock) controlNow(hand.command.replace('DRIVE', drive));
    });
    if (blocks < hand.atBlock) throw new Error(`only ${blocks} blocks were written`);
    return result;
  }

  /** Everything, into a new directory. @returns where the source's tree is in it, and the report */
  async restore(...args: string[]): Promise<{ tree: string; report: RestoreReport }> {
    const to = mkdtempSync(join(this.disk, 'restored-'));
    const said = await this.expect(0, 'restore', '/', '--to', to, ...args);
    return { tree: join(to, this.source), report: endOf<RestoreReport>(said) };
  }
}

export function events({ stdout }: Result): EventLine[] {
  const lines = stdout.split('\n').filter((line) => line.startsWith('{"'));
  return lines.map((line) => JSON.parse(line) as EventLine);
}

export function endOf<T>(lines: readonly EventLine[]): T {
  const end = lines.findLast(({ event }) => event === 'end');
  if (!end) throw new Error('the run told no end');
  return end as unknown as T;
}

/**
 * What a person with a changer would do to have a cartridge in drive 0: a script, for restore.sh takes it as its loader.
 * A cartridge in another drive is fetched from there.
 */
export const LOADER = '/tmp/load';
const LOADER_TEXT = `#!/bin/sh
set -eu
status=$(mtx -f ${CHANGER} status)
for loaded in $(echo "$status" | sed -n 's/^Data Transfer Element \\([0-9]*\\):Full (Storage Element \\([0-9]*\\) Loaded).*/\\1:\\2/p'); do
  mt -f /dev/nst\${loaded%:*} offline
  mtx -f ${CHANGER} unload "\${loaded#*:}" "\${loaded%:*}"
done
slot=$(mtx -f ${CHANGER} status | sed -n "s/^ *Storage Element \\([0-9]*\\):Full :VolumeTag=$1 *$/\\1/p")
[ -n "$slot" ]
mtx -f ${CHANGER} load "$slot" 0
for try in 1 2 3 4 5 6 7 8 9 10; do
  if mt -f ${TAPE} status | grep -q ONLINE; then exit 0; fi
  sleep 1
done
exit 1
`;

export function makeLoader(): void {
  writeFileSync(LOADER, LOADER_TEXT, { mode: 0o755 });
}

/** Everything back into the slots, then this one into drive 0. */
export async function loadByHand(barcode: string): Promise<void> {
  await succeed(LOADER, barcode);
}

/** Into the slot where it belongs, so that it cannot be had; `put` brings it back. */
export async function takeAway(barcode: string): Promise<void> {
  const line = (await control('status')).split('\n').find((text) => text.includes(barcode));
  const address = line?.trim().split(/\s+/)[0];
  if (address === undefined) throw new Error(`there is no ${barcode}`);
  await control(`remove ${address}`);
  onTestFinished(async () => void (await control(`insert ${address} ${barcode}`)));
  // The changer says once that somebody has reached into it.
  await execute('mtx', ['-f', CHANGER, 'status']);
}
