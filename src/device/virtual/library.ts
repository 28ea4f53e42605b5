/**
 * A virtual tape library: a changer, drives and cartridges in a directory, answering SCSI commands in process.
 *
 * It is what `init` makes where no hardware is named, the bench of the tests, and the simulator. Cartridges are
 * `NAME.tap` (SIMH), `NAME.tap.index` and `NAME.json`; `library.json` says where everything stands. Several processes
 * may use one library: each drive belongs to one of them at a time.
 */
import { strict as assert } from 'node:assert';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { syncDirectory } from '../../base/durable.ts';
import { CodedError, errnoOf } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';
import { type Barcode, parseBarcode } from '../../domain/barcode.ts';
import { type DriveGeneration, GENERATIONS, isDriveGeneration } from '../../domain/generation.ts';
import { CAPACITY_BYTES_MIN, type LibraryShape } from '../../domain/library-shape.ts';
import type { ScsiPort } from '../port.ts';
import { VirtualCartridge } from './cartridge.ts';
import { clear, elementAt, VirtualChanger } from './changer.ts';
import { VirtualDrive } from './drive.ts';
import { FaultPlan } from './faults.ts';
import {
  type DriveStatistics,
  driveElement,
  emptyStatistics,
  type FileLock,
  type LibraryRecord,
  LibraryState,
  type LockFile,
} from './state.ts';
import type { Speed } from './usage.ts';

export type VirtualLibraryOptions = {
  readonly clock: Clock;
  readonly speed: Speed;
  readonly lockFile: LockFile;
  readonly bootId: string;
  readonly faults?: FaultPlan;
};

/** Element addresses as common libraries number them. */
const ADDRESS = { picker: 1, drive: 256, port: 768, slot: 1024 } as const;

export class VirtualLibrary {
  readonly #directory: string;
  readonly #options: VirtualLibraryOptions;
  readonly #state: LibraryState;
  readonly #faults: FaultPlan;
  readonly #drives = new Map<number, VirtualDrive>();

  private constructor(directory: string, options: VirtualLibraryOptions) {
    this.#directory = directory;
    this.#options = options;
    this.#state = new LibraryState(directory, options.lockFile, options.clock);
    this.#faults = options.faults ?? new FaultPlan();
  }

  /** Makes the directory, the cartridges and the state. Nothing may be there yet. */
  static async create(
    directory: string,
    shape: LibraryShape,
    random: Random,
    signal?: AbortSignal,
  ): Promise<void> {
    await makeDirectory(directory);
    for (const barcode of shape.barcodes) {
      signal?.throwIfAborted();
      await createCartridge(directory, barcode, shape, random);
    }
    await VirtualLibrary.furnish(directory, shape, random);
  }

  /** Makes the state alone, around cartridges that are there. */
  static async furnish(directory: string, shape: LibraryShape, random: Random): Promise<void> {
    assert(shape.drives >= 1 && shape.slots >= shape.barcodes.length);
    const serial = `SV${random.uuid().slice(0, 8).toUpperCase()}`;
    const elements: LibraryRecord['elements'] = [{ type: 'picker', address: ADDRESS.picker }];
    for (let slot = 0; slot < shape.slots; slot += 1) {
      const barcode = shape.barcodes[slot];
      const cargo = barcode && { cartridge: barcode, barcode };
      elements.push({ type: 'slot', address: ADDRESS.slot + slot, ...cargo });
    }
    for (let port = 0; port < shape.ports; port += 1) {
      elements.push({ type: 'port', address: ADDRESS.port + port });
    }
    const drives: LibraryRecord['drives'] = [];
    for (let drive = 0; drive < shape.drives; drive += 1) {
      elements.push({ type: 'drive', address: ADDRESS.drive + drive });
      drives.push({
        serial: `${serial}D${drive}`,
        unloaded: false,
        prevented: false,
        statistics: emptyStatistics(),
      });
    }
    const { generation } = shape;
    await LibraryState.create(directory, {
      revision: 1,
      serial,
      generation,
      elements,
      drives,
      moves: 0,
      moveSeconds: 0,
    });
    await syncDirectory(directory).catch((error) => failedAt(directory, error));
  }

