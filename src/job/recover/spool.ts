/**
 * What was read of the cartridges by now, as files: a recovery that is cut goes on with it, and no journal is ever in memory.
 *
 * A cartridge counts as read when its own file is there, which comes last.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { JournalCatalog, JournalLine } from '../../archive/journal.ts';
import { journalLines, parseJournal, parseLine } from '../../archive/journal-parse.ts';
import type { Label } from '../../archive/label.ts';
import type { Opening } from '../../archive/opening.ts';
import { replaceFile } from '../../base/durable.ts';
import { CodedError } from '../../base/errors.ts';

export type JournalFacts = {
  /** UUID of the archive whose journal it is. */
  readonly archive: string;
  /** ISO 8601, UTC. */
  readonly created: string;
  readonly copies: readonly Omit<JournalCatalog, 'kind'>[];
  /** Barcodes that its `media` lines name, one character a byte. */
  readonly media: readonly string[];
  readonly lengthBytes: number;
};

/** Hashes in hex. */
export type FoundDigest = {
  readonly blake3: string;
  readonly sha256: string | undefined;
  readonly lengthBytes: number;
};

/** A tape file behind the label. */
export type FoundFile = {
  readonly file: number;
  readonly startBlock: number;
  /** Without the filemark. */
  readonly lengthBlocks: number;
  readonly opening: Opening | undefined;
  /** Undefined: torn, or its end cannot be read. */
  readonly digest: FoundDigest | undefined;
  readonly journal: (JournalFacts & { readonly name: string }) | undefined;
};

export type FoundMedium = {
  readonly label: Label;
  readonly maximumMib: number | undefined;
  readonly serialNumber: string | undefined;
  /** Archives as the chip counts them. */
  readonly writeGeneration: number | undefined;
  readonly endBlock: number;
  readonly endFile: number;
  readonly files: readonly FoundFile[];
};

const MEDIA_NAMED_MAX = 10_000;
/** A label takes no longer name of a medium. */
const NAME_BYTES_MAX = 1024;
/** An archive has one copy of the catalog; a journal that names thousands is made to fill memory. */
const COPIES_MAX = 16;
const ASKED = /^(catalog|media)\t/;

export class Spool {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async open(directory: string): Promise<Spool> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return new Spool(directory);
  }

  /** What was read of the cartridge with this label; undefined where it was not, or not to its end. */
  async medium(uuid: string): Promise<FoundMedium | undefined> {
    const names = await readdir(this.#directory);
    if (!names.includes(`${uuid}.json`)) return undefined;
    const medium: FoundMedium = JSON.parse(
      await readFile(join(this.#directory, `${uuid}.json`), 'utf8'),
    );
    return medium;
  }

  async addMedium(medium: FoundMedium): Promise<void> {
    const path = join(this.#directory, `${medium.label.uuid}.json`);
    await replaceFile(path, JSON.stringify(medium), { mode: 0o600 });
  }

  /** @returns the path of its file */
  async addJournal(name: string, text: AsyncIterable<Buffer>): Promise<string> {
    const path = join(this.#directory, name);
    await pipeline(text, createWriteStream(path, { mode: 0o600 }));
    return path;
  }

  /** Typed lines of a journal. @throws CodedError ARCHIVE_INVALID naming the line */
  journal(name: string): AsyncGenerator<JournalLine> {
    return parseJournal(journalLines(createReadStream(join(this.#directory, name))));
  }
}

/** What must be known of a journal before it is read in its turn. @throws CodedError ARCHIVE_INVALID */
export async function journalFacts(path: string): Promise<JournalFacts> {
  const copies: Omit<JournalCatalog, 'kind'>[] = [];
  const media = new Set<string>();
  let start: { readonly archive: string; readonly created: string } | undefined;
  let lengthBytes = 0;
  let number = 0;
  for await (const text of journalLines(createReadStream(path))) {
    number += 1;
    lengthBytes += text.length + 1;
    if (number > 1 && !ASKED.test(text)) continue;
    const line = parseLine(text, number);
    if (line?.kind === 'journal') start ??= line;
    else if (line?.kind === 'catalog' && copies.length < COPIES_MAX) copies.push(line);
    else if (line?.kind === 'media')
      for (const medium of line.media)
        if (media.size < MEDIA_NAMED_MAX && medium.length <= NAME_BYTES_MAX) media.add(medium);
  }
  if (!start) throw new CodedError('ARCHIVE_INVALID', 'its journal has no first line');
  const { archive, created } = start;
  return { archive, created, copies, media: [...media], lengthBytes };
}
