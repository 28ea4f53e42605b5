/** What a reader must be able to do (FORMAT.md section 7). Unknown needs are refused, never guessed at. */
import { CodedError } from '../base/errors.ts';
import { printable } from '../base/text.ts';

export const REVISION = 1;

/** What this program reads and writes. */
export const CAPABILITIES: readonly string[] = ['blake3'];

/** @throws CodedError FORMAT_UNSUPPORTED naming what is not known. `what` begins the sentence: `the label of ...`. */
export function requireCapabilities(
  what: string,
  found: { readonly revision: number; readonly capabilities: readonly string[] },
): void {
  if (found.revision !== REVISION)
    throw new CodedError(
      'FORMAT_UNSUPPORTED',
      `${what} is of revision ${found.revision}; this program reads revision ${REVISION}: use a newer one`,
    );
  const unknown = found.capabilities.filter((name) => !CAPABILITIES.includes(name));
  if (unknown.length > 0)
    throw new CodedError(
      'FORMAT_UNSUPPORTED',
      `${what} needs ${printable(unknown.join(', '))}, which this program does not know: use a newer one`,
    );
}
