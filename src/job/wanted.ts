/** What is waited for: which media, where they are, and who waits. Nothing is asked of anybody. */
import { formatSize } from '../base/bytes.ts';
import { printable } from '../base/text.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { Contents } from '../catalog/content/contents.ts';
import type { RunWants, WaitingReader } from '../catalog/run-db/wants.ts';
import { Media } from '../catalog/shelf/media.ts';
import { CopyChooser } from '../recall/copies.ts';
import { Item } from '../recall/item.ts';

export type WantedTools = {
  readonly catalog: Catalog;
  readonly wants: RunWants;
  isAlive(process: string): boolean;
  /** In the library, as far as anybody knows. */
  isPresent(barcode: string): boolean;
};

export type WantedMedium = {
  readonly barcode: string;
  /** Where the catalog says it is kept; null where nobody said. */
  readonly location: string | null;
  readonly isPresent: boolean;
  readonly files: number;
  readonly bytes: number;
  /** Since when the first of them waits, ms since the epoch. */
  readonly sinceMs: number;
  /** The first of them. */
  readonly readers: readonly WaitingReader[];
};

/** Of more at a time nobody reads a list, and each takes a look at the catalog. */
const WANTS_LOOKED_AT = 1000;
const READERS_SHOWN = 16;

type Found = { files: number; bytes: number; sinceMs: number; readers: Map<number, WaitingReader> };

/** Longest waited for first. */
export function listWanted({ catalog, wants, isAlive, isPresent }: WantedTools): WantedMedium[] {
  const contents = new Contents(catalog);
  const media = new Media(catalog);
  const chooser = new CopyChooser({ isPresent, isOffline: () => false });
  const byBarcode = new Map<string, Found>();
  const living = wants.list().filter(({ process }) => isAlive(process));
  for (const { contentId, sinceMs, readers } of living.slice(0, WANTS_LOOKED_AT)) {
    const content = contents.getIfThere(contentId);
    if (!content) continue;
    const runs = new Item({ ...content, contentId }, contents, sinceMs).runs(chooser) ?? [];
    for (const barcode of new Set(runs.map(({ copy }) => copy.barcode))) {
      const found = byBarcode.get(barcode) ?? { files: 0, bytes: 0, sinceMs, readers: new Map() };
      byBarcode.set(barcode, found);
      found.files += 1;
      for (const run of runs) if (run.copy.barcode === barcode) found.bytes += run.lengthBytes;
      found.sinceMs = Math.min(found.sinceMs, sinceMs);
      for (const reader of readers) found.readers.set(reader.pid, reader);
    }
  }
  return [...byBarcode]
    .map(([barcode, { files, bytes, sinceMs, readers }]) => ({
      barcode,
      location: media.find(barcode)?.location ?? null,
      isPresent: isPresent(barcode),
      files,
      bytes,
      sinceMs,
      readers: [...readers.values()].slice(0, READERS_SHOWN),
    }))
    .toSorted((a, b) => a.sinceMs - b.sinceMs || (a.barcode < b.barcode ? -1 : 1));
}

/** For people: a few lines a medium. */
export function formatWanted(wanted: readonly WantedMedium[]): string {
  if (wanted.length === 0) return 'nothing is waited for\n';
  return wanted
    .map(({ barcode, location, isPresent, files, bytes, sinceMs, readers }) => {
      const since = new Date(sinceMs).toISOString().replace(/\.\d+/, '');
      const kept =
        location === null ? 'nobody said where it is kept' : `kept at ${printable(location)}`;
      const where = isPresent ? 'in the library' : `not in the library, ${kept}`;
      const who = readers.map(({ pid, name }) => `${printable(name) || 'somebody'} (${pid})`);
      const what = `${files} ${files === 1 ? 'file' : 'files'}, ${formatSize(bytes)}`;
      return `${barcode}  ${where}\n  ${what}, since ${since}, for ${who.join(', ') || 'nobody by name'}\n`;
    })
    .join('');
}
