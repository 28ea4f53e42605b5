/**
 * The journal at an archive's end: what happened to every entry of a run, one line each (FORMAT.md section 5).
 *
 * It is written and read as a stream: a million lines are never in memory together. Lines are strings of one character a
 * byte; join them with nothing, write them as latin1.
 */
import { strict as assert } from 'node:assert';
import type { Raw } from '../base/raw.ts';
import { rawOf } from '../base/raw.ts';
import { HASH_BYTES } from '../domain/content.ts';
import type { Attributes, EntryType, SourceInode } from '../domain/entry.ts';
import { writeDecimal, writeHex, writeWord } from './digits.ts';
import { escapeField, escapeMedium, escapeName, escapeValue, isEscaped } from './journal-field.ts';
import { MOMENT_BYTES_MAX, writeMoment } from './moment.ts';
import { PLACE_BYTES_MAX, type Place, writeWhere } from './place.ts';

export const CHANGES = [
  'new',
  'changed',
  'moved',
  'linked',
  'duplicate',
  'attributes',
  'gone',
  'expired',
  'planned',
] as const;

export type JournalChange = (typeof CHANGES)[number];

export const LINE_BYTES_MAX = 16 * 2 ** 20;
const SEGMENTS_A_LINE = 1000;
const MEDIA_A_LINE = 1000;
const MEDIA_KNOWN_MAX = 1000;
const TAB = 0x09;
/** TYPE, CHANGE, SIZE, times, HASH and an inode, with what separates them. */
const FIXED_BYTES_MAX = 128 + 2 * MOMENT_BYTES_MAX + 2 * HASH_BYTES;

type Owner = Pick<Attributes, 'mode' | 'uid' | 'gid' | 'user' | 'group'>;

export const TYPE_LETTERS: Readonly<Record<EntryType, string>> = {
  file: 'f',
  directory: 'd',
  symlink: 'l',
  fifo: 'p',
  character: 'c',
  block: 'b',
  socket: 's',
};

export type JournalStart = {
  readonly kind: 'journal';
  readonly archive: string;
  readonly host: Raw;
  /** As the opening says: ISO 8601, UTC. Puts the journals of a run in order. */
  readonly created: string;
  /** `proof` lines follow, the last one at its end; those written before there were any have none. */
  readonly hasProofs?: true | undefined;
};

export type JournalRun = {
  readonly kind: 'run';
  readonly job: number;
  readonly uuid: string;
  readonly host: Raw;
  /** ISO 8601, UTC. */
  readonly started: string;
  readonly program: string;
};

export type JournalEntry = {
  readonly kind: 'entry';
  readonly change: JournalChange;
  /** The source path, with its leading slash. */
  readonly path: Raw;
  readonly attributes: Attributes;
  /** Of a file, once all of it is written. */
  readonly hash?: Buffer | undefined;
  /** Copies of the content, each in extents without gaps. */
  readonly copies: readonly (readonly Place[])[];
  readonly inode?: SourceInode | undefined;
  /** Names of one inode have the same number; numbers are never reused. */
  readonly group?: number | undefined;
  /** Where `moved` came from. */
  readonly from?: Raw | undefined;
  /** Where it is not the run's. */
  readonly host?: Raw | undefined;
  readonly isChangedWhileRead?: boolean | undefined;
};

export type JournalSegments = {
  readonly kind: 'segments';
  readonly hash: Buffer;
  /** Index of the first of `segments`, from 0. */
  readonly first: number;
  /** HASH_BYTES each. */
  readonly segments: Buffer;
};

export type JournalEnd = {
  readonly kind: 'end';
  readonly job: number;
  readonly uuid: string;
  readonly state: 'finished' | 'partial';
  /** ISO 8601, UTC; undefined where no snapshot came of the run. */
  readonly snapshot?: string | undefined;
  readonly counts: Readonly<Record<string, number>>;
};

/** Names of media that hold archives, so that whoever has one knows of the others. */
export type JournalMedia = { readonly kind: 'media'; readonly media: readonly Raw[] };

/** Where a copy of the catalog lies in the archive whose journal says so. */
export type JournalCatalog = {
  readonly kind: 'catalog';
  /** Of its first byte in the archive's stream. */
  readonly position: number;
  readonly lengthBytes: number;
  /** ISO 8601, UTC: what it is as of. */
  readonly taken: string;
};

/** What is held no longer: the snapshot of a run, or all that lies on a medium. */
export type JournalExpired = {
  readonly kind: 'expired';
  readonly what: 'snapshot' | 'medium';
  /** Of the run, or of the medium's label. */
  readonly uuid: string;
  /** The snapshot's time (ISO 8601, UTC), or the barcode. */
  readonly name: Raw;
};

export type JournalLine =
  | JournalStart
  | JournalRun
  | JournalEntry
  | JournalSegments
  | JournalMedia
  | JournalCatalog
  | JournalExpired
  | JournalEnd;

