/** What is mounted where, by the kernel's own list: it asks no file system, so it answers also where one is dead. */
import { readFile } from 'node:fs/promises';
import { type Raw, toRaw } from '../base/raw.ts';

export type MountEntry = {
  /** How its line begins, up to the path: no other mount has the same at the same time. */
  readonly line: Raw;
  /** `0:52` */
  readonly device: string;
  readonly path: Raw;
  /** `ext4`, `fuse.shelfs` */
  readonly type: string;
  /** What was mounted, in words of who did it. */
  readonly source: Raw;
};

/** In the order of mounting: what comes later lies on top. */
export async function readMountTable(): Promise<MountEntry[]> {
  return parseMountTable(toRaw(await readFile('/proc/self/mountinfo')));
}

/** proc_pid_mountinfo(5); lines that are none are left out. */
export function parseMountTable(text: Raw): MountEntry[] {
  const entries: MountEntry[] = [];
  for (const line of text.split('\n')) {
    const [head = '', tail = ''] = line.split(' - ', 2);
    const fields = head.split(' ').slice(0, 5);
    const [, , device, , path] = fields;
    const [type, source = ''] = tail.split(' ');
    if (device === undefined || path === undefined || !type) continue;
    entries.push({
      line: `${fields.join(' ')} ` as Raw,
      device,
      path: unescaped(path),
      type: unescaped(type),
      source: unescaped(source),
    });
  }
  return entries;
}

/** The mount that is seen at just this path. */
export function mountAt(entries: readonly MountEntry[], path: Raw): MountEntry | undefined {
  return entries.findLast((entry) => entry.path === path);
}

/** The mount whose files lie at this path. */
export function mountAround(entries: readonly MountEntry[], path: Raw): MountEntry | undefined {
  let around: MountEntry | undefined;
  for (const entry of entries) {
    const isAround = path === entry.path || path.startsWith(withSlash(entry.path));
    if (isAround && entry.path.length >= (around?.path.length ?? 0)) around = entry;
  }
  return around;
}

const withSlash = (path: string) => (path.endsWith('/') ? path : `${path}/`);

/** Blank, tab, newline, backslash and # are written in octal. */
function unescaped(field: string): Raw {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8) & 0xff),
  ) as Raw;
}
