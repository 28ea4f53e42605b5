/** The identity of a medium, and how to read it in thirty years: tape file 0 (FORMAT.md section 2). */
import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { CodedError } from '../base/errors.ts';
import { CAPABILITIES, REVISION } from './capability.ts';
import { archiveTail } from './digest.ts';
import { requireSupported } from './opening.ts';
import { firstMember, ownMember, parseJson } from './own-member.ts';
import { readmeText } from './readme.ts';

export const LABEL_BYTES_MAX = 4 * 2 ** 20;
/** The first block holds all of label.json. */
export const BLOCK_BYTES_MIN = 4096;
export const BLOCK_BYTES_MAX = 8 * 2 ** 20;
/** Every adapter reads it; LTFS uses it too. */
export const BLOCK_BYTES_DEFAULT = 512 * 1024;

/** Read with the program: the file may be another version's, or gone, when a long job begins its next cartridge. */
const RESTORE_SCRIPT = readFileSync(join(import.meta.dirname, 'restore.sh'));

const text = z.string().min(1).max(1024);

const SHAPE = z.object({
  format: z.literal('shelfs-label'),
  /** The medium's name; eight characters as scanned on a cartridge. */
  barcode: text,
  /** New with each labelling. */
  uuid: z.uuid(),
  pool: text,
  set: z.object({ uuid: z.uuid(), /** From 1. */ number: z.int().min(1) }),
  generation: text,
  /** Of every block of the medium. */
  blockBytes: z.int().min(BLOCK_BYTES_MIN).max(BLOCK_BYTES_MAX).multipleOf(512),
  /** ISO 8601, UTC. */
  created: z.iso.datetime({ offset: true }),
  program: text,
  host: text,
  /** Labellings of this cartridge so far, this one included. */
  writeGeneration: z.int().min(1),
});

/** Format, revision and capabilities are this program's. */
export type Label = Omit<z.infer<typeof SHAPE>, 'format'>;

/** The whole of tape file 0, in whole blocks. */
export function buildLabel(label: Label): Buffer {
  const checked = SHAPE.parse({ format: 'shelfs-label', ...label });
  const json = { revision: REVISION, capabilities: CAPABILITIES, ...checked };
  const createdMs = Date.parse(label.created);
  const members = [
    ownMember('label.json', Buffer.from(`${JSON.stringify(json, null, 1)}\n`), createdMs),
    ownMember('README.txt', Buffer.from(readmeText(label)), createdMs),
    ownMember('restore.sh', RESTORE_SCRIPT, createdMs),
  ];
  const lengthBytes = members.reduce((sum, { length }) => sum + length, 0);
  const tail = Buffer.alloc(archiveTail(lengthBytes, label.blockBytes));
  const bytes = Buffer.concat([...members, tail]);
  assert(bytes.length <= LABEL_BYTES_MAX || bytes.length === label.blockBytes);
  return bytes;
}

/**
 * Reads a label from tape file 0; its first block is enough.
 * @throws CodedError MEDIUM_MISMATCH where no label of ours stands there; FORMAT_UNSUPPORTED where a newer program is needed
 */
export function parseLabel(bytes: Buffer): Label {
  const member = readMember(bytes);
  if (member === undefined)
    throw new CodedError('MEDIUM_MISMATCH', 'this medium carries no label of shelfs');
  const json = parseJson(member.data, 'the label');
  requireSupported('the label of this medium', 'shelfs-label', json);
  const result = SHAPE.safeParse(json);
  if (!result.success)
    throw new CodedError(
      'MEDIUM_MISMATCH',
      `the label of this medium is not as it should be: ${z.prettifyError(result.error)}`,
    );
  const { format: _format, ...label } = result.data;
  return label;
}

function readMember(bytes: Buffer) {
  try {
    return firstMember(bytes, 'label.json');
  } catch (cause) {
    if (!(cause instanceof CodedError)) throw cause;
    throw new CodedError('MEDIUM_MISMATCH', 'this medium carries no readable label of shelfs', {
      cause,
    });
  }
}
