/** Before a medium is written: what stands on it is what the catalog knows. */
import { CodedError } from '../../base/errors.ts';
import type { Archives } from '../../catalog/shelf/archives.ts';
import type { Medium } from '../../catalog/shelf/media.ts';
import type { Tape } from '../../storage/tape.ts';

/** The end of the data is what the catalog knows, but for what a cut run of ours left behind it. */
export async function proveEnd(
  {
    tape,
    medium,
    archives,
  }: { readonly tape: Tape; readonly medium: Medium; readonly archives: Archives },
  signal: AbortSignal,
): Promise<void> {
  const permits = (unknownFiles: number) => {
    const announced = archives
      .onMedium(medium.id)
      .filter(({ fileNumber }) => fileNumber >= medium.nextFile);
    if (unknownFiles === 0 || (unknownFiles === 1 && announced.length > 0)) return;
    throw new CodedError(
      'MEDIUM_MISMATCH',
      `cartridge ${medium.barcode} holds ${unknownFiles} archives more than this catalog knows: it was written by a later state of it, or by another; run \`shelfs recover --merge\`; nothing was written`,
      { volser: medium.barcode.slice(0, 6) },
    );
  };
  const known = {
    file: medium.nextFile,
    block: medium.nextBlock,
    writeGeneration: medium.writeGeneration,
    permits,
  };
  const { unknownFiles } = await tape.prepareToAppend(known, signal);
  if (unknownFiles === 0) return;
  const { file, block } = tape.end;
  archives.moveEnds([{ mediumId: medium.id, nextFile: file, nextBlock: block }]);
}
