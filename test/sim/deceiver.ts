/**
 * Somebody who deceives: between two commands stickers change cartridges, an older state of a cartridge comes back in place of
 * the newer one, one is copied under another's sticker, labels are forged. What is done to a cartridge is done to its files, with
 * no drive of ours about.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { buildLabel, type Label, parseLabel } from '../../src/archive/label.ts';
import { CodedError } from '../../src/base/errors.ts';
import type { Random } from '../../src/base/random.ts';
import type { Catalog } from '../../src/catalog/catalog.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import { readJson, writeJson } from '../../src/device/virtual/json-file.ts';
import { TapImage } from './check-archives.ts';

const LIBRARY = z.looseObject({
  elements: z.array(
    z.looseObject({
      type: z.string(),
      address: z.int(),
      cartridge: z.string().optional(),
      barcode: z.string().optional(),
      source: z.int().optional(),
    }),
  ),
  drives: z.array(z.looseObject({ threaded: z.unknown().optional(), unloaded: z.boolean() })),
});
const CHIP = z.looseObject({ serial: z.string(), attributes: z.record(z.string(), z.unknown()) });
type Chip = z.infer<typeof CHIP>;

type State = { readonly tape: Buffer; readonly chip: Chip };

export class Deceiver {
  readonly #directory: string;
  readonly #catalog: Catalog;
  readonly #random: Random;
  /** Older states of each cartridge. */
  readonly #kept: { readonly name: string; readonly state: State }[] = [];

  constructor(directory: string, catalog: Catalog, random: Random) {
    this.#directory = directory;
    this.#catalog = catalog;
    this.#random = random;
  }

  /** All cartridges go back to their slots, as a person empties a library. */
  async emptyDrives(): Promise<void> {
    await this.#change(({ elements, drives }) => {
      for (const drive of elements.filter(({ type }) => type === 'drive')) {
        const { cartridge, barcode } = drive;
        if (cartridge === undefined) continue;
        const slot = elements.find((one) => one.type === 'slot' && one.cartridge === undefined);
        if (!slot) throw new Error('no slot is free');
        Object.assign(slot, { cartridge, barcode });
        for (const field of ['cartridge', 'barcode', 'source'] as const)
          Reflect.deleteProperty(drive, field);
      }
      for (const drive of drives) {
        Reflect.deleteProperty(drive, 'threaded');
        drive.unloaded = false;
      }
    });
  }

  /** A state that may come back later. */
  async keepOne(): Promise<void> {
    const name = this.#any();
    this.#kept.push({ name, state: await this.#stateOf(name) });
  }

  /** @returns what was done, in words */
  async deceive(): Promise<string> {
    const ways = [
      () => this.#swapStickers(),
      () => this.#replay(),
      () => this.#replay(),
      () => this.#copyOver(),
      () => this.#forge(),
      () => this.#writeMore(),
      () => this.#empty(),
    ];
    return (await ways[this.#random.below(ways.length)]?.()) ?? 'nothing';
  }

  async #swapStickers(): Promise<string> {
    let said = '';
    await this.#change(({ elements }) => {
      const full = elements.filter(({ cartridge }) => cartridge !== undefined);
      const [one, other] = [full, full].map((all) => all[this.#random.below(all.length)]);
      if (!one || !other) throw new Error('the library is empty');
      [one.barcode, other.barcode] = [other.barcode, one.barcode];
      said = `${one.cartridge} has the sticker ${one.barcode}, ${other.cartridge} ${other.barcode}`;
    });
    return said;
  }

  async #replay(): Promise<string> {
    const kept = this.#kept[this.#random.below(this.#kept.length)];
    if (!kept) return 'nothing';
    const isWithChip = this.#random.below(2) === 0;
    const chip = isWithChip ? kept.state.chip : (await this.#stateOf(kept.name)).chip;
    await this.#put(kept.name, { tape: kept.state.tape, chip });
    return `${kept.name} is as it was before${isWithChip ? ', its chip too' : ''}`;
  }

  async #copyOver(): Promise<string> {
    const [from, to] = [this.#any(), this.#any()];
    if (from === to) return 'nothing';
    const [source, target] = [await this.#stateOf(from), await this.#stateOf(to)];
    const isWithChip = this.#random.below(2) === 0;
    const attributes = isWithChip ? source.chip.attributes : target.chip.attributes;
    await this.#put(to, { tape: source.tape, chip: { ...target.chip, attributes } });
    return `${to} is a copy of ${from}${isWithChip ? ', its chip too' : ''}`;
  }

  /** The label of another medium, of a stranger or of none before what lies on a cartridge. */
  async #forge(): Promise<string> {
    const name = this.#any();
    const { tape, chip } = await this.#stateOf(name);
    const image = new TapImage(tape);
    if (image.lengthBlocks < 2) return 'nothing';
    const media = new Media(this.#catalog).list().filter(({ uuid }) => uuid !== undefined);
    const medium = media[this.#random.below(media.length)];
    const kind = this.#random.below(3);
    const forged =
      kind === 0
        ? Buffer.alloc(4096)
        : labelFor(image, (label) => ({
            ...label,
            barcode:
              this.#random.below(2) === 0 ? label.barcode : (medium?.barcode ?? label.barcode),
            uuid: kind === 1 ? this.#random.uuid() : (medium?.uuid ?? label.uuid),
          }));
    if (!forged) return 'nothing';
    await this.#put(name, { tape: beginningWith(forged, tape), chip });
    const whose = ['zeros', 'a stranger', medium?.barcode][kind];
    return `${name} begins with a label of ${whose}`;
  }

  /** As if another state of us had written there: the last tape file once more. */
  async #writeMore(): Promise<string> {
    const name = this.#any();
    const { tape, chip } = await this.#stateOf(name);
    const image = new TapImage(tape);
    const marks = Array.from({ length: image.lengthBlocks }, (_, at) => at).filter(
      (at) => image.block(at).length === 0,
    );
    const [last, before] = [marks.at(-1), marks.at(-2)];
    if (last === undefined || before === undefined) return 'nothing';
    const file = tape.subarray(image.before(before + 1).length, image.before(last + 1).length);
    await this.#put(name, { tape: Buffer.concat([image.before(last + 1), file]), chip });
    return `${name} has its last tape file twice`;
  }

  async #empty(): Promise<string> {
    if (this.#random.below(3) > 0) return 'nothing';
    const name = this.#any();
    const { chip } = await this.#stateOf(name);
    await this.#put(name, { tape: Buffer.alloc(0), chip });
    return `${name} is blank`;
  }

  /** Mostly one that has been written to. */
  #any(): string {
    const all = new Media(this.#catalog).list();
    const used = all.filter(({ nextBlock }) => nextBlock > 0);
    const some = used.length > 0 && this.#random.below(4) > 0 ? used : all;
    const medium = some[this.#random.below(some.length)];
    if (!medium) throw new Error('there are no media');
    return medium.barcode;
  }

  async #stateOf(name: string): Promise<State> {
    const path = join(this.#directory, `${name}.tap`);
    const tape = existsSync(path) ? readFileSync(path) : Buffer.alloc(0);
    return { tape, chip: await readJson(join(this.#directory, `${name}.json`), CHIP) };
  }

  async #put(name: string, { tape, chip }: State): Promise<void> {
    const path = join(this.#directory, `${name}.tap`);
    writeFileSync(path, tape);
    rmSync(`${path}.index`, { force: true });
    await writeJson(join(this.#directory, `${name}.json`), chip);
  }

  async #change(change: (library: z.infer<typeof LIBRARY>) => void): Promise<void> {
    const path = join(this.#directory, 'library.json');
    const library = await readJson(path, LIBRARY);
    change(library);
    await writeJson(path, library);
  }
}

/** A tape with other bytes, in blocks of 4 KiB, where its first tape file was. */
export function beginningWith(bytes: Buffer, tape: Buffer): Buffer {
  const image = new TapImage(tape);
  let behind = 0;
  while (behind < image.lengthBlocks && image.block(behind).length > 0) behind += 1;
  return Buffer.concat([...records(bytes, 4096), tape.subarray(image.before(behind).length)]);
}

/** Undefined where no label of ours stands there. */
function labelFor(image: TapImage, change: (label: Label) => Label): Buffer | undefined {
  try {
    return buildLabel(change(parseLabel(image.block(0))));
  } catch (error) {
    if (error instanceof CodedError) return undefined;
    throw error;
  }
}

/** As SIMH has them. */
function records(bytes: Buffer, blockBytes: number): Buffer[] {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(blockBytes);
  return Array.from({ length: bytes.length / blockBytes }, (_, at) =>
    Buffer.concat([length, bytes.subarray(at * blockBytes, (at + 1) * blockBytes), length]),
  );
}
