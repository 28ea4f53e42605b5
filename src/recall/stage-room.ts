/** How much the stage may hold, and what goes to make room: what was read longest ago, and what nobody uses. */
import type { Clock } from '../base/clock.ts';
import { CodedError, errnoOf } from '../base/errors.ts';
import type { RunStage } from '../catalog/run-db/stage.ts';
import type { StageUsers } from './stage-users.ts';

export type RoomTools = {
  readonly directory: string;
  /** What all files together may take of the disk, in bytes. */
  readonly limitBytes: number;
  readonly rows: RunStage;
  readonly clock: Clock;
  readonly users: StageUsers;
  /** Takes a file from its name. */
  putAway(hash: Buffer): void;
  /** Lets go of what nobody holds any more, and says what is held here. */
  refresh(): void;
};

/** What was read ahead is kept so long for who comes to read it. */
const AHEAD_KEPT_MS = 3_600_000;
/** After a full disk the stage grows no more for so long. */
const LOWERED_MS = 10 * 60_000;

export class StageRoom {
  readonly #tools: RoomTools;
  /** What the disk could take when it was full; undefined when that is long ago. */
  #lowered: { readonly limitBytes: number; readonly atMs: number } | undefined;

  constructor(tools: RoomTools) {
    this.#tools = tools;
  }

  /** As the config has it, or less for a while after the disk was full. */
  get limitBytes(): number {
    const { limitBytes, clock } = this.#tools;
    if (!this.#lowered) return limitBytes;
    if (clock.monotonicMs() - this.#lowered.atMs > LOWERED_MS) this.#lowered = undefined;
    return Math.min(limitBytes, this.#lowered?.limitBytes ?? limitBytes);
  }

  /** @returns false where all that is there has to stay for now. @throws CodedError STAGE_FULL where it never fits */
  make(bytes: number, isAhead: boolean): boolean {
    const { rows, refresh } = this.#tools;
    if (bytes > this.limitBytes) throw this.full(bytes);
    const hasRoom = () => rows.totalBytes + bytes <= this.limitBytes;
    this.#evict(hasRoom, isAhead);
    if (hasRoom()) return true;
    refresh();
    this.#evict(hasRoom, isAhead);
    return hasRoom();
  }

  /** Why so many bytes do not fit. */
  full(bytes: number): CodedError {
    const { directory, rows } = this.#tools;
    return new CodedError(
      'STAGE_FULL',
      `the stage ${directory} may hold ${this.limitBytes} bytes, of which ${rows.totalBytes} are in use; ${bytes} more do not fit; set [stage] size, or let \`shelfs restore\` bring it, which takes no stage`,
      { path: directory },
    );
  }

  /** What the file system refused, named; a full disk lowers the limit to what it could take. */
  failure(error: unknown): unknown {
    const { directory, rows, clock } = this.#tools;
    const errno = errnoOf(error);
    if (error instanceof CodedError || errno === undefined) return error;
    const facts = { path: directory, errno, cause: error };
    if (errno !== 'ENOSPC' && errno !== 'EDQUOT')
      return new CodedError('STAGE_FAILED', `the stage ${directory}: ${errno}`, facts);
    // With nothing there to make room, it is others who fill the disk: to keep smaller would help nobody.
    const limitBytes = rows.completeBytes;
    if (limitBytes > 0) this.#lowered = { limitBytes, atMs: clock.monotonicMs() };
    const sentence = `the disk of the stage ${directory} is full; it is kept smaller for a while; make room, or set [stage] directory`;
    return new CodedError('STAGE_FULL', sentence, facts);
  }

  /** Until there is room, or nothing more may go. */
  #evict(hasRoom: () => boolean, isAhead: boolean): void {
    const { rows, clock, users, putAway } = this.#tools;
    const aheadMs = isAhead ? clock.nowMs() - AHEAD_KEPT_MS : Number.MAX_SAFE_INTEGER;
    for (const kind of ['used', 'ahead'] as const) {
      while (!hasRoom()) {
        const victims = rows.victims(kind, aheadMs);
        const found = victims.filter(({ hash }) => !users.has(hash));
        if (found.length === 0) break;
        for (const { hash } of found) {
          if (hasRoom()) break;
          putAway(hash);
          rows.remove(hash);
        }
      }
    }
  }
}
