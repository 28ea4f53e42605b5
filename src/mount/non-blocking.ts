/**
 * Who means it when it says O_NONBLOCK: such a read of what is on tape fails at once instead of waiting.
 *
 * Some programs open everything so, only lest a FIFO hold them up, and then read as if they had not: GNU tar -S and grep -r
 * give the file up, xz asks again for ever (strace of tar 1.34, grep 3.8, xz 5.4, gzip 1.12, bsdtar 3.6). They wait.
 */
const O_NONBLOCK = 0o4000;

const WAITS: ReadonlySet<string> = new Set([
  ...['tar', 'gtar', 'bsdtar', 'bsdcpio', 'grep', 'egrep', 'fgrep'],
  ...['xz', 'unxz', 'xzcat', 'lzma', 'unlzma', 'lzcat', 'gzip', 'gunzip', 'zcat'],
]);

/** @param openFlags as the kernel gives them with each read; @param name what the process calls itself */
export function isNonBlocking(openFlags: number, name: () => string | undefined): boolean {
  return (openFlags & O_NONBLOCK) !== 0 && !WAITS.has(name() ?? '');
}
