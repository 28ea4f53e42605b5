import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { rawOf } from '../../../src/base/raw.ts';
import { Catalog } from '../../../src/catalog/catalog.ts';
import { parseSourceOptions } from '../../../src/job/source-options.ts';
import { surveySource } from '../../../src/job/source-survey.ts';
import { addSource } from '../../../src/job/sources.ts';
import { scratchDirectory } from '../../sim/scratch.ts';

/** Root may read everything; "nobody" may not. */
const NOBODY = 65_534;

async function asNobody<T>(work: () => Promise<T>): Promise<T> {
  if (process.getuid?.() !== 0) return work();
  process.seteuid?.(NOBODY);
  try {
    return await work();
  } finally {
    process.seteuid?.(0);
  }
}

async function sourceAt(directory: string, patterns: readonly string[]) {
  const catalog = Catalog.create(join(await scratchDirectory(), 'catalog.sqlite'), systemClock);
  onTestFinished(() => catalog.close());
  const tools = { catalog, hostName: 'here', ownDirectories: [] };
  const { source } = await addSource(tools, {
    path: rawOf(directory),
    name: 'it',
    patterns: patterns.map(rawOf),
    presets: [],
    options: parseSourceOptions({}),
  });
  return { catalog, source };
}

const OPTIONS = { ownDirectories: [], depth: 1, measuresLeftOut: true };

test('what cannot be read is counted and named; what is left out anyway is not', async () => {
  const directory = await scratchDirectory();
  await chmod(directory, 0o755);
  for (const name of ['open', 'shut', 'left-out']) {
    await mkdir(join(directory, name));
    await writeFile(join(directory, name, 'file'), '123');
  }
  for (const name of ['shut', 'left-out']) {
    await chmod(join(directory, name), 0);
    onTestFinished(() => chmod(join(directory, name), 0o700));
  }
  const { catalog, source } = await sourceAt(directory, ['left-out/']);
  const signal = new AbortController().signal;
  const found = await asNobody(() => surveySource(catalog, source, { ...OPTIONS, signal }));
  expect(found.unreadable).toMatchObject({
    count: 1,
    first: [{ path: 'shut', failure: { code: 'SOURCE_UNREADABLE' } }],
  });
  expect(found.kept).toEqual({ directories: 2, files: 1, bytes: 3 });
  expect(found.leftOut).toEqual({ directories: 1, files: 0, bytes: 0 });
});

test('a walk ends when it is told to', async () => {
  const directory = await scratchDirectory();
  for (let number = 0; number < 100; number += 1) await mkdir(join(directory, String(number)));
  const { catalog, source } = await sourceAt(directory, []);
  const signal = AbortSignal.abort(new Error('enough'));
  await expect(surveySource(catalog, source, { ...OPTIONS, signal })).rejects.toThrow('enough');
});
