/** How a drive is set up before anything of ours is written. */
import type { WantedMode } from '../device/drive-mode.ts';

/**
 * Blocks of any length, as they are: the drive's own compression would make its capacity a guess. Append-only is the
 * drive's guard behind ours; its early warning comes where the drive itself puts it, unless an archive asks for more.
 */
export const WRITING_MODE = {
  blockLengthBytes: 0,
  buffered: true,
  compression: false,
  appendOnly: true,
  programmableEarlyWarningMb: 0,
} as const satisfies WantedMode;
