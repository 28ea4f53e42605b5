/**
 * Names that desktops, file servers and players look for in every directory they come by. Where there is none of the name that
 * is remembered, and not looked up again: they ask without end.
 */
import { LRUCache } from 'lru-cache';
import type { Raw } from '../base/raw.ts';

const NAMES: ReadonlySet<string> = new Set([
  ...['.Trash', '.DS_Store', '.Spotlight-V100', '.hidden', '.metadata_never_index', '.fseventsd'],
  ...['.localized', '.TemporaryItems', '.apdisk', '.xdg-volume-info', '.directory', '.nomedia'],
  ...['autorun.inf', 'AUTORUN.INF', 'Autorun.inf', 'desktop.ini', 'Desktop.ini', 'Thumbs.db'],
]);
/** `._photo.jpg`, `.Trash-1000`. */
const PREFIXES = ['._', '.Trash-'];
const REMEMBERED_MAX = 20_000;

export class Probes {
  /** Of a directory's node and a name: the snapshot that had none. */
  readonly #missing = new LRUCache<string, number>({ max: REMEMBERED_MAX });

  isProbe(name: Raw): boolean {
    return NAMES.has(name) || PREFIXES.some((prefix) => name.startsWith(prefix));
  }

  /** @param snapshotId the newest there is: a later one may have the name */
  isMissing(parent: number, name: Raw, snapshotId: number): boolean {
    return this.#missing.get(`${parent} ${name}`) === snapshotId;
  }

  remember(parent: number, name: Raw, snapshotId: number): void {
    this.#missing.set(`${parent} ${name}`, snapshotId);
  }
}
