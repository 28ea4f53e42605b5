/** Files and directories that are in no catalog: `.snapshots`, `.shelfs`, their links and texts. */
import { strict as assert } from 'node:assert';
import type { Raw } from '../base/raw.ts';
import { NODE, type NodeRow } from '../catalog/tree/nodes.ts';
import { type InodeNumber, numberOfNode } from './inode-number.ts';
import type { Listing } from './listing.ts';
import { ROOT_NODE, virtualNode } from './node-id.ts';
import type { FileAttributes } from './protocol/attributes.ts';
import type { EntryReply } from './protocol/entry.ts';

export type VirtualNode =
  | {
      readonly kind: 'directory';
      attributes(): FileAttributes;
      lookup(name: Raw): EntryReply | undefined;
      list(): Listing;
      /** Of a directory that the catalog knows no id of. */
      readonly row?: NodeRow;
    }
  | { readonly kind: 'link'; readonly target: Raw; attributes(): FileAttributes }
  | {
      readonly kind: 'text';
      attributes(): FileAttributes;
      /** Made anew for each who opens it. */
      text(): Buffer;
    };

type Slot = { readonly node: VirtualNode; readonly key: string; references: number };

/** Of these the numbers are fixed and never forgotten. */
const FIRST_COUNTED = 2 ** 10;

/**
 * For how long the kernel believes a name of a node made for a look-up. It keeps the node until it is told to forget the name or
 * wants memory, so session.ts tells it.
 */
export const IN_USE_SECONDS = 0;
/** In a listing such a name has no node: the kernel asks when somebody wants one. */
export const NO_NODE = 0;

/**
 * Virtual nodes by number. Those made for a look-up live as long as the kernel refers to them; the same key is the same node
 * meanwhile.
 */
export class VirtualNodes {
  readonly #fixed = new Map<number, VirtualNode>();
  readonly #slots = new Map<number, Slot>();
  readonly #byKey = new Map<string, number>();
  #next = FIRST_COUNTED;

  /** @param number ROOT_NODE, or one below 1024 */
  fix(number: number, node: VirtualNode): number {
    assert(number < FIRST_COUNTED && !this.#fixed.has(number));
    this.#fixed.set(number, node);
    return number === ROOT_NODE ? ROOT_NODE : virtualNode(number);
  }

  /** The node of the key, made where there is none. Its id is for one look-up's answer, which `refer` counts. */
  of(key: string, make: () => VirtualNode): number {
    const known = this.#byKey.get(key);
    if (known !== undefined) return idOf(known, this.#slots.get(known)?.node);
    const number = this.#next;
    this.#next += 1;
    const node = make();
    this.#slots.set(number, { node, key, references: 0 });
    this.#byKey.set(key, number);
    return idOf(number, node);
  }

  /** Whether it is known only as long as the kernel refers to it. */
  isCounted(number: number): boolean {
    return number >= FIRST_COUNTED;
  }

  /** Undefined for one that was forgotten. */
  get(number: number): VirtualNode | undefined {
    return this.#fixed.get(number) ?? this.#slots.get(number)?.node;
  }

  /** The kernel was told of it once more. */
  refer(number: number): void {
    const slot = this.#slots.get(number);
    if (slot) slot.references += 1;
  }

  forget(number: number, count: number): void {
    const slot = this.#slots.get(number);
    if (!slot) return;
    slot.references -= count;
    if (slot.references > 0) return;
    this.#slots.delete(number);
    this.#byKey.delete(slot.key);
  }
}

function idOf(number: number, node: VirtualNode | undefined): number {
  const row = node?.kind === 'directory' ? node.row : undefined;
  return virtualNode(number, { hasXattrs: row !== undefined && row[NODE.xattrs] !== null });
}

/** Who owns what is virtual, and since when it has been. */
export type VirtualOwner = { readonly uid: number; readonly gid: number; readonly seconds: number };

const TYPE = { directory: 0o040555, link: 0o120777, text: 0o100444 } as const;

/** @param number its inode number, or the node it is made from */
export function virtualAttributes(
  number: InodeNumber | number,
  kind: VirtualNode['kind'],
  { owner, sizeBytes = 0 }: { readonly owner: VirtualOwner; readonly sizeBytes?: number },
): FileAttributes {
  const { inoHigh, inoLow } = typeof number === 'number' ? numberOfNode(number) : number;
  return {
    inoHigh,
    inoLow,
    sizeBytes,
    blocks: kind === 'text' ? Math.ceil(sizeBytes / 512) : 0,
    mtime: owner.seconds,
    mtimeNs: 0,
    ctime: owner.seconds,
    ctimeNs: 0,
    mode: TYPE[kind],
    links: 1,
    uid: owner.uid,
    gid: owner.gid,
    deviceMajor: 0,
    deviceMinor: 0,
  };
}
