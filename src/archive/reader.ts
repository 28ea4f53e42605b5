/**
 * Reads the members of a tar stream, ours or anybody's: POSIX pax, ustar, GNU, old V7; sparse in all of GNU's forms.
 *
 * Everything is bounded, every header checked. What is not understood ends the reading with an error; nothing is searched
 * for behind it. Names are given as they stand: who extracts them sees to it that they stay below its target.
 */
import { strict as assert } from 'node:assert';
import { CodedError } from '../base/errors.ts';
import type { Raw } from '../base/raw.ts';
import type { Attributes, DataRange, EntryType } from '../domain/entry.ts';
import { type Overrides, readRecords } from './overrides.ts';
import type { Part } from './part.ts';
import { PAX_BYTES_MAX, parsePax } from './pax.ts';
import { checkRanges, SparseMapReader } from './sparse.ts';
import { oldGnuSparse } from './sparse-old.ts';
import { invalid, type ParsedHeader, padTo512, parseHeader, TAR_BLOCK_BYTES } from './ustar.ts';

export type ReadMember = {
  readonly path: Raw;
  readonly attributes: Attributes;
  /** Logical bytes of the member, holes included. */
  readonly lengthBytes: number;
  readonly part?: Part | undefined;
  /** Of a sparse member: its data. */
  readonly ranges?: readonly DataRange[] | undefined;
  /** Of a hard link: the name of the member it is another name of. */
  readonly link?: Raw | undefined;
  /** Extended attributes did not fit into the header. */
  readonly areXattrsElsewhere: boolean;
  /** Where this member's first header begins in the stream. */
  readonly headerOffset: number;
  /** Where its stored bytes begin: as an extent names it, before a 1.0 sparse map. */
  readonly dataOffset: number;
  /** From there, a 1.0 sparse map included, padding not. */
  readonly storedBytes: number;
  /** Data only, without holes and map, in chunks; once, and before the next member is asked for. */
  data(): AsyncGenerator<Buffer>;
};

/** Bytes in order. A read is short at the end of the stream only. The buffer is the caller's until the next read. */
export interface ByteSource {
  read(lengthBytes: number): Promise<Buffer>;
}

export const NAME_BYTES_MAX = 64 * 1024;
const CHUNK_BYTES = 2 ** 20;
/** Extended headers before one member: pax, a long name and a long link; more are somebody's game. */
const HEADERS_MAX = 8;

const TYPES: ReadonlyMap<string, EntryType> = new Map([
  ['0', 'file'],
  ['\0', 'file'],
  ['7', 'file'],
  ['1', 'file'],
  ['S', 'file'],
  ['2', 'symlink'],
  ['3', 'character'],
  ['4', 'block'],
  ['5', 'directory'],
  ['6', 'fifo'],
]);

/**
 * Yields members until tar's two zero blocks.
 * @throws CodedError ARCHIVE_TORN where the stream ends before; ARCHIVE_INVALID for what is no tar; the source's own
 */
export async function* readMembers(source: ByteSource): AsyncGenerator<ReadMember> {
  const stream = new Stream(source);
  let globals: Overrides = {};
  for (;;) {
    const headerOffset = stream.offset;
    const found = await readHeaders(stream, globals);
    if (found === undefined) return;
    globals = found.globals;
    if (found.header === undefined) continue;
    const member = await readMember(stream, found.header, found.overrides, headerOffset);
    yield member.member;
    await stream.skipTo(member.endOffset);
  }
}

/** The stream with its position; every read is whole or an error. */
class Stream {
  readonly #source: ByteSource;
  offset = 0;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  /** @throws CodedError ARCHIVE_TORN */
  async read(lengthBytes: number): Promise<Buffer> {
    const bytes = await this.#source.read(lengthBytes);
    assert(bytes.length <= lengthBytes);
    this.offset += bytes.length;
    if (bytes.length < lengthBytes)
      throw new CodedError(
        'ARCHIVE_TORN',
        `this archive ends after ${this.offset} bytes, in the middle of something`,
      );
    return bytes;
  }

