/** The first member of an archive: whose it is, and where its copies begin (FORMAT.md section 3.1). */
import { z } from 'zod';
import { CodedError } from '../base/errors.ts';
import { CAPABILITIES, REVISION, requireCapabilities } from './capability.ts';
import { firstMember, ownMember, ownPath, parseJson } from './own-member.ts';

const count = z.int().min(0);
const text = z.string().min(1).max(4096);

const COPY = z.object({
  /** The medium's name; of a cartridge its barcode. */
  barcode: text,
  /** UUID of the medium. */
  medium: z.uuid(),
  /** Number of the tape file. */
  file: count,
  /** The drive's number of the archive's first block. */
  block: count,
});

const SHAPE = z.object({
  format: z.literal('shelfs-archive'),
  uuid: z.uuid(),
  job: z.object({ number: count, uuid: z.uuid() }),
  /** What job wrote it; of those from before this was told nobody knows. */
  verb: z.string().min(1).max(64).optional(),
  host: text,
  /** Of the archive in its job, from 1. */
  sequence: z.int().min(1),
  created: z.iso.datetime({ offset: true }),
  program: text,
  blockBytes: z.int().min(512),
  hash: z.literal('blake3'),
  copies: z.array(COPY).min(1).max(64),
  completes: z
    .object({
      uuid: z.uuid(),
      file: count,
      block: count,
      /** Members of the torn archive that end within this many bytes of its stream are stored. */
      wholeBytes: count,
    })
    .optional(),
});

/** Format, revision, hash and capabilities are this program's. */
export type Opening = Omit<z.infer<typeof SHAPE>, 'format' | 'hash'>;

/** The whole member, headers and padding included. */
export function encodeOpening(opening: Opening): Buffer {
  const json = {
    format: 'shelfs-archive',
    revision: REVISION,
    capabilities: CAPABILITIES,
    hash: 'blake3',
    ...opening,
  };
  const data = Buffer.from(`${JSON.stringify(json, null, 1)}\n`, 'utf8');
  return ownMember(ownPath(opening.uuid, 'archive.json'), data, Date.parse(opening.created));
}

/**
 * Reads the opening at the start of an archive's stream; `bytes` may be longer, such as its first block.
 * @throws CodedError ARCHIVE_INVALID where there is none; FORMAT_UNSUPPORTED where a newer program is needed
 */
export function parseOpening(bytes: Buffer): Opening {
  const member = firstMember(bytes, '/archive.json');
  if (member === undefined)
    throw new CodedError('ARCHIVE_INVALID', 'this is no archive of shelfs: it has no archive.json');
  return checkOpening(parseJson(member.data, 'archive.json'));
}

function checkOpening(json: unknown): Opening {
  requireSupported('this archive', 'shelfs-archive', json);
  const result = SHAPE.safeParse(json);
  if (!result.success) {
    const reason = z.prettifyError(result.error);
    throw new CodedError('ARCHIVE_INVALID', `archive.json is not as it should be: ${reason}`);
  }
  const { format: _format, hash: _hash, ...opening } = result.data;
  return opening;
}

const VERSIONED = z.object({
  format: z.string(),
  revision: z.int(),
  capabilities: z.array(z.string().max(100)).max(100),
});

/** What is from the future is told apart from what is broken, before anything else of it is read. */
export function requireSupported(what: string, format: string, json: unknown): void {
  const result = VERSIONED.safeParse(json);
  if (!result.success || result.data.format !== format)
    throw new CodedError('ARCHIVE_INVALID', `${what} does not say that it is ${format}`);
  requireCapabilities(what, result.data);
}
