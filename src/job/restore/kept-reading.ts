/** A cartridge is read where somebody may have kept it in its drive, and may want it to stay there. */
import type { Tape } from '../../storage/tape.ts';

/** Takes over what was read, for the next one to go on where it stands. */
export type Keeper = {
  take(barcode: string): Promise<Tape | undefined>;
  give(tape: Tape): Promise<void>;
};

/**
 * @param kept left out: it leaves its drive when it was read
 * @throws what `attach` and `read` do; it has left its drive then
 */
export async function readKept(
  kept: Keeper | undefined,
  { barcode, attach }: { readonly barcode: string; readonly attach: () => Promise<Tape> },
  read: (tape: Tape) => Promise<void>,
): Promise<void> {
  const tape = (await kept?.take(barcode)) ?? (await attach());
  try {
    await read(tape);
  } catch (error) {
    await tape.close();
    throw error;
  }
  await (kept ? kept.give(tape) : tape.close());
}
