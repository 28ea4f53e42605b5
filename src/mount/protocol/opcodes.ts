/** Numbers of the kernel's FUSE protocol (linux/fuse.h, 7.31 to 7.45), those that are used here. */

export const OPCODE = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  READLINK: 5,
  OPEN: 14,
  READ: 15,
  STATFS: 17,
  RELEASE: 18,
  GETXATTR: 22,
  LISTXATTR: 23,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  ACCESS: 34,
  INTERRUPT: 36,
  DESTROY: 38,
  BATCH_FORGET: 42,
  READDIRPLUS: 44,
  LSEEK: 46,
  STATX: 52,
} as const;

/** Added to the opcode of a request that the door has answered with what was made ahead; the kernel has no such opcodes. */
export const ANSWERED = 2 ** 31;

/** Answers to OPEN and OPENDIR (FOPEN_*). */
export const OPEN_FLAGS = {
  DIRECT_IO: 1,
  KEEP_CACHE: 2,
  CACHE_DIR: 8,
  PASSTHROUGH: 128,
} as const;

/** Sizes in bytes: fuse_in_header, fuse_out_header. */
export const REQUEST_HEADER_BYTES = 40;
export const REPLY_HEADER_BYTES = 16;

/** linux/fuse.h: struct fuse_entry_out with its fuse_attr, and struct fuse_dirent before its name. */
export const ENTRY_BYTES = 128;
export const DIRENT_BYTES = 24;
