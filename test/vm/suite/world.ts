/** The virtual machine's tape library as the contract suites want it: real st, sg and ch drivers, a hand behind them. */
import { readdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { Changer } from '../../../src/device/changer.ts';
import { Drive } from '../../../src/device/drive.ts';
import { loadScsiDoor, openScsiPort, type ScsiDoor } from '../../../src/device/native.ts';
import { resolveDevice } from '../../../src/device/node.ts';
import type { ScsiPort } from '../../../src/device/port.ts';
import type { FailingOperation, Hand, World } from '../../contract/world.ts';

const go = new AbortController().signal;

/** Where the library takes orders from behind the scenes (test/vm/README.md). */
const CONTROL_PORT = 3261;

const LETTERS: Readonly<Record<FailingOperation, string>> = {
  read: 'r',
  write: 'w',
  filemark: 'f',
  locate: 'l',
  load: 'L',
  move: 'm',
};

/** One line to the library; its answer. Refusals throw. */
export async function control(line: string): Promise<string> {
  const socket = connect(CONTROL_PORT, '127.0.0.1');
  socket.end(`${line}\n`);
  const answer = await text(socket);
  if (answer.startsWith('error')) throw new Error(`${line}: ${answer}`);
  return answer;
}

/** SHELFS_TEST_DOOR names the build of the door that is under test: Release, or Debug with its sanitizers. */
export function doorUnderTest(): ScsiDoor {
  const build = process.env.SHELFS_TEST_DOOR ?? 'Release';
  return loadScsiDoor(join(import.meta.dirname, `../../../native/scsi/build/${build}/scsi.node`));
}

/** The drives' nst nodes in order. */
export async function tapeNodes(): Promise<string[]> {
  const names = await readdir('/sys/class/scsi_tape');
  return names
    .filter((name) => /^nst\d+$/.test(name))
    .sort()
    .map((name) => `/dev/${name}`);
}

export class LabWorld implements World {
  readonly #ports = new Map<string, ScsiPort>();
  readonly #door = doorUnderTest();

  static async make(): Promise<LabWorld> {
    await control('restart');
    const world = new LabWorld();
    onTestFinished(async () => {
      for (const port of world.#ports.values()) await port.close();
    });
    return world;
  }

  async openChanger(): Promise<Changer> {
    return Changer.open(await this.#open('/dev/changer'), systemClock, go);
  }

  async openDrive(index: number): Promise<Drive> {
    const node = (await tapeNodes())[index];
    if (!node) throw new Error(`no drive ${index}`);
    return Drive.open(await this.#open(node), systemClock, go);
  }

  readonly hand: Hand = {
    fail: async (on, { drive, key, code, deferred = false }) => {
      const unit = on === 'move' ? 0 : drive + 1;
      const sense = [key, code >> 8, code & 0xff].map((value) => value.toString(16)).join(' ');
      await control(`fail ${unit} ${LETTERS[on]} 1 ${sense}${deferred ? ' deferred' : ''}`);
    },
    alert: async (drive, flag) => {
      await control(`tapealert ${drive + 1} ${(1n << BigInt(flag - 1)).toString(16)}`);
    },
    reset: async (drive, { swallowed }) => {
      await control(`reset ${drive + 1}`);
      if (swallowed) await control(`swallow ${drive + 1}`);
    },
    protect: async (barcode, on) => {
      await control(`wp ${barcode} ${on ? 'on' : 'off'}`);
    },
    insert: async (barcode) => {
      const port = (await (await this.openChanger()).elements(go)).find(
        ({ type }) => type === 'port',
      );
      await control(`insert ${port?.address} ${barcode}`);
    },
  };

  /** One exclusive port a device, however often it is asked for. */
  async #open(path: string): Promise<ScsiPort> {
    const { sgPath } = await resolveDevice(path);
    const port =
      this.#ports.get(sgPath) ??
      (await openScsiPort(sgPath, { door: this.#door, access: 'exclusive' }));
    this.#ports.set(sgPath, port);
    return port;
  }
}