  /** @throws CodedError STATE_MISSING when there is no library in the directory */
  static async open(directory: string, options: VirtualLibraryOptions): Promise<VirtualLibrary> {
    const library = new VirtualLibrary(directory, options);
    await library.#state.read();
    return library;
  }

  /** Unit serial numbers, in order of the drives. */
  async driveSerials(): Promise<string[]> {
    return (await this.#state.read()).drives.map(({ serial }) => serial);
  }

  openChanger(): ScsiPort {
    return new VirtualChanger({
      state: this.#state,
      clock: this.#options.clock,
      speed: this.#options.speed,
      faults: this.#faults,
      releaseDrive: (index) => this.#releaseDrive(index),
    });
  }

  /**
   * Powers a drive and keeps every other process from it until the port is closed.
   * @throws CodedError DRIVE_BUSY naming the process that has it
   */
  async openDrive(index: number): Promise<ScsiPort> {
    const { generation, drives } = await this.#state.read();
    const record = drives[index];
    assert(record && isDriveGeneration(generation), `no drive ${index}`);
    const lock = await this.#lockDrive(index);
    try {
      const drive = await VirtualDrive.open({
        index,
        serial: record.serial,
        generation,
        directory: this.#directory,
        state: this.#state,
        clock: this.#options.clock,
        speed: this.#options.speed,
        faults: this.#faults,
        bootId: this.#options.bootId,
        lock: {
          close: async () => {
            this.#drives.delete(index);
            await lock.close();
          },
        },
      });
      this.#drives.set(index, drive);
      return drive;
    } catch (error) {
      await lock.close();
      throw error;
    }
  }

  /** What each drive has done, in order of the drives; those of another process as of its last load, unload or end. */
  async statistics(): Promise<DriveStatistics[]> {
    return (await this.#state.read()).drives.map((drive) => drive.statistics);
  }

  /** A person puts a cartridge that lies in the directory into an import/export port or a slot. */
  async insertByHand(cartridge: string, address: number): Promise<void> {
    await this.#state.update((record) => {
      const element = elementAt(record, address);
      assert(!element.cartridge, `element ${address} is full`);
      Object.assign(element, { cartridge, barcode: cartridge, imported: element.type === 'port' });
    });
  }

  /** A person takes a cartridge out. */
  async removeByHand(address: number): Promise<void> {
    await this.#state.update((record) => clear(elementAt(record, address)));
  }

