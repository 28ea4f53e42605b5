/**
 * Builds every long-lived object once, and is the only place that picks implementations: the machine's clock or a
 * simulated one, the kernel's SCSI devices or a virtual library.
 */
import { join } from 'node:path';
import { type Clock, systemClock } from './base/clock.ts';
import { CodedError } from './base/errors.ts';
import { systemMachine } from './base/machine.ts';
import { type Random, systemRandom } from './base/random.ts';
import { type Config, loadConfig } from './config.ts';
import { holdDrive } from './device/hold.ts';
import { loadScsiDoor, lockFile, openScsiPort, type ScsiDoor } from './device/native.ts';
import { type DeviceNode, resolveDevice } from './device/node.ts';
import type { ScsiPort } from './device/port.ts';
import { tracePort } from './device/trace.ts';
import { readBootId, VirtualLibrary } from './device/virtual/library.ts';
import { checkMachine, type Finding } from './job/doctor.ts';
import { type InitRequest, type InitResult, initialize } from './job/init.ts';
import { Library, type LibraryDevices } from './storage/library.ts';

export type WireOptions = {
  readonly stateDirectory: string;
  readonly configPath?: string | undefined;
  /** Receives one line for each SCSI command (`-vv`). */
  readonly trace?: ((line: string) => void) | undefined;
  readonly clock?: Clock;
  readonly random?: Random;
};

/** What the commands may ask for. Nothing is opened before it is asked for. */
export interface App {
  readonly stateDirectory: string;
  readonly clock: Clock;
  init(request: InitRequest, signal: AbortSignal): Promise<InitResult>;
  library(): Promise<Library>;
  doctor(): Promise<Finding[]>;
}

export function wire(options: WireOptions): App {
  const clock = options.clock ?? systemClock;
  const random = options.random ?? systemRandom;
  const traced = (port: ScsiPort) => (options.trace ? tracePort(port, options.trace, clock) : port);
  let door: ScsiDoor | undefined;
  const openDoor = () => {
    door ??= loadScsiDoor();
    return door;
  };
  return {
    stateDirectory: options.stateDirectory,
    clock,
    init: (request, signal) =>
      initialize(options.stateDirectory, request, {
        random,
        checkChanger: async (path) => {
          await expectKind(path, 'changer');
        },
        checkDrive: async (path) => {
          await expectKind(path, 'tape');
        },
        createLibrary: (directory, shape) =>
          VirtualLibrary.create(directory, shape, random, signal),
        lock: (path) => lockFile(openDoor(), path),
      }),
    library: async () => {
      const config = await loadConfig(options.stateDirectory, options.configPath);
      return new Library(await libraryDevices(config, { clock, openDoor, traced }), clock);
    },
    doctor: async () => {
      const config = await loadConfig(options.stateDirectory, options.configPath).catch(
        (error: unknown) => {
          if (error instanceof CodedError && error.code === 'STATE_MISSING') return undefined;
          throw error;
        },
      );
      return checkMachine(systemMachine, { library: config?.library, loadDoor: openDoor });
    },
  };
}

type Tools = {
  readonly clock: Clock;
  readonly openDoor: () => ScsiDoor;
  readonly traced: (port: ScsiPort) => ScsiPort;
};

async function libraryDevices(config: Config, tools: Tools): Promise<LibraryDevices> {
  return config.library.kind === 'virtual'
    ? virtualDevices(
        join(config.stateDirectory, config.library.directory),
        config.library.speed,
        tools,
      )
    : hardwareDevices(config.library, tools);
}

async function virtualDevices(
  directory: string,
  speed: 'instant' | 'model' | 'real',
  { clock, openDoor, traced }: Tools,
): Promise<LibraryDevices> {
  const library = await VirtualLibrary.open(directory, {
    clock,
    speed,
    lockFile: (path) => lockFile(openDoor(), path),
    bootId: await readBootId(),
  });
  const serials = await library.driveSerials();
  return {
    openChanger: async () => traced(library.openChanger()),
    statistics: () => library.statistics(),
    drives: serials.map((serial, index) => ({
      name: `virtual drive ${index}`,
      serial,
      hold: async () => {
        const port = traced(await library.openDrive(index));
        // There is no second node through which anybody could reach a virtual drive.
        return {
          port,
          takeTape: async () => {},
          letGoOfTape: async () => {},
          close: () => port.close(),
        };
      },
    })),
  };
}

async function hardwareDevices(
  config: { readonly changer?: string | undefined; readonly drives: readonly string[] },
  { openDoor, traced }: Tools,
): Promise<LibraryDevices> {
  const { changer } = config;
  const nodes = await Promise.all(config.drives.map((path) => expectKind(path, 'tape')));
  return {
    openChanger:
      changer === undefined
        ? undefined
        : async () => {
            const { sgPath } = await expectKind(changer, 'changer');
            return traced(await openScsiPort(sgPath, { door: openDoor(), access: 'exclusive' }));
          },
    drives: nodes.map((node) => ({
      name: node.path,
      serial: node.serial,
      hold: async () => {
        const hold = await holdDrive(node, openDoor());
        return { ...hold, port: traced(hold.port) };
      },
    })),
  };
}

async function expectKind(path: string, kind: DeviceNode['kind']): Promise<DeviceNode> {
  const node = await resolveDevice(path);
  if (node.kind === kind) return node;
  const is = node.kind === 'tape' ? 'a tape drive, not a changer' : 'a changer, not a tape drive';
  throw new CodedError('DEVICE_UNSUITABLE', `${path} is ${is}`, { device: path });
}
