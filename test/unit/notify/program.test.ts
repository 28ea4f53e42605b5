import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { commandChannel } from '../../../src/notify/command.ts';
import { desktopChannel } from '../../../src/notify/desktop.ts';
import { about, asked, HOSTILE } from '../../sim/question.ts';
import { scratchDirectory } from '../../sim/scratch.ts';

const go = new AbortController().signal;

async function script(text: string): Promise<{ path: string; out: string }> {
  const directory = await scratchDirectory();
  const path = join(directory, 'a program; $(touch no)');
  const out = join(directory, 'out');
  writeFileSync(path, `#!/bin/sh\nout='${out}'\n${text}\n`);
  chmodSync(path, 0o755);
  return { path, out };
}

test('a command gets the message on stdin and its own words as arguments, unread by any shell', async () => {
  const { path, out } = await script('printf "%s|" "$@" >"$out"; cat >>"$out"');
  await commandChannel([path, '$HOME', 'a b']).send(asked({ about: about(HOSTILE) }), go);
  const [first, second, document = ''] = readFileSync(out, 'utf8').split('|');
  expect([first, second]).toEqual(['$HOME', 'a b']);
  expect(document.trimEnd()).not.toMatch(/\p{Cc}/u);
  expect(JSON.parse(document)).toMatchObject({
    type: 'operator.asked',
    data: { question: 7, commands: ['shelfs answer 7 retry', 'shelfs answer 7 decline'] },
  });
});

test('one that does not read is no failure', async () => {
  const { path } = await script('exec <&-; exit 0');
  await commandChannel([path]).send(asked({ reason: 'x'.repeat(100_000) }), go);
});

test('one that fails says why', async () => {
  const { path } = await script('echo "no\x1b[2J route" >&2; exit 3');
  const sent = commandChannel([path]).send(asked(), go);
  await expect(sent).rejects.toMatchObject({
    code: 'NOTICE_FAILED',
    message: expect.stringContaining('ended with status 3: no\\x1b[2J route'),
  });
});

test('one that is not there will not be', async () => {
  const sent = commandChannel(['/nonexistent/program']).send(asked(), go);
  await expect(sent).rejects.toMatchObject({ code: 'NOTICE_REFUSED' });
});

test('one that hangs ends with the wish to stop', async () => {
  const { path } = await script('exec sleep 1000');
  const stop = new AbortController();
  const sent = commandChannel([path]).send(asked(), stop.signal);
  stop.abort(new Error('enough'));
  await expect(sent).rejects.toThrow('enough');
});

test('the desktop is told by arguments, with no markup of a name in the body', async () => {
  const { path, out } = await script('for word; do printf "%s\\n" "$word"; done >"$out"');
  await desktopChannel(path).send(asked({ about: about(HOSTILE) }), go);
  const words = readFileSync(out, 'utf8');
  expect(words).toMatch(
    /^--app-name=shelfs\n--urgency=critical\n--icon=media-tape\n--\ntapehost: /,
  );
  const [, , ...body] = words.split('tapehost: ')[1]?.split('\n') ?? [];
  expect(body.join('\n')).not.toMatch(/[<>]/);
  expect(words).toContain('shelfs answer 7 decline');
  expect(words.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
});
