/** Reads a journal line by line: every field checked, memory bounded by one line (FORMAT.md sections 5 and 6). */
import type { Raw } from '../base/raw.ts';
import { rawBytes } from '../base/raw.ts';
import { HASH_BYTES } from '../domain/content.ts';
import type { Attributes, EntryType, SourceInode, Xattr } from '../domain/entry.ts';
import {
  CHANGES,
  type JournalEntry,
  type JournalLine,
  LINE_BYTES_MAX,
  PROOFS,
  TYPE_LETTERS,
} from './journal.ts';
import { unescapeField, unescapeValue } from './journal-field.ts';
import { parseMoment } from './moment.ts';
import { parseCount } from './pax.ts';
import { parseWhere } from './place.ts';
import { invalid } from './ustar.ts';

const TYPES: ReadonlyMap<string, EntryType> = new Map(
  (Object.keys(TYPE_LETTERS) as EntryType[]).map((type) => [TYPE_LETTERS[type], type]),
);
const ENTRY_FIELDS = 12;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const INSTANT = /^\d{4,6}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/;

/** Cuts a stream of bytes into lines, without their ends. @throws CodedError ARCHIVE_INVALID for one too long or cut */
export async function* journalLines(
  chunks: AsyncIterable<Buffer> | Iterable<Buffer>,
): AsyncGenerator<string> {
  let rest: Buffer[] = [];
  let restBytes = 0;
  for await (const chunk of chunks) {
    let at = 0;
    for (;;) {
      const end = chunk.indexOf(0x0a, at);
      const piece = chunk.subarray(at, end < 0 ? chunk.length : end);
      restBytes += piece.length;
      if (restBytes >= LINE_BYTES_MAX) throw invalid('a journal with a line above 16 MiB');
      if (end < 0) {
        // A copy: the reader may reuse its buffer.
        if (piece.length > 0) rest.push(Buffer.from(piece));
        break;
      }
      yield rest.length === 0
        ? piece.toString('latin1')
        : Buffer.concat([...rest, piece]).toString('latin1');
      rest = [];
      restBytes = 0;
      at = end + 1;
    }
  }
  if (restBytes > 0) throw invalid('a journal that ends in the middle of a line');
}

/**
 * Yields typed lines; those of names not known are passed over. The first line must be the journal's own.
 * @throws CodedError ARCHIVE_INVALID naming the line
 */
export async function* parseJournal(
  lines: AsyncIterable<string> | Iterable<string>,
): AsyncGenerator<JournalLine> {
  let number = 0;
  for await (const text of lines) {
    number += 1;
    const parsed = parseLine(text, number);
    if ((number === 1) !== (parsed?.kind === 'journal'))
      throw invalid(`line ${number} of the journal is out of place`);
    if (parsed !== undefined) yield parsed;
  }
}

/** One line without its end; undefined where its name is not known. @throws CodedError ARCHIVE_INVALID */
export function parseLine(text: string, number: number): JournalLine | undefined {
  const fields = text.split('\t');
  const [name = ''] = fields;
  const parsed = name.length === 1 ? entry(fields) : PARSERS.get(name)?.(fields);
  if (parsed === null) throw invalid(`line ${number} of the journal (${name.slice(0, 20)})`);
  return parsed;
}

/** Null where the line is broken. */
const PARSERS: ReadonlyMap<string, (fields: readonly string[]) => JournalLine | null> = new Map(
  Object.entries<(fields: readonly string[]) => JournalLine | null>({
    'shelfs-journal': ([, revision, archive = '', hash, host, created = '', proofs]) =>
      revision === '1' &&
      UUID.test(archive) &&
      hash === 'hash=blake3' &&
      host &&
      INSTANT.test(created)
        ? {
            kind: 'journal',
            archive,
            host: unescapeField(host),
            created,
            ...(proofs === PROOFS && { hasProofs: true }),
          }
        : null,
    run: ([, job, uuid = '', host, started = '', program]) => {
      const jobNumber = parseCount(job);
      if (jobNumber === undefined || !UUID.test(uuid) || !host || !program) return null;
      if (!INSTANT.test(started)) return null;
      return {
        kind: 'run',
        job: jobNumber,
        uuid,
        host: unescapeField(host),
        started,
        program: rawBytes(unescapeField(program)).toString('utf8'),
      };
    },
    end: ([, job, uuid = '', state, snapshot = '', countsText = '']) => {
      const jobNumber = parseCount(job);
      const counts = countsText === '-' ? {} : parseCounts(countsText);
      if (jobNumber === undefined || !UUID.test(uuid) || counts === undefined) return null;
      if (state !== 'finished' && state !== 'partial') return null;
      if (snapshot !== '-' && !INSTANT.test(snapshot)) return null;
      return {
        kind: 'end',
        job: jobNumber,
        uuid,
        state,
        snapshot: snapshot === '-' ? undefined : snapshot,
        counts,
      };
    },
    media: ([, ...media]) =>
      media.length === 0 || media.includes('')
        ? null
        : { kind: 'media', media: media.map(unescapeValue) },
    catalog: ([, position, length, taken = '']) => {
      const at = parseCount(position);
      const lengthBytes = parseCount(length);
      if (at === undefined || lengthBytes === undefined || !INSTANT.test(taken)) return null;
      return { kind: 'catalog', position: at, lengthBytes, taken };
    },
    expired: ([, what, uuid = '', name]) =>
      (what === 'snapshot' || what === 'medium') && UUID.test(uuid) && name
        ? { kind: 'expired', what, uuid, name: unescapeField(name) }
        : null,
    segments: ([, hash = '', first, ...hashes]) => {
      const index = parseCount(first);
      if (index === undefined || hashes.length === 0) return null;
      if (![hash, ...hashes].every((hex) => hexHash(hex) !== undefined)) return null;
      return {
        kind: 'segments',
        hash: Buffer.from(hash, 'hex'),
        first: index,
        segments: Buffer.from(hashes.join(''), 'hex'),
      };
    },
  }),
);

