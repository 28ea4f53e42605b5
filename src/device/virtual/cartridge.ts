/** A virtual cartridge: its tape and its memory chip, two files named by the cartridge. */
import { strict as assert } from 'node:assert';
import { join } from 'node:path';
import { z } from 'zod';
import { GENERATION_NAMES, GENERATIONS, type Generation } from '../../domain/generation.ts';
import type { Attribute } from '../attribute.ts';
import { cartridgeNameSchema, countSchema, readJson, writeJson } from './json-file.ts';
import { TapFile } from './tap-file.ts';

const cartridgeSchema = z.object({
  revision: z.literal(1),
  serial: z.string(),
  generation: z.enum(GENERATION_NAMES),
  kind: z.enum(['data', 'worm', 'cleaning']),
  capacityBytes: z.int().positive(),
  /** How long before its end the drive warns; left out: as of most. */
  earlyWarningBytes: countSchema.optional(),
  writeProtected: z.boolean(),
  loads: countSchema,
  bytesWritten: countSchema,
  bytesRead: countSchema,
  /** Counts sessions that wrote: MAM 0009h. */
  changeReference: countSchema,
  /** Host attributes by identifier, hexadecimal. */
  attributes: z.record(
    z.string().regex(/^[0-9a-f]{4}$/),
    z.object({
      format: z.enum(['binary', 'ascii', 'text']),
      value: z.string().regex(/^(?:[0-9a-f]{2})*$/),
    }),
  ),
  /** Set while a drive has it threaded; left behind by a crash or a power cut. */
  threadedBoot: z.string().optional(),
  /** Behind the end lie bytes that a power cut or a failed disk left, whole or not: never to be taken over. */
  mistrustsTail: z.literal(true).optional(),
});

export type CartridgeRecord = z.infer<typeof cartridgeSchema>;

export class VirtualCartridge {
  readonly name: string;
  readonly #directory: string;
  readonly tape: TapFile;
  /** The process before was killed, or the power failed, while the tape was threaded. */
  readonly wasLeftThreaded: boolean;
  record: CartridgeRecord;

  private constructor(directory: string, name: string, record: CartridgeRecord, tape: TapFile) {
    this.wasLeftThreaded = record.threadedBoot !== undefined;
    this.#directory = directory;
    this.name = name;
    this.record = record;
    this.tape = tape;
  }

  static async create(directory: string, name: string, record: CartridgeRecord): Promise<void> {
    await writeJson(recordPath(directory, name), record, cartridgeSchema);
  }

  /**
   * Threads the tape.
   * @param bootId names the running kernel: records that were not confirmed survive a crash within it, not a power cut
   */
  static async open(directory: string, name: string, bootId: string): Promise<VirtualCartridge> {
    const record = await readJson(recordPath(directory, name), cartridgeSchema);
    const isSameBoot = record.threadedBoot === undefined || record.threadedBoot === bootId;
    const keepUnsynced = isSameBoot && !record.mistrustsTail;
    const tape = await TapFile.open(join(directory, `${name}.tap`), { keepUnsynced });
    const cartridge = new VirtualCartridge(directory, name, record, tape);
    try {
      const mistrusts = !keepUnsynced && { mistrustsTail: true as const };
      await cartridge.save({ threadedBoot: bootId, ...mistrusts });
    } catch (error) {
      await tape.close();
      throw error;
    }
    return cartridge;
  }

  get generation(): Generation {
    return GENERATIONS[this.record.generation];
  }

  async save(change: Partial<CartridgeRecord>): Promise<void> {
    const record = { ...this.record, ...change };
    await writeJson(recordPath(this.#directory, this.name), record, cartridgeSchema);
    this.record = record;
  }

  /**
   * Everything written is on disk when this resolves, but what a tape that had failed before has already lost.
   * When it rejects the files are closed all the same, and what was not confirmed is lost.
   */
  async close(): Promise<void> {
    try {
      if (!this.tape.failure) await this.tape.sync();
    } finally {
      try {
        await this.#unthread();
      } finally {
        await this.tape.close();
      }
    }
  }

  async #unthread(): Promise<void> {
    const { threadedBoot: _, mistrustsTail, ...rest } = this.record;
    const mistrusts = this.tape.hasTail && (mistrustsTail || this.tape.failure !== undefined);
    const record = { ...rest, ...(mistrusts && { mistrustsTail: true as const }) };
    await writeJson(recordPath(this.#directory, this.name), record, cartridgeSchema);
    this.record = record;
  }

  /** Lets go as a power cut does: nothing more is confirmed. */
  async drop(): Promise<void> {
    await this.tape.close();
  }

  attributes(): Attribute[] {
    return Object.entries(this.record.attributes).map(([id, { format, value }]) => ({
      id: Number.parseInt(id, 16),
      format,
      value: Buffer.from(value, 'hex'),
    }));
  }

  /** On the chip when this resolves; an empty value deletes. */
  async writeAttributes(attributes: Iterable<Attribute>): Promise<void> {
    const stored = { ...this.record.attributes };
    for (const { id, format, value } of attributes) {
      const key = id.toString(16).padStart(4, '0');
      if (value.length === 0) delete stored[key];
      else stored[key] = { format, value: value.toString('hex') };
    }
    await this.save({ attributes: stored });
  }
}

function recordPath(directory: string, name: string): string {
  assert(cartridgeNameSchema.safeParse(name).success, `not a cartridge's name: ${name}`);
  return join(directory, `${name}.json`);
}
