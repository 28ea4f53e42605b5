/**
 * What the contract suites need of a tape library, whoever makes it: drives, a changer, and a hand behind the scenes.
 *
 * A world is fresh for each test: cartridges in their slots, drives empty. The shape is the same for all makers.
 */
import type { Changer } from '../../src/device/changer.ts';
import type { Drive } from '../../src/device/drive.ts';

export const SHAPE = {
  drives: 2,
  slots: 6,
  ports: 1,
  /** Small, so that its end is near: early warning after 22 MiB. */
  capacityBytes: 24 * 2 ** 20,
  barcodes: ['AAA001L8', 'AAA002L8', 'AAA003L8', 'AAA004LY'],
} as const;

export type FailingOperation = 'read' | 'write' | 'filemark' | 'locate' | 'load' | 'move';

export interface World {
  openChanger(): Promise<Changer>;
  openDrive(index: number): Promise<Drive>;
  readonly hand: Hand;
}

/** What happens to a library from outside. Drives are counted from 0. */
export interface Hand {
  /** The next operation of that kind on this drive (`move`: of the changer) is refused with this sense. */
  fail(
    on: FailingOperation,
    at: { drive: number; key: number; code: number; deferred?: boolean },
  ): Promise<void>;
  /** Sets a TapeAlert flag. */
  alert(drive: number, flag: number): Promise<void>;
  /** Another host resets the drive. `swallowed`: and a third party has seen the unit attention. */
  reset(drive: number, options: { swallowed: boolean }): Promise<void>;
  /** Moves the write-protect tab of a cartridge that is in its slot. */
  protect(barcode: string, on: boolean): Promise<void>;
  /** Puts a new cartridge into the first port. */
  insert(barcode: string): Promise<void>;
}

/** Makes worlds, a fresh one for each call. */
export type WorldMaker = {
  readonly name: string;
  make(): Promise<World>;
};
