/**
 * The newest copy of the catalog on the cartridges that can be proven: unpacked, whole, a catalog of this program and
 * nothing else. Where it cannot be read, the one before it; where none can, the journals have to do.
 */
import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createZstdDecompress } from 'node:zlib';
import { CodedError, errnoOf } from '../../base/errors.ts';
import { printable } from '../../base/text.ts';
import { proveCopy } from '../../catalog/file/check.ts';
import { readBeginning } from '../../storage/beginning.ts';
import type { HeldDrive } from '../../storage/drives.ts';
import { Blocks } from './blocks.ts';
import { isOfMedium } from './inventory.ts';
import type { FoundMedium } from './spool.ts';

export type CopyPlace = {
  readonly medium: FoundMedium;
  readonly archive: string;
  readonly startBlock: number;
  readonly position: number;
  readonly lengthBytes: number;
  /** ISO 8601, UTC. */
  readonly taken: string;
};

/** No catalog packs better than this; what does is made to fill the disk. */
const RATIO_MAX = 1000;
const UNPACKED_BYTES_MIN = 2 ** 26;

/** Newest first. What lies beyond its archive's journal is none. */
export function copiesOn(media: readonly FoundMedium[]): CopyPlace[] {
  return media
    .flatMap((medium) =>
      medium.files.flatMap(({ startBlock, journal, digest }) =>
        digest === undefined || journal === undefined
          ? []
          : journal.copies
              .filter(({ position, lengthBytes }) => position + lengthBytes <= digest.lengthBytes)
              .map((copy) => ({ ...copy, medium, archive: journal.archive, startBlock })),
      ),
    )
    .toSorted((a, b) => Date.parse(b.taken) - Date.parse(a.taken));
}

/**
 * @param path where the catalog is to stand; nothing stands there when none was found
 * @throws CodedError CATALOG_NEWER where a newer program wrote it: an older copy would not know what that one meant
 */
export async function unpackNewest(
  copies: readonly CopyPlace[],
  path: string,
  tools: {
    readonly hold: (barcode: string) => Promise<HeldDrive>;
    warn(message: string): void;
  },
  signal: AbortSignal,
): Promise<CopyPlace | undefined> {
  for (const copy of copies) {
    try {
      await unpack(copy, path, tools, signal);
      await proveCopy(path);
      return copy;
    } catch (error) {
      await rm(path, { force: true });
      const isNewer = error instanceof CodedError && error.code === 'CATALOG_NEWER';
      if (isNewer || !isOfCopy(error)) throw error;
      tools.warn(
        `the copy of the catalog of ${copy.taken} on ${printable(copy.medium.label.barcode)} is of no use: ${error.message}`,
      );
    }
  }
  return undefined;
}

async function unpack(
  copy: CopyPlace,
  path: string,
  tools: { readonly hold: (barcode: string) => Promise<HeldDrive> },
  signal: AbortSignal,
): Promise<void> {
  const { label } = copy.medium;
  const { drive, close } = await tools.hold(label.barcode);
  try {
    const found = await readBeginning(drive, signal);
    if (found.kind !== 'label' || found.label.uuid !== label.uuid)
      throw new CodedError('MEDIUM_MISMATCH', 'another cartridge is there now');
    const blocks = new Blocks(drive, label.blockBytes);
    const range = { offset: copy.position, lengthBytes: copy.lengthBytes };
    await pipeline(
      blocks.range(copy.startBlock, range, signal),
      createZstdDecompress(),
      bounded(UNPACKED_BYTES_MIN + RATIO_MAX * copy.lengthBytes),
      createWriteStream(path, { mode: 0o600 }),
      { signal },
    );
  } finally {
    await close();
  }
}

function bounded(bytesMax: number): Transform {
  let bytes = 0;
  return new Transform({
    transform(chunk: Buffer, _, done) {
      bytes += chunk.length;
      if (bytes <= bytesMax) done(null, chunk);
      else done(new CodedError('ARCHIVE_INVALID', 'it unpacks to more than a catalog is'));
    },
  });
}

/** What speaks against this copy only. */
function isOfCopy(error: unknown): error is Error {
  if (isOfMedium(error)) return true;
  if (error instanceof CodedError) return error.code === 'CATALOG_DAMAGED';
  return errnoOf(error)?.startsWith('ZSTD_') ?? false;
}
