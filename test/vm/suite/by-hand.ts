/** What a person does with a cartridge and no shelfs: tar files laid side by side, parts joined, digests compared. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { execute, sh, succeed, TAPE } from './product.ts';

/** Tape files behind the label of the cartridge in the drive. */
export async function countArchives(): Promise<number> {
  await succeed('mt', '-f', TAPE, 'eod');
  const status = await succeed('mt', '-f', TAPE, 'status');
  return Number(/File number=(\d+)/.exec(status)?.[1]) - 1;
}

/** What GNU tar says of archives that are in order, as README.txt of the label has it. */
const HARMLESS =
  /^tar: (Ignoring unknown extended header keyword '(SHELFS\.[a-z.]+|hdrcharset)'|.*: implausibly old time stamp .*)$/;

/** @returns what tar had to say against an archive */
export async function extract(file: number, to: string): Promise<string[]> {
  mkdirSync(to, { recursive: true });
  const { exit, stdout, stderr } = await sh(`
    mt -f ${TAPE} rewind
    mt -f ${TAPE} fsf ${file}
    tar xf ${TAPE} -b 1024 -C ${to}`);
  const remarks = `${stdout}${stderr}`.split('\n').filter((line) => line && !HARMLESS.test(line));
  return exit === 0 ? remarks : [...remarks, `tar ended with ${exit}`];
}

/** MD5 of every file below a directory that has bytes, by path. Names are latin1 of their bytes. */
export async function digestsBelow(directory: string): Promise<Map<string, string>> {
  const listed = await sh(`cd ${directory}; find . -type f -size +0 -print0 | xargs -0r md5sum -z`);
  const lines = listed.stdout.split('\0').slice(0, -1);
  return new Map(lines.map((line) => [line.slice(34), line.slice(0, 32)]));
}

const PART = /^(.*)\.shelfs-part-(\d{4,})-of-(\d{4,})$/s;

/** Joins parts of one file, wherever they were extracted, in order of their numbers. @returns path and digest of each */
export async function joinParts(
  parts: readonly { readonly directory: string; readonly path: string }[],
  to: string,
): Promise<Map<string, string>> {
  const files = new Map<string, string[]>();
  const byNumber = parts.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  for (const { directory, path } of byNumber) {
    const [, whole = '', number, count] = PART.exec(path) ?? [];
    const found = files.get(whole) ?? [];
    found.push(join(directory, path));
    if (found.length !== Number(number)) throw new Error(`${path}: a part before it is missing`);
    if (Number(number) > Number(count)) throw new Error(`${path}: there is one too many`);
    files.set(whole, found);
  }
  for (const [whole, found] of files) {
    const joined = join(to, whole);
    const { exit, stderr } = await execute('sh', [
      '-euc',
      'to=$1; shift; mkdir -p "$(dirname "$to")"; cat "$@" >"$to"',
      'sh',
      joined,
      ...found,
    ]);
    if (exit !== 0) throw new Error(stderr);
  }
  return digestsBelow(to);
}

export const isPart = (path: string) => PART.test(path);

/** The commands below a heading of README.txt, remarks at their ends left out. */
export function commandsOf(readme: string, heading: string): string[] {
  const lines = readme.split('\n');
  const start = lines.indexOf(heading);
  if (start < 0) throw new Error(`README.txt has no ${heading}`);
  const end = lines.findIndex((line, index) => index > start && /^[A-Z]/.test(line));
  return lines
    .slice(start + 1, end < 0 ? undefined : end)
    .filter((line) => line.startsWith('    '))
    .map((line) => line.trim().replace(/ {3,}.*/, ''));
}
