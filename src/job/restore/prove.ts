/** Whether a file that was there before has the bytes of a snapshot. */
import { readSync } from 'node:fs';
import type { Raw } from '../../base/raw.ts';
import type { Content } from '../../domain/content.ts';
import { ContentHasher } from '../../hash/content-hasher.ts';
import type { TargetTree } from '../../source/target.ts';

const READ_BYTES = 2 ** 20;

/** False too where there is no regular file. @throws CodedError TARGET_UNSAFE, TARGET_FAILED */
export function isRight(target: TargetTree, path: Raw, content: Content): boolean {
  const file = target.reopen(path);
  if (!file) return false;
  try {
    return (
      file.entry.sizeBytes === content.sizeBytes &&
      hashOf(file.descriptor, content.sizeBytes)?.equals(content.hash) === true
    );
  } finally {
    target.closeFile(file);
  }
}

/** Of the first bytes of an open file; undefined where it has fewer. */
function hashOf(descriptor: number, sizeBytes: number): Buffer | undefined {
  const hasher = new ContentHasher();
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  for (let at = 0; at < sizeBytes; ) {
    const count = readSync(descriptor, buffer, 0, Math.min(buffer.length, sizeBytes - at), at);
    if (count === 0) return undefined;
    hasher.update(buffer.subarray(0, count));
    at += count;
  }
  return hasher.finish().hash;
}
