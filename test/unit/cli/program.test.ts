import { describe, expect, test } from 'vitest';
import { CodedError, EXIT_MEANINGS } from '../../../src/base/errors.ts';
import { seededRandom } from '../../../src/base/random.ts';
import { NO_BACKGROUND } from '../../../src/cli/background.ts';
import { formatStatus } from '../../../src/cli/library.ts';
import { makeOutput } from '../../../src/cli/output.ts';
import { formatExits, program } from '../../../src/cli/program.ts';
import type { Finding } from '../../../src/job/doctor.ts';
import type { InitRequest } from '../../../src/job/init.ts';
import { Library } from '../../../src/storage/library.ts';
import type { App } from '../../../src/wire.ts';
import { libraryOf } from '../../sim/library-of.ts';
import { SimWorld } from '../../sim/world.ts';

/** What a command line does, with an application that only writes down what was asked of it. */
async function run(argv: readonly string[], change: Partial<App> = {}) {
  const done = {
    stdout: '',
    stderr: '',
    printed: '',
    exit: 0,
    opened: 0,
    requests: [] as InitRequest[],
  };
  const notAsked = async () => expect.fail('no command of these tests asks for it');
  const app: App = {
    stateDirectory: '/state',
    program: 'shelfs 1.2.3',
    clock: { nowMs: () => 0, monotonicMs: () => 0, sleepMs: async () => {} },
    random: seededRandom(1),
    host: { name: 'here', system: 'test' },
    config: notAsked,
    catalog: async () => {
      throw new CodedError('STATE_MISSING', 'there is none');
    },
    ownDirectories: notAsked,
    capacityOf: notAsked,
    labelMedia: notAsked,
    eraseMedium: notAsked,
    expireMedium: notAsked,
    cleanDrive: notAsked,
    keepWhole: notAsked,
    cancelJob: notAsked,
    backup: notAsked,
    expire: notAsked,
    dryRun: notAsked,
    planGroom: notAsked,
    groom: notAsked,
    unfinishedSources: notAsked,
    planRestore: notAsked,
    restore: notAsked,
    scrub: notAsked,
    checkSources: notAsked,
    mount: notAsked,
    umount: notAsked,
    recall: notAsked,
    operator: notAsked,
    questions: notAsked,
    answer: notAsked,
    recallPaths: notAsked,
    wanted: notAsked,
    importMedium: notAsked,
    close: () => {},
    init: async (request) => {
      done.requests.push(request);
      const files = { config: '/state/config.toml', catalog: '/state/catalog.sqlite' };
      return { stateDirectory: '/state', ...files, barcodes: [] };
    },
    library: async () => new Library({ openChanger: undefined, drives: [] }, app.clock),
    recover: notAsked,
    exportCatalog: notAsked,
    doctor: async () => [],
    ...change,
  };
  const add = (to: 'stdout' | 'stderr' | 'printed', text: string) => {
    done[to] += text;
  };
  const streams = {
    stdout: { write: (text: string) => add('stdout', text) },
    stderr: { write: (text: string) => add('stderr', text) },
  };
  await program(
    argv,
    ({ json = false, quiet = false }) => {
      done.opened += 1;
      return {
        app,
        output: makeOutput({ json, quiet }, streams),
        signal: new AbortController().signal,
        background: NO_BACKGROUND,
        isUtf8: false,
        setExit: (status) => {
          done.exit = status;
        },
      };
    },
    { version: '1.2.3', print: (text) => add('printed', text) },
  );
  return done;
}

const words = (line: string) => line.split(' ').filter(Boolean);

