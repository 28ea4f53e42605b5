/** Words and documents that all `media` commands share. */
import { formatSize } from '../base/bytes.ts';
import { formatTable } from '../base/text.ts';
import type { MediumDetails } from '../job/media.ts';
import { documentTime } from './format.ts';

type Medium = MediumDetails['medium'];

export const BARCODES = {
  type: 'string',
  array: true,
  demandOption: true,
  describe: 'such as ABC001L9, or its first six characters',
} as const;
export const word = (describe: string) =>
  ({ type: 'string', requiresArg: true, describe }) as const;

export function documentMedium(medium: Medium) {
  const { label: _, id: __, poolId: ___, createdMs, ...facts } = medium;
  return { ...facts, registered: documentTime(createdMs) };
}

export function formatMedia(found: readonly Medium[]): string {
  if (found.length === 0) return 'no media; `shelfs media add BARCODE` registers one';
  const rows = found.map((medium) => [
    medium.barcode,
    medium.state,
    medium.pool ?? '',
    medium.generation ?? '',
    formatSize(medium.capacityBytes),
    formatFill(medium),
    medium.location ?? '',
  ]);
  return formatTable(
    ['MEDIUM', 'STATE', 'POOL', 'GENERATION', 'CAPACITY', 'FILLED', 'LOCATION'],
    rows,
  );
}

function formatFill({ writtenBytes, capacityBytes }: Medium): string {
  return writtenBytes === 0 ? '' : `${((writtenBytes / capacityBytes) * 100).toFixed(1)} %`;
}
