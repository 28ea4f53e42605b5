import { describe, expect, test } from 'vitest';
import { CodedError } from '../../../src/base/errors.ts';
import type { Machine } from '../../../src/base/machine.ts';
import type { LibraryConfig } from '../../../src/config.ts';
import { checkMachine, type Finding } from '../../../src/job/doctor.ts';

type Facts = {
  readonly node?: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly usable?: readonly string[];
  readonly programs?: readonly string[];
};

const SG = '/sys/class/scsi_generic';

/** A machine of files: directories are what lies before a slash. */
function machine({ node = '24.1.0', files = {}, usable = [], programs = [] }: Facts): Machine {
  const paths = Object.keys(files);
  return {
    nodeVersion: node,
    readText: async (path) => files[path],
    list: async (path) => {
      const names = paths.filter((known) => known.startsWith(`${path}/`));
      return [
        ...new Set(names.map((known) => known.slice(path.length + 1).split('/')[0] ?? '')),
      ].sort();
    },
    exists: async (path) => paths.some((known) => known === path || known.startsWith(`${path}/`)),
    canUse: async (path) => usable.includes(path),
    findProgram: async (name) => (programs.includes(name) ? `/usr/bin/${name}` : undefined),
  };
}

const PROGRAMS = ['fusermount3', 'mt', 'tar', 'zstd', 'age', 'notify-send'];
const LIMITS = `Limit                     Soft Limit           Hard Limit           Units
Max locked memory         8388608              8388608              bytes
`;
const ALL: Facts = {
  files: {
    '/sys/module/sg/version': '',
    '/sys/module/st/version': '',
    [`${SG}/sg0/device/type`]: '0\n',
    [`${SG}/sg1/device/type`]: '1\n',
    [`${SG}/sg1/device/vendor`]: 'IBM     \n',
    [`${SG}/sg1/device/model`]: 'ULT3580-TD8     \n',
    [`${SG}/sg1/device/scsi_device/2:0:1:0/x`]: '',
    '/sys/class/scsi_host/host2/sg_tablesize': '128\n',
    [`${SG}/sg2/device/type`]: '8\n',
    [`${SG}/sg2/device/vendor`]: 'HPE\n',
    [`${SG}/sg2/device/model`]: 'MSL\n',
    '/proc/self/limits': LIMITS,
  },
  usable: ['/dev/sg1', '/dev/sg2', '/dev/fuse'],
  programs: PROGRAMS,
};
const HARDWARE: LibraryConfig = { kind: 'hardware', drives: ['/dev/nst0'] };
const VIRTUAL: LibraryConfig = { kind: 'virtual', directory: 'virtual', speed: 'model' };

async function check(
  facts: Facts,
  library: LibraryConfig | undefined = HARDWARE,
  loadDoor = () => {},
) {
  const findings = await checkMachine(machine(facts), { library, loadDoor });
  const named = (name: string): Finding => {
    const finding = findings.find((candidate) => candidate.name === name);
    if (!finding) throw new Error(`no finding ${name}`);
    return finding;
  };
  return { findings, named };
}

test('a machine that has everything: nothing lacks, nothing costs', async () => {
  const { findings } = await check(ALL);
  expect(findings.filter(({ ok }) => !ok)).toEqual([]);
  for (const { cost, mend } of findings) expect(cost + mend).toBe('');
  expect(findings.map(({ name }) => name)).toEqual([
    'Node.js',
    'native/scsi',
    'kernel driver sg',
    'kernel driver st',
    'tape devices',
    '/dev/sg1 (tape drive)',
    'block size of /dev/sg1 (tape drive)',
    '/dev/sg2 (changer)',
    '/dev/fuse',
    'fusermount3',
    'FUSE request timeout',
    'locked memory',
    ...PROGRAMS.slice(1),
  ]);
});

test('a machine that has nothing: each lack says what it costs and what mends it', async () => {
  const { findings } = await check({ node: '20.1.0' }, HARDWARE, () => {
    throw new CodedError('FAILED', 'no such module');
  });
  const lacking = findings.filter(({ ok }) => !ok);
  expect(lacking.map(({ name }) => name)).toEqual(
    findings.map(({ name }) => name).filter((name) => name !== 'FUSE request timeout'),
  );
  for (const { cost, mend, found } of lacking) {
    expect(cost).not.toBe('');
    expect(mend).not.toBe('');
    expect(found).not.toBe('');
  }
});

