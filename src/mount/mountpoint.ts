/**
 * Where it is mounted: whether a directory can be taken, mounting there, and taking it away again.
 *
 * Nothing here touches a file by a call that blocks: the directory may be of a mount of this very process, which then could not
 * answer. Only mounts of our own type are ever taken away, and a mount only while the kernel lists it.
 */
import { constants } from 'node:fs';
import { opendir, readFile, realpath, stat, writeFile } from 'node:fs/promises';
import { getSystemErrorName } from 'node:util';
import type { Clock } from '../base/clock.ts';
import { CodedError, errnoOf } from '../base/errors.ts';
import { joinRaw, type Raw, rawBytes, rawText, toRaw } from '../base/raw.ts';
import type { FuseDoor } from './door.ts';
import { escapedOption, mountByHelper, unmountByHelper, unmountCommand } from './helper.ts';
import { type MountEntry, mountAround, mountAt, readMountTable } from './mount-table.ts';

export const MOUNT_TYPE = 'fuse.shelfs';
/** What is said to be mounted, where nobody says what. */
const SOURCE = 'shelfs' as Raw;

/** sys/mount.h */
const MS_RDONLY = 1;
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MNT_FORCE = 1;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

/** After being told that all fails, readers need a moment to close their files. */
const BUSY_PAUSES_MS = [10, 20, 40, 80, 160, 320];
/** So much is read ahead of cached files; at mount the kernel takes 128 (measured: 15 % more throughput with this). */
const READ_AHEAD_KIB = 1024;

export type MountTools = { readonly door: FuseDoor; readonly clock: Clock };

/** A device that is mounted and not served yet. */
export type Mounted = { readonly device: number; readonly entry: MountEntry };

const never = new AbortController().signal;

/** Root mounts by itself, everybody else by the helper. */
const isRoot = () => process.geteuid?.() === 0;

/**
 * A kernel that ends requests after a time would abort the whole mount while a read waits for a tape.
 * @throws CodedError MOUNT_UNSUPPORTED naming the setting
 */
export async function refuseRequestTimeouts(folder = '/proc/sys/fs/fuse'): Promise<void> {
  for (const name of ['default_request_timeout', 'max_request_timeout']) {
    const text = await readFile(`${folder}/${name}`, 'utf8').catch((error: unknown) => {
      // Before Linux 6.15 there is no such thing.
      if (errnoOf(error) === 'ENOENT') return '0';
      throw error;
    });
    if (Number(text) === 0) continue;
    const message =
      `the kernel ends requests after ${text.trim()} s (fs.fuse.${name}), so a read that waits for a tape would ` +
      `end the whole mount; set it to 0: sysctl fs.fuse.${name}=0`;
    throw new CodedError('MOUNT_UNSUPPORTED', message);
  }
}

/**
 * The path by which the kernel will know the mount: an empty directory, freed of a dead mount of ours.
 * @throws CodedError MOUNTPOINT_UNSUITABLE
 */
export async function readyMountpoint(path: Raw, tools: MountTools): Promise<Raw> {
  const canonical = await canonicalPath(path);
  // Mounts may lie one upon the other.
  for (;;) {
    const table = await readMountTable();
    const around = mountAround(table, canonical);
    const answer = await lookAt(canonical);
    if (around?.type === MOUNT_TYPE) {
      const isDead = around.path === canonical && DEAD.has(answer);
      if (!isDead) throw unsuitable(canonical, 'is in a mount of shelfs already');
      await detach(around, tools);
      continue;
    }
    const reason = REASONS.get(answer);
    if (answer !== 'EMPTY') throw unsuitable(canonical, reason ?? `cannot be used (${answer})`);
    return canonical;
  }
}

const DEAD: ReadonlySet<string> = new Set(['ENOTCONN', 'ECONNABORTED']);

const REASONS: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'does not exist; make a directory there'],
  ['ENOTDIR', 'is no directory'],
  ['FULL', 'is not empty; choose an empty directory'],
  ['ENOTCONN', 'is a dead mount of another program; unmount it first'],
]);

