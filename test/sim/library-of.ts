/** The library as storage sees it, over a simulated world. */
import type { ScsiPort } from '../../src/device/port.ts';
import type { HealthKeeper } from '../../src/storage/health-watch.ts';
import { Library } from '../../src/storage/library.ts';
import type { SimWorld } from './world.ts';

export type LibraryOptions = {
  /** What stands between the product and each drive. */
  readonly between?: (port: ScsiPort) => ScsiPort;
  /** How many of its drives are given to us, the first ones; default: all. */
  readonly ownDrives?: number;
};

export async function libraryOf(
  world: Pick<SimWorld, 'library' | 'clock'>,
  keeper?: HealthKeeper,
  { between = (port) => port, ownDrives }: LibraryOptions = {},
): Promise<Library> {
  const serials = (await world.library.driveSerials()).slice(0, ownDrives);
  return new Library(
    {
      openChanger: async () => world.library.openChanger(),
      drives: serials.map((serial, index) => ({
        name: `virtual drive ${index}`,
        serial,
        hold: async () => {
          const port = await world.library.openDrive(index);
          return {
            port: between(port),
            takeTape: async () => {},
            letGoOfTape: async () => {},
            close: () => port.close(),
          };
        },
      })),
    },
    world.clock,
    keeper,
  );
}
