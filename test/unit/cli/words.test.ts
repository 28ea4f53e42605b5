import { expect, test } from 'vitest';
import { commandWords } from '../../../src/cli/words.ts';

test.each([
  ['a b', ['a', 'b']],
  ['  a\tb\n c ', ['a', 'b', 'c']],
  [`a 'b c' d`, ['a', 'b c', 'd']],
  [`a "b c"'d e'f`, ['a', 'b cd ef']],
  [`a ''`, ['a', '']],
  [String.raw`a\ b \"c\"`, ['a b', '"c"']],
  [String.raw`a "x\"y\\z\n"`, ['a', String.raw`x"y\z\n`]],
  [String.raw`a 'x\y'`, ['a', String.raw`x\y`]],
  [
    'a $HOME `id` $(id) *.c | sh; rm & > f',
    ['a', '$HOME', '`id`', '$(id)', '*.c', '|', 'sh;', 'rm', '&', '>', 'f'],
  ],
  ['["a", "b c", ""]', ['a', 'b c', '']],
  ['[ -e /x ]', ['[', '-e', '/x', ']']],
  ['{"a":1}', ['{a:1}']],
  ['[1]', ['[1]']],
])('%s', (text, words) => expect(commandWords(text)).toEqual(words));

test.each(['', '  ', `'`, `a 'b`, `a "b`, 'a\\', '[]', '[""]', `''`])('%j is no command', (text) =>
  expect(() => commandWords(text)).toThrow(expect.objectContaining({ code: 'USAGE' })),
);
