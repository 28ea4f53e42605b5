/** MODE SELECT(10) of the virtual drive: what the parameters ask for, or why not. */
import { type Answer, INVALID_PARAMETER, illegalRequest } from './answer.ts';
import type { ModeState } from './drive-pages.ts';

const PARAMETER_LIST_LENGTH = illegalRequest(0x1a00);

/** The mode after the command; nothing of it counts when any part is refused. */
export function modeSelect(list: Buffer, before: ModeState): ModeState | Answer {
  if (list.length < 8) return PARAMETER_LIST_LENGTH;
  const descriptorBytes = list.readUInt16BE(6);
  if (list.length < 8 + descriptorBytes) return PARAMETER_LIST_LENGTH;
  // Blocks are of variable length only.
  if (descriptorBytes >= 8 && list.readUIntBE(13, 3) !== 0) return INVALID_PARAMETER;
  // Buffered mode 2h and above is for several initiators.
  const bufferedMode = (list.readUInt8(3) >> 4) & 0x07;
  if (bufferedMode > 1) return INVALID_PARAMETER;
  const mode = { ...before, buffered: bufferedMode === 1 };
  for (let at = 8 + descriptorBytes; at < list.length; ) {
    const page = pageAt(list, at);
    if (!page) return PARAMETER_LIST_LENGTH;
    if (!applyPage(page, mode)) return INVALID_PARAMETER;
    at += page.length;
  }
  return mode;
}

export function isRefusal(result: ModeState | Answer): result is Answer {
  return 'sense' in result;
}

function pageAt(list: Buffer, at: number): Buffer | undefined {
  const isSubpage = (list.readUInt8(at) & 0x40) !== 0;
  const headBytes = isSubpage ? 4 : 2;
  if (at + headBytes > list.length) return undefined;
  const bodyBytes = isSubpage ? list.readUInt16BE(at + 2) : list.readUInt8(at + 1);
  const page = list.subarray(at, at + headBytes + bodyBytes);
  return page.length === headBytes + bodyBytes ? page : undefined;
}

function applyPage(page: Buffer, mode: ModeState): boolean {
  const code = page.readUInt8(0) & 0x7f;
  if (code === 0x0f && page.length >= 3) {
    mode.compression = (page.readUInt8(2) & 0x80) !== 0;
    return true;
  }
  if (code === 0x50 && page.length >= 8 && page.readUInt8(1) === 0x01) {
    const writeMode = page.readUInt8(5) >> 4;
    if (writeMode > 1) return false;
    mode.appendOnly = writeMode === 1;
    mode.programmableEarlyWarningMb = page.readUInt16BE(6);
    return true;
  }
  // Device configuration: taken, and nothing of it changes how this drive writes.
  return code === 0x10;
}
