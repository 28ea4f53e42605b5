/** TapeAlert: 64 flags by which a drive or library says what is wrong (SSC-4 annex A, SMC-3 annex A). */
import type { LogPage } from './log.ts';

/** Flags that a person has to act on, in words. The others are reported by number. */
export const TAPE_ALERTS: ReadonlyMap<number, string> = new Map([
  [1, 'the drive has trouble reading'],
  [2, 'the drive has trouble writing'],
  [3, 'hard error: data could not be read or written'],
  [4, 'the cartridge is no longer reliable: copy what is on it and retire it'],
  [5, 'read failure: the cartridge or the drive is faulty'],
  [6, 'write failure: the cartridge or the drive is faulty'],
  [7, 'the cartridge has reached the end of its calculated life'],
  [8, 'not a data-grade cartridge'],
  [9, 'write protected'],
  [10, 'the cartridge cannot be ejected while in use'],
  [11, 'cleaning cartridge in the drive'],
  [15, 'the memory chip of the cartridge failed'],
  [16, 'the cartridge was ejected by force'],
  [19, 'the cartridge is near the end of its life'],
  [20, 'clean the drive now'],
  [21, 'clean the drive soon'],
  [22, 'the cleaning cartridge is used up'],
  [23, 'not a cleaning cartridge this drive takes'],
  [30, 'drive hardware: reset it, then call service'],
  [31, 'drive hardware: power it off and on, then call service'],
  [36, 'the drive is too hot'],
  [39, 'the drive asks for diagnosis'],
  [51, 'the directory on the tape was invalid when unloading: it is rebuilt at the next load'],
  [52, 'the system area could not be written when unloading'],
  [53, 'the system area could not be read when loading'],
  [55, 'the cartridge could not be loaded'],
  [56, 'the cartridge could not be unloaded'],
  [59, 'a write-once cartridge failed its integrity check'],
  [60, 'overwriting a write-once cartridge was attempted'],
]);

/** The flags set in log page 2Eh, ascending. Reading the page clears them in the drive: keep the result. */
export function tapeAlerts(page: LogPage): number[] {
  return [...page]
    .filter(([flag, value]) => flag >= 1 && flag <= 64 && value.some((byte) => (byte & 1) !== 0))
    .map(([flag]) => flag)
    .sort((a, b) => a - b);
}
