/**
 * Missing copies of what no whole archive gives: of contents in archives that are mostly dead, torn, too large for the spool or
 * damaged here and there on each of their media. They are stored anew one by one, onto media that do not have them.
 */
import { CodedError } from '../../base/errors.ts';
import { rawText } from '../../base/raw.ts';
import { LiveContents } from '../../catalog/care/live.ts';
import type { Spooled } from '../../catalog/care/spooled.ts';
import {
  type CopiesPolicy,
  type Shortage,
  shortageOf,
} from '../../catalog/content/copies-policy.ts';
import { type MoveTools, moveAll } from './move.ts';
import type { MovedWriter } from './write.ts';

export type StoreAnewOrder = {
  readonly policy: CopiesPolicy;
  /** As `shortageOf` has just found it. */
  readonly left: Shortage;
  readonly mover: { readonly spooled: Spooled; readonly writer: MovedWriter };
};

/** A copy of each in a round, so many rounds as copies are wanted. @returns what is missing still */
export async function storeAnew(
  { policy, left: before, mover }: StoreAnewOrder,
  tools: MoveTools,
  signal: AbortSignal,
): Promise<Shortage> {
  let left = before;
  for (let round = 0; round < policy.copies && left.contents > left.onlyElsewhere; round += 1) {
    const order = {
      live: new LiveContents(tools.catalog, 'short'),
      policy,
      preferred: [],
      ...mover,
      onLost: ({ path }: { readonly path: Parameters<typeof rawText>[0] }, error: CodedError) => {
        if (round === 0) tools.warn(`${rawText(path)} gets no further copy: ${error.message}`);
      },
    };
    try {
      await moveAll(order, tools, signal);
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== 'MEDIUM_FULL') throw error;
      tools.warn(`some files get no further copy: ${error.message}`);
      round = policy.copies;
    }
    left = shortageOf(tools.catalog, policy);
  }
  return left;
}
