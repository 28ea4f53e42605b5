/** The port through which all SCSI goes: native/scsi and the virtual library stand behind it alike. */

/** One command. At most one of the two buffers is given; it must not be touched until the reply is there. */
export type ScsiCommand = {
  /** Command descriptor block, 6, 10, 12 or 16 bytes. */
  readonly cdb: Uint8Array;
  /** How long the device may take. Too short a time starts the kernel's recovery, which resets the bus. */
  readonly timeoutMs: number;
  /** Filled by the device. `residualBytes` of the reply says how much of its end was not. */
  readonly dataIn?: Uint8Array;
  /** Sent to the device. */
  readonly dataOut?: Uint8Array;
};

/** What came back. Raw on purpose: what it means is decided in sense.ts and condition.ts. */
export type ScsiReply = {
  /** SAM-5 status: 00h GOOD, 02h CHECK CONDITION, 08h BUSY, 18h RESERVATION CONFLICT, 28h TASK SET FULL. */
  readonly status: number;
  /** Linux DID_* (include/scsi/scsi_status.h); anything but 0 means nobody knows what the device did. */
  readonly hostStatus: number;
  /** Linux DRIVER_* with suggestions; 08h only says that sense data are there. */
  readonly driverStatus: number;
  /** Sense data as sent, empty where there are none. */
  readonly sense: Uint8Array;
  /** Bytes of the buffer that were not transferred, 0 or more. */
  readonly residualBytes: number;
};

/** The one door to a SCSI device. native/scsi implements it; device/virtual answers the same commands. */
export interface ScsiPort {
  /** The device as people know it, for messages: `/dev/sg3`, `virtual drive 0`. */
  readonly name: string;
  /**
   * Sends one CDB. Resolves for GOOD and CHECK CONDITION alike. Commands of one port go out one at a time, in call order.
   * An abort drops a command that was not sent yet; one that was runs to its end, for a robot cannot be stopped in mid-move.
   * @throws CodedError DEVICE_MISSING, DEVICE_UNSUITABLE when the kernel refused to send it; the abort reason.
   */
  execute(command: ScsiCommand, signal: AbortSignal): Promise<ScsiReply>;
  /** Lets go of the device after the command under way. May be called twice. */
  close(): Promise<void>;
}
