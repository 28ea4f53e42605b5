/** What is told of a failure names the cartridge: a drive knows only itself, and a person has to know which to look at. */
import type { CodedError } from '../base/errors.ts';

/** @returns the failure's sentence, with the medium before it where it does not name it */
export function ofMedium(barcode: string, { message }: CodedError): string {
  return message.includes(barcode) ? message : `${barcode}: ${message}`;
}
