/** Members an archive has for itself, below `.shelfs/`: opening, journal, digest, and the files of a label. */
import { CodedError } from '../base/errors.ts';
import type { Raw } from '../base/raw.ts';
import type { Attributes } from '../domain/entry.ts';
import { encodeMember } from './member.ts';
import { padTo512, parseHeader, TAR_BLOCK_BYTES } from './ustar.ts';

const JSON_BYTES_MAX = 2 ** 20;

export function ownPath(uuid: string, name: string): Raw {
  return `.shelfs/archives/${uuid}/${name}` as Raw;
}

/** A member of ours with its data and padding. Readable by all: what it says is no secret to who holds the medium. */
export function ownMember(path: string, data: Buffer, createdMs: number): Buffer {
  const { head } = ownHead(path, data.length, createdMs);
  return Buffer.concat([head, data, Buffer.alloc(padTo512(data.length) - data.length)]);
}

/** The header alone, for data that are written from elsewhere. */
export function ownHead(path: string, lengthBytes: number, createdMs: number) {
  const at = {
    seconds: Math.floor(createdMs / 1000),
    nanoseconds: (createdMs - Math.floor(createdMs / 1000) * 1000) * 1e6,
  };
  const attributes: Attributes = {
    type: 'file',
    mode: path.endsWith('.sh') ? 0o755 : 0o644,
    uid: 0,
    gid: 0,
    user: 'root' as Raw,
    group: 'root' as Raw,
    sizeBytes: lengthBytes,
    mtime: at,
    ctime: at,
    xattrs: [],
  };
  return encodeMember({ path: path as Raw, attributes, lengthBytes });
}

/**
 * The first member of a stream whose name ends in `name`, its extended header passed over: data and where it ends.
 * Undefined where something else stands there. @throws CodedError ARCHIVE_INVALID where it is cut
 */
export function firstMember(
  stream: Buffer,
  name: string,
): { readonly data: Buffer; readonly endBytes: number } | undefined {
  let at = 0;
  for (let headers = 0; headers < 2; headers += 1) {
    if (at + TAR_BLOCK_BYTES > stream.length) return undefined;
    const header = parseHeader(stream.subarray(at, at + TAR_BLOCK_BYTES));
    if (header === undefined) return undefined;
    const dataAt = at + TAR_BLOCK_BYTES;
    const endBytes = dataAt + padTo512(header.sizeBytes);
    if (endBytes > stream.length || header.sizeBytes > JSON_BYTES_MAX)
      throw new CodedError('ARCHIVE_INVALID', `the first member is cut or larger than any of ours`);
    if (header.type !== 'x') {
      if (header.type !== '0' || !header.name.endsWith(name)) return undefined;
      return { data: stream.subarray(dataAt, dataAt + header.sizeBytes), endBytes };
    }
    at = endBytes;
  }
  return undefined;
}

/** @throws CodedError ARCHIVE_INVALID */
export function parseJson(data: Buffer, what: string): unknown {
  try {
    return JSON.parse(data.toString('utf8'));
  } catch (cause) {
    throw new CodedError('ARCHIVE_INVALID', `${what} is no JSON`, { cause });
  }
}
