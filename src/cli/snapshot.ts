/** `shelfs snapshot ...`: tags and holds. */
import type { CommandModule } from 'yargs';
import { formatTable } from '../base/text.ts';
import {
  holdSnapshot,
  type Marking,
  releaseSnapshot,
  tagSnapshot,
  untagSnapshot,
} from '../job/snapshot-marks.ts';
import { type Context, command, type GlobalArgs, type OpenContext } from './context.ts';
import { documentSnapshot, retentionRow } from './snapshot-row.ts';

type Marked = ReturnType<typeof tagSnapshot>;

export const snapshot = (open: OpenContext): CommandModule<GlobalArgs, GlobalArgs> => ({
  command: 'snapshot',
  describe: 'One snapshot: tagged, put on hold, released',
  builder: (yargs) =>
    yargs
      .command(tag(open))
      .command(untag(open))
      .command(hold(open))
      .command(release(open))
      .demandCommand(1, 'say what: tag, untag, hold or release')
      .strict(),
  handler: () => {},
});

const ID = { type: 'string', demandOption: true, describe: 'id, name or time' } as const;
const TAG = {
  type: 'string',
  demandOption: true,
  describe: 'a word such as "release-2.1"',
} as const;

const tag = (open: OpenContext) =>
  command(
    {
      command: 'tag <id> <tag>',
      describe: 'Give it a tag',
      builder: (yargs) => yargs.positional('id', ID).positional('tag', TAG),
      run: (context, args) => mark(context, args.id, (marking) => tagSnapshot(marking, args.tag)),
    },
    open,
  );

const untag = (open: OpenContext) =>
  command(
    {
      command: 'untag <id> <tag>',
      describe: 'Take a tag away',
      builder: (yargs) => yargs.positional('id', ID).positional('tag', TAG),
      run: (context, args) => mark(context, args.id, (marking) => untagSnapshot(marking, args.tag)),
    },
    open,
  );

const hold = (open: OpenContext) =>
  command(
    {
      command: 'hold <id>',
      describe: 'Keep it whatever the rules say',
      builder: (yargs) =>
        yargs
          .positional('id', ID)
          .option('reason', { type: 'string', requiresArg: true, describe: 'why; shown with it' }),
      run: (context, args) =>
        mark(context, args.id, (marking) => holdSnapshot(marking, args.reason)),
    },
    open,
  );

const release = (open: OpenContext) =>
  command(
    {
      command: 'release <id>',
      describe: 'Leave it to the rules again',
      builder: (yargs) => yargs.positional('id', ID),
      run: (context, args) => mark(context, args.id, releaseSnapshot),
    },
    open,
  );

async function mark(
  { app, output }: Context,
  name: string,
  change: (marking: Marking) => Marked,
): Promise<void> {
  const { retention } = await app.config();
  const marked = change({ catalog: await app.catalog('write'), retention, snapshot: name });
  output.result(documentSnapshot(marked), () =>
    formatTable(['ID', 'SNAPSHOT', 'KEPT AS', 'TAGS', 'HOLD'], [retentionRow(marked)]),
  );
}
