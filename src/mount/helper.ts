/** fusermount3, by which users mount: it has the permission and hands the device over. */
import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { getSystemErrorName } from 'node:util';
import { CodedError } from '../base/errors.ts';
import { type Raw, rawBytes, rawText } from '../base/raw.ts';
import { printable } from '../base/text.ts';
import type { FuseDoor } from './door.ts';

const PROGRAM = 'fusermount3';
/** sys/socket.h, on all architectures of Node but MIPS. */
const SOCK_STREAM = 1;
/** What a shell says of a program that is not there. */
const NOT_FOUND = 127;

/** Of an option that may hold anything: a comma would end it. */
export const escapedOption = (value: Raw): Raw => value.replaceAll(/[\\,]/g, '\\$&') as Raw;

/**
 * Mounts by the helper.
 * @param options as for `-o`
 * @returns the device
 * @throws CodedError MOUNT_UNSUPPORTED without the program, MOUNT_FAILED with what it says
 */
export async function mountByHelper(door: FuseDoor, path: Raw, options: Raw): Promise<number> {
  const pair = door.socketPair(SOCK_STREAM);
  if (typeof pair === 'number') throw mountFailure(path, getSystemErrorName(pair));
  const [ours, theirs] = pair;
  try {
    // The helper finds its end as its descriptor 3.
    const command = `_FUSE_COMMFD=3 exec ${PROGRAM} -o "\${options%x}" --`;
    await run(command, { path, options, extra: theirs });
    const device = door.receiveFile(ours);
    if (device < 0) throw mountFailure(path, getSystemErrorName(device));
    return device;
  } finally {
    door.close(ours);
    door.close(theirs);
  }
}

/** @throws CodedError MOUNT_UNSUPPORTED without the program, MOUNT_FAILED with what it says, for instance of being busy */
export async function unmountByHelper(path: Raw, how: 'plain' | 'lazy'): Promise<void> {
  await run(`exec ${unmountCommand(how).join(' ')}`, { path });
}

/** Program and options, the path is to follow. */
export function unmountCommand(how: 'plain' | 'lazy'): readonly string[] {
  return [PROGRAM, '-u', ...(how === 'lazy' ? ['-z'] : []), '--'];
}

/** Node passes arguments as UTF-8, and a path may be none: the shell makes it of its bytes in octal. */
async function run(
  command: string,
  {
    path,
    options = '' as Raw,
    extra,
  }: { readonly path: Raw; readonly options?: Raw; readonly extra?: number },
): Promise<void> {
  const words = `path=${printed(path)}; options=${printed(options)}`;
  const script = `LC_ALL=C; export LC_ALL; ${words}; ${command} "\${path%x}"`;
  const child = spawn('sh', ['-c', script], {
    stdio: ['ignore', 'ignore', 'pipe', extra ?? 'ignore'],
  });
  assert(child.stderr);
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(0, 1000);
  });
  const [status] = await once(child, 'close');
  if (status === 0) return;
  if (status === NOT_FOUND) {
    const message = `${PROGRAM} is missing, by which users mount; install the package fuse3, or mount as root`;
    throw new CodedError('MOUNT_UNSUPPORTED', message);
  }
  throw mountFailure(path, said.trim() === '' ? `${PROGRAM} failed` : said.trim());
}

/** For the shell. What is substituted loses its last newlines; not behind an x. */
function printed(word: Raw): string {
  const octal = Array.from(rawBytes(word), (byte) => `\\0${byte.toString(8).padStart(3, '0')}`);
  return `$(printf '%bx' '${octal.join('')}')`;
}

function mountFailure(path: Raw, reason: string): CodedError {
  const name = rawText(path);
  return new CodedError('MOUNT_FAILED', `${name}: ${printable(reason)}`, { path: name });
}
