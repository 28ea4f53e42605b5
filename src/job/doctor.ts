/**
 * Doctor: what this machine lacks, what each lack costs, and the command that mends it.
 *
 * It asks and changes nothing. What the configured library cannot do without is `needed`; the rest is `useful`.
 */
import { CodedError } from '../base/errors.ts';
import type { Machine } from '../base/machine.ts';
import type { LibraryConfig } from '../config.ts';

export type Finding = {
  readonly name: string;
  readonly ok: boolean;
  readonly weight: 'needed' | 'useful';
  /** What was found. */
  readonly found: string;
  /** What does not work without it; empty when it is there. */
  readonly cost: string;
  /** The command that mends it; empty when it is there. */
  readonly mend: string;
};

export type DoctorOptions = {
  /** Undefined before `init`. */
  readonly library: LibraryConfig | undefined;
  /** @throws CodedError when native/scsi cannot be loaded */
  readonly loadDoor: () => unknown;
};

/** The least runtime that has what we use (package.json, engines). */
const NODE_LEAST = [22, 22] as const;
/** Blocks of our archives; smaller limits of an adapter refuse them. */
const BLOCK_BYTES = 512 * 1024;
/** One scatter-gather element may be as small as a page. */
const PAGE_BYTES = 4096;
/** Keys of encrypted media take a few pages; more is not needed. */
const MEMLOCK_BYTES_LEAST = 64 * 1024;

export async function checkMachine(machine: Machine, options: DoctorOptions): Promise<Finding[]> {
  const isHardware = options.library?.kind === 'hardware';
  return [
    checkNode(machine),
    checkDoor(options.loadDoor),
    ...(await checkDrivers(machine, isHardware ? 'needed' : 'useful')),
    ...(await checkDevices(machine, isHardware ? 'needed' : 'useful')),
    ...(await checkFuse(machine)),
    await checkMemlock(machine),
    ...(await checkPrograms(machine)),
  ];
}

function checkNode({ nodeVersion }: Machine): Finding {
  const [major = 0, minor = 0] = nodeVersion.split('.').map(Number);
  const ok = major > NODE_LEAST[0] || (major === NODE_LEAST[0] && minor >= NODE_LEAST[1]);
  return finding('Node.js', 'needed', ok, {
    found: nodeVersion,
    cost: `at least ${NODE_LEAST.join('.')} is needed`,
    mend: 'npm install',
  });
}

function checkDoor(loadDoor: () => unknown): Finding {
  const facts = { cost: 'no drive, real or virtual, can be used', mend: 'npm run build' };
  try {
    loadDoor();
    return finding('native/scsi', 'needed', true, { found: 'loaded', ...facts });
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    return finding('native/scsi', 'needed', false, { found: error.message, ...facts });
  }
}

async function checkDrivers(machine: Machine, weight: Finding['weight']): Promise<Finding[]> {
  const costs = {
    sg: 'no SCSI command reaches a drive or changer',
    st: 'other programs cannot be kept from moving the tape while a job writes',
  };
  return Promise.all(
    Object.entries(costs).map(async ([driver, cost]) => {
      const places = [
        `/sys/module/${driver}`,
        driver === 'sg' ? '/sys/class/scsi_generic' : '/sys/class/scsi_tape',
      ];
      const found = await Promise.all(places.map((path) => machine.exists(path)));
      return finding(`kernel driver ${driver}`, weight, found.includes(true), {
        found: found.includes(true) ? 'loaded' : 'not loaded',
        cost,
        mend: `modprobe ${driver} && echo ${driver} | tee -a /etc/modules-load.d/shelfs.conf`,
      });
    }),
  );
}

/** Every tape drive and changer the kernel sees: may we use it, and does its adapter take our blocks? */
async function checkDevices(machine: Machine, weight: Finding['weight']): Promise<Finding[]> {
  const findings: Finding[] = [];
  let count = 0;
  for (const sg of await machine.list('/sys/class/scsi_generic')) {
    const device = `/sys/class/scsi_generic/${sg}/device`;
    const type = (await machine.readText(`${device}/type`))?.trim();
    if (type !== '1' && type !== '8') continue;
    count += 1;
    const name = `/dev/${sg} (${type === '1' ? 'tape drive' : 'changer'})`;
    const model =
      `${await word(machine, `${device}/vendor`)} ${await word(machine, `${device}/model`)}`.trim();
    const canUse = await machine.canUse(`/dev/${sg}`);
    findings.push(
      finding(name, weight, canUse, {
        found: canUse ? model : `${model}, no permission`,
        cost: 'this device cannot be used by you',
        mend: 'usermod -aG tape USER, then log in again',
      }),
    );
    if (type === '1') findings.push(await checkBlockLimit(machine, name, sg));
  }
  const facts = {
    found: count === 0 ? 'none' : String(count),
    cost: 'only virtual libraries, disks and buckets can be used',
    mend: 'connect and switch on the drive, then: echo "- - -" | tee /sys/class/scsi_host/host*/scan',
  };
  return [finding('tape devices', weight, count > 0, facts), ...findings];
}

