/** Options of the commands that take paths as they were backed up. */

/** Which snapshot's. */
export const AT = {
  type: 'string',
  requiresArg: true,
  describe: 'as it was: a snapshot, or a time such as 2026-11-20; default: the newest',
} as const;

export const HOST = {
  type: 'string',
  requiresArg: true,
  describe: 'of this host; default: ours',
} as const;
