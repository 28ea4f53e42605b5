/** Held and expired: which versions somebody may still ask for (SCHEMA.md section 9), as SQL that all share. */

/** Whether a version, a row of `versions` under this name, is shown by a snapshot that is not expired. */
export const heldSql = (version: string): string =>
  `EXISTS(SELECT 1 FROM snapshots held INDEXED BY held_snapshots WHERE held.expired_by IS NULL
     AND held.id >= ${version}.since AND held.id < coalesce(${version}.until, 9223372036854775807))`;

/** The first snapshot that is not expired, from the one of this id on; NULL where there is none. */
export const firstHeldSql = (id: string): string =>
  `(SELECT min(held.id) FROM snapshots held INDEXED BY held_snapshots
     WHERE held.expired_by IS NULL AND held.id >= ${id})`;
