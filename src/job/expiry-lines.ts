/** Lines of a journal that say what is held no longer. Whoever writes an archive's journal calls it, once for the archive. */
import { formatExpired } from '../archive/journal.ts';
import { rawOf } from '../base/raw.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { Expiries } from '../catalog/expiry/expiries.ts';

/** They count as told once the archive is good. */
export function tellExpiries(
  sink: { readonly archiveId: number; addLine(line: string): void },
  catalog: Catalog,
): void {
  const expiries = new Expiries(catalog);
  const untold = expiries.untold();
  for (const { kind, uuid, name } of untold)
    sink.addLine(formatExpired({ what: kind, uuid, name: rawOf(name) }));
  expiries.tell(sink.archiveId, untold);
}
