/** Names with what they lead to: answers to LOOKUP, and listings. */
import type { Raw } from '../../base/raw.ts';
import { type FileAttributes, putAttributes, putU64 } from './attributes.ts';
import { DIRENT_BYTES, ENTRY_BYTES } from './opcodes.ts';

/** A file by its node, and for how many seconds the kernel may believe it without asking. */
export type EntryReply = {
  /** 0: no such name, to be remembered as long as `entrySeconds` say; in a listing: to be asked for by name. */
  readonly nodeId: number;
  readonly attributes: FileAttributes;
  readonly entrySeconds: number;
  readonly attributeSeconds: number;
};

/** struct fuse_entry_out. Ids are never used again, so all are of one generation. */
export function putEntry(view: DataView, at: number, entry: EntryReply): void {
  putU64(view, at, entry.nodeId);
  putU64(view, at + 8, 0);
  putU64(view, at + 16, entry.entrySeconds);
  putU64(view, at + 24, entry.attributeSeconds);
  putU64(view, at + 32, 0);
  putAttributes(view, at + 40, entry.attributes);
}

/** In a listing with attributes: another entry of the same name in the place of one, which goes on at the same offset. */
export function replaceEntry(view: DataView, at: number, entry: EntryReply): void {
  const { inoLow, inoHigh, mode } = entry.attributes;
  putEntry(view, at, entry);
  view.setUint32(at + ENTRY_BYTES, inoLow, true);
  view.setUint32(at + ENTRY_BYTES + 4, inoHigh, true);
  view.setUint32(at + ENTRY_BYTES + 20, typeOf(mode), true);
}

/** As directories say it: d_type of readdir(3). */
const typeOf = (mode: number): number => (mode >>> 12) & 0xf;

const EMPTY = Buffer.alloc(0);

/** The body of an answer to READDIR or READDIRPLUS. One serves for all, one after the other. */
export class DirectoryReply {
  #bytes = EMPTY;
  #view = viewOf(EMPTY);
  #at = 0;
  #limit = 0;

  /** From now on entries are added until one says no. */
  begin(sizeBytesMax: number): void {
    if (sizeBytesMax > this.#bytes.length) {
      this.#bytes = Buffer.alloc(sizeBytesMax);
      this.#view = viewOf(this.#bytes);
    }
    this.#at = 0;
    this.#limit = sizeBytesMax;
  }

  /** Valid until `begin`. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#at);
  }

  /** @param offset where reading goes on behind it. @returns false where it does not fit any more */
  add(name: Raw, offset: number, entry: EntryReply): boolean {
    if (this.#at + direntBytes(name) > this.#limit) return false;
    this.#putDirent(name, offset, entry.attributes);
    return true;
  }

  /** With all its attributes. */
  addPlus(name: Raw, offset: number, entry: EntryReply): boolean {
    if (this.#at + ENTRY_BYTES + direntBytes(name) > this.#limit) return false;
    putEntry(this.#view, this.#at, entry);
    this.#at += ENTRY_BYTES;
    this.#putDirent(name, offset, entry.attributes);
    return true;
  }

  /** struct fuse_dirent, padded to 8 bytes. */
  #putDirent(name: Raw, offset: number, { inoLow, inoHigh, mode }: FileAttributes): void {
    const view = this.#view;
    const at = this.#at;
    const end = at + direntBytes(name);
    view.setUint32(at, inoLow, true);
    view.setUint32(at + 4, inoHigh, true);
    putU64(view, at + 8, offset);
    view.setUint32(at + 16, name.length, true);
    view.setUint32(at + 20, typeOf(mode), true);
    // The padding, of which the name then takes what it needs.
    putU64(view, end - 8, 0);
    const start = at + DIRENT_BYTES;
    // A call of the buffer's own takes longer than names are long.
    for (let index = 0; index < name.length; index += 1)
      view.setUint8(start + index, name.charCodeAt(index));
    this.#at = end;
  }
}

const viewOf = (bytes: Buffer): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** What a name takes in a listing without attributes. */
const direntBytes = (name: Raw): number => (DIRENT_BYTES + name.length + 7) & ~7;
