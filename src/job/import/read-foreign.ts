/**
 * Reads a cartridge that another program wrote, once, forward: each tape file a tar, its members hashed, told as a journal of
 * ours would tell them (archive/FORMAT.md section 5). Nothing is written to it.
 *
 * A tape file counts as a whole or not at all: one that is no tar, that is compressed, or whose blocks are not all as long
 * is left out with a sentence. One that breaks off counts up to its last whole member.
 */
import { Blake3Hasher } from '@napi-rs/blake-hash';
import { formatEntry, formatSegments, type JournalEntry } from '../../archive/journal.ts';
import { type ByteSource, type ReadMember, readMembers } from '../../archive/reader.ts';
import { compressionOf, recogniseStart } from '../../archive/recognise.ts';
import { CodedError } from '../../base/errors.ts';
import type { Raw } from '../../base/raw.ts';
import { rawOf } from '../../base/raw.ts';
import { printable } from '../../base/text.ts';
import type { ForeignTape } from '../../domain/foreign.ts';
import type { HeldDrive } from '../../storage/drives.ts';
import { BLOCK_BYTES_MAX, fingerprint } from '../../storage/foreign.ts';
import { proven } from '../../storage/tape-position.ts';
import { hashOf } from '../recover/salvage.ts';

type Drive = HeldDrive['drive'];

export type ForeignFile = {
  readonly file: number;
  readonly startBlock: number;
  readonly lengthBlocks: number;
  readonly lengthBytes: number;
  readonly blake3: Buffer;
  readonly entries: number;
};

export type ForeignCartridge = {
  readonly tape: ForeignTape;
  readonly files: readonly ForeignFile[];
  /** Tape files that are there and do not count. */
  readonly leftOut: number;
  readonly nextFile: number;
  readonly nextBlock: number;
};

export type ReadForeignTools = {
  /** Takes the lines of one tape file's journal behind its `run`; `drop` forgets them. */
  begin(file: number): { add(line: string): void; end(): void; drop(): void };
  warn(message: string): void;
  onFile(file: number, entries: number): void;
};

/** Names that a hard link may mean are remembered up to this many. */
const REMEMBERED_MAX = 100_000;

/** @throws CodedError MEDIUM_MISMATCH where nothing on it can be imported; the drive's failures */
export async function readForeign(
  drive: Drive,
  barcode: string,
  tools: ReadForeignTools,
  signal: AbortSignal,
): Promise<ForeignCartridge> {
  const refuse = (what: string) =>
    new CodedError('MEDIUM_MISMATCH', `${printable(barcode)} ${what}; it is not imported`, {
      volser: barcode.slice(0, 6),
    });
  await drive.rewind(signal);
  const buffer = Buffer.alloc(BLOCK_BYTES_MAX);
  const first = await drive.read(buffer, signal);
  if (first.kind === 'end-of-data') throw refuse('is blank');
  if (first.kind !== 'block') throw refuse('does not begin with a tar archive');
  const block = buffer.subarray(0, first.lengthBytes);
  const compression = compressionOf(block);
  if (compression !== undefined)
    throw refuse(
      `holds archives compressed by ${compression}: there a file cannot be reached by itself`,
    );
  const start = recogniseStart(block);
  if (start === 'shelfs') throw refuse('is one of shelfs: `shelfs recover --merge` reads it');
  if (start !== 'tar')
    throw refuse(`does not begin with a tar archive${start === 'ltfs' ? ' but with LTFS' : ''}`);
  if (block.length % 512 !== 0)
    throw refuse(`has blocks of ${block.length} bytes, which no tar writes`);
  const tape = { blockBytes: block.length, firstBlock: fingerprint(block) };
  await drive.rewind(signal);
  const files: ForeignFile[] = [];
  let leftOut = 0;
  for (;;) {
    signal.throwIfAborted();
    const stream = new FileStream(drive, { buffer, blockBytes: tape.blockBytes, signal });
    const { block: startBlock, file } = proven(drive);
    const found = await readFile(stream, { file, startBlock, barcode }, tools);
    if (stream.lengthBlocks === 0 && stream.isAtEnd) break;
    if (found) files.push(found);
    else if (stream.lengthBlocks > 0) leftOut += 1;
    tools.onFile(file, found?.entries ?? 0);
    if (stream.isAtEnd) break;
  }
  if (files.length === 0) throw refuse('holds no tar archive that can be read');
  const { block: nextBlock, file: nextFile } = proven(drive);
  return { tape, files, leftOut, nextFile, nextBlock };
}

