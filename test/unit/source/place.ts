/** A folder of a test's own, and how tests look at what is in it. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type Raw, rawOf, toRaw } from '../../../src/base/raw.ts';
import type { Attributes } from '../../../src/domain/entry.ts';

/** Removed with all that is in it, also below paths longer than the system takes at once. */
export function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'shelfs-source-'));
  onTestFinished(() => {
    execFileSync('rm', ['-rf', path]);
  });
  return path;
}

export const raw = rawOf;

export function bytesName(...bytes: number[]): Raw {
  return toRaw(Uint8Array.from(bytes));
}

/** Of a plain file of root, from which a test takes what it needs. */
export const PLAIN: Attributes = {
  type: 'file',
  mode: 0o644,
  uid: process.getuid?.() ?? 0,
  gid: process.getgid?.() ?? 0,
  user: raw(''),
  group: raw(''),
  sizeBytes: 0,
  mtime: { seconds: 1_000_000_000, nanoseconds: 123_456_789 },
  ctime: { seconds: 0, nanoseconds: 0 },
  xattrs: [],
};

export const isRoot = process.getuid?.() === 0;
