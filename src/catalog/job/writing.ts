/** Whether a process that writes the catalog is still there. */
import type { Catalog } from '../catalog.ts';
import { isAlive } from '../writers.ts';

/** A process of another program that was given the same number after a crash is none. */
export function isWriting(catalog: Catalog, pid: number): boolean {
  const names = catalog.prepare<[string]>('SELECT process FROM writers').all().flat();
  return names.some((name) => Number(name.split(':')[1]) === pid && isAlive(name));
}
