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
import { escapeField, escapeMedium, escapeName, escapeValue } from './journal-field.ts';
import { formatMoment } from './moment.ts';
import { formatWhere, type Place } from './place.ts';

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

export type JournalLine =
  | JournalStart
  | JournalRun
  | JournalEntry
  | JournalSegments
  | JournalMedia
  | JournalEnd;

/** The first line. */
export function formatStart({ archive, host, created }: Omit<JournalStart, 'kind'>): string {
  return line(['shelfs-journal', '1', archive, 'hash=blake3', escapeField(host), created]);
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

export function formatEntry(entry: Omit<JournalEntry, 'kind'>): string {
  const { attributes, path } = entry;
  assert(path.startsWith('/'), 'source paths are absolute');
  assert(entry.hash === undefined || entry.hash.length === HASH_BYTES);
  return line([
    TYPE_LETTERS[attributes.type],
    entry.change,
    String(attributes.sizeBytes),
    formatMoment(attributes.mtime),
    formatMoment(attributes.ctime),
    attributes.mode.toString(8).padStart(4, '0'),
    `${attributes.uid}:${attributes.gid}`,
    `${escapeName(attributes.user)}:${escapeName(attributes.group)}`,
    entry.hash === undefined ? '-' : entry.hash.toString('hex'),
    formatWhere(entry.copies),
    formatExtra(entry),
    escapeField(path),
  ]);
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

/** Keys ascend, as byte order has it. */
function formatExtra(entry: Omit<JournalEntry, 'kind'>): string {
  const { attributes, inode } = entry;
  const pairs: string[] = [];
  if (entry.isChangedWhileRead) pairs.push('changed-while-read=1');
  if (attributes.device) pairs.push(`device=${attributes.device.major},${attributes.device.minor}`);
  if (entry.from !== undefined) pairs.push(`from=${escapeValue(entry.from)}`);
  if (entry.group !== undefined) pairs.push(`group=${entry.group}`);
  if (entry.host !== undefined) pairs.push(`host=${escapeValue(entry.host)}`);
  // A number that a Number cannot hold is no proof of anything; without it the file is looked at again.
  if (inode && Number.isSafeInteger(inode.inode) && Number.isSafeInteger(inode.device))
    pairs.push(`inode=${inode.device},${inode.inode},${inode.links}`);
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
