import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { formatExits } from '../../../src/cli/program.ts';

test('the README lists the exit statuses as the help does', () => {
  const readme = readFileSync(join(import.meta.dirname, '../../../README.md'), 'utf8');
  expect(readme).toContain(formatExits().split('\n').slice(1).join('\n'));
});