function entry(fields: readonly string[]): JournalEntry | null {
  const [letter = '', changeText, size, mtimeText = '', ctimeText = '', modeText = ''] = fields;
  const [ids = '', owner = '', hashText = '', where = '', extraText = '', pathText = ''] =
    fields.slice(6);
  const type = TYPES.get(letter);
  const change = CHANGES.find((name) => name === changeText);
  const sizeBytes = parseCount(size);
  const mtime = parseMoment(mtimeText);
  const ctime = parseMoment(ctimeText);
  const [uid, gid] = ids.split(':').map(parseCount);
  const [user = '', group = '', ...more] = owner.split(':');
  const hash = hashText === '-' ? undefined : hexHash(hashText);
  const path = unescapeField(pathText);
  if (fields.length !== ENTRY_FIELDS || fields.includes('')) return null;
  if (!type || !change || sizeBytes === undefined || !mtime || !ctime) return null;
  if (uid === undefined || gid === undefined || more.length > 0 || user === '' || group === '')
    return null;
  if (!/^[0-7]{4}$/.test(modeText) || !isSourcePath(path)) return null;
  if ((hash === undefined) !== (hashText === '-')) return null;
  const extra = parseExtra(extraText);
  if (extra === undefined) return null;
  const attributes: Attributes = {
    type,
    mode: Number.parseInt(modeText, 8),
    uid,
    gid,
    user: unescapeField(user),
    group: unescapeField(group),
    sizeBytes,
    mtime,
    ctime,
    ...(extra.target === undefined ? {} : { target: extra.target }),
    ...(extra.device === undefined ? {} : { device: extra.device }),
    xattrs: extra.xattrs,
  };
  const { inode, from, host, isChangedWhileRead } = extra;
  return {
    kind: 'entry',
    change,
    path,
    attributes,
    copies: parseWhere(where),
    ...(hash && { hash }),
    ...(inode && { inode }),
    ...(extra.group !== undefined && { group: extra.group }),
    ...(from !== undefined && { from }),
    ...(host !== undefined && { host }),
    ...(isChangedWhileRead && { isChangedWhileRead }),
  };
}

type Extra = {
  xattrs: Xattr[];
  target?: Raw;
  device?: { major: number; minor: number };
  inode?: SourceInode;
  group?: number;
  from?: Raw;
  host?: Raw;
  isChangedWhileRead?: boolean;
};

/** Undefined where the field is broken. Keys that are not known are passed over. */
function parseExtra(text: string): Extra | undefined {
  const extra: Extra = { xattrs: [] };
  if (text === '-') return extra;
  for (const pair of text.split(';')) {
    const equals = pair.indexOf('=');
    if (equals < 1) return undefined;
    if (!readExtra(extra, pair.slice(0, equals), pair.slice(equals + 1))) return undefined;
  }
  return extra;
}

function readExtra(extra: Extra, key: string, text: string): boolean {
  if (key.startsWith('xattr.')) {
    const base64 = unescapeValue(text);
    if (!/^[A-Za-z0-9+/]*={0,2}$/.test(base64)) return false;
    extra.xattrs.push({ name: unescapeValue(key.slice(6)), value: Buffer.from(base64, 'base64') });
    return key.length > 6;
  }
  const numbers = () => text.split(',').map(parseCount);
  if (key === 'link') extra.target = unescapeValue(text);
  else if (key === 'from') extra.from = unescapeValue(text);
  else if (key === 'host') extra.host = unescapeValue(text);
  else if (key === 'changed-while-read') extra.isChangedWhileRead = true;
  else if (key === 'group') {
    const group = parseCount(text);
    if (group === undefined) return false;
    extra.group = group;
  } else if (key === 'device') {
    const [major, minor] = numbers();
    if (major === undefined || minor === undefined) return false;
    extra.device = { major, minor };
  } else if (key === 'inode') {
    const [device, inode, links] = numbers();
    if (device === undefined || inode === undefined || links === undefined) return false;
    extra.inode = { device, inode, links };
  }
  return true;
}

function parseCounts(text: string): Record<string, number> | undefined {
  const counts: Record<string, number> = {};
  for (const pair of text.split(';')) {
    const [key = '', value, ...more] = pair.split('=');
    const number = parseCount(value);
    if (key === '' || number === undefined || more.length > 0) return undefined;
    Object.defineProperty(counts, unescapeValue(key), { value: number, enumerable: true });
  }
  return counts;
}

/** Absolute, without empty, `.` or `..` components, without NUL: it names one place below the root. */
function isSourcePath(path: string): boolean {
  return (
    path.startsWith('/') &&
    !path.includes('\0') &&
    !/\/\.{0,2}(?=\/)|.\/\.{0,2}$|^\/\.{1,2}$/.test(path)
  );
}

function hexHash(text: string): Buffer | undefined {
  const hash = Buffer.from(text, 'hex');
  return text.length === 2 * HASH_BYTES && hash.length === HASH_BYTES ? hash : undefined;
}