test.each([
  ['22.22.0', true],
  ['22.21.9', false],
  ['24.0.0', true],
  ['20.99.0', false],
  ['', false],
])('Node %s is enough: %s', async (node, ok) =>
  expect((await check({ ...ALL, node })).named('Node.js').ok).toBe(ok),
);

test('a door that does not load is needed; a bug in it is not hidden', async () => {
  const { named } = await check(ALL, VIRTUAL, () => {
    throw new CodedError('FAILED', 'built for another machine');
  });
  expect(named('native/scsi')).toMatchObject({
    ok: false,
    weight: 'needed',
    found: 'built for another machine',
  });
  const bug = check(ALL, VIRTUAL, () => {
    throw new TypeError('x');
  });
  await expect(bug).rejects.toThrow(TypeError);
});

describe('what is needed depends on the library', () => {
  test.each([
    [HARDWARE, 'needed'],
    [VIRTUAL, 'useful'],
    [undefined, 'useful'],
  ] as const)('%j', async (library, weight) => {
    const findings = await checkMachine(machine({}), { library, loadDoor: () => {} });
    for (const name of ['kernel driver sg', 'kernel driver st', 'tape devices']) {
      expect(findings.find((finding) => finding.name === name)).toMatchObject({
        ok: false,
        weight,
      });
    }
  });
});

test('a driver that is built in is there too', async () => {
  const { named } = await check({ files: { '/sys/class/scsi_tape/st0': '', [`${SG}/sg1/x`]: '' } });
  expect(named('kernel driver st').ok).toBe(true);
  expect(named('kernel driver sg').ok).toBe(true);
});

test('a device without permission', async () => {
  const { named } = await check({ ...ALL, usable: ['/dev/sg2'] });
  expect(named('/dev/sg1 (tape drive)')).toMatchObject({
    ok: false,
    found: 'IBM ULT3580-TD8, no permission',
    mend: expect.stringContaining('usermod'),
  });
  expect(named('tape devices')).toMatchObject({ ok: true, found: '2' });
});

test.each([
  ['128', true, 'at least 512 KiB a command'],
  ['127', false, 'at least 508 KiB a command'],
  ['0', true, 'the adapter does not say'],
  [undefined, true, 'the adapter does not say'],
])('scatter-gather elements %s', async (elements, ok, found) => {
  const { '/sys/class/scsi_host/host2/sg_tablesize': _, ...rest } = ALL.files ?? {};
  const files =
    elements === undefined
      ? rest
      : { ...rest, '/sys/class/scsi_host/host2/sg_tablesize': elements };
  const { named } = await check({ ...ALL, files });
  expect(named('block size of /dev/sg1 (tape drive)')).toMatchObject({ ok, found });
});

test('a FUSE timeout ends mounts while a cartridge is fetched', async () => {
  const files = {
    ...ALL.files,
    '/proc/sys/fs/fuse/max_request_timeout': '60\n',
    '/proc/sys/fs/fuse/default_request_timeout': '0\n',
  };
  const { named } = await check({ ...ALL, files });
  expect(named('FUSE request timeout')).toMatchObject({
    ok: false,
    found: 'fs.fuse.max_request_timeout set',
    mend: 'sysctl -w fs.fuse.max_request_timeout=0',
  });
});

test.each([
  ['Max locked memory         unlimited            unlimited            bytes', true, 'unlimited'],
  ['Max locked memory         65536                65536                bytes', true, '64 KiB'],
  [
    'Max locked memory         65535                unlimited            bytes',
    false,
    expect.stringContaining('KiB'),
  ],
  ['Max open files            1024                 4096                 files', false, 'unknown'],
])('%s', async (line, ok, found) => {
  const { named } = await check({ ...ALL, files: { ...ALL.files, '/proc/self/limits': line } });
  expect(named('locked memory')).toMatchObject({ ok, found });
});
