import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CommandLine } from '../../sim/command-line.ts';

test('labels of a series, of all media, on several pages; nothing is written over', async () => {
  const line = await CommandLine.make();
  const at = (name: string) => join(line.directory, name);
  const series = ['--from', 'BUP001L9', '--count', '40'];
  const made = await line.json('media', 'labels', ...series, '--output', at('l.svg'));
  expect(made.paths).toEqual([at('l.svg'), at('l-2.svg')]);
  expect(readFileSync(at('l-2.svg'), 'latin1')).toMatch(/^<svg .*width="210mm"/);
  await line.ok('media', 'labels', '--output', at('all.PDF'), '--colours', '--paper', 'letter');
  expect(readFileSync(at('all.PDF'), 'latin1').match(/\(V\) Tj/g)).toHaveLength(4);
  const refused: [string[], number, RegExp][] = [
    [['ABC001L9', '--output', at('l.svg')], 1, /is there already/],
    [['ABC001L9', '--output', at('none/l.svg')], 1, /cannot be written \(ENOENT\)/],
    [['ABC001L9', '--output', at('l.png')], 2, /ends in \.svg or \.pdf/],
    [['ABC001X9', '--output', at('x.svg')], 2, /media type X9/],
    [['ABC001L9', 'abc001l9', '--output', at('x.svg')], 2, /named twice/],
    [['--from', 'BUP001L9', '--output', at('x.svg')], 2, /go together/],
    [['ABC001L9', '--paper', 'a5', '--output', at('x.svg')], 2, /paper/],
    [['ABC001L9'], 2, /output/],
  ];
  for (const [argv, exit, sentence] of refused)
    expect(await line.fails('media', 'labels', ...argv)).toEqual({
      exit,
      stderr: expect.stringMatching(sentence),
    });
  expect(existsSync(at('x.svg'))).toBe(false);
});
