/**
 * Lines of files of which nothing is unusual, gathered so that many are written in one call: nearly all of a journal, and made
 * one by one they cost as much as their rows in the catalog (measured).
 */
import { strict as assert } from 'node:assert';
import { formatOwner } from '../../archive/journal.ts';
import { isPlainField } from '../../archive/journal-field.ts';
import type { Raw } from '../../base/raw.ts';
import type { HashPlace } from '../../catalog/run/stored-rows.ts';
import { HASH_BYTES } from '../../domain/content.ts';
import { type Attributes, hasUsualTimes, type SourceInode } from '../../domain/entry.ts';
import {
  errnoName,
  type FsDoor,
  LINE_NUMBERS,
  type LineForm,
  type LineWhere,
} from '../../source/door.ts';
import type { OutgoingSpan } from './outgoing-span.ts';

/** A file, whole in one extent at an offset of its archive's stream. */
export type StoredLine = {
  readonly change: string;
  readonly path: Raw;
  readonly attributes: Attributes;
  readonly inode: SourceInode;
  readonly hash: Buffer;
  readonly archiveOffset: number;
};

/** Where a row of a span lies, and its hash among others. */
export type StoredRow = HashPlace & { readonly archiveOffset: number };

const LINES_MAX = 512;
/** Each has a mode and an owner. */
const FORMS_MAX = 255;
/** At least what native/fs/src/lines.cc counts with, so that what was taken has room. */
const LINE_BYTES = 320;
const COPY_BYTES = 96;

type FormOf = Pick<Attributes, 'mode' | 'uid' | 'gid' | 'user' | 'group'> & {
  readonly change: string;
};

export class StoredLines {
  readonly #door: FsDoor;
  readonly #where: LineWhere;
  readonly #bytesMax: number;
  readonly #placesBytes: number;
  readonly #numbers = new Float64Array(LINES_MAX * LINE_NUMBERS);
  readonly #hashes = Buffer.alloc(LINES_MAX * HASH_BYTES);
  readonly #formOf = new Uint8Array(LINES_MAX);
  #forms: LineForm[] = [];
  #form: FormOf | undefined;
  #formBytes = 0;
  /** Of the row of a span that has the last form. */
  #rowForm: (Pick<FormOf, 'mode' | 'change'> & { readonly ownerId: number }) | undefined;
  #paths = '';
  #count = 0;
  #bytes = 0;

  /** @param bytesMax of the room that all that is gathered will find */
  constructor(door: FsDoor, where: LineWhere, bytesMax: number) {
    this.#door = door;
    this.#where = where;
    this.#bytesMax = bytesMax;
    this.#placesBytes = where.copies.reduce((sum, { name }) => sum + name.length + COPY_BYTES, 0);
  }

  get count(): number {
    return this.#count;
  }

