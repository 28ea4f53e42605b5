/**
 * The golden media of revision 1, as they were once made: `node test/unit/archive/golden.ts DIRECTORY`. What lies in
 * test/fixtures/archive/revision-1 is never written again: it stands for cartridges that are on shelves.
 */
import { argv } from 'node:process';
import { formatMedia } from '../../../src/archive/journal.ts';
import type { Raw } from '../../../src/base/raw.ts';
import { attributes, blake3, Media } from './media.ts';
import { pattern } from './stream.ts';

export const WHOLE = pattern(10_000, 3);
export const HOLES = Buffer.concat([Buffer.alloc(65_536), pattern(512, 5), Buffer.alloc(65_536)]);

/** What a label took when they were made: README.txt and restore.sh have grown since. */
const LABEL_BLOCKS = 8;

/** Two cartridges, four archives: every kind of member, every kind of line. */
export function makeGolden(directory: string): void {
  const media = new Media(directory);
  for (const barcode of ['AAA001L9', 'AAA002L9']) media.label(barcode, LABEL_BLOCKS);
  const first = media.archive(['AAA001L9']).run(1);
  first.thing('/home', { type: 'directory', mode: 0o755 });
  first.thing('/home/me', { type: 'directory', mode: 0o2750, uid: 1000, gid: 2_097_152 });
  const plain = first.file('/home/me/plain', Buffer.from('plain'), {
    attributes: { xattrs: [{ name: 'user.a%=;' as Raw, value: Buffer.from([0, 10, 255]) }] },
    entry: { group: 12, inode: { device: 2049, inode: 131, links: 2 } },
  });
  const plainEntry = {
    attributes: attributes({ sizeBytes: 5 }),
    hash: blake3(Buffer.from('plain')),
    copies: plain,
  };
  first.entry('/home/me/linked', { ...plainEntry, change: 'linked', group: 12 });
  first.file('/home/me/empty', Buffer.alloc(0));
  first.file("/home/me/odd\t\n\\ '\xe4\x7f", Buffer.from('odd'));
  first.file(`/home/me/${'long/'.repeat(30)}name`, Buffer.from('long'));
  first.file('/home/me/before-1970', Buffer.from('old'), {
    attributes: { mtime: { seconds: -1, nanoseconds: 500_000_000 } },
  });
  first.file('/home/me/holes', HOLES, { ranges: [{ offset: 65_536, lengthBytes: 512 }] });
  first.thing('/home/me/link', { type: 'symlink', mode: 0o777, target: 'plain;=\t' as Raw });
  first.thing('/home/me/pipe', { type: 'fifo' });
  first.entry('/home/me/socket', { attributes: attributes({ type: 'socket' }) });
  first.file('/.shelfs/ours', Buffer.from('ours'));
  first.file('/theirs', Buffer.from('theirs'), {
    foreignHost: 'web',
    entry: { host: 'web' as Raw },
  });
  const [head = []] = first.store('/home/me/big', WHOLE.subarray(0, 6000), {
    part: { number: 1, count: 2, offset: 0, totalBytes: WHOLE.length },
  });
  const size = attributes({ sizeBytes: WHOLE.length });
  first.entry('/home/me/big', { attributes: size, copies: [head] });
  first.finish();

  const second = media.archive(['AAA002L9']).run(1);
  const [rest = []] = second.store('/home/me/big', WHOLE.subarray(6000), {
    part: { number: 2, count: 2, offset: 6000, totalBytes: WHOLE.length },
  });
  second.entry('/home/me/big', {
    attributes: size,
    hash: blake3(WHOLE),
    copies: [[...head, ...rest]],
  });
  second.end(1).finish();

  const torn = media.archive(['AAA001L9']).run(2);
  const before = torn.store('/home/me/before-tear', Buffer.from('whole'));
  const wholeBytes = torn.lengthBytes;
  torn.tear('/home/me/cut', 20_000);
  const { uuid, copies } = torn.opening;
  const [place = { file: 0, block: 0 }] = copies;
  const completes = { uuid, file: place.file, block: place.block, wholeBytes };
  const last = media.archive(['AAA001L9'], { completes }).run(2);
  for (const line of formatMedia(['AAA001L9' as Raw, 'AAA002L9' as Raw])) last.line(line);
  const whole = blake3(Buffer.from('whole'));
  last.entry('/home/me/before-tear', {
    attributes: attributes({ sizeBytes: 5 }),
    hash: whole,
    copies: before,
  });
  last.entry('/home/me/twin', { ...plainEntry, change: 'duplicate' });
  last.entry('/home/me/renamed', { ...plainEntry, change: 'moved', from: '/home/me/plain' as Raw });
  last.entry('/home/me/plain', { change: 'gone' });
  last.end(2).finish();
}

if (import.meta.main) makeGolden(argv[2] ?? '');