/** The first line. */
export function formatStart(start: Omit<JournalStart, 'kind'>): string {
  const { archive, host, created, hasProofs } = start;
  const fields = ['shelfs-journal', '1', archive, 'hash=blake3', escapeField(host), created];
  return line(hasProofs ? [...fields, PROOFS] : fields);
}

/** Last field of the first line. */
export const PROOFS = 'proofs';
/** With its TAB and its LF. */
export const PROOF_LINE_BYTES = 'proof\t'.length + 2 * HASH_BYTES + 1;

/** @param blake3 of all lines before this one but the first */
export function formatProof(blake3: Buffer): string {
  return line(['proof', blake3.toString('hex')]);
}

/** The hash that a proof line names; undefined for all others. */
export function proofOf(text: string): Buffer | undefined {
  const hex = /^proof\t([0-9a-f]{64})$/.exec(text)?.[1];
  return hex === undefined ? undefined : Buffer.from(hex, 'hex');
}

export function formatRun({ job, uuid, host, started, program }: Omit<JournalRun, 'kind'>): string {
  return line(['run', String(job), uuid, escapeField(host), started, escapeField(rawOf(program))]);
}

export function formatEnd(end: Omit<JournalEnd, 'kind'>): string {
  const counts = Object.entries(end.counts)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${escapeValue(key)}=${value}`);
  return line([
    'end',
    String(end.job),
    end.uuid,
    end.state,
    end.snapshot ?? '-',
    counts.join(';') || '-',
  ]);
}

export function formatCatalogCopy(copy: Omit<JournalCatalog, 'kind'>): string {
  return line(['catalog', String(copy.position), String(copy.lengthBytes), copy.taken]);
}

export function formatExpired({ what, uuid, name }: Omit<JournalExpired, 'kind'>): string {
  return line(['expired', what, uuid, escapeField(name)]);
}

/**
 * Makes the lines of entries, one after the other, straight into a buffer. It knows the owner of the last entry and the
 * names of media, for the next mostly has them too.
 */
export class EntryEncoder {
  #owner: Owner | undefined;
  /** MODE, IDS and OWNER of that owner, with a TAB behind each. */
  #ownerFields = '';
  readonly #media = new Map<Raw, string>();
  readonly #escaped = (medium: Raw) => this.#escapedMedium(medium);

  /**
   * Writes the line of an entry at `at`.
   * @returns where it ends; undefined where it may not fit before the buffer's end, whose bytes from there on then mean
   * nothing
   */
  encodeInto(target: Buffer, at: number, entry: Omit<JournalEntry, 'kind'>): number | undefined {
    const { attributes, path, hash, copies } = entry;
    assert(path.startsWith('/'), 'source paths are absolute');
    assert(hash === undefined || hash.length === HASH_BYTES);
    if (!this.#hasOwner(attributes)) this.#setOwner(attributes);
    const extra = hasInodeAlone(entry) ? undefined : formatExtra(entry);
    const fixedBytes = FIXED_BYTES_MAX + this.#ownerFields.length + (extra?.length ?? 0);
    const lengthMax = fixedBytes + this.#whereMax(copies) + path.length;
    if (at + lengthMax > target.length) return undefined;

    let end = writeWord(target, at, TYPE_LETTERS[attributes.type]);
    end = writeWord(target, tab(target, end), entry.change);
    end = writeDecimal(target, tab(target, end), attributes.sizeBytes);
    end = writeMoment(target, tab(target, end), attributes.mtime);
    end = writeMoment(target, tab(target, end), attributes.ctime);
    end = tab(target, end);
    end += target.write(this.#ownerFields, end, 'latin1');
    end = hash === undefined ? writeWord(target, end, '-') : writeHex(target, end, hash);
    end = tab(target, end);
    end =
      copies.length === 0
        ? writeWord(target, end, '-')
        : writeWhere(target, end, { copies, escaped: this.#escaped });
    end = tab(target, end);
    if (extra !== undefined) end += target.write(extra, end, 'latin1');
    else end = entry.inode ? writeInode(target, end, entry.inode) : writeWord(target, end, '-');
    return this.#writePath(target, at, { pathAt: tab(target, end), path });
  }

  #hasOwner({ mode, uid, gid, user, group }: Attributes): boolean {
    const owner = this.#owner;
    return (
      owner !== undefined &&
      owner.mode === mode &&
      owner.uid === uid &&
      owner.gid === gid &&
      owner.user === user &&
      owner.group === group
    );
  }

  #setOwner({ mode, uid, gid, user, group }: Attributes): void {
    this.#owner = { mode, uid, gid, user, group };
    this.#ownerFields = formatOwner(this.#owner);
  }

  #escapedMedium(medium: Raw): string {
    const known = this.#media.get(medium);
    if (known !== undefined) return known;
    if (this.#media.size >= MEDIA_KNOWN_MAX) this.#media.clear();
    const escaped = escapeMedium(medium);
    this.#media.set(medium, escaped);
    return escaped;
  }

  #whereMax(copies: readonly (readonly Place[])[]): number {
    let bytes = 1;
    for (const places of copies) {
      bytes += 1;
      for (const { medium } of places)
        bytes += PLACE_BYTES_MAX + this.#escapedMedium(medium).length;
    }
    return bytes;
  }

  /** The last field and the line's end. What is to be escaped is found faster in bytes than in a string, and rare. */
  #writePath(
    target: Buffer,
    lineAt: number,
    { pathAt, path }: { readonly pathAt: number; readonly path: Raw },
  ): number | undefined {
    let end = pathAt + target.write(path, pathAt, 'latin1');
    if (isEscaped(target, pathAt, end)) {
      const text = escapeField(path);
      if (pathAt + text.length + 1 > target.length) return undefined;
      end = pathAt + target.write(text, pathAt, 'latin1');
    }
    assert(end + 1 - lineAt <= LINE_BYTES_MAX, 'a line of a journal is bounded by its writer');
    return writeWord(target, end, '\n');
  }
}

/** MODE, IDS and OWNER, with a TAB behind each. */
export function formatOwner({ mode, uid, gid, user, group }: Owner): string {
  const names = `${escapeName(user)}:${escapeName(group)}`;
  return `${mode.toString(8).padStart(4, '0')}\t${uid}:${gid}\t${names}\t`;
}

/** The line of one entry. */
export function formatEntry(entry: Omit<JournalEntry, 'kind'>): string {
  for (let bytes = 1024; ; bytes *= 2) {
    const target = Buffer.allocUnsafe(bytes);
    const end = new EntryEncoder().encodeInto(target, 0, entry);
    if (end !== undefined) return target.toString('latin1', 0, end);
  }
}

/** One line for each thousand media; none where there are none. */
export function* formatMedia(media: readonly Raw[]): Generator<string> {
  for (let first = 0; first < media.length; first += MEDIA_A_LINE)
    yield line(['media', ...media.slice(first, first + MEDIA_A_LINE).map(escapeMedium)]);
}

/** The lines that follow an entry whose content has segments; none where it has not. */
export function* formatSegments(hash: Buffer, segments: Buffer): Generator<string> {
  assert(segments.length % HASH_BYTES === 0);
  const total = segments.length / HASH_BYTES;
  for (let first = 0; first < total; first += SEGMENTS_A_LINE) {
    const fields = ['segments', hash.toString('hex'), String(first)];
    for (let at = first; at < Math.min(total, first + SEGMENTS_A_LINE); at += 1)
      fields.push(segments.toString('hex', at * HASH_BYTES, (at + 1) * HASH_BYTES));
    yield line(fields);
  }
}

/** Of the keys of EXTRA it has `inode` at most: nearly all files. */
function hasInodeAlone(entry: Omit<JournalEntry, 'kind'>): boolean {
  const { attributes, inode } = entry;
  return (
    !entry.isChangedWhileRead &&
    entry.from === undefined &&
    entry.group === undefined &&
    entry.host === undefined &&
    attributes.device === undefined &&
    attributes.target === undefined &&
    attributes.xattrs.length === 0 &&
    (inode === undefined || isExact(inode))
  );
}

/** A number that a Number cannot hold is no proof of anything; without it the file is looked at again. */
function isExact({ inode, device }: SourceInode): boolean {
  return Number.isSafeInteger(inode) && Number.isSafeInteger(device);
}

function writeInode(into: Buffer, at: number, { device, inode, links }: SourceInode): number {
  let end = writeDecimal(into, writeWord(into, at, 'inode='), device);
  end = writeDecimal(into, writeWord(into, end, ','), inode);
  return writeDecimal(into, writeWord(into, end, ','), links);
}

function tab(into: Buffer, at: number): number {
  into[at] = TAB;
  return at + 1;
}

/** Keys ascend, as byte order has it. */
function formatExtra(entry: Omit<JournalEntry, 'kind'>): string {
  const { attributes, inode } = entry;
  const pairs: string[] = [];
  if (entry.isChangedWhileRead) pairs.push('changed-while-read=1');
  if (attributes.device) pairs.push(`device=${attributes.device.major},${attributes.device.minor}`);
  if (entry.from !== undefined) pairs.push(`from=${escapeValue(entry.from)}`);
  if (entry.group !== undefined) pairs.push(`group=${entry.group}`);
  if (entry.host !== undefined) pairs.push(`host=${escapeValue(entry.host)}`);
  if (inode && isExact(inode)) pairs.push(`inode=${inode.device},${inode.inode},${inode.links}`);
  if (attributes.target !== undefined) pairs.push(`link=${escapeValue(attributes.target)}`);
  for (const { name, value } of attributes.xattrs)
    pairs.push(`xattr.${escapeValue(name)}=${escapeValue(value.toString('base64'))}`);
  return pairs.length === 0 ? '-' : pairs.join(';');
}

function line(fields: readonly string[]): string {
  const text = `${fields.join('\t')}\n`;
  assert(text.length <= LINE_BYTES_MAX, 'a line of a journal is bounded by its writer');
  return text;
}