  /** @returns `full`: after what is gathered was written it has room; `odd`: it is for another to write */
  add(line: StoredLine): 'added' | 'full' | 'odd' {
    if (isOdd(line)) return 'odd';
    if (this.#count === LINES_MAX) return 'full';
    const form = this.#formIndexOf({ ...line.attributes, change: line.change });
    const bytes = LINE_BYTES + this.#formBytes + this.#placesBytes + line.path.length;
    if (bytes > this.#bytesMax) return 'odd';
    if (form === undefined || this.#bytes + bytes > this.#bytesMax) return 'full';
    this.#put(line, form);
    this.#bytes += bytes;
    return 'added';
  }

  /** As `add`, of a row of a span. */
  addRow(span: OutgoingSpan, row: number, stored: StoredRow): 'added' | 'full' | 'odd' {
    const { rows } = span;
    const [name, device] = [rows.name(row), rows.device(row)];
    const isUsual = rows.hasUsualTimes(row) && Number.isSafeInteger(device) && isPlainField(name);
    if (!isUsual || !span.isPlain) return 'odd';
    if (this.#count === LINES_MAX) return 'full';
    const form = this.#formIndexOfRow(span, row);
    const pathBytes = rows.prefix.length + name.length;
    const bytes = LINE_BYTES + this.#formBytes + this.#placesBytes + pathBytes;
    if (bytes > this.#bytesMax) return 'odd';
    if (form === undefined || this.#bytes + bytes > this.#bytesMax) return 'full';
    const at = this.#count * LINE_NUMBERS;
    rows.putStamp(row, this.#numbers, at);
    this.#numbers[at + 6] = this.#numbers[at + 5] ?? 0;
    this.#numbers[at + 5] = device;
    this.#numbers[at + 7] = 1;
    this.#numbers[at + 8] = stored.archiveOffset;
    const from = stored.index * HASH_BYTES;
    stored.hashes.copy(this.#hashes, this.#count * HASH_BYTES, from, from + HASH_BYTES);
    this.#end(`${rows.prefix}${name}`, form);
    this.#bytes += bytes;
    return 'added';
  }

  /** Writes what is gathered. @returns how many bytes; undefined where they may not fit, and nothing is written */
  writeInto(room: Uint8Array): number | undefined {
    const count = this.#count;
    const batch = {
      ...this.#where,
      forms: this.#forms,
      formOf: this.#formOf.subarray(0, count),
      numbers: this.#numbers.subarray(0, count * LINE_NUMBERS),
      hashes: this.#hashes.subarray(0, count * HASH_BYTES),
      paths: this.#paths,
    };
    const answer = this.#door.writeLines(batch, room);
    if (answer >= 0) return answer;
    assert(errnoName(answer) === 'ENOBUFS', 'lines that fit each other');
    return undefined;
  }

  clear(): void {
    this.#count = 0;
    this.#bytes = 0;
    this.#paths = '';
    this.#forms = [];
    this.#form = undefined;
    this.#rowForm = undefined;
  }

  #put({ path, attributes, inode, hash, archiveOffset }: StoredLine, form: number): void {
    const { sizeBytes, mtime, ctime } = attributes;
    const numbers = this.#numbers;
    const at = this.#count * LINE_NUMBERS;
    numbers[at] = sizeBytes;
    numbers[at + 1] = mtime.seconds;
    numbers[at + 2] = mtime.nanoseconds;
    numbers[at + 3] = ctime.seconds;
    numbers[at + 4] = ctime.nanoseconds;
    numbers[at + 5] = inode.device;
    numbers[at + 6] = inode.inode;
    numbers[at + 7] = inode.links;
    numbers[at + 8] = archiveOffset;
    this.#hashes.set(hash, this.#count * HASH_BYTES);
    this.#end(path, form);
  }

  #end(path: string, form: number): void {
    this.#formOf[this.#count] = form;
    this.#paths += `${path}\0`;
    this.#count += 1;
  }

  #formIndexOfRow({ rows }: OutgoingSpan, row: number): number | undefined {
    const [mode, change, ownerId] = [rows.mode(row), rows.change(row), rows.ownerId(row)];
    const last = this.#rowForm;
    if (last?.mode === mode && last.ownerId === ownerId && last.change === change)
      return this.#forms.length - 1;
    const [uid, gid, user, group] = rows.owner(row);
    const form = this.#formIndexOf({ mode, uid, gid, user, group, change });
    if (form !== undefined) this.#rowForm = { mode, change, ownerId };
    return form;
  }

  /** Mostly that of the line before. */
  #formIndexOf({ mode, uid, gid, user, group, change }: FormOf): number | undefined {
    const last = this.#form;
    const isLast =
      last?.mode === mode &&
      last.uid === uid &&
      last.gid === gid &&
      last.change === change &&
      last.user === user &&
      last.group === group;
    if (isLast) return this.#forms.length - 1;
    if (this.#forms.length === FORMS_MAX) return undefined;
    this.#form = { mode, uid, gid, user, group, change };
    this.#rowForm = undefined;
    const form = { kind: `f\t${change}\t`, owner: formatOwner(this.#form) };
    this.#formBytes = form.kind.length + form.owner.length;
    return this.#forms.push(form) - 1;
  }
}

/** Its line has a field of which most have nothing, or bytes that are escaped. */
function isOdd({ path, attributes, inode, hash }: StoredLine): boolean {
  const { type, xattrs } = attributes;
  return (
    type !== 'file' ||
    !hasUsualTimes(attributes) ||
    xattrs.length > 0 ||
    // Names of one inode are told of as a group.
    inode.links !== 1 ||
    !Number.isSafeInteger(inode.inode) ||
    !Number.isSafeInteger(inode.device) ||
    hash.length !== HASH_BYTES ||
    path.length < 2 ||
    !isPlainField(path)
  );
}
