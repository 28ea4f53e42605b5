/**
 * Planned faults: what goes wrong, where, when, once. For tests and simulations only; nothing on the command line leads
 * here.
 *
 * Legal faults are those the product promises to survive: refusals with any sense, late and deferred errors, slowness,
 * silence, resets, power cuts, flipped bits, jams, and cartridges or stickers exchanged by people. A fault never makes a
 * drive lie about a filemark it confirmed. Every planned fault must fire, or the test that planned it proves nothing.
 */
import { strict as assert } from 'node:assert';

export type FaultOperation =
  | 'read'
  | 'write'
  | 'filemark'
  | 'locate'
  | 'space'
  | 'rewind'
  | 'load'
  | 'unload'
  | 'position' // READ POSITION
  | 'move'
  | 'any';

export type FaultEffect =
  /** The command is not executed. */
  | {
      readonly kind: 'sense';
      readonly key: number;
      readonly code: number;
      readonly deferred?: boolean;
      readonly endOfMedium?: boolean;
    }
  /**
   * This write and all behind it are accepted and lost; the deferred sense comes `afterCommands` later, or with the first
   * command that needs the buffer on tape.
   */
  | {
      readonly kind: 'late-write-error';
      readonly key: number;
      readonly code: number;
      readonly afterCommands: number;
    }
  /** The command is executed, `ms` later. */
  | { readonly kind: 'delay'; readonly ms: number }
  /** No answer until the timeout; then the kernel's recovery resets the drive. */
  | { readonly kind: 'hang' }
  /** The drive loses power; of the records that were not confirmed, the first `survivors` are on tape. */
  | { readonly kind: 'power-loss'; readonly survivors: number }
  /**
   * Somebody resets the drive before this command: it rewinds. `swallowed`: a third one has seen the unit attention; that
   * takes longer than the moment between a READ POSITION and the WRITE behind it, so it is legal on 'position' alone.
   */
  | { readonly kind: 'reset'; readonly swallowed: boolean }
  /** One bit of the block read is delivered wrong. */
  | { readonly kind: 'bit-flip'; readonly byte: number; readonly bit: number }
  /** The picker fails mechanically, this time and `moves - 1` more. */
  | { readonly kind: 'jam'; readonly moves: number }
  /** After the move, a person exchanges the cartridges of two elements, stickers and all. */
  | { readonly kind: 'swap'; readonly elements: readonly [number, number] }
  /** After the move, the sticker of the cartridge in an element reads otherwise. */
  | { readonly kind: 'relabel'; readonly element: number; readonly barcode: string | undefined }
  /** The drive sets a TapeAlert flag, 1 to 64. */
  | { readonly kind: 'tape-alert'; readonly flag: number };

export type Fault = {
  /** What the scenario means by it, for the message when it does not fire. */
  readonly note: string;
  readonly on: FaultOperation;
  /** Only on this drive, counted from 0. */
  readonly drive?: number;
  /** Only with this cartridge (the name of its files). */
  readonly cartridge?: string;
  /** Only at this block. */
  readonly atBlock?: number;
  /** The how-manieth matching operation, from 1. Default: the first. */
  readonly atCount?: number;
  /** Not before this many bytes went through matching operations. */
  readonly afterBytes?: number;
  readonly effect: FaultEffect;
};

/** Where an operation takes place. */
export type FaultContext = {
  readonly on: Exclude<FaultOperation, 'any'>;
  readonly drive?: number | undefined;
  readonly cartridge?: string | undefined;
  readonly block?: number | undefined;
  readonly bytes?: number | undefined;
};

/** The operation an effect belongs to, or `drive` for any of a drive's; `sense` and `delay` go with all. */
const PLACES: Partial<Record<FaultEffect['kind'], FaultOperation | 'drive'>> = {
  'late-write-error': 'write',
  hang: 'drive',
  'power-loss': 'drive',
  reset: 'drive',
  'bit-flip': 'read',
  jam: 'move',
  swap: 'move',
  relabel: 'move',
  'tape-alert': 'drive',
};

type Planned = { readonly fault: Fault; count: number; bytes: number; fired: boolean };

export class FaultPlan {
  readonly #planned: Planned[] = [];

  add(fault: Fault): void {
    const isSwallowed = fault.effect.kind === 'reset' && fault.effect.swallowed;
    assert(
      !isSwallowed || fault.on === 'position',
      `not a fault we promise to survive: ${fault.note}`,
    );
    const { kind } = fault.effect;
    const place = PLACES[kind];
    assert(
      place === undefined || (place === 'drive' ? fault.on !== 'move' : fault.on === place),
      `a ${kind} on ${fault.on} would fire and do nothing: ${fault.note}`,
    );
    this.#planned.push({ fault, count: 0, bytes: 0, fired: false });
  }

  /** The effect that is due with this operation; it fires once. The first planned wins, others wait for the next. */
  due(context: FaultContext): FaultEffect | undefined {
    let due: Planned | undefined;
    for (const planned of this.#planned) {
      if (planned.fired || !matches(planned.fault, context)) continue;
      planned.count += 1;
      const isTime = planned.count >= (planned.fault.atCount ?? 1);
      const isFar = planned.bytes >= (planned.fault.afterBytes ?? 0);
      planned.bytes += context.bytes ?? 0;
      if (isTime && isFar && !due) due = planned;
    }
    if (due) due.fired = true;
    return due?.fault.effect;
  }

  /** Notes of the faults that have not fired yet. A test ends with none. */
  unfired(): string[] {
    return this.#planned.filter(({ fired }) => !fired).map(({ fault }) => fault.note);
  }
}

function matches(fault: Fault, context: FaultContext): boolean {
  return (
    (fault.on === 'any' || fault.on === context.on) &&
    (fault.drive === undefined || fault.drive === context.drive) &&
    (fault.cartridge === undefined || fault.cartridge === context.cartridge) &&
    (fault.atBlock === undefined || fault.atBlock === context.block)
  );
}
