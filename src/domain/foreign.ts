/** A cartridge that another program wrote, as it is told from others: it has no label of ours. */
export type ForeignTape = {
  /** Of all its blocks, but for the last of each tape file, which may be shorter. */
  readonly blockBytes: number;
  /** SHA-256 of its first block, in hex. */
  readonly firstBlock: string;
};
