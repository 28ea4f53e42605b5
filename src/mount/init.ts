/** INIT: what is wanted of the kernel, and what it agreed to. The door gives it of our offer what it knows. */
import { strict as assert } from 'node:assert';
import type { FuseAgreement } from './port.ts';

/** linux/fuse.h: reads of one file may be under way at once. */
const ASYNC_READ = 1 << 0;
/** Listings come with attributes: walks that stat are 11 times faster (measured) than where the kernel chooses (AUTO). */
const DO_READDIRPLUS = 1 << 13;
const PARALLEL_DIROPS = 1 << 18;
/** ACLs are kept by the kernel, that there is none as well; `ls -l` asks for them. */
const POSIX_ACL = 1 << 20;
const MAX_PAGES = 1 << 22;
/** Pages of a file go when we say so, not when its times seem to have changed. */
const EXPLICIT_INVAL_DATA = 1 << 25;
const INIT_EXT = 1 << 30;
/** Bit 37, in the second half. */
const PASSTHROUGH = 1 << 5;

/** The newest revision of the protocol that the structures of native/fuse are of. */
const MINOR = 43;
const READ_BYTES_MAX = 2 ** 20;
/** The least the kernel takes: nothing is ever written. */
const WRITE_BYTES_MAX = 4096;
/**
 * Reads ahead of cached files, all together: beyond it reads of other files wait, so it is more than will ever wait for a tape.
 * The kernel lowers it for users to fs.fuse.max_user_bgreq.
 */
const BACKGROUND_MAX = 16384;
/** The kernel's own share, before it calls the device congested. */
const CONGESTED_AT = (BACKGROUND_MAX * 3) / 4;
/** Before MAX_PAGES, Linux 4.20. */
const PAGES_MAX_DEFAULT = 32;
/** Backing files lie on a real file system: overlayfs would be one storey more. */
const STACK_DEPTH_MAX = 1;

/** struct fuse_init_out */
const OUT = {
  major: 0,
  minor: 4,
  maxReadahead: 8,
  flags: 12,
  maxBackground: 16,
  congestionThreshold: 18,
  maxWrite: 20,
  timeGranularity: 24,
  maxPages: 28,
  flags2: 32,
  maxStackDepth: 36,
  lengthBytes: 64,
} as const;

/** All that is wanted, as struct fuse_init_out. No request may time out in the kernel: a read may wait for days. */
export function composeOffer(pageBytes: number): Buffer {
  const offer = Buffer.alloc(OUT.lengthBytes);
  const flags =
    ASYNC_READ |
    DO_READDIRPLUS |
    PARALLEL_DIROPS |
    POSIX_ACL |
    MAX_PAGES |
    EXPLICIT_INVAL_DATA |
    INIT_EXT;
  const view = viewOf(offer);
  view.setUint32(OUT.major, 7, IS_LITTLE_ENDIAN);
  view.setUint32(OUT.minor, MINOR, IS_LITTLE_ENDIAN);
  view.setUint32(OUT.maxReadahead, READ_BYTES_MAX, IS_LITTLE_ENDIAN);
  view.setUint32(OUT.flags, flags, IS_LITTLE_ENDIAN);
  view.setUint16(OUT.maxBackground, BACKGROUND_MAX, IS_LITTLE_ENDIAN);
  view.setUint16(OUT.congestionThreshold, CONGESTED_AT, IS_LITTLE_ENDIAN);
  view.setUint32(OUT.maxWrite, WRITE_BYTES_MAX, IS_LITTLE_ENDIAN);
  view.setUint32(OUT.timeGranularity, 1, IS_LITTLE_ENDIAN);
  view.setUint16(OUT.maxPages, Math.max(1, READ_BYTES_MAX / pageBytes), IS_LITTLE_ENDIAN);
  view.setUint32(OUT.flags2, PASSTHROUGH, IS_LITTLE_ENDIAN);
  view.setUint32(OUT.maxStackDepth, STACK_DEPTH_MAX, IS_LITTLE_ENDIAN);
  return offer;
}

/** @param reply struct fuse_init_out, as it was sent */
export function agreementOf(
  reply: Buffer,
  { pageBytes, mayBack }: { readonly pageBytes: number; readonly mayBack: boolean },
): FuseAgreement {
  assert.equal(reply.length, OUT.lengthBytes);
  const view = viewOf(reply);
  const flags = view.getUint32(OUT.flags, IS_LITTLE_ENDIAN);
  const pages =
    (flags & MAX_PAGES) === 0 ? PAGES_MAX_DEFAULT : view.getUint16(OUT.maxPages, IS_LITTLE_ENDIAN);
  return {
    minor: view.getUint32(OUT.minor, IS_LITTLE_ENDIAN),
    hasPassthrough: mayBack,
    readBytesMax: pages * pageBytes,
  };
}

/** The kernel speaks in the machine's own order. */
const IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
