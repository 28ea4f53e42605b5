/**
 * How long a command may take.
 *
 * Too long costs nothing but patience; too short starts the kernel's error recovery, whose reset rewinds every drive
 * behind the adapter. So a device's own recommendation is taken only where it is longer than ours or the class is ours
 * by guess.
 */
const MINUTE_MS = 60_000;

/** Milliseconds by class, from the LTO drives' SCSI references: the longest any maker recommends, rounded up. */
const INQUIRY_MS = 2 * MINUTE_MS;
const MEDIUM_MS = 60 * MINUTE_MS;
const LOAD_MS = 180 * MINUTE_MS;

/** Opcodes that answer without moving a tape or a robot. */
const QUICK: ReadonlySet<number> = new Set([
  0x00, // TEST UNIT READY
  0x03, // REQUEST SENSE
  0x05, // READ BLOCK LIMITS
  0x12, // INQUIRY
  0x1a, // MODE SENSE(6)
  0x1e, // PREVENT ALLOW MEDIUM REMOVAL
  0x34, // READ POSITION
  0x4d, // LOG SENSE
  0x5a, // MODE SENSE(10)
  0x82, // ALLOW OVERWRITE
  0x8c, // READ ATTRIBUTE
  0x8d, // WRITE ATTRIBUTE
  0xa3, // MAINTENANCE IN
]);

const LOAD_UNLOAD = 0x1b;

/** Recommended timeouts in ms by opcode. */
export type RecommendedTimeouts = ReadonlyMap<number, number>;

export function timeoutMs(opcode: number, recommended: RecommendedTimeouts): number {
  const ours = QUICK.has(opcode) ? INQUIRY_MS : opcode === LOAD_UNLOAD ? LOAD_MS : MEDIUM_MS;
  return Math.max(ours, recommended.get(opcode) ?? 0);
}

/** A command that a device says it has. */
export type SupportedCommand = {
  readonly opcode: number;
  /** Undefined where the opcode is one command by itself. */
  readonly serviceAction: number | undefined;
  /** In ms; undefined where the device recommends none. */
  readonly timeoutMs: number | undefined;
};

/**
 * REPORT SUPPORTED OPERATION CODES with RCTD (SPC-4 6.27.2): descriptors of 8 bytes, each followed by 12 bytes of
 * timeouts where CTDP is set; SERVACTV says that the service action counts.
 */
export function parseSupportedCommands(bytes: Buffer): SupportedCommand[] {
  const commands: SupportedCommand[] = [];
  if (bytes.length < 4) return commands;
  const end = Math.min(bytes.length, 4 + bytes.readUInt32BE(0));
  for (let at = 4; at + 8 <= end; ) {
    const opcode = bytes.readUInt8(at);
    const flags = bytes.readUInt8(at + 5);
    const serviceAction = (flags & 0x01) !== 0 ? bytes.readUInt16BE(at + 2) : undefined;
    const hasTimeouts = (flags & 0x02) !== 0;
    at += 8;
    if (hasTimeouts && at + 12 > end) break;
    const ms = hasTimeouts ? bytes.readUInt32BE(at + 8) * 1000 : undefined;
    commands.push({ opcode, serviceAction, timeoutMs: ms });
    if (hasTimeouts) at += 12;
  }
  return commands;
}

/** The longest recommendation of an opcode's service actions counts. */
export function recommendedTimeouts(commands: readonly SupportedCommand[]): RecommendedTimeouts {
  const recommended = new Map<number, number>();
  for (const { opcode, timeoutMs: ms } of commands) {
    // More than a day is a broken answer, and setTimeout-like counters in kernels overflow on it.
    if (ms !== undefined && ms <= 24 * 60 * MINUTE_MS)
      recommended.set(opcode, Math.max(ms, recommended.get(opcode) ?? 0));
  }
  return recommended;
}
