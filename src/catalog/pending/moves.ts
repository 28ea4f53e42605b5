/** Which entries of a run are others that are gone: a rename keeps device and inode number, whatever the path. */
import { joinRaw, type Raw } from '../../base/raw.ts';
import type { SourceInode } from '../../domain/entry.ts';
import type { Catalog } from '../catalog.ts';
import { Directories } from '../tree/directories.ts';
import { CHANGES } from './change.ts';

export class Moves {
  readonly #directories: Directories;
  readonly #find;

  /**
   * Looks at everything gone in the run by now, into a temporary table on disk.
   * @param options.snapshotId against which the run found its changes; 0: nothing was known
   */
  constructor(catalog: Catalog, options: { jobNumber: number; snapshotId: number }) {
    this.#directories = new Directories(catalog);
    catalog
      .prepare(
        `CREATE TEMP TABLE IF NOT EXISTS gone_inodes(
           device INTEGER, inode INTEGER, dir INTEGER, name TEXT, content INTEGER,
           PRIMARY KEY(device, inode)) WITHOUT ROWID`,
      )
      .run();
    catalog.prepare('DELETE FROM temp.gone_inodes').run();
    catalog
      .prepare(
        `INSERT OR IGNORE INTO temp.gone_inodes
         SELECT i.device, i.inode, v.dir, v.name, i.content
         FROM pending p CROSS JOIN versions v ON v.dir = p.dir AND v.name = p.name
           CROSS JOIN inodes i ON i.id = v.inode
         WHERE p.job = ? AND p.change = ${CHANGES.gone} AND v.since <= ?
           AND (v.until IS NULL OR v.until > ?) AND i.content IS NOT NULL`,
      )
      .run(options.jobNumber, options.snapshotId, options.snapshotId);
    this.#find = catalog.prepare<[number, Raw]>(
      'SELECT dir, name FROM temp.gone_inodes WHERE device = ? AND inode = ? AND content = ?',
    );
  }

  /** The path that this inode had with the same content; undefined where it is no move. */
  from({ device, inode }: SourceInode, contentId: number): Raw | undefined {
    const found = this.#find.get(device, inode, contentId);
    return found && joinRaw(this.#directories.path(found[0]), found[1]);
  }
}
