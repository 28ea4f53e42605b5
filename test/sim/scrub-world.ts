/** A backup's world with a scrub in it. */

import { type CopyToRead, type ExtentToRead, ReadBack } from '../../src/catalog/care/read-back.ts';
import { Contents } from '../../src/catalog/content/contents.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import type { ScrubRequest } from '../../src/job/scrub/begin.ts';
import type { ScrubEvent, ScrubReport } from '../../src/job/scrub/report.ts';
import { type ScrubTools, scrub } from '../../src/job/scrub/scrub.ts';
import type { BackupWorld } from './backup-world.ts';
import { InlineHasher } from './flipped-tape.ts';

export function scrubWorld(
  world: BackupWorld,
  options: Partial<ScrubRequest> & {
    readonly listen?: (event: ScrubEvent) => void;
    readonly signal?: AbortSignal;
    readonly tools?: Partial<ScrubTools>;
  } = {},
): Promise<ScrubReport> {
  const { listen = () => {}, signal = new AbortController().signal, tools, ...request } = options;
  const { catalog, library, clock, random, host, pid } = world.tools;
  return scrub(
    {
      media: [],
      maxBytes: Number.POSITIVE_INFINITY,
      samplePercent: 100,
      isQuick: false,
      ...request,
    },
    { catalog, library, clock, random, host, pid, hasher: new InlineHasher(), ...tools },
    listen,
    signal,
  );
}

export function mediumOf({ catalog }: BackupWorld, barcode: string) {
  const medium = new Media(catalog).find(barcode);
  if (!medium) throw new Error(`no ${barcode}`);
  return medium;
}

export type Placed = ExtentToRead & { readonly copy: CopyToRead; readonly path: string };

/** Every extent on a medium, with one of the paths of its content. */
export function extentsOn(world: BackupWorld, barcode: string): Placed[] {
  const readBack = world.catalog.part(ReadBack);
  const pathOf = world.catalog.prepare<[string]>(
    `SELECT v.name FROM inodes i CROSS JOIN versions v ON v.inode = i.id WHERE i.content = ? LIMIT 1`,
  );
  return readBack.copiesOn(mediumOf(world, barcode).id).flatMap((copy) =>
    [...readBack.extentsOf(copy.archiveId)].map((read) => ({
      ...read,
      copy,
      path: pathOf.get(read.contentId)?.[0] ?? '',
    })),
  );
}

/** The block and byte where an extent's stored bytes have this offset. */
export function placeIn({ copy, extent }: Placed, offset = 0) {
  const position = extent.archiveOffset + offset;
  return {
    block: copy.startBlock + Math.floor(position / copy.blockBytes),
    at: position % copy.blockBytes,
  };
}

export function goodCopies(world: BackupWorld, contentId: number): number {
  return new Contents(world.catalog).goodCopies(contentId);
}
