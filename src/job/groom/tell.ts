/**
 * What has to stand on another medium before one is given up, besides contents: the runs its journals tell, expiries, and a
 * copy of the catalog that knows where everything is now.
 */
import { formatExpired, formatMedia } from '../../archive/journal.ts';
import type { Clock } from '../../base/clock.ts';
import { CodedError } from '../../base/errors.ts';
import { rawOf } from '../../base/raw.ts';
import { expiriesToldOn, RetoldEntries, runsToldOn } from '../../catalog/care/retell.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { Expiries } from '../../catalog/expiry/expiries.ts';
import { addCatalogCopy } from '../backup/closing.ts';
import { catalogCopyMax } from '../backup/closing-reserve.ts';
import { mediaOf } from '../backup/run-journal.ts';
import { tellExpiries } from '../expiry-lines.ts';
import type { MovedArchive, ToldElsewhere } from './moved-archive.ts';
import type { RunLines } from './run-lines.ts';
import type { MovedWriter } from './write.ts';

export type TellTools = {
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly program: string;
  readonly stateDirectory: string;
  warn(message: string): void;
};

export type TellOrder = {
  /** To be given up; undefined: nothing is told but where all is now. */
  readonly mediumId: number | undefined;
  readonly lines: RunLines;
  readonly writer: MovedWriter;
};

/** A line of an entry takes some 200 bytes and its path, mostly: what is missing is met as the end of the tape is. */
const ENTRY_BYTES = 600;
const TOLD =
  'the journals and the catalog that have to be elsewhere before a cartridge is given up';

/**
 * One archive more. @returns its id
 * @throws CodedError MEDIUM_FULL where no medium has room for it
 */
export async function tellAnew(
  { mediumId, lines, writer }: TellOrder,
  tools: TellTools,
  signal: AbortSignal,
): Promise<number> {
  const { catalog } = tools;
  const snapshots = mediumId === undefined ? [] : runsToldOn(catalog, mediumId);
  const expiries = mediumId === undefined ? [] : expiriesToldOn(catalog, mediumId);
  const entries = new RetoldEntries(catalog, snapshots);
  const journalBytes = entries.count() * ENTRY_BYTES;
  const bytes = journalBytes + catalogCopyMax(catalog);
  const fill = async (archive: MovedArchive, roomBytes: number): Promise<ToldElsewhere> => {
    for (const id of snapshots) tellRun(archive, { id, lines, entries });
    tellExpiries(archive, catalog);
    for (const { kind, uuid, name } of expiries)
      archive.addLine(formatExpired({ what: kind, uuid, name: rawOf(name) }));
    new Expiries(catalog).tell(archive.archiveId, expiries);
    for (const line of formatMedia(mediaOf(catalog))) archive.addLine(line);
    const added = await addCatalogCopy(
      archive,
      { ...tools, spoolDirectory: tools.stateDirectory },
      roomBytes - archive.journalBytes,
    );
    if (added === 'added') return { retoldSnapshots: snapshots };
    throw new CodedError(
      added === 'no-room' ? 'MEDIUM_FULL' : 'FAILED',
      'no copy of the catalog could be written, without which no cartridge is given up',
    );
  };
  const { archiveId } = await writer.append(
    { bytes, what: TOLD, avoid: mediumId === undefined ? [] : [mediumId], fill },
    signal,
  );
  return archiveId;
}

function tellRun(
  archive: MovedArchive,
  {
    id,
    lines,
    entries,
  }: { readonly id: number; readonly lines: RunLines; readonly entries: RetoldEntries },
): void {
  const run = lines.run(id);
  lines.look();
  archive.addLine(run.line);
  for (const entry of entries.of(id)) lines.addEntry(archive, entry, run);
  archive.addLine(run.end);
}