describe('a command line that makes no sense is USAGE, and opens nothing', () => {
  test.each([
    '',
    'librray',
    'library',
    'library stats',
    'library load',
    'library transfer slot1',
    'library status extra',
    'library load a b c',
    '--no-such-option',
    'doctor --no-such-option',
    'init extra',
    '--state',
    'doctor --state',
    'init --virtual',
    'init --capacity',
    'init --drive',
    'doctor --state /a --state /b',
    'doctor --config a --config b',
    'init --virtual 1 --virtual 2',
    'init --generation LTO-8 --generation LTO-9',
    'source',
    'source add',
    'source add / --exclude',
    'source add / --name a --name b',
    'source explain',
    'source test',
    'media',
    'media show',
    'media move AAA001L8',
    'media label',
    'snapshots extra',
    'diff',
    'ls',
    'ls /a /b',
    'ls / --at',
    'stat',
    'versions',
    'job',
    'job show',
    'job show one',
    'job show 1.5',
    'job cancel',
    'jobs --limit 0',
    'logs extra',
    'logs --level loud',
    'logs --job one',
  ])('shelfs %s', async (line) => {
    const error: unknown = await run(words(line)).then(
      (done) => done,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(CodedError);
    expect(error).toMatchObject({ code: 'USAGE', message: expect.stringMatching(/\S/) });
  });

  test.each([
    ['library load nowhere!', /"nowhere!" is no place/],
    ['library load slot1 slot2', /"slot2" is no drive/],
    ['library export AAA001 drive1', /"drive1" is no port/],
    ['library transfer slot1 shelf3!', /"shelf3!" is no place/],
    ['init --virtual four', /--virtual: say a whole number/],
    ['init --drives 0', /--drives/],
  ])('shelfs %s', async (line, message) => {
    await expect(run(words(line))).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringMatching(message),
    });
  });
});

describe('help and version', () => {
  test('every exit status and its meaning', async () => {
    const { printed, opened } = await run(['--help']);
    for (const [status, meaning] of EXIT_MEANINGS) {
      expect(printed).toMatch(
        new RegExp(`^ +${status}  ${meaning.replace(/[()]/g, '\\$&')}$`, 'm'),
      );
    }
    expect(printed).toContain(formatExits());
    expect(opened).toBe(0);
  });

  test.each([
    ...['init', 'source', 'media', 'library', 'backup', 'restore', 'snapshots', 'diff', 'ls'],
    ...['stat', 'versions', 'jobs', 'job', 'logs', 'doctor', 'demo'],
  ])('%s is described, and opens nothing', async (name) => {
    const all = await run(['--help']);
    expect(all.printed).toMatch(new RegExp(`shelfs ${name}\\b.*\\w`));
    const own = await run([name, '--help']);
    expect(own.printed).toContain(`shelfs ${name}`);
    expect(own.opened).toBe(0);
  });

  test('version', async () => {
    const { printed, opened } = await run(['--version']);
    expect([printed, opened]).toEqual(['1.2.3', 0]);
  });
});

describe('commands', () => {
  test('init asks for what was said', async () => {
    const done = await run(words('init --drive /dev/nst0 --drive /dev/nst1 --changer /dev/sch0'));
    expect(done.requests).toEqual([
      { kind: 'hardware', changer: '/dev/sch0', drives: ['/dev/nst0', '/dev/nst1'] },
    ]);
    expect(done.stdout).toContain(
      'made /state/config.toml (hardware library: 0 drives, 0 cartridges)',
    );
  });

  test.each([true, false])(
    'doctor ends with 1 when something needed is missing: %s',
    async (missing) => {
      const finding: Finding = {
        name: 'kernel driver sg',
        ok: !missing,
        weight: 'needed',
        found: missing ? 'not loaded\x1b[2J' : 'loaded',
        cost: 'no command',
        mend: 'modprobe sg',
      };
      const useful: Finding = { ...finding, name: 'mt', ok: false, weight: 'useful' };
      const done = await run(['doctor'], { doctor: async () => [finding, useful] });
      expect(done.exit).toBe(missing ? 1 : 0);
      expect(done.stdout).not.toContain('\x1b');
      const document = await run(['doctor', '--json'], { doctor: async () => [finding, useful] });
      expect(JSON.parse(document.stdout)).toMatchObject({ ok: !missing, findings: [{}, {}] });
    },
  );

  test('a failure of the application passes through as it is', async () => {
    const failure = new CodedError('STATE_MISSING', 'no state');
    const library = async () => {
      throw failure;
    };
    await expect(run(words('library status'), { library })).rejects.toBe(failure);
  });

  test('a bug passes through as it is', async () => {
    const bug = new TypeError('x is undefined');
    const library = async () => {
      throw bug;
    };
    await expect(run(words('library status'), { library })).rejects.toBe(bug);
  });
});

