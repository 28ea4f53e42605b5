/** Lists of patterns for what few people want on tape, by name. */
import { type Raw, rawOf } from '../base/raw.ts';
import type { Rule } from './pattern.ts';

const PATTERNS = {
  /** What programs make again by themselves. */
  caches: [
    '.cache/',
    '.ccache/',
    '.sccache/',
    '.npm/_cacache/',
    '.yarn/cache/',
    '.pnpm-store/',
    '.gradle/caches/',
    '.cargo/registry/',
    '.bundle/cache/',
    '.thumbnails/',
    '.Trash-*/',
    '.local/share/Trash/',
    'Library/Caches/',
    'Code Cache/',
    'GPUCache/',
    'CachedData/',
    'ShaderCache/',
    'Thumbs.db',
    '.DS_Store',
  ],
  /** What a build brings back from the sources beside it. */
  build: [
    'node_modules/',
    'bower_components/',
    'target/debug/',
    'target/release/',
    'build/',
    'dist/',
    '.gradle/',
    '.next/',
    '.nuxt/',
    '.svelte-kit/',
    '.parcel-cache/',
    '.turbo/',
    'cmake-build-*/',
    'CMakeFiles/',
    '.terraform/',
    '.stack-work/',
    'dist-newstyle/',
    '_build/',
    'bazel-*',
    '*.tsbuildinfo',
  ],
  python: [
    '__pycache__/',
    '*.py[cod]',
    '*.egg-info/',
    '.eggs/',
    '.venv/',
    'venv/',
    '.tox/',
    '.nox/',
    '.mypy_cache/',
    '.pytest_cache/',
    '.ruff_cache/',
    '.hypothesis/',
    '.ipynb_checkpoints/',
    'site-packages/',
  ],
  /** Compiled, from sources beside them. */
  objects: [
    '*.o',
    '*.obj',
    '*.lo',
    '*.la',
    '*.a',
    '*.gch',
    '*.pch',
    '*.class',
    '*.elc',
    '*.hi',
    '*.cmi',
    '*.cmo',
    '*.cmx',
    '*.gcda',
    '*.gcno',
  ],
  /** Images of disks, of machines and of containers. */
  images: [
    '*.iso',
    '*.img',
    '*.qcow',
    '*.qcow2',
    '*.vmdk',
    '*.vdi',
    '*.vhd',
    '*.vhdx',
    '*.vmem',
    '*.ova',
    '*.sparsebundle/',
    '.local/share/containers/storage/',
    '/var/lib/docker/',
    '/var/lib/containerd/',
    '/var/lib/containers/storage/',
  ],
  /** Version control; it is a backup of its own only where it was pushed. */
  vcs: ['.git/', '.hg/', '.svn/', '.bzr/', '_darcs/', 'CVS/', '.jj/'],
  browser: [
    '.mozilla/firefox/*/cache2/',
    '.mozilla/firefox/*/storage/default/*/cache/',
    '.config/google-chrome/*/Cache/',
    '.config/google-chrome/*/Service Worker/CacheStorage/',
    '.config/chromium/*/Cache/',
    '.config/chromium/*/Service Worker/CacheStorage/',
    '.config/BraveSoftware/*/*/Cache/',
    '.config/microsoft-edge/*/Cache/',
    '.config/vivaldi/*/Cache/',
    '.var/app/*/cache/',
  ],
  downloads: ['Downloads/', '*.part', '*.crdownload', '*.aria2', '*.!qB', '*.opdownload'],
  temp: [
    '/tmp/',
    '/var/tmp/',
    '*.tmp',
    '*.temp',
    '*~',
    '.*.sw[a-p]',
    '.#*',
    '\\#*#',
    '.~lock.*#',
    '~$*',
    '.nfs[0-9a-f][0-9a-f][0-9a-f][0-9a-f]*',
    '.fuse_hidden*',
  ],
  /** What the kernel and the boot make, for a source that is `/`; also where it is not mounted. */
  pseudo: [
    '/proc/',
    '/sys/',
    '/dev/',
    '/run/',
    '/var/run/',
    '/var/lock/',
    'lost+found/',
    '.gvfs/',
    '/swapfile',
    '/swap.img',
    '/var/swap',
  ],
} as const satisfies Record<string, readonly string[]>;

export type PresetName = keyof typeof PATTERNS;

export const PRESET_NAMES: readonly PresetName[] = [
  'caches',
  'build',
  'python',
  'objects',
  'images',
  'vcs',
  'browser',
  'downloads',
  'temp',
  'pseudo',
];

export function isPresetName(name: string): name is PresetName {
  return Object.hasOwn(PATTERNS, name);
}

export function presetRules(name: PresetName): readonly Rule[] {
  return PATTERNS[name].map((pattern) => ({
    pattern: anywhere(pattern),
    origin: `preset ${name}`,
  }));
}

/** In gitignore a slash within a pattern ties it to the top; here only one at its beginning does. */
function anywhere(pattern: string): Raw {
  const isTied = pattern.startsWith('/') || !pattern.slice(0, -1).includes('/');
  return rawOf(isTied ? pattern : `**/${pattern}`);
}
