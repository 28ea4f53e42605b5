/**
 * Ports over native/scsi, the door to the kernel's SCSI devices, and what its errnos mean.
 *
 * The door opens, locks and sends; whom to blame, what to call it and what to do about it is decided here.
 */
import assert from 'node:assert';
import { readdir, stat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { CodedError, errnoOf, type FailureCode } from '../base/errors.ts';
import { loadDoor } from '../base/native-door.ts';
import { deviceNumbers, findHolder } from './holder.ts';
import type { ScsiCommand, ScsiPort, ScsiReply } from './port.ts';

/** What native/scsi exports. Everything is answered by errno; nothing of it throws or rejects. */
export type ScsiDoor = {
  open(path: string, options: DoorOptions): Promise<{ handle: DoorHandle } | DoorRefusal>;
};

export type DoorOptions = {
  /** O_RDONLY instead of O_RDWR. */
  readonly readOnly?: boolean;
  /** O_EXCL: the sg driver lets nobody else open the device. Means something else together with `create`. */
  readonly exclusive?: boolean;
  /** An exclusive flock(2), or EWOULDBLOCK. */
  readonly lock?: boolean;
  /** O_CREAT, for lock files. */
  readonly create?: boolean;
  /** Of the sg driver's transfer buffer; it takes what it can get. */
  readonly reservedBytes?: number;
};

export type DoorRefusal = { readonly errno: number; readonly step: 'open' | 'lock' };

/** An open file. Collected unclosed, it closes itself; never while a command is not answered. */
export type DoorHandle = {
  /**
   * Queues one command: `direction` 0 moves no data, 1 from the device into `buffer`, 2 to the device out of it. ENOTTY
   * where there is no SCSI device, EINVAL for wrong arguments, ECANCELED when dropped or closed before it was sent.
   */
  execute(
    cdb: Uint8Array,
    direction: 0 | 1 | 2,
    buffer: Uint8Array | undefined,
    timeoutMs: number,
    number?: number,
  ): Promise<ScsiReply | { readonly errno: number }>;
  /** Takes the command of that number back; false when it was sent already. */
  drop(number: number): boolean;
  /** Cancels what was not sent and closes after the command under way. Every call returns the same promise. */
  close(): Promise<{ readonly errno: number }>;
};

/** A lock held by this process until closed, or until the process ends in whatever way. */
export type FileLock = {
  readonly path: string;
  /** May be called twice. */
  close(): Promise<void>;
};

/**
 * Asked of the sg driver for each exclusive port: blocks up to this never fail for want of contiguous memory, and cost
 * 40 % less of the kernel's time than with a new buffer each (measured with 1 MiB writes).
 */
const RESERVED_BYTES = 1024 * 1024;

/** kRevision of native/scsi/src/door.cc. */
const SCSI = { name: 'scsi', what: 'the door to SCSI devices', revision: 1 };

/**
 * Loads native/scsi: the build or the prebuilt one, or the file `addonPath`.
 * @throws CodedError FAILED when there is none for this machine, or one of another revision.
 */
export function loadScsiDoor(addonPath?: string): ScsiDoor {
  return loadDoor<ScsiDoor>(SCSI, addonPath);
}

/**
 * Opens a device of the sg driver. `exclusive` keeps everyone else's commands out, also those of tools that know no
 * locks; `shared` is for a look at what a device is, and fails while somebody has it exclusively.
 * @throws CodedError DEVICE_MISSING, DEVICE_FORBIDDEN, DEVICE_UNSUITABLE; DRIVE_BUSY with the holder's pid where known.
 */
export async function openScsiPort(
  path: string,
  options: { readonly door: ScsiDoor; readonly access: 'exclusive' | 'shared' },
): Promise<ScsiPort> {
  await assertGeneric(path);
  const reply = await options.door.open(
    path,
    options.access === 'exclusive'
      ? { exclusive: true, lock: true, reservedBytes: RESERVED_BYTES }
      : {},
  );
  if ('errno' in reply) throw await openFailure(path, reply);
  return portOf(path, reply.handle);
}

/** A port over a handle that is open already; closes it. */
export function portOf(name: string, handle: DoorHandle): ScsiPort {
  return new NativePort(name, handle);
}

/**
 * Creates a file if need be and locks it for this process.
 * @throws CodedError DRIVE_BUSY with the holder's pid where known; FAILED when it cannot be opened.
 */
export async function lockFile(door: ScsiDoor, path: string): Promise<FileLock> {
  const reply = await door.open(path, { lock: true, create: true });
  if ('errno' in reply) {
    const failure = await openFailure(path, reply);
    if (failure.code === 'DRIVE_BUSY') throw failure;
    const sentence = `${path} cannot be opened to lock it (${getSystemErrorName(-reply.errno)})`;
    throw new CodedError('FAILED', sentence, { path });
  }
  const { handle } = reply;
  return {
    path,
    close: async () => {
      await handle.close();
    },
  };
}

class NativePort implements ScsiPort {
  readonly name: string;
  readonly #handle: DoorHandle;
  #commands = 0;
  #hasAnswered = false;

  constructor(name: string, handle: DoorHandle) {
    this.name = name;
    this.#handle = handle;
  }

  async execute(command: ScsiCommand, signal: AbortSignal): Promise<ScsiReply> {
    const { cdb, dataIn, dataOut, timeoutMs } = command;
    assert(dataIn === undefined || dataOut === undefined, 'one buffer at most');
    const buffer = dataIn ?? dataOut;
    // The kernel writes to an address: a buffer that can shrink meanwhile would give its memory away.
    assert(!(buffer?.buffer instanceof ArrayBuffer && buffer.buffer.resizable), 'fixed length');
    assert(cdb.byteLength >= 6 && cdb.byteLength <= 16, 'a CDB');
    assert(Number.isSafeInteger(timeoutMs) && timeoutMs > 0, 'whole milliseconds');
    signal.throwIfAborted();

    // Queued before the first await, so that commands go out in the order of the calls.
    const number = ++this.#commands;
    const direction = dataIn !== undefined ? 1 : dataOut !== undefined ? 2 : 0;
    const answer = this.#handle.execute(cdb, direction, buffer, timeoutMs, number);
    const drop = () => this.#handle.drop(number);
    signal.addEventListener('abort', drop, { once: true });
    const reply = await answer;
    signal.removeEventListener('abort', drop);

    if ('errno' in reply) {
      const errno = getSystemErrorName(-reply.errno);
      if (errno === 'ECANCELED') signal.throwIfAborted();
      throw this.#refused(errno, buffer?.byteLength ?? 0);
    }
    this.#hasAnswered = true;
    return reply;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  /** What it means that the kernel has no reply for a command. */
  #refused(errno: string, lengthBytes: number): CodedError {
    const facts = { device: this.name };
    switch (errno) {
      case 'ENODEV':
      case 'ENXIO':
        return new CodedError('DEVICE_MISSING', `${this.name} went away`, facts);
      case 'ECANCELED': {
        const message = `${this.name} was closed before a command to it was sent`;
        return new CodedError('INTERRUPTED', message, facts);
      }
      case 'EPERM': {
        // sg takes commands only with the credentials that opened it.
        const message = `${this.name} no longer takes commands from this user; open it again`;
        return new CodedError('DEVICE_FORBIDDEN', message, facts);
      }
      case 'EINVAL':
      case 'ENOMEM':
        // sg moves at most 256 pieces of 32 KiB (measured: 8 MiB), adapters often less.
        if (lengthBytes > 0 && (this.#hasAnswered || errno === 'ENOMEM')) {
          const what = `${lengthBytes} bytes in one command`;
          const message = `the adapter of ${this.name} cannot move ${what} (${errno}); use smaller blocks`;
          return new CodedError('DEVICE_UNSUITABLE', message, facts);
        }
        break;
      case 'ENOTTY':
        break;
      default: {
        const message = `${this.name}: the kernel lost a command (${errno}); what the drive did is not known`;
        return new CodedError('DRIVE_FAILED', message, facts);
      }
    }
    const message = `${this.name} takes no SCSI commands (${errno})`;
    return new CodedError('DEVICE_UNSUITABLE', message, facts);
  }
}

/** Refuses what is no node of the sg driver before opening it: closing a rewinding tape node moves the tape. */
async function assertGeneric(path: string): Promise<void> {
  const found = await stat(path, { bigint: true }).catch((cause: unknown) => {
    throw failureOf(path, errnoOf(cause) ?? 'EIO', cause);
  });
  const { major, minor } = deviceNumbers(found.rdev);
  // SCSI_GENERIC_MAJOR, linux/major.h
  if (found.isCharacterDevice() && major === 21) return;
  const nodes = found.isCharacterDevice()
    ? await readdir(`/sys/dev/char/${major}:${minor}/device/scsi_generic`).catch(() => [])
    : [];
  const advice = nodes[0] === undefined ? 'name a node such as /dev/sg1' : `use /dev/${nodes[0]}`;
  const message = `${path} is not a SCSI generic device; ${advice}`;
  throw new CodedError('DEVICE_UNSUITABLE', message, { device: path });
}

async function openFailure(path: string, refusal: DoorRefusal): Promise<CodedError> {
  const errno = getSystemErrorName(-refusal.errno);
  const isBusy = errno === 'EBUSY' || (refusal.step === 'lock' && errno === 'EAGAIN');
  if (!isBusy) return failureOf(path, errno);
  const holder = await findHolder(path);
  if (holder === undefined) {
    const message = `${path} is in use by another process, which only root can see`;
    return new CodedError('DRIVE_BUSY', message, { device: path });
  }
  const { pid, command } = holder;
  const who = command === '' ? `process ${pid}` : `process ${pid} (${command})`;
  const message =
    pid === process.pid
      ? `${path} is already in use by this process (${pid})`
      : `${path} is in use by ${who}; wait for it or end it`;
  return new CodedError('DRIVE_BUSY', message, { device: path, pid });
}

const OPEN_FAILURES: Readonly<Record<string, FailureCode>> = {
  ENOENT: 'DEVICE_MISSING',
  ENOTDIR: 'DEVICE_MISSING',
  ENODEV: 'DEVICE_MISSING',
  ENXIO: 'DEVICE_MISSING',
  EACCES: 'DEVICE_FORBIDDEN',
  EPERM: 'DEVICE_FORBIDDEN',
};

function failureOf(path: string, errno: string, cause?: unknown): CodedError {
  const code = OPEN_FAILURES[errno] ?? 'DEVICE_UNSUITABLE';
  const sentences: Partial<Record<FailureCode, string>> = {
    DEVICE_MISSING: `there is no ${path} (${errno}); is it switched on and connected?`,
    DEVICE_FORBIDDEN:
      `no permission to open ${path} (${errno}); ` +
      `join the group tape (usermod -aG tape ${userName()}, then log in again) or run as root`,
  };
  const message = sentences[code] ?? `${path} cannot be opened (${errno})`;
  return new CodedError(code, message, { device: path, ...(cause === undefined ? {} : { cause }) });
}

/** A user id may have no name, as in a container. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return 'USER';
  }
}
