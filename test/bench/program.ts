/** A whole program, measured from outside: wall time, processor time of all it starts, and the most memory one of them had. */
import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';

export type Command = {
  readonly argv: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly directory?: string;
};

export type Usage = {
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  /** Of the largest process. */
  readonly peakRssBytes: number;
};

/**
 * wait4(2) is what tells of one program and its children, and Node has no door to it. Python is small itself: a process
 * inherits the peak of who forks it.
 */
const WAIT4 = `
import json, os, sys, time
start = time.monotonic()
child = os.fork()
if child == 0:
    os.dup2(2, 1) if sys.argv[1] == 'quiet' else None
    os.execvp(sys.argv[2], sys.argv[2:])
_, status, usage = os.wait4(child, 0)
wall = time.monotonic() - start
report = [os.waitstatus_to_exitcode(status), wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024]
sys.stdout.write('\\n' + json.dumps(report) + '\\n')
`;
const OUTPUT_BYTES_MAX = 2 ** 30;

/** @throws AssertionError where it ends with another status than 0 */
export function measure(
  command: Command,
  output: 'quiet' | 'kept',
): { usage: Usage; stdout: string } {
  const { argv, environment = {}, directory } = command;
  const ended = spawnSync('python3', ['-c', WAIT4, output, ...argv], {
    env: { ...process.env, ...environment },
    ...(directory !== undefined && { cwd: directory }),
    encoding: 'latin1',
    maxBuffer: OUTPUT_BYTES_MAX,
  });
  assert.equal(ended.status, 0, `${argv.join(' ')}: ${ended.stderr.slice(-2000)}`);
  const lines = ended.stdout.trimEnd();
  const at = lines.lastIndexOf('\n');
  const [status, wallSeconds = 0, cpuSeconds = 0, peakRssBytes = 0]: number[] = JSON.parse(
    lines.slice(at + 1),
  );
  assert.equal(status, 0, `${argv.join(' ')}: ${ended.stderr.slice(-2000)}`);
  return { usage: { wallSeconds, cpuSeconds, peakRssBytes }, stdout: lines.slice(0, at) };
}

/** As `measure`, of what is only to be done. */
export function run(command: Command): void {
  measure(command, 'quiet');
}

/** The first line of what it says its version is; undefined where it is not installed. */
export function versionOf(program: string, argument = '--version'): string | undefined {
  const { status, stdout } = spawnSync(program, [argument], { encoding: 'latin1' });
  return status === 0 ? stdout.split('\n')[0]?.trim() : undefined;
}
