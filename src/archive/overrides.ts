/** What extended headers say over a member's own header: the pax records we understand, as values. */
import type { Raw } from '../base/raw.ts';
import { rawBytes } from '../base/raw.ts';
import {
  ACL_ACCESS,
  ACL_DEFAULT,
  type DataRange,
  type Moment,
  type Xattr,
} from '../domain/entry.ts';
import { parseMoment } from './moment.ts';
import type { Part } from './part.ts';
import { type PaxRecord, parseCount } from './pax.ts';
import { SPARSE_RANGES_MAX } from './sparse.ts';
import { invalid } from './ustar.ts';

export type Overrides = {
  path?: Raw;
  link?: Raw;
  sizeBytes?: number;
  uid?: number;
  gid?: number;
  user?: Raw;
  group?: Raw;
  mtime?: Moment;
  ctime?: Moment;
  xattrs?: Xattr[];
  areXattrsElsewhere?: boolean;
  part?: Part;
  /** Logical length of a sparse member. */
  sparseBytes?: number;
  sparseName?: Raw;
  sparseRuns?: DataRange[];
  isSparseMapInData?: boolean;
};

/** Records of one extended header. Keys that are not known are passed over. @throws CodedError ARCHIVE_INVALID */
export function readRecords(records: readonly PaxRecord[]): Overrides {
  const overrides: Overrides = {};
  const xattrs = new Map<Raw, Buffer>();
  const part = new Map<string, number>();
  const sparse = new Map<string, string>();
  const runs: number[] = [];
  for (const { key, value } of records) {
    if (key.startsWith('SCHILY.xattr.')) xattrs.set(xattrName(key.slice(13)), rawBytes(value));
    else if (key === 'SHELFS.acl.access') xattrs.set(ACL_ACCESS, rawBytes(value));
    else if (key === 'SHELFS.acl.default') xattrs.set(ACL_DEFAULT, rawBytes(value));
    else if (key === 'SHELFS.xattrs') overrides.areXattrsElsewhere = true;
    else if (key.startsWith('SHELFS.part.')) part.set(key.slice(12), number(key, value));
    else if (key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes')
      runs.push(number(key, value));
    else if (key.startsWith('GNU.sparse.')) sparse.set(key.slice(11), value);
    else setPlain(overrides, key, value);
  }
  if (xattrs.size > 0)
    overrides.xattrs = [...xattrs]
      .map(([name, value]) => ({ name, value }))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  if (part.size > 0) overrides.part = readPart(part);
  readSparseKeys(overrides, sparse, runs);
  return overrides;
}

function setPlain(overrides: Overrides, key: string, value: Raw): void {
  // POSIX: an empty value takes an earlier one back; the header's own then counts.
  if (value === '') return;
  if (key === 'path') overrides.path = value;
  else if (key === 'linkpath') overrides.link = value;
  else if (key === 'size') overrides.sizeBytes = number(key, value);
  else if (key === 'uid') overrides.uid = number(key, value);
  else if (key === 'gid') overrides.gid = number(key, value);
  else if (key === 'uname') overrides.user = value;
  else if (key === 'gname') overrides.group = value;
  else if (key === 'mtime') overrides.mtime = moment(key, value);
  else if (key === 'ctime') overrides.ctime = moment(key, value);
}

function readPart(keys: ReadonlyMap<string, number>): Part {
  const [partNumber, count, offset, totalBytes] = ['number', 'count', 'offset', 'total'].map(
    (key) => keys.get(key),
  );
  if (
    partNumber === undefined ||
    count === undefined ||
    offset === undefined ||
    totalBytes === undefined ||
    partNumber < 1 ||
    partNumber > count
  )
    throw invalid('a part that does not say which');
  return { number: partNumber, count, offset, totalBytes };
}

/** 1.0: major, minor, name, realsize, map in the data. 0.1: map, name, size. 0.0: size and offset, numbytes in turn. */
function readSparseKeys(
  overrides: Overrides,
  keys: ReadonlyMap<string, string>,
  runs: readonly number[],
): void {
  const size = keys.get('realsize') ?? keys.get('size');
  if (size === undefined && keys.size + runs.length > 0)
    throw invalid('a sparse member without its length');
  if (size === undefined) return;
  overrides.sparseBytes = number('GNU.sparse.size', size);
  const name = keys.get('name');
  if (name !== undefined) overrides.sparseName = name as Raw;
  const major = keys.get('major');
  if (major !== undefined) {
    if (major !== '1' || keys.get('minor') !== '0')
      throw invalid('a sparse member of a format that is not known');
    overrides.isSparseMapInData = true;
    return;
  }
  const map = keys.get('map');
  const numbers = map === undefined ? runs : map.split(',').map((text) => number('map', text));
  if (numbers.length % 2 !== 0 || numbers.length > 2 * SPARSE_RANGES_MAX)
    throw invalid('a sparse map with a run cut short');
  overrides.sparseRuns = [];
  for (let at = 0; at < numbers.length; at += 2)
    overrides.sparseRuns.push({ offset: numbers[at] ?? 0, lengthBytes: numbers[at + 1] ?? 0 });
}

function xattrName(key: string): Raw {
  return key.replaceAll('%3D', '=').replaceAll('%25', '%') as Raw;
}

function number(key: string, value: string): number {
  const count = parseCount(value);
  if (count === undefined)
    throw invalid(`an extended header whose ${key.slice(0, 30)} is no count`);
  return count;
}

function moment(key: string, value: string): Moment {
  const found = parseMoment(value);
  if (found === undefined) throw invalid(`an extended header whose ${key} is no time`);
  return found;
}