  /**
   * A person takes a cartridge from where it lies and puts it into a drive. One that was ejected and still stands in the
   * drive's mouth goes back to where it came from.
   * @param name barcode or its first six characters
   * @returns the address it came from
   * @throws CodedError MEDIUM_OFFLINE where it lies nowhere here, REMOVAL_PREVENTED where the drive has one threaded
   */
  async loadByHand(name: string, drive: number): Promise<number> {
    return this.#state.update((record) => {
      const source = record.elements.find(
        ({ cartridge }) => cartridge === name || cartridge?.slice(0, 6) === name,
      );
      if (!source?.cartridge) {
        const sentence = `there is no cartridge ${name} in ${this.#directory}`;
        throw new CodedError('MEDIUM_OFFLINE', sentence, { volser: name.slice(0, 6) });
      }
      const { cartridge, address } = source;
      takeOut(record, drive);
      clear(source);
      const origin = source.type === 'slot' ? address : source.source;
      Object.assign(driveElement(record.elements, drive), {
        cartridge,
        barcode: cartridge,
        source: origin,
      });
      Object.assign(record.drives[drive] ?? {}, { threaded: undefined, unloaded: false });
      return address;
    });
  }

  /**
   * A person takes an ejected cartridge out of a drive.
   * @returns the address of the slot it went to; undefined where there was none
   * @throws CodedError REMOVAL_PREVENTED where it is threaded
   */
  async unloadByHand(drive: number): Promise<number | undefined> {
    return this.#state.update((record) => takeOut(record, drive));
  }

  /** A drive of this process gives its cartridge up itself; one that nobody powers can be emptied; others cannot. */
  async #releaseDrive(index: number): Promise<FileLock | undefined> {
    const ours = this.#drives.get(index);
    if (ours) return ours.release();
    try {
      return await this.#lockDrive(index);
    } catch (error) {
      if (error instanceof CodedError && error.code === 'DRIVE_BUSY') return undefined;
      throw error;
    }
  }

  async #lockDrive(index: number): Promise<FileLock> {
    try {
      return await this.#options.lockFile(join(this.#directory, `drive-${index}.lock`));
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== 'DRIVE_BUSY') throw error;
      const { pid } = error.facts;
      const holder = pid === undefined ? 'another process' : `process ${pid}`;
      throw new CodedError(
        'DRIVE_BUSY',
        `virtual drive ${index} is held by ${holder}; wait for it or end it`,
        {
          cause: error,
          device: `virtual drive ${index}`,
          ...(pid !== undefined && { pid }),
        },
      );
    }
  }
}

/** Empties the mouth of a drive, into the slot the cartridge came from or any other. */
function takeOut(record: LibraryRecord, drive: number): number | undefined {
  const element = driveElement(record.elements, drive);
  const { cartridge, source } = element;
  if (!cartridge) return undefined;
  if (!record.drives[drive]?.unloaded) {
    const sentence = `${cartridge} is threaded in virtual drive ${drive}: unload it first`;
    throw new CodedError('REMOVAL_PREVENTED', sentence, { volser: cartridge.slice(0, 6) });
  }
  const free = record.elements.filter(({ type, cartridge: there }) => type === 'slot' && !there);
  const slot = free.find(({ address }) => address === source) ?? free[0];
  if (!slot) throw new CodedError('CHANGER_DESTINATION_FULL', 'every slot is full');
  clear(element);
  Object.assign(slot, { cartridge, barcode: cartridge });
  return slot.address;
}

/** Adds a cartridge's files to the directory; it stands nowhere in the library yet. */
export async function createCartridge(
  directory: string,
  barcode: Barcode,
  shape: { generation: DriveGeneration; capacityBytes?: number },
  random: Random,
): Promise<void> {
  const facts = parseBarcode(barcode);
  assert(facts.kind !== 'refused', `not a barcode: ${barcode}`);
  const generation = facts.kind === 'data' ? facts.generation : GENERATIONS[shape.generation];
  const capacityBytes = shape.capacityBytes ?? generation.nativeBytes;
  assert(capacityBytes >= CAPACITY_BYTES_MIN, 'a virtual cartridge holds at least 8 MiB');
  await VirtualCartridge.create(directory, barcode, {
    revision: 1,
    serial: random.uuid().replaceAll('-', '').slice(0, 10).toUpperCase(),
    generation: generation.name,
    kind: facts.kind === 'cleaning' ? 'cleaning' : facts.worm ? 'worm' : 'data',
    capacityBytes,
    writeProtected: false,
    loads: 0,
    bytesWritten: 0,
    bytesRead: 0,
    changeReference: 0,
    attributes: {},
  });
}

async function makeDirectory(path: string): Promise<void> {
  await mkdir(path, { recursive: true }).catch((error) => failedAt(path, error));
}

function failedAt(path: string, cause: unknown): never {
  const why = errnoOf(cause) ?? 'unknown';
  throw new CodedError('FAILED', `${path} cannot be made (${why})`, { path, cause });
}

/** Identifies the running kernel: a power cut changes it, a crash of a process does not. */
export async function readBootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'latin1')).trim();
}
