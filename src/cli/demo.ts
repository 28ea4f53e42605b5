/** `shelfs demo`: what there is, on a virtual library that goes away again. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CodedError } from '../base/errors.ts';
import type { Library, LibraryStatus } from '../storage/library.ts';
import { type App, wire } from '../wire.ts';
import { command, type OpenContext } from './context.ts';
import { formatStatus } from './library.ts';

type Step = { readonly says: string; readonly shows: string };

export const demo = (open: OpenContext) =>
  command(
    {
      command: 'demo',
      describe: 'Everything on a virtual library, in a minute',
      builder: (yargs) => yargs,
      run: async ({ app: { program }, output, signal }) => {
        const directory = await mkdtemp(join(tmpdir(), 'shelfs-demo-'));
        try {
          const steps: Step[] = [];
          const say = (says: string, shows: string) => {
            steps.push({ says, shows });
            output.note(`\n# ${says}\n${shows}`);
          };
          const app = wire({ stateDirectory: join(directory, 'state'), program });
          const status = await play(app, say, signal).finally(() => app.close());
          output.result(
            { steps, status },
            () => '\nThe virtual library is gone again; `shelfs init` makes one that stays.',
          );
        } finally {
          await rm(directory, { recursive: true, force: true });
        }
      },
    },
    open,
  );

async function play(
  app: App,
  say: (says: string, shows: string) => void,
  signal: AbortSignal,
): Promise<LibraryStatus> {
  const request = {
    kind: 'virtual',
    cartridges: 4,
    drives: 2,
    generation: 'LTO-9',
    capacityBytes: 2e9,
  } as const;
  const made = await app.init(request, signal);
  const library = await app.library();
  say(
    'shelfs init --virtual 4 --drives 2 --generation LTO-9 --capacity 2GB',
    made.barcodes.join(' '),
  );
  say('shelfs library status', formatStatus(await library.status(signal)));
  const [first = '', second = ''] = made.barcodes;
  const load = await library.load({ kind: 'cartridge', name: first }, undefined, signal);
  say(
    `shelfs library load ${first}   (the drive threads the tape)`,
    `${first}: ${load.from} to ${load.to}`,
  );
  say(
    `shelfs library load ${second} drive0   (something stands there: refused by name, nothing moves)`,
    await refusal(library, second, signal),
  );
  const unload = await library.unload({ kind: 'drive', number: 0 }, undefined, signal);
  say(
    'shelfs library unload drive0   (back to its slot)',
    `${first}: ${unload.from} to ${unload.to}`,
  );
  const out = await library.export({ kind: 'cartridge', name: second }, undefined, signal);
  say(
    `shelfs library export ${second}   (to the port, for the vault)`,
    `${second}: ${out.from} to ${out.to}`,
  );
  const status = await library.status(signal);
  const [drive] = status.drives;
  const seconds = drive?.statistics?.modelSeconds.toFixed(0) ?? '0';
  say(
    'shelfs library status --json   (what it would have taken on a real LTO-9)',
    `drive 0: ${drive?.statistics?.loads} load, ${seconds} seconds of loading and unloading`,
  );
  return status;
}

async function refusal(library: Library, name: string, signal: AbortSignal): Promise<string> {
  try {
    await library.load({ kind: 'cartridge', name }, 0, signal);
  } catch (error) {
    if (error instanceof CodedError) return `shelfs: ${error.message} (exit ${error.failure.exit})`;
    throw error;
  }
  throw new CodedError('FAILED', 'the virtual library moved a cartridge onto another');
}
