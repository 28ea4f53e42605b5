/**
 * Media as directories of tape files (`BARCODE/0`, `BARCODE/1`, ...), written with the codec under test: what a backup
 * writes, without a drive. Used for restore.sh and for the golden media.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Blake3Hasher } from '@napi-rs/blake-hash';
import { archiveTail, encodeDigest } from '../../../src/archive/digest.ts';
import {
  formatEnd,
  formatEntry,
  formatRun,
  formatStart,
  type JournalChange,
  type JournalEntry,
} from '../../../src/archive/journal.ts';
import { buildLabel } from '../../../src/archive/label.ts';
import { encodeMember, type Member, memberPath } from '../../../src/archive/member.ts';
import { encodeOpening, type Opening } from '../../../src/archive/opening.ts';
import { ownMember, ownPath } from '../../../src/archive/own-member.ts';
import type { Part } from '../../../src/archive/part.ts';
import { blockOf, type Place } from '../../../src/archive/place.ts';
import type { Raw } from '../../../src/base/raw.ts';
import type { Attributes, DataRange } from '../../../src/domain/entry.ts';

const BLOCK_BYTES = 4096;

export function uuidOf(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
}

export function blake3(bytes: Buffer): Buffer {
  const hasher = new Blake3Hasher();
  hasher.update(bytes);
  return hasher.digestBuffer();
}

const attributesDefault: Attributes = {
  type: 'file',
  mode: 0o644,
  uid: 0,
  gid: 0,
  user: 'root' as Raw,
  group: 'root' as Raw,
  sizeBytes: 0,
  mtime: { seconds: 1_700_000_000, nanoseconds: 123_456_789 },
  ctime: { seconds: 1_700_000_001, nanoseconds: 0 },
  xattrs: [],
};

export function attributes(more: Partial<Attributes> = {}): Attributes {
  return { ...attributesDefault, ...more };
}

/** Minutes of one day; runs and archives are in the order of their making. */
function instant(minute: number): string {
  return new Date(Date.UTC(2026, 10, 20, 9, minute)).toISOString();
}

export class Media {
  readonly directory: string;
  readonly #ends = new Map<string, { file: number; block: number }>();
  #archives = 0;

  constructor(directory: string) {
    this.directory = directory;
  }