async function readFile(
  stream: FileStream,
  place: { readonly file: number; readonly startBlock: number; readonly barcode: string },
  tools: ReadForeignTools,
): Promise<ForeignFile | undefined> {
  const { file, startBlock } = place;
  const journal = tools.begin(file);
  const members = new Members(place, {
    blockBytes: stream.blockBytes,
    add: (line) => journal.add(line),
  });
  let why: string | undefined;
  try {
    for await (const member of readMembers(stream)) await members.add(member);
  } catch (error) {
    if (!isOfTape(error)) throw error;
    why = error.message;
  }
  const { isWhole } = await stream.drain();
  const warn = (what: string) =>
    tools.warn(`${printable(place.barcode)}, tape file ${file}: ${printable(what)}`);
  if (why !== undefined && stream.lengthBlocks > 0) warn(why);
  if (members.sparse > 0)
    warn(`${members.sparse} sparse files have their maps in their headers: they are left out`);
  if (members.unsafe > 0)
    warn(`${members.unsafe} names lead out of the archive: they are left out`);
  if (members.unlinked > 0)
    warn(`${members.unlinked} hard links to files that are not known here are left out`);
  if (!isWhole || members.entries === 0) {
    journal.drop();
    return undefined;
  }
  journal.end();
  const { lengthBlocks, lengthBytes, blake3 } = stream;
  return { file, startBlock, lengthBlocks, lengthBytes, blake3, entries: members.entries };
}

/** Damage of the tape, or bytes that are no tar. */
function isOfTape(error: unknown): error is CodedError {
  return (
    error instanceof CodedError &&
    (error.code === 'ARCHIVE_INVALID' ||
      error.code === 'ARCHIVE_TORN' ||
      error.code === 'MEDIUM_UNREADABLE')
  );
}

/** One tape file's blocks as they come, hashed. */
class FileStream implements ByteSource {
  readonly blockBytes: number;
  lengthBytes = 0;
  lengthBlocks = 0;
  /** The data of the tape end here. */
  isAtEnd = false;
  readonly #drive: Drive;
  readonly #buffer: Buffer;
  readonly #signal: AbortSignal;
  readonly #hasher = new Blake3Hasher();
  #rest = Buffer.alloc(0);
  #isEnded = false;
  #isShort = false;
  #isRegular = true;

  constructor(
    drive: Drive,
    options: { readonly buffer: Buffer; readonly blockBytes: number; readonly signal: AbortSignal },
  ) {
    this.#drive = drive;
    this.#buffer = options.buffer;
    this.blockBytes = options.blockBytes;
    this.#signal = options.signal;
  }

