/**
 * `mount.fuse.shelfs`: how mount(8) and /etc/fstab mount us. The source is the state directory:
 *
 *     /var/lib/shelfs  /mnt/shelf  fuse.shelfs  ro,allow_other,view=live,_netdev  0  0
 *
 * mount(8) calls it as `mount.fuse.shelfs SOURCE DIRECTORY [-sfnv] [-t TYPE] [-o OPTIONS]`.
 */
import { CodedError } from '../base/errors.ts';

export const HELPER_NAME = 'mount.fuse.shelfs';

/** Said to mount(8) and the init system, or true of every mount of ours. */
const IGNORED = new Set([
  ...['ro', 'nosuid', 'nodev', 'noexec', 'exec', 'auto', 'noauto', 'user', 'users', 'nouser'],
  ...[
    'owner',
    'group',
    'nofail',
    '_netdev',
    'defaults',
    'default_permissions',
    'noatime',
    'relatime',
  ],
]);
const WITH_VALUE = new Set(['view', 'host', 'xattrs', 'recall', 'config']);

const FOREGROUND = '--foreground';

/** The command line of ours that does what mount(8) asks for. @throws CodedError USAGE */
export function helperArguments(argv: readonly string[]): string[] {
  // Not mount(8) says so, but this program to itself, going on in the background.
  const ours = argv.filter((word) => word === FOREGROUND);
  const places: string[] = [];
  const options: string[] = [];
  for (const [index, word] of argv.entries()) {
    const before = argv[index - 1];
    if (before === '-o') options.push(...word.split(','));
    else if (before !== '-t' && word !== FOREGROUND && !/^-[otsfnvrw]+$/.test(word))
      places.push(word);
  }
  const [state, directory, ...rest] = places;
  if (state === undefined || directory === undefined || rest.length > 0) {
    throw new CodedError('USAGE', `say ${HELPER_NAME} STATE DIRECTORY [-o OPTIONS]`);
  }
  return [
    '--state',
    state,
    'mount',
    directory,
    ...options.filter(Boolean).flatMap(toArgument),
    ...ours,
  ];
}

function toArgument(option: string): string[] {
  const [name = '', value] = /^([^=]*)=?(.*)$/s.exec(option)?.slice(1) ?? [];
  if (IGNORED.has(name) || name.startsWith('x-') || name.startsWith('comment')) return [];
  if (name === 'allow_other') return ['--allow-other'];
  if (WITH_VALUE.has(name) && value) return [`--${name}`, value];
  if (name === 'rw') throw new CodedError('USAGE', 'a shelf of tapes is mounted read-only; say ro');
  throw new CodedError('USAGE', `the mount option ${option} means nothing to shelfs`);
}
