/**
 * What an archive tells without its journal: its members' headers, and their bytes, which are hashed on the way.
 *
 * Only for archives that are torn, or whose journal cannot be read. Every whole member counts; the rest behind the first that is
 * not is lost. What only a journal tells (moves, duplicates, what is gone) is not here; parts of files are told by themselves.
 */
import { Blake3Hasher } from '@napi-rs/blake-hash';
import type { Opening } from '../../archive/opening.ts';
import type { Part } from '../../archive/part.ts';
import { type ByteSource, type ReadMember, readMembers } from '../../archive/reader.ts';
import { sourcePath } from '../../archive/source-path.ts';
import { CodedError } from '../../base/errors.ts';
import type { Raw } from '../../base/raw.ts';
import type { ToldEntry } from '../../catalog/rebuild/rebuild.ts';
import type { DataRange, SourceInode } from '../../domain/entry.ts';
import { ContentHasher } from '../../hash/content-hasher.ts';
import type { Blocks } from './blocks.ts';
import { isOfMedium } from './inventory.ts';
import type { FoundFile } from './spool.ts';

export type Salvaged = {
  readonly entries: number;
  /** Of the stream: up to the end of the last whole member. */
  readonly wholeBytes: number;
  /** Whole parts of files. */
  readonly parts: number;
  /** It has a journal, though it could not be read: so it had come to its end. */
  readonly hasJournal: boolean;
  /** Why it ended early, in a sentence. */
  readonly broken: string | undefined;
};

export type SalvageOrder = Pick<FoundFile, 'file' | 'startBlock' | 'lengthBlocks'> & {
  readonly barcode: string;
  readonly blockBytes: number;
  readonly opening: Opening;
  readonly kind: 'stored' | 'stray';
};

/** Take entries in order; segments of large contents follow theirs. Of a part the size is the whole file's, the copy the part. */
export type SalvageListeners = {
  tell(entry: ToldEntry, segments: Buffer | undefined): void;
  tellPart(entry: ToldEntry): void;
};

/** The last of an archive's members but its digest (FORMAT.md section 3). */
const JOURNAL = '/journal';

/** Names that a hard link may mean are remembered up to this many. */
const REMEMBERED_MAX = 100_000;

/** Which inode it was its headers do not tell; that it has several names is what counts. */
const LINKED: SourceInode = { device: 0, inode: 0, links: 2 };

export async function salvage(
  blocks: Blocks,
  order: SalvageOrder,
  listeners: SalvageListeners,
  signal: AbortSignal,
): Promise<Salvaged> {
  const reader = new Salvage(order, listeners);
  let broken: string | undefined;
  try {
    for await (const member of readMembers(sourceOf(blocks, order, signal)))
      await reader.member(member);
  } catch (error) {
    if (!isOfMedium(error)) throw error;
    broken = error.message;
  }
  const { entries, wholeBytes, parts, hasJournal } = reader;
  return { entries, wholeBytes, parts, hasJournal, broken };
}

/** Of the stream's first bytes. @throws CodedError MEDIUM_UNREADABLE, ARCHIVE_INVALID */
export async function hashOfPrefix(
  blocks: Blocks,
  startBlock: number,
  lengthBytes: number,
  signal: AbortSignal,
): Promise<Buffer> {
  const hasher = new Blake3Hasher();
  for await (const chunk of blocks.range(startBlock, { offset: 0, lengthBytes }, signal))
    hasher.update(chunk);
  return hasher.digestBuffer();
}

class Salvage {
  entries = 0;
  wholeBytes = 0;
  parts = 0;
  hasJournal = false;
  readonly #order: SalvageOrder;
  readonly #listeners: SalvageListeners;
  readonly #known = new Map<Raw, ToldEntry>();
  #groups = 0;

  constructor(order: SalvageOrder, listeners: SalvageListeners) {
    this.#order = order;
    this.#listeners = listeners;
  }