/** EMPTY, FULL, or the name of an errno. */
async function lookAt(path: Raw): Promise<string> {
  try {
    const found = await stat(rawBytes(path));
    if (!found.isDirectory()) return 'ENOTDIR';
    for await (const _ of await opendir(rawBytes(path))) return 'FULL';
    return 'EMPTY';
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    return errno;
  }
}

/** Without links, also where the last name is that of a dead mount. */
async function canonicalPath(path: Raw): Promise<Raw> {
  try {
    return toRaw(await realpath(rawBytes(path), { encoding: 'buffer' }));
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    const place = DEAD.has(errno) ? await placeOf(path) : undefined;
    if (place === undefined)
      throw unsuitable(path, REASONS.get(errno) ?? `cannot be used (${errno})`);
    return place;
  }
}

/** Links followed but for the last name; undefined where what is above it cannot be found. */
async function placeOf(path: Raw): Promise<Raw | undefined> {
  const trimmed = path.replace(/\/+$/, '');
  const slash = trimmed.lastIndexOf('/');
  const name = trimmed.slice(slash + 1) as Raw;
  if (slash < 0 || name === '.' || name === '..') return undefined;
  try {
    const above = rawBytes(trimmed.slice(0, slash + 1) as Raw);
    return joinRaw(toRaw(await realpath(above, { encoding: 'buffer' })), name);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return undefined;
  }
}

export type MountWish = {
  readonly door: FuseDoor;
  readonly allowOther: boolean;
  /** What the kernel's table says is mounted, and `df`. */
  readonly source?: Raw | undefined;
};

/**
 * Mounts at a path that readyMountpoint gave; the kernel asks from now on, and waits.
 * @throws CodedError MOUNT_UNSUPPORTED, MOUNT_FAILED
 */
export async function mountDevice(
  path: Raw,
  { door, allowOther, source = SOURCE }: MountWish,
): Promise<Mounted> {
  const shared = `default_permissions${allowOther ? ',allow_other' : ''}`;
  const device = isRoot()
    ? await mountBySelf(path, { door, source, shared })
    : await mountByHelper(door, path, helperOptions(source, shared));
  const entry = mountAt(await readMountTable(), path);
  if (entry?.type === MOUNT_TYPE) return { device, entry };
  door.close(device);
  throw failure(path, 'the mount is not there; was something mounted over it?');
}

const helperOptions = (source: Raw, shared: string): Raw =>
  `ro,nosuid,nodev,fsname=${escapedOption(source)},subtype=shelfs,${shared}` as Raw;

async function mountBySelf(
  path: Raw,
  {
    door,
    source,
    shared,
  }: { readonly door: FuseDoor; readonly source: Raw; readonly shared: string },
): Promise<number> {
  const device = door.openDevice();
  if (device < 0) {
    const errno = getSystemErrorName(device);
    const message = `/dev/fuse cannot be opened (${errno}); load the module fuse, or give the container the device`;
    throw new CodedError('MOUNT_UNSUPPORTED', message, { errno, device: '/dev/fuse' });
  }
  const mode = (constants.S_IFDIR | 0o755).toString(8);
  const options = `fd=${device},rootmode=${mode},user_id=0,group_id=0,${shared}`;
  const flags = MS_RDONLY | MS_NOSUID | MS_NODEV;
  const answer = await door.mount(
    rawBytes(source),
    rawBytes(path),
    Buffer.from(MOUNT_TYPE),
    flags,
    Buffer.from(options),
  );
  if (answer === 0) return device;
  door.close(device);
  const errno = getSystemErrorName(answer);
  const advice = errno === 'EPERM' ? '; a container needs --cap-add SYS_ADMIN for it' : '';
  throw failure(path, `cannot be mounted on (${errno})${advice}`);
}

/** Where the machine lets us: an ordinary user keeps the kernel's measure. */
export async function raiseReadAhead({ device }: MountEntry): Promise<void> {
  try {
    await writeFile(`/sys/class/bdi/${device}/read_ahead_kb`, String(READ_AHEAD_KIB));
  } catch (error) {
    if (!['EACCES', 'EPERM', 'EROFS', 'ENOENT'].includes(errnoOf(error) ?? '')) throw error;
  }
}

