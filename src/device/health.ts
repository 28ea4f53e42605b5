/** What a drive says of its own health and of the cartridge in it, from its log pages. */

import { counter, LOG_PAGE, type LogPage, parseLogPage } from './log.ts';
import { isDone, type LogicalUnit, UNIT_ATTENTIONS_MAX } from './logical-unit.ts';
import { describeSense, SENSE_KEY } from './sense.ts';
import { tapeAlerts } from './tape-alert.ts';

/** Undefined fields: the drive keeps no such counter, or there is no cartridge. Megabytes are 10^6, MiB 2^20 bytes. */
export type Health = {
  /** TapeAlert flags set since the last reading, which cleared them. */
  readonly alerts: readonly number[];
  readonly cleaningRequired: boolean | undefined;
  readonly write: ErrorCounts;
  readonly read: ErrorCounts;
  readonly cartridge: {
    readonly loads: number | undefined;
    readonly writtenMb: number | undefined;
    readonly readMb: number | undefined;
    /** Times the drive had to stop because data came too slowly. */
    readonly suspendedWrites: number | undefined;
    readonly remainingMib: number | undefined;
    readonly maximumMib: number | undefined;
  };
};

export type ErrorCounts = {
  readonly corrected: number | undefined;
  readonly uncorrected: number | undefined;
};

const ALLOCATION_BYTES = 8192;

/**
 * Reads all health pages at once. TapeAlert flags are cleared by it: record the result.
 * @throws CodedError DRIVE_FAILED
 */
export async function readHealth(unit: LogicalUnit, signal: AbortSignal): Promise<Health> {
  const alerts = await readLogPage(unit, LOG_PAGE.tapeAlert, signal);
  const access = await readLogPage(unit, LOG_PAGE.sequentialAccess, signal);
  const volume = await readLogPage(unit, LOG_PAGE.volumeStatistics, signal);
  const capacity = await readLogPage(unit, LOG_PAGE.tapeCapacity, signal);
  // SSC-4 table 73: parameter 0100h is non-zero when cleaning is asked for.
  const cleaning = counter(access, 0x0100);
  return {
    alerts: tapeAlerts(alerts),
    cleaningRequired: cleaning === undefined ? undefined : cleaning !== 0,
    write: errorCounts(await readLogPage(unit, LOG_PAGE.writeErrors, signal)),
    read: errorCounts(await readLogPage(unit, LOG_PAGE.readErrors, signal)),
    // SSC-4 table 83 (volume statistics) and table 89 (tape capacity)
    cartridge: {
      loads: counter(volume, 0x0001),
      suspendedWrites: counter(volume, 0x0005),
      writtenMb: counter(volume, 0x0010),
      readMb: counter(volume, 0x0011),
      remainingMib: counter(capacity, 0x0001),
      maximumMib: counter(capacity, 0x0003),
    },
  };
}

/** LOG SENSE, cumulative values. Empty where the drive does not keep the page or has no cartridge for it. */
export async function readLogPage(
  unit: LogicalUnit,
  page: number,
  signal: AbortSignal,
): Promise<LogPage> {
  const dataIn = Buffer.alloc(ALLOCATION_BYTES);
  // PC = 01b: cumulative values (SPC-4 table 179)
  const cdb = [0x4d, 0, 0x40 | page, 0, 0, 0, 0, dataIn.length >> 8, dataIn.length & 0xff, 0];
  for (let attempt = 1; ; attempt += 1) {
    const { sense, data } = await unit.send({ cdb, dataIn }, signal);
    if (isDone(sense)) {
      const parsed = parseLogPage(data, page);
      if (parsed) return parsed;
      throw unit.fail(`log page ${page.toString(16)}h contradicts itself`);
    }
    const isAbsent = sense?.key === SENSE_KEY.illegalRequest || sense?.key === SENSE_KEY.notReady;
    if (isAbsent && !sense.deferred) return new Map();
    if (sense?.key !== SENSE_KEY.unitAttention || attempt >= UNIT_ATTENTIONS_MAX) {
      throw unit.fail(`log page ${page.toString(16)}h: ${sense ? describeSense(sense) : ''}`);
    }
  }
}

/** SPC-4 table 183: 0003h all errors corrected, 0006h all errors not corrected. */
function errorCounts(page: LogPage): ErrorCounts {
  return { corrected: counter(page, 0x0003), uncorrected: counter(page, 0x0006) };
}
