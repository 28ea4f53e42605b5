/** A virtual library for one test: in memory where possible, with its own clock, faults and hand. */

import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { z } from 'zod';
import { type Clock, SimClock } from '../../src/base/clock.ts';
import { seededRandom } from '../../src/base/random.ts';
import { Changer } from '../../src/device/changer.ts';
import { Drive } from '../../src/device/drive.ts';
import type { ScsiPort } from '../../src/device/port.ts';
import { FaultPlan } from '../../src/device/virtual/faults.ts';
import { readJson, writeJson } from '../../src/device/virtual/json-file.ts';
import { createCartridge, VirtualLibrary } from '../../src/device/virtual/library.ts';
import type { Speed } from '../../src/device/virtual/usage.ts';
import type { Barcode } from '../../src/domain/barcode.ts';
import type { LibraryShape } from '../../src/domain/library-shape.ts';
import { type FailingOperation, type Hand, SHAPE, type World } from '../contract/world.ts';
import { memoryLocks } from './locks.ts';
import { scratchDirectory } from './scratch.ts';

const go = new AbortController().signal;

export type SimOptions = {
  readonly shape?: Partial<LibraryShape>;
  readonly speed?: Speed;
  readonly clock?: Clock;
};

export class SimWorld implements World {
  readonly directory: string;
  readonly library: VirtualLibrary;
  readonly clock: Clock;
  readonly faults: FaultPlan;
  readonly #ports = new Map<number, ScsiPort>();

  private constructor(directory: string, library: VirtualLibrary, clock: Clock, faults: FaultPlan) {
    this.directory = directory;
    this.library = library;
    this.clock = clock;
    this.faults = faults;
  }

  static async make(options: SimOptions = {}): Promise<SimWorld> {
    const directory = await scratchDirectory();
    const shape: LibraryShape = {
      generation: 'LTO-8',
      ...SHAPE,
      barcodes: SHAPE.barcodes.map((text) => text as Barcode),
      ...options.shape,
    };
    await VirtualLibrary.create(directory, shape, seededRandom(1));
    const clock = options.clock ?? new SimClock();
    const faults = new FaultPlan();
    const library = await VirtualLibrary.open(directory, {
      clock,
      speed: options.speed ?? 'model',
      lockFile: memoryLocks(),
      bootId: 'boot 1',
      faults,
    });
    const world = new SimWorld(directory, library, clock, faults);
    onTestFinished(async () => {
      for (const port of world.#ports.values()) await port.close();
      const unfired = faults.unfired();
      if (unfired.length > 0)
        throw new Error(`planned faults that never fired: ${unfired.join('; ')}`);
    });
    return world;
  }

  async openChanger(): Promise<Changer> {
    return Changer.open(this.library.openChanger(), this.clock, go);
  }

  /** One port a drive, however often it is opened. */
  async openDrive(index: number): Promise<Drive> {
    const port = this.#ports.get(index) ?? (await this.library.openDrive(index));
    this.#ports.set(index, port);
    return Drive.open(port, this.clock, go);
  }

  readonly hand: Hand = {
    fail: async (on: FailingOperation, { drive, key, code, deferred = false }) => {
      const where = on === 'move' ? {} : { drive };
      this.faults.add({
        note: `${on} fails`,
        on,
        ...where,
        effect: { kind: 'sense', key, code, deferred },
      });
    },
    alert: async (drive, flag) => {
      this.faults.add({
        note: `alert ${flag}`,
        on: 'any',
        drive,
        effect: { kind: 'tape-alert', flag },
      });
      await this.#touch(drive);
    },
    reset: async (drive, { swallowed }) => {
      this.faults.add({
        note: 'reset',
        on: 'position',
        drive,
        effect: { kind: 'reset', swallowed },
      });
    },
    protect: async (barcode, on) => {
      const path = join(this.directory, `${barcode}.json`);
      await writeJson(path, { ...(await readJson(path, z.looseObject({}))), writeProtected: on });
    },
    insert: async (barcode) => {
      const port = (await (await this.openChanger()).elements(go)).find(
        ({ type }) => type === 'port',
      );
      await createCartridge(
        this.directory,
        barcode as Barcode,
        { generation: 'LTO-8', capacityBytes: SHAPE.capacityBytes },
        seededRandom(2),
      );
      await this.library.insertByHand(barcode, port?.address ?? -1);
    },
  };

  /** A look at the position, on which effects that need an operation take hold. */
  async #touch(drive: number): Promise<void> {
    await (await this.openDrive(drive)).provePosition(go);
  }
}
