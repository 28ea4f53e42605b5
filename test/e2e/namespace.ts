/**
 * A mount namespace: programs in it mount what they like, files of the machine may be others there, and all of it is gone when it
 * ends. It sees the same processes.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { startProgram } from './program.ts';

/** A user that each Debian has. */
export type User = 'root' | 'nobody' | 'daemon';

const GROUPS = { nobody: 'nogroup', daemon: 'daemon' } as const;

export class Namespace {
  /** Only in the namespace there are files in it: those that its preparation makes. */
  readonly directory: string;
  readonly #holder: ChildProcess;

  private constructor(directory: string, holder: ChildProcess) {
    this.directory = directory;
    this.#holder = holder;
  }

  /** @param script for sh, as root, in the namespace's own directory */
  static async make(script: string): Promise<Namespace> {
    const directory = mkdtempSync('/dev/shm/shelfs-e2e-namespace-');
    const lines = `set -e; mount -t tmpfs none "$0"; cd "$0"; ${script}; echo ready; exec sleep 1d`;
    const argv = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', lines, directory];
    const holder = startProgram(argv);
    const closed = once(holder, 'close');
    if (holder.stdout) await Promise.race([once(holder.stdout, 'data'), closed]);
    expect(holder.exitCode, 'the namespace is made').toBe(null);
    return new Namespace(directory, holder);
  }

  /** Before a program and its words. */
  prefix(user: User): string[] {
    const enter = ['nsenter', `--mount=/proc/${this.#holder.pid}/ns/mnt`, '--'];
    if (user === 'root') return enter;
    return [...enter, 'setpriv', '--reuid', user, '--regid', GROUPS[user], '--clear-groups', '--'];
  }

  /** Of the namespace's mounts. */
  get mountTable(): string {
    return `/proc/${this.#holder.pid}/mountinfo`;
  }

  async close(): Promise<void> {
    this.#holder.kill('SIGKILL');
    await once(this.#holder, 'close');
    rmSync(join(this.directory), { recursive: true, force: true });
  }
}
