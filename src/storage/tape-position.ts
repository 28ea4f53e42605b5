/** The end of a cartridge's data: where it is, and whether what stands last was closed. */
import { strict as assert } from 'node:assert';
import type { Drive } from '../device/drive.ts';

/** Blocks and filemarks before a point of the tape. */
export type TapePoint = { readonly block: number; readonly file: number };

/** Blocks of other programs may be larger than ours; they only have to be stepped over. */
const ANY_BLOCK_BYTES = 2 ** 20;

/**
 * Goes behind the data and closes what a run that ended badly has left there: nothing is ever continued in its middle.
 * The tape stands at end of data afterwards, at the beginning of a tape file.
 * @param permits sees where that will be before anything is written; throws where it must not be
 */
export async function closeTornArchive(
  drive: Drive,
  signal: AbortSignal,
  permits: (end: TapePoint) => void = () => {},
): Promise<{ readonly end: TapePoint; readonly wasTorn: boolean }> {
  await drive.spaceToEndOfData(signal);
  const before = proven(drive);
  const wasTorn = before.block > 0 && !(await endsWithFilemark(drive, signal));
  permits(wasTorn ? { block: before.block + 1, file: before.file + 1 } : before);
  if (!wasTorn) return { end: before, wasTorn };
  await drive.writeFilemarks(1, { immediate: false }, signal);
  await drive.checkPosition(signal);
  return { end: proven(drive), wasTorn };
}

/** The tape stands at end of data before and after. */
async function endsWithFilemark(drive: Drive, signal: AbortSignal): Promise<boolean> {
  await drive.locate(proven(drive).block - 1, signal);
  const last = await drive.read(Buffer.alloc(ANY_BLOCK_BYTES), signal);
  await drive.spaceToEndOfData(signal);
  return last.kind === 'filemark';
}

export function proven(drive: Drive): TapePoint {
  const { position } = drive;
  assert(position.proven, `${drive.name}: nobody has proven where the tape stands`);
  return { block: position.block, file: position.file };
}