/** How the door takes the mount away when nobody else can any more. */
export function lastResort(entry: MountEntry): readonly Uint8Array[] {
  if (isRoot()) return [];
  return [...unmountCommand('lazy').map((word) => Buffer.from(word)), rawBytes(entry.path)];
}

/**
 * Takes a mount away whose requests all fail: politely, then by force.
 * @throws CodedError MOUNT_FAILED where the kernel does not let us
 */
export async function takeAway(entry: MountEntry, tools: MountTools): Promise<void> {
  for (const pauseMs of BUSY_PAUSES_MS) {
    if (!(await isMounted(entry)) || (await unmountOnce(entry.path, tools.door)) !== 'EBUSY') break;
    await tools.clock.sleepMs(pauseMs, never);
  }
  await detach(entry, tools);
}

/** By force and lazily: whoever uses it gets errors, and it goes when they do. Nothing is done where it is gone. */
export async function detach(entry: MountEntry, { door }: Pick<MountTools, 'door'>): Promise<void> {
  const path = rawBytes(entry.path);
  if (!(await isMounted(entry))) return;
  if (!isRoot()) {
    await unmountByHelper(entry.path, 'lazy');
    return;
  }
  // Answers EBUSY and has done what it is called for.
  await door.unmount(path, MNT_FORCE | UMOUNT_NOFOLLOW);
  if (!(await isMounted(entry))) return;
  const answer = await door.unmount(path, MNT_DETACH | UMOUNT_NOFOLLOW);
  if (answer !== 0 && (await isMounted(entry)))
    throw failure(entry.path, `cannot be unmounted (${getSystemErrorName(answer)})`);
}

/** The mount of ours that is seen at a path. @throws CodedError NOT_MOUNTED, MOUNTPOINT_UNSUITABLE */
export async function ownMountAt(path: Raw): Promise<MountEntry> {
  const table = await readMountTable();
  // Without a question to the mount itself, which may be stopped, or not for us to look at.
  const place = await placeOf(path);
  const there = place && mountAt(table, place);
  if (there?.type === MOUNT_TYPE) return there;
  const canonical = await canonicalPath(path);
  const entry = mountAt(table, canonical);
  if (entry?.type === MOUNT_TYPE) return entry;
  const name = rawText(canonical);
  throw new CodedError('NOT_MOUNTED', `${name} is no mount of shelfs`, { path: name });
}

/**
 * Unmounts what another process serves, which then ends. `forced`: also while it is used; readers get errors.
 * @throws CodedError MOUNT_BUSY, MOUNT_FAILED
 */
export async function umount(
  entry: MountEntry,
  { door, how }: { readonly door: FuseDoor; readonly how: 'plain' | 'forced' },
): Promise<void> {
  if (how === 'forced') return detach(entry, { door });
  const errno = await unmountOnce(entry.path, door);
  if (errno === undefined) return;
  const name = rawText(entry.path);
  if (errno === 'EBUSY') {
    const message = `${name} is in use; close what is open there (fuser -vm shows it), or unmount by force`;
    throw new CodedError('MOUNT_BUSY', message, { path: name });
  }
  throw failure(entry.path, `cannot be unmounted (${errno})`);
}

/** Undefined when it is done. */
async function unmountOnce(path: Raw, door: FuseDoor): Promise<string | undefined> {
  if (isRoot()) {
    const answer = await door.unmount(rawBytes(path), UMOUNT_NOFOLLOW);
    return answer === 0 ? undefined : getSystemErrorName(answer);
  }
  try {
    await unmountByHelper(path, 'plain');
    return undefined;
  } catch (error) {
    // The helper has no status of its own for it.
    if (error instanceof CodedError && /busy/i.test(error.message)) return 'EBUSY';
    throw error;
  }
}

async function isMounted({ line }: MountEntry): Promise<boolean> {
  return (await readMountTable()).some((entry) => entry.line === line);
}

function unsuitable(path: Raw, reason: string): CodedError {
  const name = rawText(path);
  return new CodedError('MOUNTPOINT_UNSUITABLE', `${name} ${reason}`, { path: name });
}

function failure(path: Raw, reason: string): CodedError {
  const name = rawText(path);
  return new CodedError('MOUNT_FAILED', `${name} ${reason}`, { path: name });
}
