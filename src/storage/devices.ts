/** What a library is made of, wherever it comes from: the kernel's devices, or the files of a virtual one. */
import type { DriveHold } from '../device/hold.ts';
import type { ScsiPort } from '../device/port.ts';
import type { DriveStatistics } from '../device/virtual/state.ts';

export interface LibraryDevices {
  /** Undefined where a person is the changer. */
  readonly openChanger: (() => Promise<ScsiPort>) | undefined;
  readonly drives: readonly DriveDevice[];
  /** Of virtual drives, in order of `drives`. */
  readonly statistics?: () => Promise<readonly DriveStatistics[]>;
  /** Of a person, where the cartridges are virtual and there is no changer. */
  readonly hand?: Hand | undefined;
}

/** Puts cartridges into drives and takes them out, by number of the drive; places as people call them. */
export interface Hand {
  /** @returns where it lay @throws CodedError MEDIUM_OFFLINE; REMOVAL_PREVENTED where the drive has one threaded */
  load(name: string, drive: number): Promise<string>;
  /** Takes out what was ejected. @returns where it went; undefined where there was none */
  unload(drive: number): Promise<string | undefined>;
}

export interface DriveDevice {
  /** `/dev/nst0`, `virtual drive 0`. */
  readonly name: string;
  readonly serial: string | undefined;
  /** @throws CodedError DRIVE_BUSY naming the process that has it */
  hold(): Promise<DriveHold>;
}
