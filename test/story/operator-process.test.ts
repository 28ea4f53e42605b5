/**
 * The built program as people use it, with one drive and no changer: a backup waits for cartridges, is killed while it
 * waits, goes on, and is answered by other processes.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { scratchDirectory } from '../sim/scratch.ts';

const go = new AbortController().signal;
const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'main.js');
const TIMEOUT_MS = 180_000;

class Shelf {
  readonly directory: string;
  readonly state: string;
  readonly source: string;

  constructor(directory: string) {
    this.directory = directory;
    this.state = join(directory, 'state');
    this.source = join(directory, 'tree');
  }

  async run(...argv: readonly string[]): Promise<string> {
    const words = [MAIN, '--state', this.state, ...argv];
    return (await promisify(execFile)(process.execPath, words)).stdout;
  }

  /** A backup in the background. */
  backup(): { child: ChildProcess; ended: Promise<number | null>; said: () => string } {
    const words = [MAIN, '--state', this.state, 'backup', '--single-threaded'];
    const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8');
      stream?.on('data', (text: string) => {
        said += text;
      });
    }
    const ended = new Promise<number | null>((done) => child.on('close', done));
    onTestFinished(async () => {
      child.kill('SIGKILL');
      await ended;
    });
    return { child, ended, said: () => said };
  }

  /** The question that is open, once it is of that kind. */
  async question(kind: string): Promise<{ id: number; about: { offered?: string } }> {
    for (;;) {
      const { questions } = JSON.parse(await this.run('wanted', '--json'));
      const found = questions.find(({ about }: { about: { kind: string } }) => about.kind === kind);
      if (found) return found;
      await systemClock.sleepMs(200, go);
    }
  }

  async load(barcode: string): Promise<void> {
    for (;;) {
      try {
        await this.run('library', 'load', barcode);
        return;
      } catch (error) {
        if (!String(error).includes('unload it first')) throw error;
        await systemClock.sleepMs(200, go);
      }
    }
  }
}

async function shelf(): Promise<Shelf> {
  const made = new Shelf(await scratchDirectory());
  mkdirSync(made.source);
  for (let number = 0; number < 12; number += 1)
    writeFileSync(join(made.source, `file ${number}`), randomBytes(4 * 2 ** 20));
  await made.run('init', '--virtual', '4', '--no-changer', '--capacity', '24MiB');
  const hook = join(made.directory, 'hook');
  const notify = `\n[[notify.command]]\nargv = ["/bin/sh", "-c", "cat >>${hook}"]\n`;
  const config = `\n[operator]\nlook = "1s"\n[archive]\nsize = "4.5MiB"\n${notify}`;
  appendFileSync(join(made.state, 'config.toml'), config);
  await made.run('source', 'add', made.source, '--name', 'tree');
  return made;
}

test(
  'three cartridges by hand; killed while it waits for the second, and gone on with',
  async () => {
    const at = await shelf();
    const first = at.backup();
    await at.question('scratch');
    await at.load('VIR001L9');
    // The hook is a channel: so somebody may answer, and is asked what stands on the sticker.
    const blank = await at.question('blank');
    expect(blank.about.offered).toBe('VIR001L9');
    await at.run('answer', String(blank.id), 'VIR001L9');
    const asked = await at.question('scratch');
    const [job] = JSON.parse(await at.run('jobs', '--json')).jobs;
    expect(job).toMatchObject({ state: 'waiting' });
    first.child.kill('SIGKILL');
    await first.ended;
    // Nobody asks any more.
    expect(JSON.parse(await at.run('wanted', '--json')).questions).toEqual([]);

    const second = at.backup();
    const again = await at.question('scratch');
    expect(again.id).toBeGreaterThan(asked.id);
    for (const barcode of ['VIR002L9', 'VIR003L9']) {
      await at.question('scratch');
      await at.load(barcode);
      await at.run('answer', String((await at.question('blank')).id), barcode);
    }
    expect(await second.ended, second.said()).toBe(0);
    expect(second.said()).toContain('going on with');
    expect(second.said()).toContain('waiting: a scratch cartridge of pool main is wanted (no. 2');
    expect(second.said()).toContain('media: VIR002L9, VIR003L9');
    const told = readFileSync(join(at.directory, 'hook'), 'utf8').trim().split('\n');
    expect(told.map((line) => JSON.parse(line).type)).toContain('operator.answered');
  },
  TIMEOUT_MS,
);

test(
  'declined by another process: 20',
  async () => {
    const at = await shelf();
    const backup = at.backup();
    const { id } = await at.question('scratch');
    expect(await at.run('answer', String(id), 'decline')).toBe(
      `${id}: a scratch cartridge of pool main is wanted (no. 1 of about 3): decline\n`,
    );
    expect(await backup.ended, backup.said()).toBe(20);
    await expect(at.run('answer', String(id), 'decline')).rejects.toThrow('nobody asks question');
  },
  TIMEOUT_MS,
);
