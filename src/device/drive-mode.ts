/** Sets a drive up for our way of writing, and reads back that it took it. */
import { CodedError } from '../base/errors.ts';
import { isDone, type LogicalUnit, UNIT_ATTENTIONS_MAX } from './logical-unit.ts';
import {
  type DriveMode,
  encodeModeParameters,
  isBuffered,
  isCompressing,
  isWorm,
  isWriteProtected,
  MODE_PAGE,
  type ModeParameters,
  type ModeReport,
  parseDeviceConfigurationExtension,
  parseModeParameters,
  withCompression,
  withDeviceConfigurationExtension,
} from './mode.ts';
import { describeSense, SENSE_KEY } from './sense.ts';

/** What is asked of a drive; append-only and the warning are set where the drive knows them. */
export type WantedMode = {
  readonly blockLengthBytes: number;
  readonly buffered: boolean;
  readonly compression: boolean;
  readonly appendOnly: boolean;
  readonly programmableEarlyWarningMb: number;
};

type PageName = keyof typeof MODE_PAGE;

/** Reads how the drive is set. */
export async function readMode(unit: LogicalUnit, signal: AbortSignal): Promise<ModeReport> {
  // Page 0: header and block descriptor alone (SPC-4 6.11).
  const general = await sense(unit, { page: 0, subpage: 0 }, signal);
  if (!general) throw unit.fail('it refuses to tell its mode');
  const compression = await sensePage(unit, 'dataCompression', signal);
  const extension = await sensePage(unit, 'deviceConfigurationExtension', signal);
  const medium = await sensePage(unit, 'mediumConfiguration', signal);
  const guard = extension && parseDeviceConfigurationExtension(extension);
  return {
    blockLengthBytes: general.blockLengthBytes,
    densityCode: general.densityCode,
    writeProtected: isWriteProtected(general.deviceSpecific),
    buffered: isBuffered(general.deviceSpecific),
    compression: compression !== undefined && isCompressing(compression),
    appendOnly: guard?.appendOnly,
    programmableEarlyWarningMb: guard?.programmableEarlyWarningMb,
    worm: medium && isWorm(medium),
  };
}

/**
 * Sets the mode and proves it by reading it back.
 * @throws CodedError DRIVE_FAILED when the drive does not take block length, buffering or its own append-only guard
 */
export async function setMode(
  unit: LogicalUnit,
  wanted: WantedMode,
  signal: AbortSignal,
): Promise<ModeReport> {
  const { buffered, blockLengthBytes } = wanted;
  await select(unit, encodeModeParameters({ buffered, blockLengthBytes }), signal);
  const compression = await sensePage(unit, 'dataCompression', signal);
  if (compression && isCompressing(compression) !== wanted.compression) {
    const page = withCompression(compression, wanted.compression);
    await select(unit, encodeModeParameters({ buffered, blockLengthBytes, page }), signal);
  }
  const extension = await sensePage(unit, 'deviceConfigurationExtension', signal);
  if (extension) {
    const page = withDeviceConfigurationExtension(extension, wanted);
    await select(unit, encodeModeParameters({ buffered, blockLengthBytes, page }), signal);
  }
  const report = await readMode(unit, signal);
  const refused = differences(wanted, report);
  if (refused.length > 0) {
    throw new CodedError(
      'DRIVE_FAILED',
      `${unit.name} does not take the mode set: ${refused.join(', ')}`,
      {
        device: unit.name,
      },
    );
  }
  return report;
}

function differences(wanted: DriveMode, report: ModeReport): string[] {
  const refused: string[] = [];
  if (report.blockLengthBytes !== wanted.blockLengthBytes) refused.push('block length');
  if (report.buffered !== wanted.buffered) refused.push('buffered mode');
  if (report.compression !== wanted.compression) refused.push('compression');
  if (report.appendOnly !== undefined && report.appendOnly !== wanted.appendOnly)
    refused.push('append-only mode');
  return refused;
}

async function sensePage(
  unit: LogicalUnit,
  name: PageName,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  const { page, subpage, lengthBytesMin } = MODE_PAGE[name];
  const parameters = await sense(unit, { page, subpage }, signal);
  return parameters?.pages.find((sent) => {
    const isSubpage = (sent.readUInt8(0) & 0x40) !== 0;
    const isThis =
      (sent.readUInt8(0) & 0x3f) === page && (isSubpage ? sent.readUInt8(1) : 0) === subpage;
    return isThis && sent.length >= lengthBytesMin;
  });
}

/** MODE SENSE(10), current values. Undefined where the drive has no such page. */
async function sense(
  unit: LogicalUnit,
  at: { page: number; subpage: number },
  signal: AbortSignal,
): Promise<ModeParameters | undefined> {
  const dataIn = Buffer.alloc(512);
  const cdb = [0x5a, 0, at.page, at.subpage, 0, 0, 0, dataIn.length >> 8, dataIn.length & 0xff, 0];
  for (let attempt = 1; ; attempt += 1) {
    const answer = await unit.send({ cdb, dataIn }, signal);
    if (isDone(answer.sense)) {
      const parameters = parseModeParameters(answer.data);
      if (parameters) return parameters;
      throw unit.fail('its mode parameters contradict themselves');
    }
    const key = answer.sense?.key;
    if (key === SENSE_KEY.illegalRequest) return undefined;
    if (key !== SENSE_KEY.unitAttention || attempt >= UNIT_ATTENTIONS_MAX) {
      throw unit.fail(`reading its mode: ${answer.sense ? describeSense(answer.sense) : ''}`);
    }
  }
}

/** MODE SELECT(10), PF set. A unit attention here means a reset in between: the whole setting up starts again above. */
async function select(unit: LogicalUnit, parameters: Buffer, signal: AbortSignal): Promise<void> {
  const cdb = [0x55, 0x10, 0, 0, 0, 0, 0, parameters.length >> 8, parameters.length & 0xff, 0];
  const { sense: answer } = await unit.send({ cdb, dataOut: parameters }, signal);
  if (!isDone(answer)) throw unit.fail(`setting its mode: ${answer ? describeSense(answer) : ''}`);
}
