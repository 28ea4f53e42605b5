import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CodedError } from '../../../src/base/errors.ts';
import { makeOutput } from '../../../src/cli/output.ts';

function make(options: { json?: boolean; quiet?: boolean }) {
  const written = { stdout: '', stderr: '' };
  const stream = (name: 'stdout' | 'stderr') => ({
    write: (text: string) => {
      written[name] += text;
    },
  });
  const output = makeOutput(
    { json: options.json ?? false, quiet: options.quiet ?? false },
    { stdout: stream('stdout'), stderr: stream('stderr') },
  );
  return { output, written };
}

const BUSY = new CodedError('DRIVE_BUSY', 'drive 0 is held by process 7', { pid: 7, device: 'd' });

describe('where words go', () => {
  test('a person: the text on stdout, messages and failures on stderr', () => {
    const { output, written } = make({});
    output.note('note');
    output.result({ a: 1 }, () => 'text');
    output.failure(BUSY);
    expect(written).toEqual({
      stdout: 'text\n',
      stderr: 'note\nshelfs: drive 0 is held by process 7\n',
    });
  });

  test('a program: one document on stdout, and the text is not even made', () => {
    const { output, written } = make({ json: true });
    output.result({ a: [1, null] }, () => {
      throw new Error('not asked for');
    });
    expect(JSON.parse(written.stdout)).toEqual({ a: [1, null] });
    expect(written.stderr).toBe('');
  });

  test('a failure for a program: code, exit status and facts', () => {
    const { output, written } = make({ json: true });
    output.failure(BUSY);
    expect(JSON.parse(written.stdout)).toEqual({
      error: {
        code: 'DRIVE_BUSY',
        exit: 11,
        message: 'drive 0 is held by process 7',
        pid: 7,
        device: 'd',
      },
    });
    expect(written.stderr).toBe('shelfs: drive 0 is held by process 7\n');
  });

  test('quiet: failures, and documents that were asked for', () => {
    const quiet = make({ quiet: true });
    quiet.output.note('note');
    quiet.output.result({}, () => 'text');
    quiet.output.failure(BUSY);
    expect(quiet.written).toEqual({ stdout: '', stderr: 'shelfs: drive 0 is held by process 7\n' });
    const both = make({ quiet: true, json: true });
    both.output.result({ a: 1 }, () => 'text');
    expect(JSON.parse(both.written.stdout)).toEqual({ a: 1 });
  });
});

describe('no control byte reaches a terminal', () => {
  const steering = fc.string({
    unit: fc.oneof(
      fc.constantFrom('\x1b', '\x9b', '\x7f', '\r', '\u202e', '\u2028'),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    ),
  });

  test('in a failure', () =>
    fc.assert(
      fc.property(steering, (name) => {
        const { output, written } = make({});
        output.failure(new CodedError('FAILED', name));
        expect(written.stderr.slice(0, -1)).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
      }),
    ));

  test('in a document, which says the same all the same', () =>
    fc.assert(
      fc.property(steering, fc.boolean(), (name, fails) => {
        const { output, written } = make({ json: true });
        if (fails) output.failure(new CodedError('FAILED', 'x', { path: name }));
        else output.result({ path: name }, () => '');
        expect(written.stdout.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
        const document = JSON.parse(written.stdout);
        expect((fails ? document.error : document).path).toBe(name);
      }),
    ));
});

describe('lists', () => {
  async function listed(json: boolean, items: readonly string[]) {
    let stdout = '';
    const streams = {
      stdout: { write: (text: string) => (stdout += text) },
      stderr: { write: () => {} },
    };
    const list = {
      name: 'items',
      head: { a: 1, none: undefined, 'x\x1b': ['\x9b'] },
      items,
      document: (text: string) => ({ text }),
      text: (text: string) => `- ${text}`,
      tail: () => ({ document: { count: items.length }, text: `${items.length} in all` }),
    };
    const output = makeOutput({ json, quiet: false }, streams);
    await output.list(list, new AbortController().signal);
    return stdout;
  }

  test.each([[[]], [['one']], [['one', 'two\u2028\x1b[2J']]])(
    '%j is one document',
    async (items) => {
      const text = await listed(true, items);
      expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Zl}]/u);
      expect(JSON.parse(text)).toEqual({
        a: 1,
        'x\x1b': ['\x9b'],
        items: items.map((item) => ({ text: item })),
        count: items.length,
      });
    },
  );

  test('a line an item for people', async () => {
    expect(await listed(false, ['one', 'two'])).toBe('- one\n- two\n2 in all\n');
    expect(await listed(false, [])).toBe('0 in all\n');
  });
});