  async skipTo(offset: number): Promise<void> {
    assert(offset >= this.offset, 'a member was read beyond its end');
    while (this.offset < offset) await this.read(Math.min(CHUNK_BYTES, offset - this.offset));
  }

  /** Data of an extended header, padding read too; grows with what really comes, not with what was promised. */
  async readPadded(lengthBytes: number, maxBytes: number, what: string): Promise<Buffer> {
    if (lengthBytes > maxBytes) throw invalid(`${what} of ${lengthBytes} bytes`);
    return Buffer.from(await this.read(padTo512(lengthBytes))).subarray(0, lengthBytes);
  }
}

type Headers = {
  readonly globals: Overrides;
  /** Undefined: only a global header was met. */
  readonly header: ParsedHeader | undefined;
  readonly overrides: Overrides;
};

/** The next header with all extended ones before it; undefined at tar's end. */
async function readHeaders(stream: Stream, globalsBefore: Overrides): Promise<Headers | undefined> {
  let globals = globalsBefore;
  let overrides: Overrides = { ...globals };
  for (let count = 0; count <= HEADERS_MAX; count += 1) {
    const block = Buffer.from(await stream.read(TAR_BLOCK_BYTES));
    const header = parseHeader(block);
    if (header === undefined) {
      if (count > 0) throw invalid('an extended header with no member behind it');
      if (parseHeader(await stream.read(TAR_BLOCK_BYTES)) !== undefined)
        throw invalid('a single block of zeros between members');
      return undefined;
    }
    const { type, sizeBytes } = header;
    if (type === 'x' || type === 'X') {
      const bytes = await stream.readPadded(sizeBytes, PAX_BYTES_MAX, 'an extended header');
      overrides = { ...overrides, ...readRecords(parsePax(bytes)) };
    } else if (type === 'g') {
      const bytes = await stream.readPadded(sizeBytes, PAX_BYTES_MAX, 'a global header');
      globals = { ...globals, ...readRecords(parsePax(bytes)) };
      return { globals, header: undefined, overrides };
    } else if (type === 'L' || type === 'K') {
      const bytes = await stream.readPadded(sizeBytes, NAME_BYTES_MAX, 'a long name');
      const name = cString(bytes);
      overrides = { ...overrides, ...(type === 'L' ? { path: name } : { link: name }) };
    } else if (type === 'S') {
      const old = await oldGnuSparse(block, (lengthBytes) => stream.read(lengthBytes));
      return { globals, header, overrides: { ...overrides, ...old } };
    } else return { globals, header, overrides };
  }
  throw invalid('too many extended headers before one member');
}

type Found = { readonly member: ReadMember; readonly endOffset: number };

async function readMember(
  stream: Stream,
  header: ParsedHeader,
  overrides: Overrides,
  headerOffset: number,
): Promise<Found> {
  const path = overrides.sparseName ?? overrides.path ?? header.name;
  const type = typeOf(header, path);
  checkName(path);
  const isLink = header.type === '1';
  const isData = type === 'file' && !isLink;
  const headerBytes = overrides.sizeBytes ?? header.sizeBytes;
  if (!isData && headerBytes > 0 && header.type !== '5')
    throw invalid('a member with data that cannot have any');
  const dataOffset = stream.offset;
  const storedBytes = isData ? headerBytes : 0;
  const endOffset = dataOffset + padTo512(storedBytes);
  if (!Number.isSafeInteger(endOffset)) throw invalid('a member that is too large');
  const sparse = isData ? await readSparse(stream, overrides, storedBytes) : undefined;
  const lengthBytes = sparse?.lengthBytes ?? storedBytes;
  const link = overrides.link ?? header.link;
  if (isLink || type === 'symlink') checkName(link);
  const { part } = overrides;
  if (part && part.offset + lengthBytes > part.totalBytes) throw invalid('a part beyond its file');
  const dataBytes = dataOffset + storedBytes - stream.offset;
  const expected = sparse?.ranges.reduce((sum, range) => sum + range.lengthBytes, 0);
  if (expected !== undefined && expected !== dataBytes)
    throw invalid('a sparse member whose map and length differ');
  const member: ReadMember = {
    path,
    attributes: attributesOf(type, header, overrides, { lengthBytes, link }),
    lengthBytes,
    ...(part && { part }),
    ...(sparse && { ranges: sparse.ranges }),
    ...(isLink && { link }),
    areXattrsElsewhere: overrides.areXattrsElsewhere ?? false,
    headerOffset,
    dataOffset,
    storedBytes,
    data: () => readData(stream, dataOffset + storedBytes),
  };
  return { member, endOffset };
}

