import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  formatConfig,
  type LibraryConfig,
  loadConfig,
  parseConfig,
  stateDirectory,
} from '../../src/config.ts';
import { scratchDirectory } from '../sim/scratch.ts';

const PATH = '/x/config.toml';

describe('parseConfig', () => {
  test.each<[string, string, LibraryConfig]>([
    [
      'a virtual library',
      '[library]\nkind = "virtual"',
      { kind: 'virtual', directory: 'virtual', speed: 'model' },
    ],
    [
      'a virtual library, all said',
      '[library]\nkind = "virtual"\ndirectory = "/data/v"\nspeed = "real"',
      { kind: 'virtual', directory: '/data/v', speed: 'real' },
    ],
    [
      'hardware without a changer',
      'library = { kind = "hardware", drives = ["/dev/nst0"] }',
      { kind: 'hardware', drives: ['/dev/nst0'] },
    ],
    [
      'hardware',
      "[library]\nkind = 'hardware' # ours\nchanger = '/dev/sch0'\ndrives = [\n  '/dev/nst0',\n  '/dev/nst1',\n]\n",
      { kind: 'hardware', changer: '/dev/sch0', drives: ['/dev/nst0', '/dev/nst1'] },
    ],
  ])('%s', (_, text, library) => expect(parseConfig(text, PATH).library).toEqual(library));

  test.each([
    ['an unknown key', '[library]\nkind = "virtual"\nspead = "real"', /library.*spead/],
    ['an unknown table', '[library]\nkind = "virtual"\n[libary]\nx = 1', /libary/],
    [
      'a key of the other kind',
      '[library]\nkind = "virtual"\ndrives = ["/dev/nst0"]',
      /library.*drives/,
    ],
    ['an unknown kind', '[library]\nkind = "robot"', /library\.kind/],
    ['no library', '', /library/],
    ['no drives', '[library]\nkind = "hardware"\ndrives = []', /library\.drives/],
    [
      'a drive that is no path',
      '[library]\nkind = "hardware"\ndrives = ["nst0"]',
      /library\.drives\.0/,
    ],
    ['a speed there is not', '[library]\nkind = "virtual"\nspeed = 3', /library\.speed/],
    ['no TOML', '[library]\nkind = "virtual"\nspeed = ', /line 3/],
    ['a key twice', '[library]\nkind = "virtual"\nkind = "hardware"', /line 3/],
    ['a quote that does not end', 'x = 1\n\ny = "abc\n', /line 3/],
  ])('refused, and the place named: %s', (_, text, words) => {
    expect(() => parseConfig(text, PATH)).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringMatching(words),
        facts: { path: PATH },
      }),
    );
    expect(() => parseConfig(text, PATH)).toThrow(PATH);
  });

  test('whatever the text, it is a config or CONFIG_INVALID, and no control byte in the reason', () =>
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.string({
            unit: fc.constantFrom('[', ']', '=', '"', 'a', '\n', '.', '1', '\x1b', '{', '}', ','),
          }),
        ),
        (text) => {
          try {
            parseConfig(text, PATH);
          } catch (error) {
            expect(error).toMatchObject({ code: 'CONFIG_INVALID' });
            expect((error as Error).message).not.toMatch(/\p{Cc}/u);
          }
        },
      ),
      { numRuns: 500 },
    ));
});

describe('formatConfig', () => {
  const path = fc.string({ unit: 'binary' }).map((name) => `/dev/${name.toWellFormed()}`);
  const library: fc.Arbitrary<LibraryConfig> = fc.oneof(
    fc.record({
      kind: fc.constant('virtual' as const),
      directory: fc.string({ unit: 'binary', minLength: 1 }).map((name) => name.toWellFormed()),
      speed: fc.constantFrom('instant' as const, 'model' as const, 'real' as const),
    }),
    fc
      .record({
        kind: fc.constant('hardware' as const),
        drives: fc.array(path, { minLength: 1, maxLength: 3 }),
        changer: fc.option(path, { nil: undefined }),
      })
      .map(({ kind, drives, changer }) => ({
        kind,
        drives,
        ...(changer !== undefined && { changer }),
      })),
  );

  test('is read back as it was, whatever the names', () =>
    fc.assert(
      fc.property(library, (made) => {
        expect(parseConfig(formatConfig(made), PATH).library).toEqual(made);
      }),
      { numRuns: 500 },
    ));

  test.each(['\x7f', '"', '\\', '\x00', '\n', '\u2028', '\u{1f4fc}', "'''"])(
    'a name with %j',
    (name) => {
      const made: LibraryConfig = { kind: 'virtual', directory: `a${name}b`, speed: 'model' };
      expect(parseConfig(formatConfig(made), PATH).library).toEqual(made);
    },
  );
});

