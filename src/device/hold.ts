/**
 * Holding a drive: while we use it, nobody else on this machine can move its tape.
 *
 * Two nodes lead to a drive, and each is a door for others: `mt` and `tar` open nst, `sg_turs` and its kin open sg. So
 * both are held: nst open, which makes every other open of it fail, and sg open exclusively and locked. The order is nst,
 * then sg; the other way round two programs could each hold one. nst has to be closed before UNLOAD and before the
 * picker takes the cartridge, or its driver is left with a tape that is gone.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { CodedError, errnoOf } from '../base/errors.ts';
import { findHolder } from './holder.ts';
import { openScsiPort, type ScsiDoor } from './native.ts';
import type { DeviceNode } from './node.ts';
import type { ScsiPort } from './port.ts';

export interface DriveHold {
  readonly port: ScsiPort;
  /** Opens nst; before label, mode and position are proven. May be called twice. */
  takeTape(): Promise<void>;
  /** Closes nst; before UNLOAD and MOVE. May be called twice. */
  letGoOfTape(): Promise<void>;
  /** Lets go of everything. May be called twice. */
  close(): Promise<void>;
}

/** @throws CodedError DRIVE_BUSY naming the process that has it; DEVICE_MISSING, DEVICE_FORBIDDEN */
export async function holdDrive(node: DeviceNode, door: ScsiDoor): Promise<DriveHold> {
  const tape = new TapeNode(node.tapePath);
  await tape.open();
  try {
    const port = await openScsiPort(node.sgPath, { door, access: 'exclusive' });
    return {
      port,
      takeTape: () => tape.open(),
      letGoOfTape: () => tape.close(),
      close: async () => {
        await port.close();
        await tape.close();
      },
    };
  } catch (error) {
    await tape.close();
    throw error;
  }
}

/** The nst node, open or not. Without the st driver there is none, and nothing to hold. */
class TapeNode {
  readonly #path: string | undefined;
  #file: FileHandle | undefined;

  constructor(path: string | undefined) {
    this.#path = path;
  }

  async open(): Promise<void> {
    if (!this.#path || this.#file) return;
    try {
      // A blocking open of an empty drive waits for two minutes, then fails.
      this.#file = await open(this.#path, constants.O_RDWR | constants.O_NONBLOCK);
    } catch (error) {
      if (errnoOf(error) !== 'EROFS') throw await refusal(this.#path, error);
      // write-protected: held all the same
      this.#file = await open(this.#path, constants.O_RDONLY | constants.O_NONBLOCK);
    }
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }
}

async function refusal(path: string, cause: unknown): Promise<CodedError> {
  const errno = errnoOf(cause) ?? 'EIO';
  if (errno === 'EBUSY') {
    const holder = await findHolder(path);
    const who = holder
      ? `process ${holder.pid} (${holder.command})`
      : 'another process, which only root can see';
    return new CodedError('DRIVE_BUSY', `${path} is in use by ${who}; wait for it or end it`, {
      device: path,
      cause,
      ...(holder && { pid: holder.pid }),
    });
  }
  const code = errno === 'EACCES' || errno === 'EPERM' ? 'DEVICE_FORBIDDEN' : 'DEVICE_MISSING';
  return new CodedError(code, `${path} cannot be opened (${errno})`, { device: path, cause });
}
