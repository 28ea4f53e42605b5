/** The label of a cartridge, byte by byte: README and script of it are what a person has when everything else is gone. */
import { Blake3Hasher } from '@napi-rs/blake-hash';
import { LABEL_BYTES_MAX, parseLabel } from '../../archive/label.ts';
import { CodedError } from '../../base/errors.ts';
import type { KnownLabel } from '../../catalog/care/read-back.ts';
import type { ReadableTape } from '../../storage/tape-reader.ts';
import type { Finding } from './report.ts';
import { readTapeFile } from './tape-file.ts';

export type LabelVerdict = {
  readonly findings: readonly Finding[];
  /** Of one whose hash nobody has kept and that says what the catalog says: to be kept from now on. */
  readonly toKeep: KnownLabel | undefined;
};

/** @throws CodedError the drive's failures */
export async function checkLabel(
  tape: ReadableTape,
  medium: { readonly uuid: string; readonly known: KnownLabel | undefined },
  signal: AbortSignal,
): Promise<LabelVerdict> {
  const { uuid, known } = medium;
  const first = await readLabel(tape, known, signal);
  if (known === undefined) return adopt(tape, first, uuid);
  const isRight = (read: LabelRead) => read.isWhole && read.blake3.equals(known.blake3);
  if (isRight(first)) return { findings: [], toKeep: undefined };
  const again = await readLabel(tape, known, signal);
  if (isRight(again)) {
    const sentence = 'the label read wrong once, and right when it was read again: clean the drive';
    return { findings: [{ kind: 'transient', sentence }], toKeep: undefined };
  }
  return { findings: [damaged(again)], toKeep: undefined };
}

type LabelRead = {
  readonly bytes: Buffer;
  readonly blake3: Buffer;
  readonly isWhole: boolean;
  readonly failure: string | undefined;
};

async function readLabel(
  tape: ReadableTape,
  known: KnownLabel | undefined,
  signal: AbortSignal,
): Promise<LabelRead> {
  const { blockBytes } = tape;
  const blocksMax = Math.ceil(Math.max(LABEL_BYTES_MAX, blockBytes) / blockBytes);
  const lengthBlocks = known ? Math.ceil(known.lengthBytes / blockBytes) : undefined;
  const block = Buffer.alloc(blockBytes);
  const parts: Buffer[] = [];
  const sink = {
    buffer: async () => block,
    take: () => {
      if (parts.length <= blocksMax) parts.push(Buffer.from(block));
    },
  };
  const at = { startBlock: 0, lengthBlocks: lengthBlocks ?? blocksMax };
  const file = await readTapeFile(tape, at, sink, signal);
  const bytes = Buffer.concat(parts);
  const isWhole = file.end === 'filemark' && (file.holes.length === 0 || known === undefined);
  const blake3 = new Blake3Hasher().update(bytes).digestBuffer();
  return { bytes, blake3, isWhole, failure: file.failure };
}

function adopt(tape: ReadableTape, read: LabelRead, uuid: string): LabelVerdict {
  const { bytes, blake3 } = read;
  try {
    const label = parseLabel(bytes);
    if (read.isWhole && label.uuid === uuid && label.barcode === tape.barcode)
      return { findings: [], toKeep: { lengthBytes: bytes.length, blake3 } };
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
  }
  return { findings: [damaged(read)], toKeep: undefined };
}

function damaged({ failure }: LabelRead): Finding {
  const why = failure === undefined ? 'is not what was written' : `cannot be read: ${failure}`;
  return {
    kind: 'label',
    sentence: `the label ${why}; no file is lost by it, but the cartridge is only read from now on`,
    blocks: { first: 0, count: 1 },
  };
}