describe('library, on a simulated one', () => {
  async function simulated() {
    const world = await SimWorld.make();
    const library = await libraryOf(world);
    return {
      world,
      library,
      run: (line: string) => run(words(line), { library: async () => library }),
    };
  }

  test('by hand, in words', async () => {
    const { run } = await simulated();
    const said = async (line: string) => (await run(line)).stdout;
    expect(await said('library load aaa001 1')).toBe('AAA001L8: slot 1 to drive 1\n');
    expect(await said('library load slot2')).toBe('AAA002L8: slot 2 to drive 0\n');
    expect(await said('library unload drive1 slot6')).toBe('AAA001L8: drive 1 to slot 6\n');
    expect(await said('library unload')).toBe('AAA002L8: drive 0 to slot 2\n');
    expect(await said('library transfer slot6 slot1')).toBe('AAA001L8: slot 6 to slot 1\n');
    expect(await said('library export AAA003L8 1')).toBe('AAA003L8: slot 3 to port 1\n');
    expect(await said('library inventory')).toMatch(/^port 1 +AAA003L8 +LTO-8$/m);
    expect(await said('library status --quiet')).toBe('');
  });

  test('documents parse, and say the same', async () => {
    const { run } = await simulated();
    expect(JSON.parse((await run('library load slot1 --json')).stdout)).toEqual({
      barcode: 'AAA001L8',
      from: 'slot 1',
      to: 'drive 0',
    });
    const status = JSON.parse((await run('library status --json')).stdout);
    expect(status.drives[0]).toMatchObject({ state: 'ready', barcode: 'AAA001L8' });
    expect(status.slots).toHaveLength(6);
  });

  test('a sticker that wants to steer the terminal does not', async () => {
    const { world, library, run } = await simulated();
    const go = new AbortController().signal;
    world.faults.add({
      note: 'sticker',
      on: 'move',
      effect: { kind: 'relabel', element: 1029, barcode: '\x1b]0;x\x07\x9b2J' },
    });
    const transfer = library.transfer({ kind: 'slot', number: 1 }, { kind: 'slot', number: 6 }, go);
    await expect(transfer).rejects.toMatchObject({ code: 'MEDIUM_MISMATCH' });
    const lines = [
      'library status',
      'library status --json',
      'library load slot6',
      'library unload',
      'library export slot6',
    ];
    for (const line of lines) {
      const { stdout, stderr } = await run(line);
      expect((stdout + stderr).replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
      expect(stdout).toContain('?');
    }
  });
});

describe('formatStatus', () => {
  const place = {
    kind: 'slot',
    number: 1,
    address: 1024,
    full: true,
    barcode: '\x1b[2JA',
  } as const;
  const drive = {
    number: 0,
    device: '/dev/nst0\x1b',
    serial: 'S\x07',
    model: 'M\r',
    state: 'held',
    heldBy: 7,
    problem: null,
    barcode: '\x9b',
    from: null,
    statistics: null,
  } as const;

  test('no control byte, whatever a device said', () => {
    const text = formatStatus({
      changer: { model: 'C\x1b[2J', serial: null, device: '/dev/sg1\x1b' },
      drives: [drive],
      slots: [place],
      ports: [],
      cartridges: [{ barcode: place.barcode, generation: null, kind: 'unknown', place: 'slot 1' }],
    });
    expect(text.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
    expect(text).toContain('held by process 7');
    expect(text).toMatch(/slot 1 +\\x1b\[2JA +unknown/);
  });

  test('without a changer; a drive nobody configured; a sticker nobody can read', () => {
    const text = formatStatus({
      changer: null,
      drives: [{ ...drive, device: null, heldBy: null, problem: null, state: 'unknown' }],
      slots: [{ ...place, barcode: null }],
      ports: [],
      cartridges: [{ barcode: null, generation: null, kind: 'unknown', place: 'slot 1' }],
    });
    expect(text).toContain('no changer');
    expect(text).toContain('(not configured)');
    expect(text).toMatch(/slot 1 +\(unreadable\) +unknown/);
  });
});
