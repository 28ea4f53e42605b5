/**
 * What a cartridge carries as it closes where its drive has warned before the plan expected it. All that was written counts by
 * then, or is given up: the rest of the plan and the copy of the catalog go into archives of their own behind it, as far as
 * the chip says that there is room, so that it costs nothing where the tape ends before.
 */
import { CodedError } from '../../base/errors.ts';
import { FORMAT_BOUNDS } from '../../pack/limits.ts';
import type { ArchiveWriter } from './archive-writer.ts';
import type { Closing } from './closing.ts';
import type { MediaSet } from './media-set.ts';
import type { CopyTarget } from './open-archive.ts';

export type BehindWarningTools = {
  /** The run has ended on these media: nothing is left to be told. */
  readonly isEnd: boolean;
  readonly media: Pick<MediaSet, 'room'>;
  readonly closing: Closing;
  /** An archive on all of them. @param onFailure told of each that fails; the archive goes on with the others */
  begin(onFailure: (error: CodedError) => void): Promise<ArchiveWriter>;
  /** @returns the media that hold it */
  finish(writer: ArchiveWriter): Promise<readonly CopyTarget[]>;
  warn(message: string): void;
};

/**
 * Of what is left; the other half is for what the drive still has in its buffer, and for what it has to write twice. Nothing
 * of it is planned with, so less than all is good enough.
 */
const USABLE_SHARE = 0.5;

/**
 * To media whose drives have warned. That one of them takes no more is told, and held against nothing that it has: it is full,
 * and everything on it was confirmed before.
 */
export async function closeBehindWarning(
  targets: readonly CopyTarget[],
  tools: BehindWarningTools,
): Promise<void> {
  if (targets.length === 0) return;
  const { isEnd, media, closing, warn } = tools;
  const failures = new Set<CodedError>();
  const begin = () => tools.begin((error) => failures.add(error));
  try {
    await closing.addBehindWarning({
      isEnd,
      freshRoomBytes: media.room.freshBytes() ?? 0,
      room: () => roomBytes(targets, media),
      write: (add) => write(targets, add, { begin, finish: tools.finish }),
    });
  } catch (error) {
    if (!(error instanceof CodedError) || error.code === 'INTERRUPTED') throw error;
    failures.add(error);
  }
  for (const { message } of failures)
    warn(`a medium closes with less than it should carry: ${message}`);
}

/** What may be written to each of them; 0 where a chip says nothing. It may be late, so what was counted is asked too. */
async function roomBytes(
  targets: readonly CopyTarget[],
  media: BehindWarningTools['media'],
): Promise<number> {
  const rooms = await Promise.all(
    targets.map(async ({ mediumId, tape }) => {
      const chipMib = (await tape.remainingMib(new AbortController().signal)) ?? 0;
      return Math.min(chipMib * 2 ** 20, media.room.unwrittenBytes(mediumId)) * USABLE_SHARE;
    }),
  );
  return Math.max(0, Math.floor(Math.min(...rooms)) - FORMAT_BOUNDS.archiveBytes);
}

/** @returns whether all of them have it */
async function write(
  targets: readonly CopyTarget[],
  add: (writer: ArchiveWriter) => Promise<void>,
  { begin, finish }: { begin(): Promise<ArchiveWriter>; finish: BehindWarningTools['finish'] },
): Promise<boolean> {
  let writer: ArchiveWriter | undefined;
  try {
    writer = await begin();
    await add(writer);
    return (await finish(writer)).length === targets.length;
  } catch (error) {
    await writer?.abandon();
    throw error;
  } finally {
    writer?.close();
  }
}
