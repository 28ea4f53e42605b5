/**
 * A process that serves a mount and comes to its end in the middle of a read: node native.child.ts ADDON PATH DEED [FILE TO SERVE].
 * `nobody: DEED` mounts as that user,
 * `worker: DEED` in a worker.
 * Says `mounted`, then `read` for each read, and serves on until its deed or its death.
 */
import { openSync } from 'node:fs';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { systemClock } from '../../../src/base/clock.ts';
import { rawOf } from '../../../src/base/raw.ts';
import { type FuseDoor, loadFuseDoor } from '../../../src/mount/door.ts';
import { mountFuse } from '../../../src/mount/native.ts';
import { FOPEN_DIRECT_IO, Tree } from './native.tree.ts';

const [, , ...args] = process.argv;
const [addonPath = '', path = '', deed = '', disk = ''] = args;

const DEEDS: Readonly<Record<string, (reads: number) => void>> = {
  serve: () => {},
  'for others': () => {},
  'exit at end': () => {},
  exit: () => process.exit(7),
  'exit later': () => {
    setImmediate(() => process.exit(7));
  },
  throw: () => {
    throw new Error('a bug in a handler');
  },
  'throw and go on': (reads) => {
    process.once('uncaughtException', ({ message }) => say(message));
    if (reads === 1) throw new Error('a bug in a handler');
  },
};

function say(line: string): void {
  if (isMainThread) process.stdout.write(`${line}\n`);
  else parentPort?.postMessage(line);
}

function becomeNobody(): void {
  process.setgroups?.([]);
  process.setgid?.(65534);
  process.setuid?.(65534);
}

/** Its process exits before a mount that somebody aborted is taken away. */
function exiting(door: FuseDoor): FuseDoor {
  return {
    ...door,
    unmount: () => process.exit(7),
  };
}

async function serve(words: string): Promise<void> {
  const deed = words.replace(/^nobody: /, '');
  let reads = 0;
  const late = {
    node: 2,
    name: 'late',
    bytes: Buffer.alloc(10_000),
    openFlags: FOPEN_DIRECT_IO,
    onRead: () => {
      reads += 1;
      say('read');
      if (deed === 'unmount') void tree.port.unmount();
      DEEDS[deed]?.(reads);
    },
  };
  const door = loadFuseDoor(addonPath);
  // What is needed is loaded: nobody may see nothing of a home directory.
  if (deed !== words) becomeNobody();
  const served = {
    ...late,
    node: 4,
    name: 'served',
    onOpen: (handle: number) => tree.port.serve(handle, openSync(disk, 'r'), late.bytes.length),
  };
  const cached = { ...late, node: 3, name: 'cached', openFlags: 0 };
  const tree = new Tree(disk === '' ? [late, cached] : [late, cached, served]);
  const mountpoint = rawOf(path);
  const allowOther = deed === 'for others';
  const options = { mountpoint, allowOther, clock: systemClock, door };
  const port = await mountFuse({
    ...options,
    listener: tree,
    door: deed === 'exit at end' ? exiting(door) : door,
  });
  tree.port = port;
  say('mounted');
  const { why } = await tree.ended.promise;
  say(why);
}

/** The mount is a worker's; this thread outlives it. */
function serveInWorker(deed: string): void {
  const worker = new Worker(new URL(import.meta.url), { argv: args, workerData: deed });
  worker.on('message', (line: string) => {
    say(line);
    if (line === 'read' && deed === 'terminate') void worker.terminate();
  });
  worker.on('error', ({ message }) => say(message));
  worker.on('exit', () => say('worker left'));
}

if (!isMainThread) await serve(workerData);
else if (deed.startsWith('worker: ')) serveInWorker(deed.slice('worker: '.length));
else await serve(deed);
