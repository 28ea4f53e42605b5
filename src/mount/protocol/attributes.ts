/** What a file looks like, in the kernel's structures. */

/** As stat(2) has it; access times are those of modification. */
export type FileAttributes = {
  /** st_ino: two halves of 32 bits. */
  readonly inoHigh: number;
  readonly inoLow: number;
  readonly sizeBytes: number;
  /** Of 512 bytes. */
  readonly blocks: number;
  readonly mtime: number;
  readonly mtimeNs: number;
  readonly ctime: number;
  readonly ctimeNs: number;
  /** With the type bits. */
  readonly mode: number;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
};

const WORD = 2 ** 32;
/** What tools read at a time: as large as the kernel asks for. */
export const BLOCK_BYTES = 2 ** 20;
/** struct fuse_attr. */
export const ATTRIBUTES_BYTES = 88;
/** struct fuse_statx. */
export const STATX_BYTES = 256;
/** linux/stat.h: everything of before Linux 5.8 but the time of birth. */
const STATX_BASIC_STATS = 0x7ff;

export function putU64(view: DataView, at: number, value: number): void {
  // Both take the value modulo 2^32, negative ones in two's complement.
  view.setUint32(at, value, true);
  view.setUint32(at + 4, Math.floor(value / WORD), true);
}

/** struct fuse_attr. */
export function putAttributes(view: DataView, at: number, file: FileAttributes): void {
  view.setUint32(at, file.inoLow, true);
  view.setUint32(at + 4, file.inoHigh, true);
  putU64(view, at + 8, file.sizeBytes);
  putU64(view, at + 16, file.blocks);
  putU64(view, at + 24, file.mtime);
  putU64(view, at + 32, file.mtime);
  putU64(view, at + 40, file.ctime);
  view.setUint32(at + 48, file.mtimeNs, true);
  view.setUint32(at + 52, file.mtimeNs, true);
  view.setUint32(at + 56, file.ctimeNs, true);
  view.setUint32(at + 60, file.mode, true);
  view.setUint32(at + 64, file.links, true);
  view.setUint32(at + 68, file.uid, true);
  view.setUint32(at + 72, file.gid, true);
  view.setUint32(at + 76, deviceNumber(file), true);
  view.setUint32(at + 80, BLOCK_BYTES, true);
  view.setUint32(at + 84, 0, true);
}

/** struct fuse_statx (protocol 7.39), in memory that is all zeros. */
export function putStatx(view: DataView, at: number, file: FileAttributes): void {
  view.setUint32(at, STATX_BASIC_STATS, true);
  view.setUint32(at + 4, BLOCK_BYTES, true);
  view.setUint32(at + 16, file.links, true);
  view.setUint32(at + 20, file.uid, true);
  view.setUint32(at + 24, file.gid, true);
  view.setUint16(at + 28, file.mode, true);
  view.setUint32(at + 32, file.inoLow, true);
  view.setUint32(at + 36, file.inoHigh, true);
  putU64(view, at + 40, file.sizeBytes);
  putU64(view, at + 48, file.blocks);
  // Of access, birth, change and modification; the second is not known.
  putTime(view, at + 64, file.mtime, file.mtimeNs);
  putTime(view, at + 96, file.ctime, file.ctimeNs);
  putTime(view, at + 112, file.mtime, file.mtimeNs);
  view.setUint32(at + 128, file.deviceMajor, true);
  view.setUint32(at + 132, file.deviceMinor, true);
}

function putTime(view: DataView, at: number, seconds: number, nanoseconds: number): void {
  putU64(view, at, seconds);
  view.setUint32(at + 8, nanoseconds, true);
}

/** As the kernel packs it (new_encode_dev in linux/kdev_t.h). */
function deviceNumber({ deviceMajor: major, deviceMinor: minor }: FileAttributes): number {
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}
