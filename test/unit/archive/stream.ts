/** Archives in memory, for tests: members to a tar, a tar to members. */
import { archiveTail } from '../../../src/archive/digest.ts';
import { encodeMember, type Member } from '../../../src/archive/member.ts';
import { type ByteSource, type ReadMember, readMembers } from '../../../src/archive/reader.ts';

/** Bytes that tell their own position, so that a shift is seen. */
export function pattern(lengthBytes: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  for (let at = 0; at < lengthBytes; at += 1) bytes[at] = (at * 31 + (at >> 8) * 17 + seed) & 0xff;
  return bytes;
}

/** A member with data made by `pattern`, in whole blocks of 512. */
export function memberBytes(member: Member, data?: Buffer): Buffer {
  const { head, dataBytes } = encodeMember(member);
  const bytes = data ?? pattern(dataBytes);
  if (bytes.length !== dataBytes) throw new Error(`${bytes.length} bytes for ${dataBytes}`);
  return Buffer.concat([head, bytes, Buffer.alloc((512 - (dataBytes % 512)) % 512)]);
}

export function tarOf(parts: readonly Buffer[], blockBytes = 512): Buffer {
  const bytes = Buffer.concat(parts);
  return Buffer.concat([bytes, Buffer.alloc(archiveTail(bytes.length, blockBytes))]);
}

/** Reuses one buffer for all reads, as a real source may. */
export function sourceOf(bytes: Buffer): ByteSource & { readonly largestBytes: number } {
  let at = 0;
  let largestBytes = 0;
  const buffer = Buffer.alloc(2 ** 20);
  return {
    async read(lengthBytes) {
      largestBytes = Math.max(largestBytes, lengthBytes);
      const piece = bytes.subarray(at, at + lengthBytes);
      at += piece.length;
      if (piece.length > buffer.length) return Buffer.from(piece);
      buffer.fill(0xee);
      piece.copy(buffer);
      return buffer.subarray(0, piece.length);
    },
    get largestBytes() {
      return largestBytes;
    },
  };
}

export async function readAll(
  bytes: Buffer,
): Promise<(Omit<ReadMember, 'data'> & { readonly bytes: Buffer })[]> {
  const members = [];
  for await (const member of readMembers(sourceOf(bytes))) {
    const { data, ...facts } = member;
    const chunks: Buffer[] = [];
    for await (const chunk of data()) chunks.push(Buffer.from(chunk));
    members.push({ ...facts, bytes: Buffer.concat(chunks) });
  }
  return members;
}