async function* readData(stream: Stream, end: number): AsyncGenerator<Buffer> {
  while (stream.offset < end) yield await stream.read(Math.min(CHUNK_BYTES, end - stream.offset));
}

function typeOf(header: ParsedHeader, path: Raw): EntryType {
  const type = TYPES.get(header.type);
  if (type === undefined)
    throw invalid(`a member of type ${JSON.stringify(header.type)}, which is not known`);
  // V7 had no type for directories.
  const isOldDirectory = (header.type === '\0' || header.type === '0') && path.endsWith('/');
  return isOldDirectory ? 'directory' : type;
}

function attributesOf(
  type: EntryType,
  header: ParsedHeader,
  overrides: Overrides,
  facts: { readonly lengthBytes: number; readonly link: Raw },
): Attributes {
  const mtime = overrides.mtime ?? { seconds: header.mtimeSeconds, nanoseconds: 0 };
  const isDevice = type === 'character' || type === 'block';
  return {
    type,
    mode: header.mode,
    uid: overrides.uid ?? header.uid,
    gid: overrides.gid ?? header.gid,
    user: overrides.user ?? header.user,
    group: overrides.group ?? header.group,
    sizeBytes: overrides.part?.totalBytes ?? facts.lengthBytes,
    mtime,
    ctime: overrides.ctime ?? mtime,
    ...(type === 'symlink' && { target: facts.link }),
    ...(isDevice && { device: { major: header.major, minor: header.minor } }),
    xattrs: overrides.xattrs ?? [],
  };
}

/** Reads a 1.0 map where there is one, growing until its end is seen. */
async function readSparse(
  stream: Stream,
  overrides: Overrides,
  storedBytes: number,
): Promise<{ ranges: DataRange[]; lengthBytes: number } | undefined> {
  const { sparseRuns, sparseBytes: lengthBytes } = overrides;
  if (lengthBytes === undefined) {
    if (sparseRuns !== undefined || overrides.isSparseMapInData)
      throw invalid('a sparse member without its length');
    return undefined;
  }
  if (!overrides.isSparseMapInData)
    return { ranges: checkRanges(sparseRuns ?? [], lengthBytes), lengthBytes };
  const map = new SparseMapReader();
  const end = stream.offset + storedBytes;
  do {
    if (stream.offset + TAR_BLOCK_BYTES > end) throw invalid('a sparse map that does not end');
  } while (!map.push(await stream.read(TAR_BLOCK_BYTES)));
  return { ranges: map.ranges(lengthBytes), lengthBytes };
}

function checkName(name: Raw): void {
  if (name === '' || name.includes('\0')) throw invalid('a name that is empty or holds a NUL');
  if (name.length > NAME_BYTES_MAX) throw invalid('a name above 64 KiB');
}

function cString(bytes: Buffer): Raw {
  const end = bytes.indexOf(0);
  return bytes.toString('latin1', 0, end < 0 ? bytes.length : end) as Raw;
}
