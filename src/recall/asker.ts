/** Asking for a medium that the library does not hold. */
import type { Clock } from '../base/clock.ts';
import type { CodedError } from '../base/errors.ts';
import type { Library } from '../storage/library.ts';

export type MediumRequest = {
  readonly barcode: string;
  /** Where the catalog says it is: a shelf, a bank; undefined where nobody said. */
  readonly location: string | undefined;
  /** What was tried in vain, in a sentence. */
  readonly reason: string;
  /** Contents that wait for it, and those who wait for them. */
  readonly contents: number;
  readonly readers: number;
  /** How often it was asked for before. */
  readonly attempt: number;
};

/** All that a recall knows of people: somebody can bring a medium. */
export interface MediumAsker {
  /**
   * Resolves when the medium is said to be there, or is not to be had. Not awaited by what other media can serve.
   * @throws the signal's reason when nobody waits for it any more
   */
  ask(request: MediumRequest, signal: AbortSignal): Promise<'inserted' | 'declined'>;
  /**
   * What is to be done about a medium whose drive gave up on it; left out: it is given up. What other copies can serve does
   * not wait for it.
   * @throws the signal's reason
   */
  decide?(
    failure: { readonly barcode: string; readonly error: CodedError },
    signal: AbortSignal,
  ): Promise<'retry' | 'bad' | 'abort'>;
}

/** Nobody to ask. */
export const decliningAsker: MediumAsker = { ask: async () => 'declined' };

const LOOK_MS = 5000;

/** Tells nobody, and waits until the medium turns up in the library. */
export function watchingAsker(tools: {
  readonly library: () => Promise<Library>;
  readonly clock: Clock;
  /** Then it is declined, in ms. */
  readonly timeoutMs: number;
}): MediumAsker {
  const { clock, timeoutMs } = tools;
  return {
    async ask({ barcode }, signal) {
      const startMs = clock.monotonicMs();
      const library = await tools.library();
      // Without a changer any cartridge that is put into a drive may be the one: its label tells.
      const isThere = async () => {
        const { changer, cartridges, drives } = await library.status(signal);
        if (changer) return cartridges.some((cartridge) => cartridge.barcode === barcode);
        return drives.some(({ state }) => state === 'ready');
      };
      const wasThere = await isThere();
      for (let hasLeft = !wasThere; clock.monotonicMs() - startMs < timeoutMs; ) {
        await clock.sleepMs(LOOK_MS, signal);
        const isNow = await isThere();
        if (isNow && hasLeft) return 'inserted';
        hasLeft ||= !isNow;
      }
      return 'declined';
    },
  };
}