  /** @param lengthBlocks of the label, as far as archives are concerned; default: what it has */
  label(barcode: string, lengthBlocks?: number): void {
    const bytes = buildLabel({
      barcode,
      uuid: uuidOf(1000 + this.#ends.size),
      pool: 'main',
      set: { uuid: uuidOf(999), number: this.#ends.size + 1 },
      generation: 'LTO-9',
      blockBytes: BLOCK_BYTES,
      created: instant(0),
      program: 'shelfs 0.1.0',
      host: 'nas',
      writeGeneration: 1,
    });
    mkdirSync(join(this.directory, barcode), { recursive: true });
    writeFileSync(join(this.directory, barcode, '0'), bytes);
    const blocks = lengthBlocks ?? bytes.length / BLOCK_BYTES;
    this.#ends.set(barcode, { file: 1, block: blocks + 1 });
  }

  /** The next archive, on all these media alike. */
  archive(
    barcodes: readonly string[],
    options: { readonly host?: string; readonly completes?: Opening['completes'] } = {},
  ): Archive {
    this.#archives += 1;
    const copies = barcodes.map((barcode, index) => {
      const end = this.#ends.get(barcode);
      if (end === undefined) throw new Error(`${barcode} has no label`);
      return { barcode, medium: uuidOf(1000 + index), ...end };
    });
    const opening: Opening = {
      uuid: uuidOf(this.#archives),
      job: { number: 1, uuid: uuidOf(501) },
      host: options.host ?? 'nas',
      sequence: this.#archives,
      created: instant(this.#archives),
      program: 'shelfs 0.1.0',
      blockBytes: BLOCK_BYTES,
      copies,
      ...(options.completes && { completes: options.completes }),
    };
    return new Archive(opening, (bytes) => {
      for (const { barcode, file, block } of copies) {
        writeFileSync(join(this.directory, barcode, String(file)), bytes);
        this.#ends.set(barcode, { file: file + 1, block: block + bytes.length / BLOCK_BYTES + 1 });
      }
    });
  }
}

export class Archive {
  readonly opening: Opening;
  readonly #write: (bytes: Buffer) => void;
  readonly #parts: Buffer[];
  readonly #lines: string[];
  #lengthBytes: number;

  constructor(opening: Opening, write: (bytes: Buffer) => void) {
    this.opening = opening;
    this.#write = write;
    this.#parts = [encodeOpening(opening)];
    this.#lengthBytes = this.#parts[0]?.length ?? 0;
    const { uuid: archive, host, created } = opening;
    this.#lines = [formatStart({ archive, host: host as Raw, created })];
  }

  get lengthBytes(): number {
    return this.#lengthBytes;
  }

  run(job: number): this {
    const uuid = uuidOf(500 + job);
    const host = this.opening.host as Raw;
    return this.line(
      formatRun({ job, uuid, host, started: instant(job), program: 'shelfs 0.1.0' }),
    );
  }

  end(job: number): this {
    const uuid = uuidOf(500 + job);
    return this.line(
      formatEnd({ job, uuid, state: 'finished', snapshot: instant(job), counts: { new: 1 } }),
    );
  }

  line(text: string): this {
    this.#lines.push(text);
    return this;
  }

  /** Stores bytes as a member, and says where they lie on each medium. */
  store(
    path: string,
    data: Buffer,
    more: {
      readonly attributes?: Partial<Attributes>;
      readonly part?: Part;
      readonly ranges?: readonly DataRange[];
      readonly foreignHost?: string;
    } = {},
  ): Place[][] {
    const lengthBytes = data.length;
    const { part, ranges } = more;
    const member: Member = {
      path: memberPath(path as Raw, more.foreignHost),
      attributes: attributes({ sizeBytes: part?.totalBytes ?? lengthBytes, ...more.attributes }),
      lengthBytes,
      part,
      ranges,
    };
    const stored = ranges
      ? Buffer.concat(ranges.map((run) => data.subarray(run.offset, run.offset + run.lengthBytes)))
      : data;
    const { head, mapBytes, dataBytes } = encodeMember(member);
    if (dataBytes !== stored.length) throw new Error('a member of another length');
    const at = this.#lengthBytes + head.length - mapBytes;
    this.#push(head, stored, Buffer.alloc((512 - (dataBytes % 512)) % 512));
    return this.opening.copies.map(({ barcode, file, block }) => [
      {
        medium: barcode as Raw,
        file,
        ...blockOf({ startBlock: block, blockBytes: BLOCK_BYTES }, at),
        storedBytes: mapBytes + dataBytes,
        contentOffset: part?.offset ?? 0,
        lengthBytes,
        form: ranges ? 'sparse' : 'plain',
      },
    ]);
  }

  /** A file's member and its line. */
  file(
    path: string,
    data: Buffer,
    more: Parameters<Archive['store']>[2] & {
      readonly change?: JournalChange;
      readonly entry?: Partial<JournalEntry>;
    } = {},
  ): Place[][] {
    const copies = this.store(path, data, more);
    this.entry(path, {
      change: more.change ?? 'new',
      attributes: attributes({ sizeBytes: data.length, ...more.attributes }),
      hash: blake3(data),
      copies: data.length === 0 ? [] : copies,
      ...more.entry,
    });
    return copies;
  }

  /** A line alone. */
  entry(path: string, entry: Partial<JournalEntry>): this {
    return this.line(
      formatEntry({
        path: path as Raw,
        change: 'new',
        attributes: attributes(),
        copies: [],
        ...entry,
      }),
    );
  }

  /** A directory, symlink or special file: member and line. */
  thing(path: string, more: Partial<Attributes>, change: JournalChange = 'new'): this {
    const own = attributes(more);
    const { head } = encodeMember({
      path: memberPath(path as Raw),
      attributes: own,
      lengthBytes: 0,
    });
    this.#push(head);
    return this.entry(path, { change, attributes: own });
  }

  /** Journal, digest, end, padding. */
  finish(): void {
    const { uuid, created } = this.opening;
    const journal = Buffer.from(this.#lines.join(''), 'latin1');
    const member = ownMember(ownPath(uuid, 'journal'), journal, Date.parse(created));
    const offset = this.#lengthBytes + member.length - Math.ceil(journal.length / 512) * 512;
    this.#push(member);
    const stream = Buffer.concat(this.#parts);
    this.#push(
      encodeDigest({
        uuid,
        blake3: blake3(stream),
        sha256: createHash('sha256').update(stream).digest(),
        lengthBytes: stream.length,
        journal: { offset, lengthBytes: journal.length },
      }),
    );
    this.#push(Buffer.alloc(archiveTail(this.#lengthBytes, BLOCK_BYTES)));
    this.#write(Buffer.concat(this.#parts));
  }

  /** Ended by a filemark in the middle of a member of `promisedBytes`: whole blocks, no journal, no digest. */
  tear(path: string, promisedBytes: number): void {
    const { head } = encodeMember({
      path: memberPath(path as Raw),
      attributes: attributes({ sizeBytes: promisedBytes }),
      lengthBytes: promisedBytes,
    });
    this.#push(head, Buffer.alloc(promisedBytes, 0x58));
    const bytes = Buffer.concat(this.#parts);
    this.#write(
      bytes.subarray(0, Math.floor((bytes.length - promisedBytes / 2) / BLOCK_BYTES) * BLOCK_BYTES),
    );
  }

  /** Cut by a crash in a member: what it holds so far lies at the end of the last block. @param data of so many bytes from there on */
  crash(path: string, data: (position: number) => Buffer): void {
    const lengthBytes = 2 ** 30;
    const { head } = encodeMember({
      path: memberPath(path as Raw),
      attributes: attributes({ sizeBytes: lengthBytes }),
      lengthBytes,
    });
    this.#push(head);
    this.#push(data(this.#lengthBytes));
    this.#push(Buffer.alloc((BLOCK_BYTES - (this.#lengthBytes % BLOCK_BYTES)) % BLOCK_BYTES));
    this.#write(Buffer.concat(this.#parts));
  }

  #push(...parts: readonly Buffer[]): void {
    for (const part of parts) {
      this.#parts.push(part);
      this.#lengthBytes += part.length;
    }
  }
}
