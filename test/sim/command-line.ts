/** The command line as a person uses it, in this process, over a state directory that goes away with the test. */
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Clock, SimClock } from '../../src/base/clock.ts';
import { seededRandom } from '../../src/base/random.ts';
import { Catalog } from '../../src/catalog/catalog.ts';
import { run } from '../../src/cli/run.ts';
import { scratchDirectory } from './scratch.ts';

export type Said = {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
};

export const HOST = 'here';

export class CommandLine {
  /** Above the state directory; whatever a test backs up may lie here. */
  readonly directory: string;
  readonly state: string;
  readonly clock: Clock;
  readonly #random = seededRandom(7);

  private constructor(directory: string, clock: Clock) {
    this.directory = directory;
    this.state = join(directory, 'state');
    this.clock = clock;
  }

  /** With a virtual library of four cartridges of 100 MB. */
  static async make(clock: Clock = new SimClock()): Promise<CommandLine> {
    const line = new CommandLine(await scratchDirectory(), clock);
    await line.ok('init', '--virtual', '4', '--capacity', '100MB', '--generation', 'LTO-8');
    return line;
  }

  /** @param argv without the program and `--state` */
  async say(...argv: readonly string[]): Promise<Said> {
    return this.sayUntil(new AbortController().signal, ...argv);
  }

  async sayUntil(signal: AbortSignal, ...argv: readonly string[]): Promise<Said> {
    const said = { stdout: '', stderr: '' };
    const stream = (name: 'stdout' | 'stderr') => ({
      write: (text: string) => {
        said[name] += text;
      },
    });
    const exit = await run(argv, {
      environment: { SHELFS_STATE: this.state },
      isRoot: false,
      streams: { stdout: stream('stdout'), stderr: stream('stderr') },
      signal,
      version: '1.2.3',
      replaced: { clock: this.clock, random: this.#random, host: { name: HOST, system: 'test' } },
    });
    // Whatever names a test puts on disk: no control byte may reach a terminal.
    expect(said.stdout.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
    expect(said.stderr.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
    return { ...said, exit };
  }

  /** What it prints; fails where it does not end with 0. */
  async ok(...argv: readonly string[]): Promise<string> {
    const { exit, stdout, stderr } = await this.say(...argv);
    expect(exit, stderr).toBe(0);
    return stdout;
  }

  /** The document it prints with --json; fails where it does not end with 0. */
  // biome-ignore lint/suspicious/noExplicitAny: a document is what JSON.parse says it is
  async json(...argv: readonly string[]): Promise<any> {
    return JSON.parse(await this.ok(...argv, '--json'));
  }

  /** The status and sentence of one that does not end with 0. */
  async fails(...argv: readonly string[]): Promise<Pick<Said, 'exit' | 'stderr'>> {
    const { exit, stderr } = await this.say(...argv);
    expect(exit, argv.join(' ')).not.toBe(0);
    return { exit, stderr };
  }

  /** Works on the catalog as another process would. */
  withCatalog<T>(work: (catalog: Catalog) => T): T {
    const catalog = this.#openCatalog();
    try {
      return work(catalog);
    } finally {
      catalog.close();
    }
  }

  async withCatalogAsync<T>(work: (catalog: Catalog) => Promise<T>): Promise<T> {
    const catalog = this.#openCatalog();
    try {
      return await work(catalog);
    } finally {
      catalog.close();
    }
  }

  #openCatalog(): Catalog {
    const path = join(this.state, 'catalog.sqlite');
    return Catalog.open(path, { mode: 'write', clock: this.clock });
  }
}