  async read(lengthBytes: number): Promise<Buffer> {
    const parts = [this.#rest];
    let bytes = this.#rest.length;
    while (bytes < lengthBytes) {
      const block = await this.#block();
      if (!block) break;
      parts.push(Buffer.from(block));
      bytes += block.length;
    }
    const all = parts.length === 1 ? this.#rest : Buffer.concat(parts);
    const end = Math.min(lengthBytes, all.length);
    this.#rest = all.subarray(end);
    return all.subarray(0, end);
  }

  /** To the filemark. @returns whether each place in it can be found again by its number */
  async drain(): Promise<{ readonly isWhole: boolean }> {
    try {
      while (await this.#block());
    } catch (error) {
      if (!isOfTape(error)) throw error;
      this.#isRegular = false;
      await this.#drive.spaceFilemarks(1, this.#signal);
      this.#isEnded = true;
    }
    return { isWhole: this.#isRegular && this.lengthBlocks > 0 };
  }

  get blake3(): Buffer {
    return this.#hasher.digestBuffer();
  }

  async #block(): Promise<Buffer | undefined> {
    if (this.#isEnded) return undefined;
    const found = await this.#drive.read(this.#buffer, this.#signal);
    if (found.kind === 'filemark' || found.kind === 'end-of-data') {
      this.#isEnded = true;
      this.isAtEnd = found.kind === 'end-of-data';
      return undefined;
    }
    this.lengthBlocks += 1;
    this.#isRegular &&=
      found.kind === 'block' && !this.#isShort && found.lengthBytes <= this.blockBytes;
    this.#isShort = found.lengthBytes < this.blockBytes;
    if (!this.#isRegular)
      throw new CodedError('ARCHIVE_INVALID', 'its blocks are not all as long: it is left out');
    const block = this.#buffer.subarray(0, found.lengthBytes);
    this.#hasher.update(block);
    this.lengthBytes += block.length;
    return block;
  }
}

type Told = Omit<JournalEntry, 'kind'>;

/** From members of a tar to lines of a journal. */
class Members {
  entries = 0;
  sparse = 0;
  unsafe = 0;
  unlinked = 0;
  readonly #place: { readonly file: number; readonly startBlock: number; readonly barcode: string };
  readonly #blockBytes: number;
  readonly #line: (line: string) => void;
  readonly #known = new Map<Raw, Told>();
  #groups = 0;

  constructor(
    place: { readonly file: number; readonly startBlock: number; readonly barcode: string },
    tools: { readonly blockBytes: number; add(line: string): void },
  ) {
    this.#place = place;
    this.#blockBytes = tools.blockBytes;
    this.#line = (line) => tools.add(line);
  }

  async add(member: ReadMember): Promise<void> {
    const path = this.#path(member.path);
    if (path === undefined) {
      this.unsafe += 1;
      return;
    }
    if (member.link !== undefined) {
      this.#link(member.link, path);
      return;
    }
    const attributes = { ...member.attributes, mode: member.attributes.mode & 0o7777 };
    const isOfBytes = attributes.type === 'file' && attributes.sizeBytes > 0;
    const dataBytes = member.ranges?.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    // A map in the header leaves the data without one.
    const hasMap = dataBytes !== undefined && dataBytes !== member.storedBytes;
    if (isOfBytes && !hasMap && member.storedBytes !== member.lengthBytes) {
      this.sparse += 1;
      return;
    }
    const content = isOfBytes ? await hashOf(member) : undefined;
    const told: Told = {
      change: 'new',
      ...{ path, attributes },
      ...(content && { hash: content.hash }),
      copies: isOfBytes ? [[this.#placeOf(member, hasMap ? 'sparse' : 'plain')]] : [],
    };
    this.#tell(told);
    if (content?.segments)
      for (const line of formatSegments(content.hash, content.segments)) this.#line(line);
    if (attributes.type === 'file' && this.#known.size < REMEMBERED_MAX)
      this.#known.set(path, told);
  }

  /** A further name: both get a group, and later lines win. */
  #link(link: Raw, path: Raw): void {
    const target = this.#path(link);
    const first = target === undefined ? undefined : this.#known.get(target);
    if (target === undefined || !first) {
      this.unlinked += 1;
      return;
    }
    let told = first;
    if (told.group === undefined) {
      this.#groups += 1;
      // Beyond any number that a catalog gives.
      told = {
        ...first,
        // Which inode it was nobody knows; that it has several names is what counts.
        inode: { device: 0, inode: 0, links: 2 },
        group: Number.MAX_SAFE_INTEGER - this.#groups - this.#place.file * 2 ** 32,
      };
      this.#known.set(target, told);
      this.#tell(told);
    }
    this.#tell({ ...told, path });
  }

  #tell(told: Told): void {
    this.entries += 1;
    this.#line(formatEntry(told));
  }

  /** Below a directory that says which tape file; undefined where it leads out of there. */
  #path(name: Raw): Raw | undefined {
    const names = name.split('/').filter((part) => part !== '' && part !== '.');
    if (names.includes('..')) return undefined;
    return ['', `tape-file-${this.#place.file}`, ...names].join('/') as Raw;
  }

  #placeOf(member: ReadMember, form: 'plain' | 'sparse') {
    const { barcode, file, startBlock } = this.#place;
    return {
      ...{ medium: rawOf(barcode), file },
      block: startBlock + Math.floor(member.dataOffset / this.#blockBytes),
      skipBytes: member.dataOffset % this.#blockBytes,
      storedBytes: member.storedBytes,
      contentOffset: 0,
      lengthBytes: member.lengthBytes,
      form,
    };
  }
}
