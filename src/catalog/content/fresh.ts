/**
 * Contents whose keys are not in the catalog's table yet, by size and key: typed arrays with open addressing, 32 bytes each.
 * Keys are parts of hashes, so they are spread as they are.
 */
import { strict as assert } from 'node:assert';

/** Slots for each entry at least. */
const SPARSENESS = 2;
const CAPACITY_MIN = 1024;

export class FreshContents {
  /** Index of an entry plus one; 0 where the slot is free. */
  #slots = new Int32Array(CAPACITY_MIN * SPARSENESS);
  #sizes = new Float64Array(CAPACITY_MIN);
  #keys = new Float64Array(CAPACITY_MIN);
  #values = new Float64Array(CAPACITY_MIN);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** The first entry of this size and key, or the next after one; -1 where there is none. */
  find(sizeBytes: number, key: number, after = -1): number {
    const mask = this.#slots.length - 1;
    let isBehind = after < 0;
    for (let slot = slotOf(sizeBytes, key) & mask; ; slot = (slot + 1) & mask) {
      const index = (this.#slots[slot] ?? 0) - 1;
      if (index < 0) return -1;
      if (this.#keys[index] !== key || this.#sizes[index] !== sizeBytes) continue;
      if (isBehind) return index;
      isBehind = index === after;
    }
  }

  /** What was said of an entry: whatever number its owner gave. */
  valueOf(index: number): number {
    assert(index < this.#count);
    return this.#values[index] ?? 0;
  }

  setValue(index: number, value: number): void {
    assert(index < this.#count);
    this.#values[index] = value;
  }

  add(sizeBytes: number, key: number, value: number): void {
    if (this.#count === this.#values.length) this.#grow();
    const index = this.#count;
    this.#sizes[index] = sizeBytes;
    this.#keys[index] = key;
    this.#values[index] = value;
    this.#count += 1;
    this.#place(index);
  }

  clear(): void {
    this.#slots = new Int32Array(CAPACITY_MIN * SPARSENESS);
    this.#sizes = new Float64Array(CAPACITY_MIN);
    this.#keys = new Float64Array(CAPACITY_MIN);
    this.#values = new Float64Array(CAPACITY_MIN);
    this.#count = 0;
  }

  /** Indices of all entries in order of size and key. */
  inOrder(): Uint32Array {
    const [sizes, keys] = [this.#sizes, this.#keys];
    return Uint32Array.from({ length: this.#count }, (_, index) => index).sort(
      (a, b) => (sizes[a] ?? 0) - (sizes[b] ?? 0) || (keys[a] ?? 0) - (keys[b] ?? 0),
    );
  }

  sizeOf(index: number): number {
    return this.#sizes[index] ?? 0;
  }

  keyOf(index: number): number {
    return this.#keys[index] ?? 0;
  }

  #grow(): void {
    const capacity = this.#values.length * 2;
    this.#sizes = grown(this.#sizes, capacity);
    this.#keys = grown(this.#keys, capacity);
    this.#values = grown(this.#values, capacity);
    this.#slots = new Int32Array(capacity * SPARSENESS);
    for (let index = 0; index < this.#count; index += 1) this.#place(index);
  }

  #place(index: number): void {
    const mask = this.#slots.length - 1;
    let slot = slotOf(this.#sizes[index] ?? 0, this.#keys[index] ?? 0) & mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = index + 1;
  }
}

/** The low 32 bits of the key, moved by the size. */
function slotOf(sizeBytes: number, key: number): number {
  return (key ^ Math.imul(sizeBytes, 0x9e3779b1)) >>> 0;
}

function grown(from: Float64Array, capacity: number): Float64Array<ArrayBuffer> {
  const to = new Float64Array(capacity);
  to.set(from);
  return to;
}
