/** Makes the journals of archives unreadable, on one cartridge. */
import { findDigest } from '../../src/archive/digest.ts';
import type { BackupWorld } from './backup-world.ts';
import { spoil } from './broken-tape.ts';
import { streamsOn } from './media-streams.ts';

/** Behind so many lines of it. @param file number of the tape file */
export function spoilJournal(
  world: BackupWorld,
  {
    barcode,
    file,
    lines = 1,
  }: { readonly barcode: string; readonly file: number; readonly lines?: number },
): void {
  const { catalog, sim } = world;
  const [startBlock, blockBytes] =
    catalog
      .prepare<[number, number]>(
        `SELECT k.start_block, a.block_bytes FROM archive_copies k JOIN media m ON m.id = k.medium
           JOIN archives a ON a.id = k.archive WHERE m.barcode = ? AND k.file_number = ?`,
      )
      .get(barcode, file) ?? [];
  const stream = streamsOn(sim.directory, barcode)[file - 1];
  if (!stream || startBlock === undefined || blockBytes === undefined)
    throw new Error(`no tape file ${file} on ${barcode}`);
  const digest = findDigest(stream.subarray(-2 * blockBytes), stream.length);
  if (!digest) throw new Error('an archive without a digest');
  let position = digest.journal.offset;
  for (let line = 0; line < lines; line += 1) position = stream.indexOf(0x0a, position) + 1;
  spoil(sim.directory, { barcode, blockBytes, startBlock, position, lengthBytes: 2 });
}

/** Barcode and tape file of each good archive of the newest job with this verb, in the order in which they were written. */
export function archivesOf(world: BackupWorld, verb: string) {
  return world.catalog
    .prepare<[string, number]>(
      `SELECT m.barcode, k.file_number FROM archives a JOIN archive_copies k ON k.archive = a.id JOIN media m ON m.id = k.medium
       WHERE a.job = (SELECT max(number) FROM jobs WHERE verb = ?) AND k.state = 'good' ORDER BY a.sequence`,
    )
    .all(verb)
    .map(([barcode, file]) => ({ barcode, file }));
}
