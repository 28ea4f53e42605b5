/** The library as this machine has it: the kernel's devices, or the files of a virtual one. */
import { strict as assert } from 'node:assert';
import { join, resolve } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { CodedError } from '../base/errors.ts';
import { systemMachine } from '../base/machine.ts';
import type { Config } from '../config.ts';
import { lockFile, openScsiPort, type ScsiDoor } from '../device/native.ts';
import { type DeviceNode, resolveDevice } from '../device/node.ts';
import type { ScsiPort } from '../device/port.ts';
import type { VirtualLibrary } from '../device/virtual/library.ts';
import type { Hand, LibraryDevices } from '../storage/devices.ts';

/** The chip's own words, without loading it; undefined where there is no such cartridge. */
export async function virtualCapacity(
  directory: string,
  barcode: string,
): Promise<number | undefined> {
  assert(/^[A-Z0-9]{8}$/.test(barcode), 'a barcode names a file here');
  const path = join(directory, `${barcode}.json`);
  if (!(await systemMachine.exists(path))) return undefined;
  const [{ z }, { readJson }] = await Promise.all([
    import('zod'),
    import('../device/virtual/json-file.ts'),
  ]);
  return (await readJson(path, z.looseObject({ capacityBytes: z.int().positive() }))).capacityBytes;
}

export type LibraryTools = {
  readonly clock: Clock;
  readonly openDoor: () => ScsiDoor;
  readonly traced: (port: ScsiPort) => ScsiPort;
};

export async function libraryDevices(config: Config, tools: LibraryTools): Promise<LibraryDevices> {
  return config.library.kind === 'virtual'
    ? virtualDevices(
        resolve(config.stateDirectory, config.library.directory),
        config.library,
        tools,
      )
    : hardwareDevices(config.library, tools);
}

async function virtualDevices(
  directory: string,
  { speed, changer = true }: Extract<Config['library'], { kind: 'virtual' }>,
  { clock, openDoor, traced }: LibraryTools,
): Promise<LibraryDevices> {
  const { readBootId, VirtualLibrary } = await import('../device/virtual/library.ts');
  const library = await VirtualLibrary.open(directory, {
    clock,
    speed,
    lockFile: (path) => lockFile(openDoor(), path),
    bootId: await readBootId(),
  });
  const serials = await library.driveSerials();
  return {
    openChanger: changer ? async () => traced(library.openChanger()) : undefined,
    hand: changer ? undefined : virtualHand(library),
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

/** Slots are a shelf here, and their addresses the places on it. */
function virtualHand(library: VirtualLibrary): Hand {
  return {
    load: async (name, drive) => `shelf ${await library.loadByHand(name, drive)}`,
    unload: async (drive) => {
      const address = await library.unloadByHand(drive);
      return address === undefined ? undefined : `shelf ${address}`;
    },
  };
}

async function hardwareDevices(
  config: { readonly changer?: string | undefined; readonly drives: readonly string[] },
  { openDoor, traced }: LibraryTools,
): Promise<LibraryDevices> {
  const { changer } = config;
  const nodes = await Promise.all(config.drives.map((path) => expectKind(path, 'tape')));
  const { holdDrive } = await import('../device/hold.ts');
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

export async function expectKind(path: string, kind: DeviceNode['kind']): Promise<DeviceNode> {
  const node = await resolveDevice(path);
  if (node.kind === kind) return node;
  const is = node.kind === 'tape' ? 'a tape drive, not a changer' : 'a changer, not a tape drive';
  throw new CodedError('DEVICE_UNSUITABLE', `${path} is ${is}`, { device: path });
}