async function checkBlockLimit(machine: Machine, name: string, sg: string): Promise<Finding> {
  // The host adapter is named by the first number of the device's address, H:C:T:L.
  const [address] = await machine.list(`/sys/class/scsi_generic/${sg}/device/scsi_device`);
  const host = address?.split(':')[0];
  const elements = Number(await machine.readText(`/sys/class/scsi_host/host${host}/sg_tablesize`));
  const limitBytes = elements * PAGE_BYTES;
  const isKnown = Number.isFinite(limitBytes) && limitBytes > 0;
  return finding(`block size of ${name}`, 'useful', !isKnown || limitBytes >= BLOCK_BYTES, {
    found: isKnown ? `at least ${limitBytes / 1024} KiB a command` : 'the adapter does not say',
    cost: `blocks of ${BLOCK_BYTES / 1024} KiB may be refused on a fragmented memory`,
    mend: "raise the adapter driver's scatter-gather limit, for instance `options mpt3sas max_sgl_entries=256`",
  });
}

async function checkFuse(machine: Machine): Promise<Finding[]> {
  const device = await machine.canUse('/dev/fuse');
  const helper = await machine.findProgram('fusermount3');
  const limits = ['max_request_timeout', 'default_request_timeout'];
  const set: string[] = [];
  for (const name of limits) {
    const value = Number(await machine.readText(`/proc/sys/fs/fuse/${name}`));
    if (value > 0) set.push(`fs.fuse.${name}`);
  }
  return [
    finding('/dev/fuse', 'useful', device, {
      found: device ? 'usable' : 'missing or not permitted',
      cost: 'no mount',
      mend: 'modprobe fuse (in a container: --device /dev/fuse --cap-add SYS_ADMIN)',
    }),
    finding('fusermount3', 'useful', helper !== undefined, {
      found: helper ?? 'not found',
      cost: 'only root can mount',
      mend: 'apt-get install fuse3',
    }),
    finding('FUSE request timeout', 'useful', set.length === 0, {
      found: set.length === 0 ? 'none' : `${set.join(' and ')} set`,
      cost: 'the kernel ends the mount when a read waits longer for a cartridge',
      mend: set.map((name) => `sysctl -w ${name}=0`).join(' && '),
    }),
  ];
}

async function checkMemlock(machine: Machine): Promise<Finding> {
  const limits = (await machine.readText('/proc/self/limits')) ?? '';
  const soft = /^Max locked memory\s+(\S+)/m.exec(limits)?.[1];
  const ok = soft === 'unlimited' || Number(soft) >= MEMLOCK_BYTES_LEAST;
  return finding('locked memory', 'useful', ok, {
    found:
      soft === undefined
        ? 'unknown'
        : soft === 'unlimited'
          ? soft
          : `${Math.floor(Number(soft) / 1024)} KiB`,
    cost: 'keys of encrypted media may be written to swap',
    mend: 'ulimit -l unlimited (systemd: LimitMEMLOCK=infinity)',
  });
}

async function checkPrograms(machine: Machine): Promise<Finding[]> {
  const programs = [
    ['mt', 'tapes cannot be read by hand', 'apt-get install mt-st'],
    ['tar', 'tapes cannot be read by hand', 'apt-get install tar'],
    ['zstd', 'compressed archives cannot be read by hand', 'apt-get install zstd'],
    ['age', 'encrypted archives cannot be read by hand', 'apt-get install age'],
    [
      'notify-send',
      'no desktop message when a cartridge is wanted',
      'apt-get install libnotify-bin',
    ],
  ] as const;
  return Promise.all(
    programs.map(async ([name, cost, mend]) => {
      const path = await machine.findProgram(name);
      return finding(name, 'useful', path !== undefined, {
        found: path ?? 'not found',
        cost,
        mend,
      });
    }),
  );
}

async function word(machine: Machine, path: string): Promise<string> {
  return ((await machine.readText(path)) ?? '').trim();
}

function finding(
  name: string,
  weight: Finding['weight'],
  ok: boolean,
  facts: { found: string; cost: string; mend: string },
): Finding {
  const { found, cost, mend } = facts;
  return { name, ok, weight, found, cost: ok ? '' : cost, mend: ok ? '' : mend };
}
