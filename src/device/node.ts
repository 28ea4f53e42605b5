/** Device nodes: whatever name a person gives a drive or changer, its sg node, its nst node and its serial by sysfs. */
import { constants } from 'node:fs';
import { access, readdir, readFile, realpath, stat } from 'node:fs/promises';
import { CodedError, errnoOf } from '../base/errors.ts';
import { deviceNumbers } from './holder.ts';
import { DEVICE_TYPE, parseSerial } from './inquiry.ts';

export type DeviceNode = {
  /** As given: `/dev/nst0`, `/dev/tape/by-id/...`, `/dev/sg3`, `/dev/sch0`. */
  readonly path: string;
  readonly kind: 'tape' | 'changer';
  /** The SCSI generic node through which all commands go. */
  readonly sgPath: string;
  /** The non-rewinding st node, held open against other programs; undefined where the st driver has not bound. */
  readonly tapePath: string | undefined;
  /** Unit serial number as the kernel read it when the device appeared. */
  readonly serial: string | undefined;
};

/**
 * Finds the nodes of one device. Opens none of them: closing a rewinding st node would move the tape.
 * @throws CodedError DEVICE_MISSING, DEVICE_FORBIDDEN, DEVICE_UNSUITABLE
 */
export async function resolveDevice(path: string): Promise<DeviceNode> {
  const sysPath = await deviceDirectory(path);
  const type = Number.parseInt(await readText(`${sysPath}/type`), 10);
  const kind =
    type === DEVICE_TYPE.tape ? 'tape' : type === DEVICE_TYPE.changer ? 'changer' : undefined;
  if (!kind)
    throw unsuitable(
      path,
      'is neither a tape drive nor a changer; `lsscsi -g` shows what is which',
    );
  const [sg] = await list(`${sysPath}/scsi_generic`);
  if (!sg) throw unsuitable(path, 'has no SCSI generic node; load the driver with `modprobe sg`');
  const tape = (await list(`${sysPath}/scsi_tape`)).find((name) => /^nst\d+$/.test(name));
  const sgPath = `/dev/${sg}`;
  await access(sgPath, constants.R_OK | constants.W_OK).catch((cause: unknown) => {
    throw new CodedError(
      errnoOf(cause) === 'ENOENT' ? 'DEVICE_MISSING' : 'DEVICE_FORBIDDEN',
      `no permission to use ${sgPath}; join the group tape (\`usermod -aG tape USER\`, then log in again) or run as root`,
      { device: sgPath, cause },
    );
  });
  const page = await readFile(`${sysPath}/vpd_pg80`).catch(() => Buffer.alloc(0));
  return { path, kind, sgPath, tapePath: tape && `/dev/${tape}`, serial: parseSerial(page) };
}

/** The sysfs directory of the SCSI device behind a node. */
async function deviceDirectory(path: string): Promise<string> {
  let target: string;
  try {
    target = await realpath(path);
  } catch (cause) {
    const isForbidden = errnoOf(cause) === 'EACCES';
    throw new CodedError(
      isForbidden ? 'DEVICE_FORBIDDEN' : 'DEVICE_MISSING',
      isForbidden
        ? `no permission to look at ${path}`
        : `there is no ${path}; is it switched on and connected?`,
      { device: path, cause },
    );
  }
  const found = await stat(target, { bigint: true });
  if (!found.isCharacterDevice())
    throw unsuitable(path, 'is not a device of a tape drive or changer');
  const { major, minor } = deviceNumbers(found.rdev);
  const sysPath = `/sys/dev/char/${major}:${minor}/device`;
  const isScsi = await stat(`${sysPath}/type`).then(
    () => true,
    () => false,
  );
  if (!isScsi) throw unsuitable(path, 'is not a SCSI device');
  return sysPath;
}

async function list(directory: string): Promise<string[]> {
  return (await readdir(directory).catch(() => [])).sort();
}

async function readText(path: string): Promise<string> {
  return readFile(path, 'latin1').catch(() => '');
}

function unsuitable(path: string, what: string): CodedError {
  return new CodedError('DEVICE_UNSUITABLE', `${path} ${what}`, { device: path });
}
