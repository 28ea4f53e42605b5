/** Grooming in a world of backups: in process, on virtual cartridges. */
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Media, type Medium } from '../../src/catalog/shelf/media.ts';
import { parseConfig } from '../../src/config.ts';
import { type GroomRequest, type GroomTools, groom } from '../../src/job/groom/groom.ts';
import type { GroomEvent, GroomReport } from '../../src/job/groom/report.ts';
import type { BackupWorld } from './backup-world.ts';
import { TapImage } from './check-archives.ts';

const go = new AbortController().signal;

export type GroomOptions = {
  readonly copies?: number;
  readonly belowPercent?: number;
  readonly spoolBytes?: number;
  readonly events?: GroomEvent[];
  readonly listen?: (event: GroomEvent) => void;
  readonly signal?: AbortSignal;
  readonly tools?: Partial<GroomTools>;
};

export function mediumOf({ catalog }: Pick<BackupWorld, 'catalog'>, barcode: string): Medium {
  const medium = new Media(catalog).find(barcode);
  if (!medium) throw new Error(`no ${barcode}`);
  return medium;
}

export function groomTools(world: BackupWorld, options: GroomOptions = {}): GroomTools {
  const config = parseConfig('[library]\nkind = "virtual"\n', 'config');
  const { spoolBytes = config.groom.spool, copies = 1 } = options;
  return {
    ...world.tools,
    groom: { ...config.groom, spool: spoolBytes },
    stateDirectory: world.state,
    copiesOf: () => copies,
    lock: async () => ({ close: async () => {} }),
    ...options.tools,
  };
}

/** @param barcodes none: those with too little live on them */
export async function groomMedia(
  world: BackupWorld,
  barcodes: readonly string[],
  options: GroomOptions = {},
): Promise<GroomReport> {
  await mkdir(join(world.state, 'locks'), { recursive: true });
  const request: GroomRequest = {
    media: barcodes.map((barcode) => mediumOf(world, barcode)),
    belowPercent: options.belowPercent,
    wait: false,
  };
  const listen = (event: GroomEvent) => {
    options.events?.push(event);
    options.listen?.(event);
  };
  return groom(request, groomTools(world, options), listen, options.signal ?? go);
}

/** One byte of a block becomes another. */
export function flipBlock({ sim }: Pick<BackupWorld, 'sim'>, barcode: string, block: number): void {
  const path = join(sim.directory, `${barcode}.tap`);
  const bytes = readFileSync(path);
  const at = TapImage.read(sim.directory, barcode).before(block).length + 4 + 1000;
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  writeFileSync(path, bytes);
}
