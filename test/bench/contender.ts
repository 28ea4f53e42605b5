/**
 * Programs that store a tree, each with a fresh state a run: ours, and peers set so that they do least (no compression, no
 * encryption where it can be left out, caches and repositories on the same tmpfs).
 */
import { strict as assert } from 'node:assert';
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Command, measure, run, type Usage, versionOf } from './program.ts';
import type { Tree } from './trees.ts';

export type Contender = {
  readonly name: string;
  /** Makes a fresh state in a directory of its own. */
  prepare(tree: Tree): void;
  /** What is measured. May be called again on the same state, where nothing has changed. */
  run(tree: Tree): Usage;
  /** Removes the state. */
  clear(): void;
};

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

type End = {
  readonly event: string;
  readonly files: Readonly<Record<string, number>>;
  readonly bytes: Readonly<Record<string, number>>;
  readonly peakRssBytes: number;
};

/** @param options.settings lines of the config; @param options.nodeOptions for instance `--cpu-prof` */
export function shelfs(
  directory: string,
  options: {
    readonly name?: string;
    readonly settings?: string;
    readonly words?: readonly string[];
  } = {},
): Contender & {
  readonly ends: readonly End[];
  /** Of the tree that `run` has stored, into a directory. */
  restore(tree: Tree, to: string): Usage;
} {
  const { name = 'shelfs', settings = '', words = [] } = options;
  const state = join(directory, 'shelfs');
  const ends: End[] = [];
  let isFirst = true;
  const command = (...argv: string[]): Command => ({
    argv: [process.execPath, MAIN, '--state', state, ...argv],
    directory,
  });
  return {
    name,
    ends,
    prepare: ({ path }) => {
      run(command('init', '--virtual', '4'));
      const config = join(state, 'config.toml');
      const text = readFileSync(config, 'utf8');
      assert(text.includes('"model"'), 'init writes the speed of the virtual drives');
      writeFileSync(config, text.replace(/= "model"/, '= "instant"'));
      appendFileSync(config, settings);
      run(command('source', 'add', path, '--name', 'bench'));
      isFirst = true;
    },
    run: (tree) => {
      const { usage, stdout } = measure(command('backup', '--json', ...words), 'kept');
      const end: End = JSON.parse(stdout.slice(stdout.trimEnd().lastIndexOf('\n') + 1));
      expectWhole(end, tree, isFirst);
      isFirst = false;
      ends.push(end);
      return usage;
    },
    restore: (tree, to) => {
      const { usage, stdout } = measure(command('restore', '/', '--to', to, '--json'), 'kept');
      const end = JSON.parse(stdout.slice(stdout.trimEnd().lastIndexOf('\n') + 1));
      assert.deepEqual([end.restored, end.failures], [tree.files, 0]);
      return usage;
    },
    clear: () => rmSync(state, { recursive: true, force: true }),
  };
}

/** A number that is fast because something was left out is none. */
function expectWhole({ event, files, bytes }: End, tree: Tree, isFirst: boolean): void {
  assert.equal(event, 'end');
  assert.equal(files.unreadable, 0);
  if (isFirst) {
    assert(Number(files.new) >= tree.files, `${files.new} of ${tree.files} files`);
    assert(Number(bytes.written) >= tree.bytes, `${bytes.written} of ${tree.bytes} bytes`);
  } else {
    assert(Number(files.same) >= tree.files, `${files.same} of ${tree.files} files`);
    assert.equal(bytes.hashed, 0);
    assert.equal(bytes.written, 0);
  }
}

/** Its output goes through a pipe: written to /dev/null itself, GNU tar reads nothing. */
export function tar(): Contender {
  return {
    name: 'tar | cat',
    prepare: () => {},
    run: ({ path }) =>
      measure(
        { argv: ['sh', '-c', 'tar -b 1024 -cf - "$1" | cat >/dev/null', 'sh', path] },
        'quiet',
      ).usage,
    clear: () => {},
  };
}

/** Looks at every entry, as a rescan has to. */
export function find(): Contender {
  const format = '%p %y %m %U %G %s %T@ %C@ %i %n\\n';
  return {
    name: 'find -printf',
    prepare: () => {},
    run: ({ path }) =>
      measure(
        { argv: ['sh', '-c', 'find "$1" -printf "$2" >/dev/null', 'sh', path, format] },
        'quiet',
      ).usage,
    clear: () => {},
  };
}

export function restic(directory: string): Contender {
  const state = join(directory, 'restic');
  const environment = {
    RESTIC_REPOSITORY: join(state, 'repository'),
    RESTIC_CACHE_DIR: join(state, 'cache'),
    RESTIC_PASSWORD: 'bench',
  };
  const command = (...argv: string[]): Command => ({ argv: ['restic', ...argv], environment });
  return {
    name: 'restic',
    prepare: () => {
      mkdirSync(state);
      run(command('init', '--quiet'));
    },
    run: ({ path }) =>
      measure(command('backup', '--quiet', '--compression', 'off', path), 'quiet').usage,
    clear: () => rmSync(state, { recursive: true, force: true }),
  };
}

export function borg(directory: string): Contender {
  const state = join(directory, 'borg');
  const repository = join(state, 'repository');
  const environment = {
    BORG_BASE_DIR: join(state, 'base'),
    BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes',
  };
  let archives = 0;
  const command = (...argv: string[]): Command => ({ argv: ['borg', ...argv], environment });
  return {
    name: 'borg',
    prepare: () => {
      mkdirSync(state);
      run(command('init', '--encryption', 'none', repository));
    },
    run: ({ path }) => {
      archives += 1;
      const target = `${repository}::run-${archives}`;
      return measure(command('create', '--compression', 'none', target, path), 'quiet').usage;
    },
    clear: () => rmSync(state, { recursive: true, force: true }),
  };
}

/** Those that are installed; the others are told of. */
export function archivers(directory: string): Contender[] {
  const found: Contender[] = [];
  for (const [program, argument, make] of [
    ['restic', 'version', restic],
    ['borg', '--version', borg],
  ] as const) {
    const version = versionOf(program, argument);
    if (version === undefined)
      console.log(`  ${program} is not installed: left out (docker/packages.txt, bench)`);
    else found.push(make(directory));
  }
  return found;
}
