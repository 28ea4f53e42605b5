import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { formatExits, program } from '../../../src/cli/program.ts';

const readme = readFileSync(join(import.meta.dirname, '../../../README.md'), 'utf8');

async function help(...argv: string[]): Promise<string> {
  let printed = '';
  const print = (text: string) => {
    printed += `${text}\n`;
  };
  await program([...argv, '--help'], () => expect.fail('help opens nothing'), {
    version: '1',
    print,
  });
  return printed;
}

/** `source add <path>` of a help's list of commands. */
function commandsIn(text: string): string[] {
  return [...text.matchAll(/^ {2}shelfs ([a-z]+(?: [a-z]+)?)/gm)].flatMap(([, name]) => name ?? []);
}

test('the README lists the exit statuses as the help does', () => {
  expect(readme).toContain(formatExits().split('\n').slice(1).join('\n'));
});

test('the README shows every command', async () => {
  const names = commandsIn(await help()).map((name) => name.split(' ')[0] ?? '');
  expect(names).toContain('snapshots');
  const missing: string[] = [];
  for (const name of names) {
    const below = commandsIn(await help(name)).filter((command) => command.startsWith(`${name} `));
    for (const command of below.length > 0 ? below : [name]) {
      const verb = command.split(' ')[1];
      const isThere =
        readme.includes(`shelfs ${command}`) ||
        (verb !== undefined && readme.match(new RegExp(`shelfs ${name} .*\\b${verb}\\b`)));
      if (!isThere) missing.push(command);
    }
  }
  expect(missing).toEqual([]);
});

test('each option that the README shows is one of its command', async () => {
  const lines = readme.split('\n').filter((line) => line.startsWith('shelfs '));
  expect(lines.length).toBeGreaterThan(40);
  const unknown: string[] = [];
  for (const line of lines) {
    const said = line.split(/\s+/).slice(1);
    const words = said.slice(0, 1);
    let known = await help(...words);
    for (const next of said.slice(1, 3)) {
      if (!known.includes(`shelfs ${words.join(' ')} ${next} `)) break;
      words.push(next);
      known = await help(...words);
    }
    // What is quoted is somebody else's.
    for (const [option] of line.replaceAll(/'[^']*'/g, '').matchAll(/(?<![\w'-])--[a-z][a-z-]+/g))
      if (!known.includes(option)) unknown.push(`${words.join(' ')} ${option}`);
  }
  expect(unknown).toEqual([]);
});
