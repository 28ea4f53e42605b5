/** Blocks reach a virtual cartridge by writevSync, which tests let fail once. */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { onTestFinished, vi } from 'vitest';

/** The next one takes only so many bytes, or fails with an errno. */
export function failNextBlockWrite(how: { bytesWritten: number } | { errno: string }): void {
  const spy = vi.spyOn(fs, 'writevSync').mockImplementationOnce(() => {
    if ('bytesWritten' in how) return how.bytesWritten;
    throw Object.assign(new Error(`${how.errno}: planned`), { code: how.errno });
  });
  // Modules that have imported it by name see what it is now.
  syncBuiltinESMExports();
  onTestFinished(() => {
    spy.mockRestore();
    syncBuiltinESMExports();
  });
}
