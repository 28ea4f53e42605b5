/** What tells whether a file of the stage was touched since its bytes were proven. */
import { fstatSync } from 'node:fs';
import type { FileFacts } from '../catalog/run-db/stage.ts';

const NS_PER_SECOND = 1_000_000_000n;

export function factsOf(descriptor: number): FileFacts {
  const { size, mtimeNs, ctimeNs } = fstatSync(descriptor, { bigint: true });
  return {
    sizeBytes: Number(size),
    mtimeS: Number(mtimeNs / NS_PER_SECOND),
    mtimeNs: Number(mtimeNs % NS_PER_SECOND),
    ctimeS: Number(ctimeNs / NS_PER_SECOND),
    ctimeNs: Number(ctimeNs % NS_PER_SECOND),
  };
}

/** A file that differs in any of these may differ in its bytes. */
export function isSame(a: FileFacts, b: FileFacts): boolean {
  return (
    a.sizeBytes === b.sizeBytes &&
    a.mtimeS === b.mtimeS &&
    a.mtimeNs === b.mtimeNs &&
    a.ctimeS === b.ctimeS &&
    a.ctimeNs === b.ctimeNs
  );
}
