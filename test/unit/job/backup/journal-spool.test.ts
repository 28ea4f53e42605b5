import { join } from 'node:path';
import { expect, test } from 'vitest';
import { JournalSpool } from '../../../../src/job/backup/journal-spool.ts';
import { scratchDirectory } from '../../../sim/scratch.ts';

test('lines come back in their order, however many', async () => {
  const spool = new JournalSpool(await scratchDirectory(), 'journal');
  const lines = Array.from(
    { length: 20_000 },
    (_, index) => `line ${index} ${'x'.repeat(index % 90)}\n`,
  );
  for (const line of lines) spool.add(line);
  const read = Array.from(spool.read(), (bytes) => Buffer.from(bytes));
  expect(Buffer.concat(read).toString('latin1')).toBe(lines.join(''));
  expect(spool.lengthBytes).toBe(lines.join('').length);
  spool.close();
});

test('what the disk refuses has a name', async () => {
  const nowhere = join(await scratchDirectory(), 'nowhere');
  expect(() => new JournalSpool(nowhere, 'journal')).toThrow(
    expect.objectContaining({ code: 'FAILED', message: expect.stringContaining('ENOENT') }),
  );
});
