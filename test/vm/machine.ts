/** Runs a suite inside the virtual machine and hands back what became of each of its tests. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SHAPE } from '../contract/world.ts';

const here = import.meta.dirname;
const root = join(here, '../..');

const ENDING_CHARACTERS = 4000;

export type GuestTest = {
  readonly name: string;
  readonly state: string;
  readonly messages: readonly string[];
};

/** Why there is no virtual machine here; undefined where there is one. */
export function whyNoMachine(): string | undefined {
  const skip = join(here, 'build/skip');
  return existsSync(skip) ? readFileSync(skip, 'utf8').trim() : undefined;
}

/**
 * Where the machine's processor is emulated, compiled JavaScript in a thread of Node's was seen to jump to where no code is, once in some
 * runs of all, and never where the processor is a real one. Such a run says nothing of what it tests: it is told and run anew, once.
 * @param files of test/vm/suite, without ending
 */
export async function runInMachine(
  files: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<GuestTest[]> {
  const first = await runOnce(files, environment);
  if (!first.isEmulatorsEnd) return first.tests;
  console.warn(`run in the virtual machine again, for it ended so: ${first.ending}`);
  return (await runOnce(files, environment)).tests;
}

type Outcome = {
  readonly tests: GuestTest[];
  readonly ending: string;
  readonly isEmulatorsEnd: boolean;
};

async function runOnce(
  files: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<Outcome> {
  const shared = await mkdtemp(join(tmpdir(), 'shelfs-vm-results-'));
  try {
    const report = join(shared, 'report.json');
    const logs = join(shared, 'logs');
    const vitest = [
      join(root, 'node_modules/.bin/vitest'),
      'run',
      ...['--config', 'test/vm/suite/vitest.config.ts'],
      `--outputFile=${report}`,
      ...files.map((file) => `test/vm/suite/${file}.test.ts`),
    ];
    const words = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    const output = await run(join(here, 'run'), [
      ...[
        '--drives',
        String(SHAPE.drives),
        '--slots',
        String(SHAPE.slots),
        '--ports',
        String(SHAPE.ports),
      ],
      ...['--cartridges', String(SHAPE.barcodes.length), '--barcodes', SHAPE.barcodes.join(',')],
      ...[
        '--size-mb',
        String(SHAPE.capacityBytes / 2 ** 20),
        '--timeout',
        '3600',
        '--share',
        shared,
        '--logs',
        logs,
        '--',
      ],
      ...['env', `PATH=${join(root, 'node_modules/.bin')}:/usr/sbin:/usr/bin:/sbin:/bin`, ...words],
      ...['node', ...vitest],
    ]);
    const kernel = await readFile(join(logs, 'dmesg'), 'utf8').catch(() => 'no kernel messages\n');
    const ending = `${output.slice(-ENDING_CHARACTERS)}\n${kernel.slice(-ENDING_CHARACTERS)}`;
    const tests = parseReport(await readFile(report, 'utf8').catch(() => ''), ending);
    const isCut = tests.some(({ name }) => name === CUT);
    return { tests, ending, isEmulatorsEnd: isCut && isEmulatorsEnd(output, kernel) };
  } finally {
    await rm(shared, { recursive: true, force: true });
  }
}

/** The name of what reports nothing, or not all. */
const CUT = 'the suite in the virtual machine';

/** Its thread was to execute what is no page of code: then the kernel cannot read there either. */
function isEmulatorsEnd(output: string, kernel: string): boolean {
  return (
    output.includes('Worker exited unexpectedly with signal SIGSEGV') &&
    kernel.includes('QEMU TCG CPU') &&
    /fatal signal 11\.\n.*Comm: WorkerThread .*\n(.*\n){1,3}.*Unable to access opcode bytes/.test(
      kernel,
    )
  );
}

const ENDED: ReadonlySet<string> = new Set(['passed', 'failed', 'skipped']);

type Report = {
  testResults: {
    name: string;
    message: string;
    assertionResults: { fullName: string; status: string; failureMessages: string[] }[];
  }[];
};

/** A run that reports nothing, or not all, is a failure with what it and the kernel printed last. */
function parseReport(text: string, ending: string): GuestTest[] {
  const unfinished = {
    name: CUT,
    state: 'failed',
    messages: [ending],
  };
  if (text === '') return [unfinished];
  const { testResults } = JSON.parse(text) as Report;
  const told = testResults.flatMap(({ name, message, assertionResults }) => {
    const tests = assertionResults.map(({ fullName, status, failureMessages }) => ({
      name: fullName,
      state: status,
      messages: failureMessages,
    }));
    // What fails before the first test, or beside all of them, is told of the file alone.
    const hasOwnFailure = tests.length === 0 || (message ?? '') !== '';
    const own = { name, state: 'failed', messages: [message || ending] };
    return hasOwnFailure ? [own, ...tests] : tests;
  });
  // Where the process of the tests dies, vitest leaves those that were to come as they are.
  const isCut = told.some(({ state }) => !ENDED.has(state));
  return isCut ? [unfinished, ...told] : told;
}

/** Everything a program prints; its exit status is in the report's own terms. */
async function run(program: string, args: readonly string[]): Promise<string> {
  const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (part: string) => {
      output += part;
    });
  }
  await new Promise((resolve) => child.on('close', resolve));
  return output;
}