  async member(member: ReadMember): Promise<void> {
    const source = sourcePath(member.path, member.part);
    if (source === undefined) {
      this.hasJournal ||= member.path.endsWith(JOURNAL);
      return;
    }
    const host = source.host ?? this.#order.opening.host;
    if (member.part) {
      await this.#part(member, member.part, { host, path: source.path });
      return;
    }
    if (member.link !== undefined) {
      this.#link(member.link, { host, path: source.path });
      return;
    }
    const { attributes } = member;
    const isOfBytes = attributes.type === 'file' && attributes.sizeBytes > 0;
    const content = isOfBytes ? await hashOf(member) : undefined;
    // Only when all its bytes came.
    const entry: ToldEntry = {
      kind: this.#order.kind,
      ...{ host, path: source.path, attributes, inode: undefined, group: undefined },
      hash: content?.hash,
      copies: isOfBytes ? [[this.#place(member)]] : [],
    };
    this.#add(entry, content?.segments);
    this.#isWhole(member);
    if (isOfBytes && this.#known.size < REMEMBERED_MAX) this.#known.set(member.path, entry);
  }

  /** Its hash is of use to nobody: only that all its bytes came. */
  async #part(
    member: ReadMember,
    part: Part,
    named: { readonly host: string; readonly path: Raw },
  ) {
    for await (const _ of member.data());
    this.#isWhole(member);
    this.parts += 1;
    this.#listeners.tellPart({
      kind: 'planned',
      ...{ ...named, attributes: member.attributes, inode: undefined, group: undefined },
      hash: undefined,
      copies: [[this.#place(member, part.offset)]],
    });
  }

  #isWhole({ dataOffset, storedBytes }: ReadMember): void {
    this.wholeBytes = dataOffset + Math.ceil(storedBytes / 512) * 512;
  }

  /** A further name: both get a group. */
  #link(link: Raw, named: { readonly host: string; readonly path: Raw }): void {
    const first = this.#known.get(link);
    if (!first) return;
    let { group } = first;
    if (group === undefined) {
      this.#groups += 1;
      // Beyond any number that a catalog gives: numbers of the run's journals are not met.
      group = Number.MAX_SAFE_INTEGER - this.#groups;
      this.#known.set(link, { ...first, group, inode: LINKED });
      this.#add({ ...first, group, inode: LINKED }, undefined);
    }
    this.#add({ ...first, group, inode: LINKED, ...named }, undefined);
  }

  #add(entry: ToldEntry, segments: Buffer | undefined): void {
    this.entries += 1;
    this.#listeners.tell(entry, segments);
  }

  #place(member: ReadMember, contentOffset = 0) {
    const { barcode, file, startBlock, blockBytes } = this.#order;
    return {
      ...{ barcode, file },
      block: startBlock + Math.floor(member.dataOffset / blockBytes),
      skipBytes: member.dataOffset % blockBytes,
      storedBytes: member.storedBytes,
      contentOffset,
      lengthBytes: member.lengthBytes,
      isSparse: member.ranges !== undefined,
    };
  }
}

/** Of its bytes, holes as zeros. @throws CodedError ARCHIVE_INVALID, ARCHIVE_TORN; the source's own */
export async function hashOf(member: ReadMember) {
  const { lengthBytes } = member;
  const hasher = new ContentHasher();
  const ranges = member.ranges ?? [{ offset: 0, lengthBytes }];
  await feedRanges(hasher, member.data(), { ranges, lengthBytes });
  return hasher.finish();
}

/** Data of ranges, and zeros between and behind them. @throws CodedError ARCHIVE_INVALID */
export async function feedRanges(
  hasher: ContentHasher,
  data: AsyncIterable<Buffer>,
  of: { readonly ranges: readonly DataRange[]; readonly lengthBytes: number },
): Promise<void> {
  let at = 0;
  let index = 0;
  for await (const chunk of data)
    for (let taken = 0; taken < chunk.length; ) {
      const range = of.ranges[index];
      if (range === undefined)
        throw new CodedError('ARCHIVE_INVALID', 'a member with more data than its map names');
      if (at < range.offset) hasher.updateZeros(range.offset - at);
      at = Math.max(at, range.offset);
      const lengthBytes = Math.min(chunk.length - taken, range.offset + range.lengthBytes - at);
      hasher.update(chunk.subarray(taken, taken + lengthBytes));
      taken += lengthBytes;
      at += lengthBytes;
      if (at === range.offset + range.lengthBytes) index += 1;
    }
  if (at < of.lengthBytes) hasher.updateZeros(of.lengthBytes - at);
}

/** The stream of a tape file, as far as it goes. */
function sourceOf(
  blocks: Blocks,
  { startBlock, lengthBlocks, blockBytes }: SalvageOrder,
  signal: AbortSignal,
): ByteSource {
  const range = { offset: 0, lengthBytes: lengthBlocks * blockBytes };
  const chunks = blocks.range(startBlock, range, signal)[Symbol.asyncIterator]();
  let rest: Buffer = Buffer.alloc(0);
  return {
    read: async (lengthBytes) => {
      const parts = [rest];
      let bytes = rest.length;
      while (bytes < lengthBytes) {
        const next = await chunks.next();
        if (next.done) break;
        parts.push(next.value);
        bytes += next.value.length;
      }
      const all = parts.length === 1 ? rest : Buffer.concat(parts);
      rest = all.subarray(Math.min(lengthBytes, all.length));
      return all.subarray(0, Math.min(lengthBytes, all.length));
    },
  };
}
