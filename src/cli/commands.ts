/**
 * The commands by name, with the line that help has of each. A command's module, and all that it needs in turn, is loaded
 * only when the command line names it: what nobody asked for is most of the time a short command takes.
 */
import type { Argv } from 'yargs';
import type { GlobalArgs, OpenContext } from './context.ts';

type Parser = Argv<GlobalArgs>;

export type Command = {
  /** With its positionals, as the module has it. */
  readonly usage: string;
  readonly describe: string;
  readonly load: () => Promise<(parser: Parser, open: OpenContext) => Parser>;
};

export const COMMANDS: Readonly<Record<string, Command>> = {
  init: {
    usage: 'init',
    describe: 'Make the state directory; with no hardware named, a virtual library',
    load: async () => {
      const { init } = await import('./init.ts');
      return (parser, open) => parser.command(init(open));
    },
  },
  source: {
    usage: 'source',
    describe: 'What is protected: directories, and what of them is left out',
    load: async () => {
      const { source } = await import('./source.ts');
      return (parser, open) => parser.command(source(open));
    },
  },
  media: {
    usage: 'media',
    describe: 'The inventory of cartridges: what each holds and where it is',
    load: async () => {
      const { media } = await import('./media.ts');
      return (parser, open) => parser.command(media(open));
    },
  },
  library: {
    usage: 'library',
    describe: 'The tape library: what stands where, and moving it by hand',
    load: async () => {
      const { library } = await import('./library.ts');
      return (parser, open) => parser.command(library(open));
    },
  },
  backup: {
    usage: 'backup [sources..]',
    describe: 'Store what is new or changed, and make a snapshot',
    load: async () => {
      const { backup } = await import('./backup.ts');
      return (parser, open) => parser.command(backup(open));
    },
  },
  mount: {
    usage: 'mount <directory>',
    describe: 'Show all that was ever backed up as a read-only filesystem; a read brings the bytes',
    load: async () => {
      const { mount } = await import('./mount.ts');
      return (parser, open) => parser.command(mount(open));
    },
  },
  umount: {
    usage: 'umount <directory>',
    describe: 'Take a mount away; reads that wait for tapes fail',
    load: async () => {
      const { umount } = await import('./mount.ts');
      return (parser, open) => parser.command(umount(open));
    },
  },
  restore: {
    usage: 'restore <paths..>',
    describe: 'Bring files back below a directory, as they were at any time',
    load: async () => {
      const { restore } = await import('./restore.ts');
      return (parser, open) => parser.command(restore(open));
    },
  },
  scrub: {
    usage: 'scrub [media..]',
    describe:
      'Read cartridges back against what was written, those first that nobody has read for longest',
    load: async () => {
      const { scrub } = await import('./scrub.ts');
      return (parser, open) => parser.command(scrub(open));
    },
  },
  recall: {
    usage: 'recall <paths..>',
    describe: 'Bring files from tape into the stage, so that reading them takes no time',
    load: async () => {
      const { recall } = await import('./recall.ts');
      return (parser, open) => parser.command(recall(open));
    },
  },
  wanted: {
    usage: 'wanted',
    describe: 'Which cartridges are waited for, where they are, and by whom',
    load: async () => {
      const { wanted } = await import('./wanted.ts');
      return (parser, open) => parser.command(wanted(open));
    },
  },
  groom: {
    usage: 'groom [media..]',
    describe: 'Move what is still needed off cartridges that hold little else, and free them',
    load: async () => {
      const { groom } = await import('./groom.ts');
      return (parser, open) => parser.command(groom(open));
    },
  },
  snapshots: {
    usage: 'snapshots',
    describe: 'Every snapshot: size, files, how much differs from the one before, why it is kept',
    load: async () => {
      const { snapshots } = await import('./snapshots.ts');
      return (parser, open) => parser.command(snapshots(open));
    },
  },
  snapshot: {
    usage: 'snapshot',
    describe: 'One snapshot: tagged, put on hold, released',
    load: async () => {
      const { snapshot } = await import('./snapshot.ts');
      return (parser, open) => parser.command(snapshot(open));
    },
  },
  expire: {
    usage: 'expire',
    describe: 'Give up the snapshots that no rule of the config keeps; media are not touched',
    load: async () => {
      const { expire } = await import('./expire.ts');
      return (parser, open) => parser.command(expire(open));
    },
  },
  alarms: {
    usage: 'alarms [verb] [id]',
    describe: 'Backups that looked like damage; while one is open nothing is given up',
    load: async () => {
      const { alarms } = await import('./alarms.ts');
      return (parser, open) => parser.command(alarms(open));
    },
  },
  diff: {
    usage: 'diff <a> [b]',
    describe: 'What differs between two snapshots, or from the one before',
    load: async () => {
      const { diff } = await import('./snapshots.ts');
      return (parser, open) => parser.command(diff(open));
    },
  },
  ls: {
    usage: 'ls <path>',
    describe: 'What is in a directory, now or at any time',
    load: async () => {
      const { ls } = await import('./browse.ts');
      return (parser, open) => parser.command(ls(open));
    },
  },
  stat: {
    usage: 'stat <path>',
    describe: 'All that is known of a path: attributes, hash, and where its copies are',
    load: async () => {
      const { stat } = await import('./browse.ts');
      return (parser, open) => parser.command(stat(open));
    },
  },
  versions: {
    usage: 'versions <path>',
    describe: 'Every version of a path, also of one that is deleted',
    load: async () => {
      const { versions } = await import('./browse.ts');
      return (parser, open) => parser.command(versions(open));
    },
  },
  answer: {
    usage: 'answer <id> <choice>',
    describe: 'Answer a question that a job asks: retry, bad, clean, abort or decline',
    load: async () => {
      const { answer } = await import('./answer.ts');
      return (parser, open) => parser.command(answer(open));
    },
  },
  jobs: {
    usage: 'jobs',
    describe: 'What runs and what ran, the newest first',
    load: async () => {
      const { jobs } = await import('./jobs.ts');
      return (parser, open) => parser.command(jobs(open));
    },
  },
  job: {
    usage: 'job',
    describe: 'One job: shown, watched, cancelled, gone on with',
    load: async () => {
      const { job } = await import('./jobs.ts');
      return (parser, open) => parser.command(job(open));
    },
  },
  logs: {
    usage: 'logs',
    describe: 'What jobs said',
    load: async () => {
      const { logs } = await import('./jobs.ts');
      return (parser, open) => parser.command(logs(open));
    },
  },
  recover: {
    usage: 'recover [places..]',
    describe: 'Make the catalog anew from cartridges, when it is lost or set back',
    load: async () => {
      const { recover } = await import('./recover.ts');
      return (parser, open) => parser.command(recover(open));
    },
  },
  catalog: {
    usage: 'catalog',
    describe: 'The catalog itself: checked, and copied to where you keep it',
    load: async () => {
      const { catalog } = await import('./catalog.ts');
      return (parser, open) => parser.command(catalog(open));
    },
  },
  doctor: {
    usage: 'doctor',
    describe: 'What this machine lacks, what it costs, what mends it',
    load: async () => {
      const { doctor } = await import('./doctor.ts');
      return (parser, open) => parser.command(doctor(open));
    },
  },
  demo: {
    usage: 'demo [path]',
    describe: 'Everything on a virtual library, in a minute',
    load: async () => {
      const { demo } = await import('./demo.ts');
      return (parser, open) => parser.command(demo(open));
    },
  },
};

/**
 * Adds all commands in their order, those whole that the words name anywhere: an option's value that is called like a
 * command loads it too, to no harm. The others are there for help and for what is misspelt.
 */
export async function addCommands(
  to: Parser,
  open: OpenContext,
  argv: readonly string[],
): Promise<Parser> {
  let parser = to;
  for (const [name, { usage, describe, load }] of Object.entries(COMMANDS))
    parser = argv.includes(name) ? (await load())(parser, open) : parser.command(usage, describe);
  return parser;
}
