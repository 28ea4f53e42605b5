/** What a medium is, and in which state it can be. */

export const MEDIUM_KINDS = ['tape', 'disk', 's3'] as const;
export type MediumKind = (typeof MEDIUM_KINDS)[number];

export const MEDIUM_STATES = [
  'unlabelled',
  'scratch',
  'filling',
  'full',
  'suspect', // has failed: nothing more is written, its copies do not count
  'retired', // out of use, by a person
  'lost', // not to be had any more
  'hold', // to be left as it is: read, and not written
] as const;

export type MediumState = (typeof MEDIUM_STATES)[number];
