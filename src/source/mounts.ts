/** What is mounted where, and which file systems hold no files of anybody: those of the kernel, and our own mount. */
import { readFileSync } from 'node:fs';
import { type Raw, toRaw } from '../base/raw.ts';
import type { ScannedEntry } from './directory.ts';

export type Mount = {
  readonly id: number;
  /** As makedev makes it of major and minor. */
  readonly device: number;
  readonly mountPoint: Raw;
  /** `ext4`, `fuse.sshfs` */
  readonly type: string;
};

/**
 * Never entered: names of things of the running kernel (proc(5), /proc/filesystems), other programs' views of what is
 * elsewhere, and the mount of this program, whose files are on tape already.
 */
const NEVER_ENTERED: ReadonlySet<string> = new Set([
  'autofs',
  'bdev',
  'binder',
  'binfmt_misc',
  'bpf',
  'cgroup',
  'cgroup2',
  'configfs',
  'cpuset',
  'debugfs',
  'devpts',
  'devtmpfs',
  'efivarfs',
  'fuse.gvfsd-fuse',
  'fuse.lxcfs',
  'fuse.portal',
  'fuse.shelfs',
  'fusectl',
  'hugetlbfs',
  'mqueue',
  'nfsd',
  'nsfs',
  'pipefs',
  'proc',
  'pstore',
  'resctrl',
  'rpc_pipefs',
  'securityfs',
  'selinuxfs',
  'smackfs',
  'sockfs',
  'sysfs',
  'tracefs',
]);

export function isNeverEntered(type: string): boolean {
  return NEVER_ENTERED.has(type);
}

/** The mounts of this process's namespace. Read anew when an entry lies on one that is not known. */
export class Mounts {
  readonly #read: () => Buffer;
  #byId: ReadonlyMap<number, Mount> = new Map();

  constructor(read: () => Buffer = () => readFileSync('/proc/self/mountinfo')) {
    this.#read = read;
  }

  /** Undefined where it was unmounted meanwhile. */
  of(entry: Pick<ScannedEntry, 'mountId' | 'device'>): Mount | undefined {
    const known = this.#find(entry);
    if (known !== undefined) return known;
    this.#byId = new Map(parseMountInfo(toRaw(this.#read())).map((mount) => [mount.id, mount]));
    return this.#find(entry);
  }

  #find({ mountId, device }: Pick<ScannedEntry, 'mountId' | 'device'>): Mount | undefined {
    if (mountId >= 0) return this.#byId.get(mountId);
    // Before Linux 5.8 an entry names only its device; btrfs gives each subvolume one that is not listed.
    return [...this.#byId.values()].find((mount) => mount.device === device);
  }
}

/** More are counted by nobody: a record of where files came from, not an inventory. */
const LISTED_MAX = 100;

/** On which mounts these directories lie, and which lie below them, those that are never entered left out; the first hundred. */
export function mountsOf(
  directories: readonly Raw[],
  read: () => Buffer = () => readFileSync('/proc/self/mountinfo'),
): Mount[] {
  // Of two on one mount point the later one hides the other.
  const byPoint = new Map(
    parseMountInfo(toRaw(read())).map((mount) => [mount.mountPoint, mount] as const),
  );
  const mounts = [...byPoint.values()].filter(({ type }) => !isNeverEntered(type));
  const found = directories.flatMap((directory) => {
    const above = mounts
      .filter(({ mountPoint }) => isBelow(directory, mountPoint))
      .toSorted((a, b) => a.mountPoint.length - b.mountPoint.length);
    const below = mounts.filter(({ mountPoint }) => isBelow(mountPoint, directory));
    return [...above.slice(-1), ...below];
  });
  return [...new Set(found)].slice(0, LISTED_MAX);
}

function isBelow(path: Raw, directory: Raw): boolean {
  return path === directory || path.startsWith(directory === '/' ? '/' : `${directory}/`);
}

/** proc_pid_mountinfo(5); lines that are none are left out. */
export function parseMountInfo(text: Raw): Mount[] {
  const mounts: Mount[] = [];
  for (const line of text.split('\n')) {
    const [head = '', tail = ''] = line.split(' - ', 2);
    const [id, , device = '', , mountPoint] = head.split(' ');
    const [major, minor] = device.split(':').map(Number);
    const [type] = tail.split(' ');
    if (!id || !mountPoint || !type || major === undefined || minor === undefined) continue;
    mounts.push({
      id: Number(id),
      device: deviceNumber(major, minor),
      mountPoint: unescaped(mountPoint),
      type: unescaped(type),
    });
  }
  return mounts;
}

/** gnu_dev_makedev of sys/sysmacros.h, for numbers whose parts fit into 32 bits together as they do on Linux. */
function deviceNumber(major: number, minor: number): number {
  const low = ((major & 0xfff) << 8) | (minor & 0xff);
  const high = (minor >>> 8) * 2 ** 20 + (major >>> 12) * 2 ** 44;
  return low + high;
}

/** Blank, tab, newline and backslash are written in octal. */
function unescaped(field: string): Raw {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8) & 0xff),
  ) as Raw;
}
