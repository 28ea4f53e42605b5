/** `shelfs mount` and `shelfs umount`: the catalog as a filesystem. */
import { join } from 'node:path';
import { CodedError, FAILURES, type FailureCode } from '../base/errors.ts';
import { workingDirectory } from '../base/machine.ts';
import { rawText } from '../base/raw.ts';
import { printable } from '../base/text.ts';
import { pathArgument } from '../job/path-argument.ts';
import { command, type OpenContext } from './context.ts';

const XATTRS = ['auto', 'always', 'never'] as const;
const RECALL = ['block', 'fail', 'first'] as const;
const LOG_FILE = 'mount.log';

export const mount = (open: OpenContext) =>
  command(
    {
      command: 'mount <directory>',
      describe:
        'Show all that was ever backed up as a read-only filesystem; a read brings the bytes',
      builder: (yargs) =>
        yargs
          .positional('directory', {
            type: 'string',
            demandOption: true,
            describe: 'an empty directory',
          })
          .option('view', {
            type: 'string',
            requiresArg: true,
            default: 'live',
            describe: 'live, all (deleted files too), or a snapshot',
          })
          .option('host', {
            type: 'string',
            requiresArg: true,
            describe: 'whose files stand at the root; default: ours',
          })
          .option('xattrs', {
            choices: XATTRS,
            default: 'auto' as const,
            describe: 'who sees user.shelfs.* listed; auto: getfattr and its like',
          })
          .option('recall', {
            choices: RECALL,
            default: 'block' as const,
            describe: 'a read of what is on tape waits, fails at once, or goes before backups',
          })
          .option('allow-other', { type: 'boolean', describe: 'for all users of the machine' })
          .option('foreground', { type: 'boolean', describe: 'stay; Ctrl-C unmounts' }),
      run: async ({ app, output, signal, background, setExit }, args) => {
        const mountpoint = pathArgument(args.directory, workingDirectory());
        const shown = rawText(mountpoint);
        if (!args.foreground) {
          const started = await background.start(
            ['--foreground'],
            join(app.stateDirectory, LOG_FILE),
          );
          if (started.kind === 'ready') {
            const { pid } = started;
            output.result({ mountpoint: shown, pid }, () => `${shown} is mounted (process ${pid})`);
          } else {
            output.failure(new CodedError(codeOfExit(started.exit), started.said));
            setExit(started.exit);
          }
          return;
        }
        const { view, host, xattrs, recall } = args;
        const order = {
          ...{ mountpoint, view, host, xattrs, recall },
          allowOther: args.allowOther ?? false,
        };
        await app.mount(
          order,
          {
            onMounted: () => {
              output.note(`${shown} is mounted`);
              output.event({ event: 'mounted', mountpoint: shown });
              background.tellReady();
            },
            warn: (message) => output.note(`warning: ${printable(message)}`),
          },
          signal,
        );
        output.note(`${shown} is unmounted`);
      },
    },
    open,
  );

export const umount = (open: OpenContext) =>
  command(
    {
      command: 'umount <directory>',
      describe: 'Take a mount away; reads that wait for tapes fail',
      builder: (yargs) =>
        yargs
          .positional('directory', { type: 'string', demandOption: true, describe: 'where it is' })
          .option('force', { type: 'boolean', describe: 'also while files in it are open' }),
      run: async ({ app, output, signal }, args) => {
        const mountpoint = pathArgument(args.directory, workingDirectory());
        const order = { mountpoint, how: args.force ? 'forced' : 'plain' } as const;
        const onWait = (pid: number) =>
          output.note(
            `unmounted; process ${pid} still finishes what its drive is doing (Ctrl-C: do not wait for it)`,
          );
        await app.umount(order, onWait, signal);
        const shown = rawText(mountpoint);
        output.result({ mountpoint: shown }, () => `${shown} is unmounted`);
      },
    },
    open,
  );

/** A failure with the status that the other process ended with. */
function codeOfExit(exit: number): FailureCode {
  const codes = Object.keys(FAILURES) as FailureCode[];
  return codes.find((code) => FAILURES[code].exit === exit) ?? 'FAILED';
}
