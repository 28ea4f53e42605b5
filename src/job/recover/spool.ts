/**
 * What was read of the cartridges by now, as files: a recovery that is cut goes on with it, and no journal is ever in memory.
 *
 * A cartridge counts as read when its own file is there, which comes last.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Blake3Hasher } from '@napi-rs/blake-hash';
import { type JournalCatalog, type JournalLine, proofOf } from '../../archive/journal.ts';
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
  /** Whether it tells of its own job's run; a groom's tells of other runs only (FORMAT.md section 5.6). */
  readonly isOfOwnRun?: boolean | undefined;
  /** As far as it is proven to be what was written; all of it where it has no proofs. */
  readonly lengthBytes: number;
  /** What is behind that is not what was written. */
  readonly isCut: boolean;
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
const RUN = 'run\t';

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

  /** Typed lines of a journal, as far as it is proven. @throws CodedError ARCHIVE_INVALID naming the line */
  journal({ name, lengthBytes }: NonNullable<FoundFile['journal']>): AsyncGenerator<JournalLine> {
    const range = { end: lengthBytes - 1 };
    return parseJournal(journalLines(createReadStream(join(this.#directory, name), range)));
  }
}

/** What must be known of a journal before it is read in its turn. @throws CodedError ARCHIVE_INVALID */
export async function journalFacts(path: string, jobUuid: string): Promise<JournalFacts> {
  const facts = new Facts(jobUuid);
  for await (const text of journalLines(createReadStream(path))) if (!facts.line(text)) break;
  return facts.end();
}

class Facts {
  readonly #copies: Omit<JournalCatalog, 'kind'>[] = [];
  readonly #media = new Set<string>();
  readonly #proof = new Proof();
  #start: { readonly archive: string; readonly created: string } | undefined;
  readonly #jobUuid: string;
  #number = 0;
  #lengthBytes = 0;
  #isOfOwnRun = false;
  /** As of the last line that was proven. */
  #proven = { lengthBytes: 0, copies: 0, media: 0, isOfOwnRun: false };

  constructor(jobUuid: string) {
    this.#jobUuid = jobUuid;
  }

  /** @returns whether to go on */
  line(text: string): boolean {
    this.#number += 1;
    this.#lengthBytes += text.length + 1;
    const proof = this.#proof.isWanted ? proofOf(text) : undefined;
    if (proof) {
      if (!this.#proof.isRight(proof)) return false;
      this.#proven = this.#now();
    }
    if (this.#number > 1) this.#proof.add(text);
    if (text.startsWith(RUN)) this.#isOfOwnRun ||= text.split('\t', 3)[2] === this.#jobUuid;
    else if (this.#number === 1 || ASKED.test(text)) this.#parse(text);
    return true;
  }

  end(): JournalFacts {
    if (!this.#start) throw new CodedError('ARCHIVE_INVALID', 'its journal has no first line');
    const proven = this.#proof.isWanted ? this.#proven : this.#now();
    if (proven.lengthBytes === 0)
      throw new CodedError('ARCHIVE_INVALID', 'its journal is not what was written');
    return {
      ...this.#start,
      copies: this.#copies.slice(0, proven.copies),
      media: [...this.#media].slice(0, proven.media),
      isOfOwnRun: proven.isOfOwnRun,
      lengthBytes: proven.lengthBytes,
      isCut: proven.lengthBytes < this.#lengthBytes,
    };
  }

  #now() {
    const [copies, media] = [this.#copies.length, this.#media.size];
    return { lengthBytes: this.#lengthBytes, copies, media, isOfOwnRun: this.#isOfOwnRun };
  }

  #parse(text: string): void {
    const line = parseLine(text, this.#number);
    if (line?.kind === 'journal') {
      const { archive, created, hasProofs } = line;
      this.#start ??= { archive, created };
      this.#proof.isWanted = hasProofs ?? false;
    } else if (line?.kind === 'catalog' && this.#copies.length < COPIES_MAX)
      this.#copies.push(line);
    else if (line?.kind === 'media')
      for (const medium of line.media)
        if (this.#media.size < MEDIA_NAMED_MAX && medium.length <= NAME_BYTES_MAX)
          this.#media.add(medium);
  }
}

/** Lines are hashed many at once. */
const HASHED_BYTES = 2 ** 16;

/** Of all lines but the first, by now. */
class Proof {
  isWanted = false;
  readonly #hasher = new Blake3Hasher();
  #text = '';

  add(text: string): void {
    if (!this.isWanted) return;
    this.#text += `${text}\n`;
    if (this.#text.length >= HASHED_BYTES) this.#flush();
  }

  isRight(blake3: Buffer): boolean {
    this.#flush();
    return this.#hasher.digestBuffer().equals(blake3);
  }

  #flush(): void {
    this.#hasher.update(Buffer.from(this.#text, 'latin1'));
    this.#text = '';
  }
}
