/**
 * The storm guard: programs that read everything for their own sake never move a tape.
 *
 * A thumbnailer or an indexer that walks the mount would load every cartridge there is. They are known by name; and any
 * other process may start recalls of so many bytes an hour only, where the config says so.
 */
import type { Clock } from '../base/clock.ts';
import { CodedError } from '../base/errors.ts';
import { processName } from '../base/machine.ts';
import { printable } from '../base/text.ts';

/** Names of processes, as the kernel keeps them: the first 15 bytes. */
export interface Programs {
  /** Printable; empty where there is no such process any more. */
  nameOf(pid: number): string;
}

export const systemPrograms: Programs = {
  nameOf: (pid) => printable(processName(pid) ?? ''),
};

/** Thumbnailers, indexers, updatedb, media scanners, antivirus. A star at the end stands for the rest of the name. */
export const REFUSED_DEFAULT: readonly string[] = [
  ...['tumblerd', 'gdk-pixbuf-thum*', 'ffmpegthumbnail*', 'totem-video-thu*', 'evince-thumbnai*'],
  ...['gnome-thumbnail*', 'thumbnail.so', 'gsf-office-thum*', 'papers-thumbnai*', 'quicklookd'],
  ...[
    'tracker-*',
    'localsearch-*',
    'baloo_*',
    'recollindex',
    'zeitgeist-*',
    'beagled',
    'mdworker*',
  ],
  ...['mds', 'mds_stores', 'updatedb*', 'plocate-build', 'fsearch*'],
  ...[
    'minidlnad',
    'rygel',
    'gerbera',
    'mediatomb',
    'Plex Media Scan*',
    'Plex Transcoder',
    'jellyfin',
  ],
  ...['clamscan', 'clamd', 'clamdscan', 'clamonacc', 'savscan*', 'freshclam', 'rkhunter', 'aide'],
];

const HOUR_MS = 3_600_000;
/** Processes remembered; the one that asked longest ago is forgotten first. */
const PROCESSES_MAX = 1000;

type Account = { sinceMs: number; bytes: number };

export class StormGuard {
  readonly #names: ReadonlySet<string>;
  readonly #prefixes: readonly string[];
  readonly #budgetBytes: number;
  readonly #clock: Clock;
  readonly #accounts = new Map<number, Account>();

  /** @param options.budgetBytes that one process may recall an hour */
  constructor(options: {
    readonly refused: readonly string[];
    readonly budgetBytes: number;
    readonly clock: Clock;
  }) {
    const { refused, budgetBytes, clock } = options;
    this.#names = new Set(refused.filter((name) => !name.endsWith('*')));
    this.#prefixes = refused.filter((name) => name.endsWith('*')).map((name) => name.slice(0, -1));
    this.#budgetBytes = budgetBytes;
    this.#clock = clock;
  }

  /**
   * Before a content is wanted because of this process.
   * @throws CodedError RECALL_REFUSED
   */
  admit(by: { readonly pid: number; readonly name: string }, sizeBytes: number): void {
    const { pid, name } = by;
    if (this.#names.has(name) || this.#prefixes.some((prefix) => name.startsWith(prefix))) {
      throw refused(by, 'is not allowed to move tapes; [recall] refuse lists such programs');
    }
    const nowMs = this.#clock.monotonicMs();
    let account = this.#accounts.get(pid);
    if (!account || nowMs - account.sinceMs > HOUR_MS) account = { sinceMs: nowMs, bytes: 0 };
    // Any one file is allowed: who reads only that is no storm.
    if (account.bytes > 0 && account.bytes + sizeBytes > this.#budgetBytes)
      throw refused(by, 'has recalled as much as [recall] budget allows in an hour');
    account.bytes += sizeBytes;
    this.#accounts.delete(pid);
    this.#accounts.set(pid, account);
    const [oldest] = this.#accounts.keys();
    if (this.#accounts.size > PROCESSES_MAX && oldest !== undefined) this.#accounts.delete(oldest);
  }
}

function refused({ pid, name }: { pid: number; name: string }, why: string): CodedError {
  return new CodedError('RECALL_REFUSED', `${name || 'a program'} (${pid}) ${why}`, { pid });
}
