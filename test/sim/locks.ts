/** File locks among the makers of one process: what flock(2) gives across processes, for tests that need no second one. */
import { CodedError } from '../../src/base/errors.ts';
import type { LockFile } from '../../src/device/virtual/state.ts';

export function memoryLocks(): LockFile {
  const held = new Set<string>();
  return async (path) => {
    if (held.has(path))
      throw new CodedError('DRIVE_BUSY', `${path} is locked`, { path, pid: process.pid });
    held.add(path);
    return {
      close: async () => {
        held.delete(path);
      },
    };
  };
}
