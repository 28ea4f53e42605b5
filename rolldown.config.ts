/**
 * The compiled program, dist/: few files in place of hundreds, for a command spends half its time on finding and loading
 * modules. Packages with native parts or threads of their own stay packages; the others become part of it.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig, type Plugin } from 'rolldown';
import manifest from './package.json' with { type: 'json' };

/** Each runs in a thread of its own, from the file that base/program-files.ts finds beside its caller's. */
const WORKERS = [
  'catalog/file/copy-worker',
  'hash/worker',
  'job/backup/digest-worker',
  'job/backup/reader-worker',
];

/** What becomes part of the program, or is loaded by it. */
const SOURCES = ['src', 'package.json', 'package-lock.json', 'rolldown.config.ts'];

/**
 * Of this program alone (base/program-files.ts): what another version puts in its place lies in another folder, so that a module
 * or a thread that a long job begins later is what belongs to it, or is not there.
 */
const MODULES = `modules-${digestOf(SOURCES)}`;

const FIRST = /\/src\/(base\/(errors|young-generation)|cli\/compile-cache)\.ts$/;

/** What the label of a cartridge carries is read where the module that asks for it lies. */
const restoreScript: Plugin = {
  name: 'restore script',
  buildStart() {
    const source = readFileSync('src/archive/restore.sh');
    this.emitFile({ type: 'asset', fileName: `${MODULES}/restore.sh`, source });
  },
};

/** yargs asks for columns of its own ASCII; to know those of all scripts, string-width takes 45 ms to load. */
const narrowWidth: Plugin = {
  name: 'narrow width',
  resolveId: (id) => (id === 'string-width' ? '\0string-width' : null),
  load: (id) =>
    id === '\0string-width' ? 'export default (text) => Array.from(text).length;' : null,
};

/** The licences of packages that became part of the program go with it. */
const licences: Plugin = {
  name: 'licences',
  generateBundle() {
    const folders = new Set<string>();
    for (const id of this.getModuleIds()) {
      const [folder] = /^.*\/node_modules\/(@[^/]+\/)?[^/]+/.exec(id) ?? [];
      if (folder !== undefined) folders.add(folder);
    }
    const texts = [...folders].sort().map((folder) => `${licenceOf(folder)}\n`);
    this.emitFile({ type: 'asset', fileName: 'LICENSES.txt', source: texts.join('\n') });
  },
};

function licenceOf(folder: string): string {
  const name = folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length);
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  const { license, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const text =
    file === undefined ? `Licensed under ${license}.` : readFileSync(join(folder, file), 'utf8');
  return `${name} ${version}\n\n${text.trimEnd()}\n`;
}

/** Of names and bytes; the same tree gives the same. */
function digestOf(paths: readonly string[]): string {
  const digest = createHash('sha256');
  for (const path of paths.flatMap(filesOf).sort())
    digest.update(`${path}\0`).update(createHash('sha256').update(readFileSync(path)).digest());
  return digest.digest('hex').slice(0, 16);
}

function filesOf(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path).flatMap((name) => filesOf(join(path, name)));
}

export default defineConfig({
  input: Object.fromEntries(['main', ...WORKERS].map((name) => [name, `src/${name}.ts`])),
  platform: 'node',
  external: Object.keys(manifest.dependencies),
  plugins: [restoreScript, narrowWidth, licences],
  output: {
    dir: 'dist',
    cleanDir: true,
    entryFileNames: ({ name }) =>
      name === 'main' ? 'main.js' : `${MODULES}/${name.split('/').at(-1)}.js`,
    chunkFileNames: `${MODULES}/[name]-[hash].js`,
    minifyInternalExports: false,
    codeSplitting: {
      groups: [
        // What many commands need is one file; what a few need is loaded by them alone.
        { name: 'common', minShareCount: 12 },
        // Needed before the version of Node is known to be right and compiled code is kept.
        { name: 'first', test: FIRST, priority: 1 },
      ],
    },
  },
});