describe('archive and backup', () => {
  const parse = (text: string) => parseConfig(`[library]\nkind = "virtual"\n${text}\n`, PATH);

  test('sizes as people write them', () => {
    const text =
      '[archive]\nsize = "32GB"\npart = 1073741824\nblock = "1 MiB"\n[backup]\nmemory = "1GiB"';
    expect(parse(text)).toMatchObject({
      archive: { size: 32e9, part: 2 ** 30, block: 2 ** 20 },
      backup: { memory: 2 ** 30 },
    });
  });

  test.each([
    ['[archive]\nsize = "much"', /archive\.size: .*is no size/],
    ['[archive]\nblock = 1000', /archive\.block: a block has 4 KiB to 8 MiB/],
    ['[archive]\nblock = "16MiB"', /archive\.block/],
    ['[archive]\nminutes = 0', /archive\.minutes/],
    ['[archive]\nsha256 = "sometimes"', /archive\.sha256/],
    ['[backup]\npool = "a b"', /backup\.pool: letters, digits/],
    ['[backup]\ncopies = 5', /backup\.copies/],
    ['[backup]\nmemory = "1MiB"', /backup\.memory: at least 64 MiB/],
    ['[backup]\ncolour = "red"', /backup: .*colour/],
    ['[stage]\nsize = "much"', /"much" is no size/],
    ['[recall]\nattempts = 0', /recall\.attempts/],
    ['[operator]\ntimeout = 12', /operator\.timeout/],
    ['[operator]\ntimeout = "long"', /"long" is no duration/],
    ['[operator]\nlook = "10ms"', /operator\.look: at least one second/],
    ['[notify]\nbell = true', /notify: .*bell/],
    ['[[notify.webhook]]\nurl = "ftp://x"', /webhook\.0\.url: an address/],
    ['[[notify.webhook]]\nurl = "https://me:s3cret@x/"', /^(?!.*s3cret).*no user and password/],
    ['[[notify.webhook]]\nurl = "https://x/"', /a secret goes with/],
    [
      '[[notify.webhook]]\nurl = "https://x/"\nformat = "slack"\nsecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"',
      /^(?!.*MfKQ).*a secret goes with/,
    ],
    ['[[notify.webhook]]\nurl = "https://x/"\nsecret = "s3cret"', /^(?!.*s3cret).*whsec_ and/],
    ['[notify.mail]\nserver = "x"\nfrom = "a"\nto = ["b@c"]', /mail\.from: a mail address/],
    ['[notify.mail]\nserver = "x"\nfrom = "a@b\\nBcc: c@d"\nto = ["b@c"]', /mail\.from/],
    ['[notify.mail]\nserver = "x"\nfrom = "a@b"\nto = []', /mail\.to/],
    ['[notify.mail]\nserver = "x"\nuser = "u"\nfrom = "a@b"\nto = ["b@c"]', /go together/],
    ['[[notify.command]]\nargv = []', /command\.0\.argv/],
    ['[backup]\nstaging = "often"', /backup\.staging/],
    ['[backup]\nstaging-size = "much"', /backup\.staging-size: "much" is no size/],
    ['[recall]\nrefuse = ["a name that is too long"]', /recall\.refuse/],
  ])('%s is refused', (text, sentence) =>
    expect(() => parse(text)).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringMatching(sentence) }),
    ),
  );
});

describe('loadConfig', () => {
  test('from the state directory, or where it is named; frozen', async () => {
    const state = await scratchDirectory();
    await writeFile(join(state, 'config.toml'), '[library]\nkind = "virtual"\n');
    await writeFile(join(state, 'other.toml'), '[library]\nkind = "virtual"\nspeed = "real"\n');
    const config = await loadConfig(state);
    expect(config).toEqual({
      stateDirectory: state,
      library: { kind: 'virtual', directory: 'virtual', speed: 'model' },
      archive: { minutes: 15, entries: 1_000_000, block: 524_288, sha256: 'auto' },
      backup: {
        ...{ pool: 'main', copies: 1, memory: 2 ** 28, label: 'auto' },
        ...{ staging: 'auto', 'staging-directory': 'staging', 'staging-size': 8e9 },
      },
      pools: {},
      groom: { below: 50, spool: 100e9, 'spool-directory': 'groom' },
      stage: { directory: 'stage' },
      recall: { attempts: 5, hold: 30, wait: 43_200 },
      operator: { timeout: 43_200_000, attempts: 5, look: 5000 },
      notify: { terminal: true, desktop: false, webhook: [], command: [] },
      catalog: {},
      retention: { general: undefined, sources: {}, pools: {} },
      rotation: {},
      drives: { cleaning: 'auto' },
    });
    for (const part of [config, ...Object.values(config)]) expect(Object.isFrozen(part)).toBe(true);
    expect((await loadConfig(state, join(state, 'other.toml'))).library).toMatchObject({
      speed: 'real',
    });
  });

  test('none, and no directory either', async () => {
    const state = await scratchDirectory();
    await writeFile(join(state, 'file'), '');
    for (const directory of [state, join(state, 'none'), join(state, 'file')]) {
      await expect(loadConfig(directory)).rejects.toMatchObject({
        code: 'STATE_MISSING',
        message: expect.stringContaining('shelfs init'),
      });
    }
  });

  test('one that cannot be read', async () => {
    const state = await scratchDirectory();
    await mkdir(join(state, 'config.toml'));
    await expect(loadConfig(state)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});

test.each([
  [{ state: '/a/../b' }, {}, false, '/b'],
  [{ state: '/a' }, { SHELFS_STATE: '/b' }, true, '/a'],
  [{}, { SHELFS_STATE: '/b', XDG_STATE_HOME: '/x' }, true, '/b'],
  [{}, { XDG_STATE_HOME: '/x' }, true, '/var/lib/shelfs'],
  [{}, { XDG_STATE_HOME: '/x', HOME: '/h' }, false, '/x/shelfs'],
  [{}, { HOME: '/h' }, false, '/h/.local/state/shelfs'],
  [{}, { SHELFS_STATE: '', XDG_STATE_HOME: '', HOME: '/h' }, false, '/h/.local/state/shelfs'],
  [{}, {}, false, '/.local/state/shelfs'],
] as [{ state?: string }, Record<string, string>, boolean, string][])(
  'state directory of %j with %j, root %s',
  ({ state }, environment, isRoot, path) =>
    expect(stateDirectory({ state, environment, isRoot })).toBe(path),
);
