/** One journal into the catalog that is rebuilt: its lines, typed and checked, a few thousand entries at a time. */
import type { JournalEntry, JournalLine } from '../../archive/journal.ts';
import type { Place } from '../../archive/place.ts';
import { CodedError } from '../../base/errors.ts';
import { type Raw, rawBytes } from '../../base/raw.ts';
import { printable } from '../../base/text.ts';
import type { Teller, ToldPlace } from '../../catalog/rebuild/extents.ts';
import type { Rebuild, ToldEntry } from '../../catalog/rebuild/rebuild.ts';
import type { ToldRun } from '../../catalog/rebuild/runs.ts';
import type { Shelf } from '../../catalog/rebuild/shelf.ts';
import type { EndedRuns } from './whole-runs.ts';

export type Telling = {
  readonly archiveId: number;
  readonly teller: Teller;
  readonly lines: AsyncIterable<JournalLine>;
};

export type TellTools = {
  readonly rebuild: Rebuild;
  readonly shelf: Shelf;
  warn(message: string): void;
  onEntries(count: number): void;
  /** A file of which only parts were stored by then. */
  onParts?(told: {
    readonly jobUuid: string;
    readonly run: ToldRun;
    readonly entry: ToldEntry;
  }): void;
};

const PORTION = 2048;
/** A name of a host is a directory's; longer ones no file system takes. */
const HOST_BYTES_MAX = 255;

/**
 * @returns the runs whose end it tells
 * @throws CodedError ARCHIVE_INVALID where a line is broken; what stood before it is told
 */
export async function tellJournal(
  telling: Telling,
  tools: TellTools,
  signal: AbortSignal,
): Promise<EndedRuns> {
  const told = new JournalTeller(telling, tools);
  try {
    for await (const line of telling.lines) {
      told.line(line);
      signal.throwIfAborted();
    }
  } finally {
    told.flush();
  }
  return told.ended;
}

class JournalTeller {
  readonly #telling: Telling;
  readonly #tools: TellTools;
  #run: (ToldRun & { readonly host: string; readonly uuid: string }) | undefined;
  #entries: ToldEntry[] = [];
  #refused = 0;
  readonly ended = new Map<string, number | undefined>();

  constructor(telling: Telling, tools: TellTools) {
    this.#telling = telling;
    this.#tools = tools;
  }

  line(line: JournalLine): void {
    const { rebuild, shelf } = this.#tools;
    const { createdMs } = this.#telling.teller;
    switch (line.kind) {
      case 'run': {
        this.flush();
        const host = hostName(line.host) ?? 'unknown';
        const { uuid, job, started } = line;
        const startedMs = Date.parse(started);
        rebuild.runs.expectRoom(uuid);
        const number = shelf.ensureJob({ number: job, uuid, host, startedMs, verb: 'backup' });
        shelf.toldRun(this.#telling.archiveId, number);
        this.#run = { ...rebuild.runs.tell({ uuid, number }, createdMs), host, uuid };
        return;
      }
      case 'entry':
        this.#add(line);
        return;
      case 'segments':
        this.flush();
        rebuild.addSegments(line.hash, line.first, line.segments);
        return;
      case 'end': {
        this.flush();
        const ms = line.snapshot === undefined ? undefined : Date.parse(line.snapshot);
        const seconds = ms === undefined || Number.isNaN(ms) ? undefined : Math.floor(ms / 1000);
        rebuild.runs.end(line.uuid, line.state, seconds);
        if (line.uuid === this.#run?.uuid) this.ended.set(line.uuid, line.counts.archives);
        return;
      }
      case 'expired': {
        const { what: kind, uuid } = line;
        const { archiveId } = this.#telling;
        const name = rawBytes(line.name).toString('utf8');
        rebuild.runs.addExpired({ kind, uuid, name, archiveId, timeMs: createdMs });
      }
    }
  }

  flush(): void {
    const entries = this.#entries;
    this.#entries = [];
    if (this.#refused > 0)
      this.#tools.warn(`${this.#refused} lines of a journal name a host that cannot be`);
    this.#refused = 0;
    if (entries.length === 0 || !this.#run) return;
    this.#tools.rebuild.add(this.#run, this.#telling.teller, entries);
    this.#tools.onEntries(entries.length);
  }

  #add(entry: JournalEntry): void {
    const run = this.#run;
    if (!run) throw new CodedError('ARCHIVE_INVALID', 'a journal with an entry of no run');
    const host = entry.host === undefined ? run.host : hostName(entry.host);
    const told = host !== undefined ? toldEntry(entry, host) : undefined;
    if (told === undefined) {
      if (entry.change !== 'expired') this.#refused += 1;
      return;
    }
    this.#entries.push(told);
    if (told.kind === 'planned' && told.copies.length > 0)
      this.#tools.onParts?.({ jobUuid: run.uuid, run, entry: told });
    if (this.#entries.length >= PORTION) this.flush();
  }
}

/** Undefined for what is held no longer. */
function toldEntry(entry: JournalEntry, host: string): ToldEntry | undefined {
  const { change, path, attributes, inode, group, hash } = entry;
  if (change === 'expired') return undefined;
  const isOfBytes = attributes.type === 'file' && attributes.sizeBytes > 0;
  const isWhole = !isOfBytes || hash !== undefined;
  const copies = entry.copies.map((places) => places.map(toldPlace));
  const kind = change === 'gone' ? 'gone' : change === 'planned' || !isWhole ? 'planned' : 'stored';
  const whole =
    kind === 'stored' ? copies.filter((copy) => isGapless(copy, attributes.sizeBytes)) : copies;
  return { kind, host, path, attributes, inode, group, hash, copies: whole };
}

function toldPlace({ medium, form, ...place }: Place): ToldPlace {
  const { file, block, skipBytes, storedBytes, contentOffset, lengthBytes } = place;
  const barcode = rawBytes(medium).toString('utf8');
  const isSparse = form === 'sparse';
  return { barcode, file, block, skipBytes, storedBytes, contentOffset, lengthBytes, isSparse };
}

function isGapless(places: readonly ToldPlace[], sizeBytes: number): boolean {
  let at = 0;
  for (const { contentOffset, lengthBytes } of places) {
    if (contentOffset !== at || lengthBytes === 0) return false;
    at += lengthBytes;
  }
  return at === sizeBytes;
}

/** Undefined for what names no host: it would name a directory. */
function hostName(raw: Raw): string | undefined {
  const isName =
    raw.length > 0 &&
    raw.length <= HOST_BYTES_MAX &&
    !/[/\0]/.test(raw) &&
    raw !== '.' &&
    raw !== '..';
  if (!isName) return undefined;
  const text = rawBytes(raw).toString('utf8');
  return printable(text) === text ? text : undefined;
}
