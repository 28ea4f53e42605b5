/**
 * `shelfs demo`: everything on a virtual library that goes away again. What it shows are commands as anybody would type
 * them, run one after the other, with what they print.
 */
import { execFile } from 'node:child_process';
import { appendFile, mkdir, mkdtemp, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { formatSize } from '../base/bytes.ts';
import { CodedError } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import type { Background } from './background.ts';
import { command, type OpenContext } from './context.ts';
import { LETTER, makeSample } from './demo-sample.ts';

type DriveStatistics = { readonly loads: number; readonly modelSeconds: number };

type Step = { readonly says: string; readonly command: string; readonly shows: string };

const CARTRIDGES = 4;
/** Room for what is backed up and for catalog, journals and a second run. */
const ROOM_FACTOR = 1.3;
const CAPACITY_BYTES_MIN = 500_000_000;
/** Source, cartridges and the stage. */
const COPIES_ON_DISK = 3;
const LINES_SHOWN = 14;

export const demo = (open: OpenContext) =>
  command(
    {
      command: 'demo [path]',
      describe: 'Everything on a virtual library, in a minute',
      builder: (yargs) =>
        yargs
          .positional('path', {
            type: 'string',
            describe: 'what to back up; default: a sample made for it. It is only read',
          })
          .option('keep', { type: 'boolean', describe: 'leave it mounted at the end' }),
      run: async ({ app, background, output, signal }, { path, keep }) => {
        const directory = await mkdtemp(join(tmpdir(), 'shelfs-demo-'));
        const steps: Step[] = [];
        const play = new Play({
          ...{ directory, background, signal },
          show: (step) => {
            steps.push(step);
            output.note(`\n# ${step.says}\n$ ${step.command}${step.shows && `\n${step.shows}`}`);
          },
        });
        let isKept = false;
        try {
          const startMs = app.clock.monotonicMs();
          await play.all(path === undefined ? undefined : resolve(path));
          const seconds = Math.round((app.clock.monotonicMs() - startMs) / 1000);
          isKept = keep ?? false;
          const end = isKept ? play.kept() : 'The virtual library is gone again.';
          output.result(
            { steps, seconds, kept: isKept ? directory : null },
            () => `\nThat took ${seconds} s. ${end}\n\`shelfs init\` makes a library that stays.`,
          );
        } finally {
          if (!isKept) await play.tearDown();
        }
      },
    },
    open,
  );

type PlayTools = {
  readonly directory: string;
  readonly background: Background;
  readonly signal: AbortSignal;
  show(step: Step): void;
};

class Play {
  readonly #tools: PlayTools;
  readonly #state: string;
  readonly #mountpoint: string;
  #isMounted = false;

  constructor(tools: PlayTools) {
    this.#tools = tools;
    this.#state = join(tools.directory, 'state');
    this.#mountpoint = join(tools.directory, 'shelf');
  }

  async all(path: string | undefined): Promise<void> {
    const sample = await this.#ready(path);
    await this.#store(path ?? sample, sample);
    await this.#look(path ?? sample);
    await this.#restore(path ?? join(sample, 'documents'));
    await this.#change(join(sample, LETTER));
    await this.#statistics();
  }

  kept(): string {
    const { directory } = this.#tools;
    const umount = `shelfs umount ${this.#mountpoint} && rm -r ${directory}`;
    return `It stays mounted at ${this.#mountpoint}; to end it: ${umount}`;
  }

  /** Whatever happened: nothing is left mounted, nothing is left behind. */
  async tearDown(): Promise<void> {
    const { background, directory } = this.#tools;
    if (this.#isMounted) await background.run(['umount', '--force', this.#mountpoint]);
    await rm(directory, { recursive: true, force: true });
  }

  /** The sample, or with a path of its own only the letter that will change. */
  async #ready(path: string | undefined): Promise<string> {
    const { directory } = this.#tools;
    const sample = join(directory, 'home');
    await mkdir(sample);
    await mkdir(this.#mountpoint);
    if (path === undefined) await makeSample(sample);
    else {
      await mkdir(join(sample, 'documents'));
      await writeFile(join(sample, LETTER), 'Dear reader,\nthis is the first version.\n');
    }
    const sizeBytes = await this.#sizeOf(path ?? sample);
    await this.#requireRoom(sizeBytes);
    const capacity = Math.max(CAPACITY_BYTES_MIN, Math.ceil((sizeBytes * ROOM_FACTOR) / 2));
    await this.#shelfs('A library with one drive and four cartridges, in files', [
      'init',
      ...['--virtual', String(CARTRIDGES), '--generation', 'LTO-9', '--capacity', String(capacity)],
    ]);
    return sample;
  }

  async #store(path: string, sample: string): Promise<void> {
    await this.#shelfs('What is to be protected', ['source', 'add', path, '--name', 'files']);
    if (path !== sample)
      await this.#shelfs('And a letter that will change', [
        'source',
        'add',
        sample,
        '--name',
        'letters',
      ]);
    await this.#shelfs('To tape: scanned, hashed, packed as plain tar, written', ['backup']);
    await this.#shelfs('The cartridge goes back to its slot: nothing is in the drive', [
      ...['library', 'unload', 'drive0'],
    ]);
  }

  async #look(path: string): Promise<void> {
    await this.#shelfs('Everything stands at its path again, with no tape inserted', [
      ...['mount', this.#mountpoint],
    ]);
    this.#isMounted = true;
    const shown = `${this.#mountpoint}${path}`;
    await this.#run('Names, sizes and times come from the catalog', 'ls', ['-l', shown]);
    const found = await this.#output('find', [shown, '-type', 'f', '-print', '-quit']);
    const file = found.trim();
    if (file === '') return;
    await this.#run(
      'What is known of a file: its hash, the cartridge, the place on it',
      'getfattr',
      [...['--absolute-names', '-d', '-m', 'user.shelfs', file]],
    );
  }

  async #restore(path: string): Promise<void> {
    const out = join(this.#tools.directory, 'restored');
    const from = `${this.#mountpoint}${path}`;
    const says = 'A copy out of it is the restore: the read waits, the library loads the cartridge';
    await this.#run(says, 'cp', ['-a', from, out]);
    await this.#run('Not a bit differs', 'diff', ['-r', '--no-dereference', path, out]);
  }

  async #change(letter: string): Promise<void> {
    await appendFile(letter, 'And this is the second.\n');
    await this.#shelfs('One file has changed since: only that is written', ['backup']);
    const versions = join(this.#mountpoint, '.shelfs', 'versions', letter);
    await this.#run('Every version is there', 'ls', ['-l', versions]);
    const [oldest] = (await this.#output('ls', [versions])).split('\n');
    const old = join(this.#mountpoint, '.snapshots', oldest ?? 'latest', letter);
    await this.#run('The letter as it was', 'cat', [old]);
  }

  async #statistics(): Promise<void> {
    const words = ['library', 'status', '--json'];
    const { text } = await this.#tools.background.run(['--state', this.#state, ...words]);
    const found: { drives: readonly { statistics: DriveStatistics | null }[] } = JSON.parse(text);
    const lines = found.drives.map(({ statistics }, number) => {
      const { loads = 0, modelSeconds = 0 } = statistics ?? {};
      return `drive ${number}: ${loads} loads, ${Math.round(modelSeconds)} s of loading, winding, writing and reading`;
    });
    const says = 'What all of this would have taken on a real LTO-9';
    const command = `shelfs ${words.join(' ')}   (statistics)`;
    this.#tools.show({ says, command, shows: lines.join('\n') });
  }

  async #requireRoom(sizeBytes: number): Promise<void> {
    const { directory } = this.#tools;
    const { bavail, bsize } = await statfs(directory);
    const neededBytes = sizeBytes * COPIES_ON_DISK;
    if (bavail * bsize > neededBytes) return;
    const sentence = `the demo needs ${formatSize(neededBytes)} in ${directory}; name a smaller directory, or set TMPDIR`;
    throw new CodedError('TARGET_FULL', sentence, { path: directory });
  }

  async #sizeOf(path: string): Promise<number> {
    return Number.parseInt(await this.#output('du', ['-sb', path]), 10);
  }

  async #shelfs(says: string, words: readonly string[]): Promise<void> {
    const { background, show, signal } = this.#tools;
    signal.throwIfAborted();
    const { status, text } = await background.run(['--state', this.#state, ...words]);
    show({ says, command: `shelfs ${shell(words)}`, shows: shortened(text) });
    if (status !== 0)
      throw new CodedError('FAILED', `the demo ends here: shelfs ${words[0]} failed`);
  }

  async #run(says: string, program: string, words: readonly string[]): Promise<void> {
    const text = await this.#output(program, words);
    this.#tools.show({ says, command: `${program} ${shell(words)}`, shows: shortened(text) });
  }

  /** Another process: this one would wait for itself where it is mounted. @throws CodedError FAILED */
  #output(program: string, words: readonly string[]): Promise<string> {
    const { signal } = this.#tools;
    return new Promise((resolveText, reject) => {
      const options = { signal, maxBuffer: 2 ** 26, env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' } };
      execFile(program, [...words], options, (error, stdout, stderr) => {
        if (!error) resolveText(stdout);
        else if (signal.aborted) reject(signal.reason);
        else {
          const why = printable(stderr.trim().split('\n')[0] || error.message);
          reject(new CodedError('FAILED', `${program}: ${why}`, { cause: error }));
        }
      });
    });
  }
}

/** Paths of the demo are long: quoted only where a shell would ask for it. */
function shell(words: readonly string[]): string {
  return words.map((word) => (/^[\w./:=-]+$/.test(word) ? word : `'${printable(word)}'`)).join(' ');
}

function shortened(text: string): string {
  const lines = text.trimEnd().split('\n').map(printable);
  if (lines.length <= LINES_SHOWN) return lines.join('\n');
  return [
    ...lines.slice(0, LINES_SHOWN - 1),
    `... ${lines.length - LINES_SHOWN + 1} more lines`,
  ].join('\n');
}
