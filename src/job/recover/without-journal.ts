/**
 * Archives whose journals cannot be read, told from their members' headers: as what their run had stored, by a backup; as what
 * belongs to whichever run names it, by a groom, whose members are the state of no time (archive/FORMAT.md section 5.6).
 */
import { printable } from '../../base/text.ts';
import type { Rebuild, ToldEntry } from '../../catalog/rebuild/rebuild.ts';
import type { Shelf } from '../../catalog/rebuild/shelf.ts';
import { Blocks } from './blocks.ts';
import { isOfMedium } from './inventory.ts';
import { PartsFound, type PartTools } from './parts.ts';
import { hashOfPrefix, type Salvaged, salvage } from './salvage.ts';
import { createdMs, type Standing } from './standing.ts';

export type SalvageTools = PartTools & {
  readonly shelf: Shelf;
};

export class WithoutJournal {
  readonly parts = new PartsFound();
  readonly #rebuild: Rebuild;
  readonly #tools: SalvageTools;
  /** As `groomsAmong` (standing.ts). */
  readonly #grooms: ReadonlySet<string>;
  #entries = 0;

  constructor(rebuild: Rebuild, grooms: ReadonlySet<string>, tools: SalvageTools) {
    this.#rebuild = rebuild;
    this.#grooms = grooms;
    this.#tools = tools;
  }

  /** Known from headers by now. */
  get entries(): number {
    return this.#entries;
  }

  /** @returns what of it is known now; undefined where it cannot be read at all */
  async salvage(one: Standing, signal: AbortSignal): Promise<Salvaged | undefined> {
    const { barcode, blockBytes } = one;
    const where = `${printable(barcode)}, tape file ${one.file}`;
    const held = await this.#tools.hold(barcode);
    try {
      const blocks = new Blocks(held.drive, blockBytes);
      const found = await this.#members(blocks, one, signal);
      const { entries, parts, broken, wholeBytes } = found;
      this.#entries += entries;
      const why = broken === undefined ? '' : `; it breaks off: ${broken}`;
      const more = parts > 0 ? `, and ${parts} parts of files` : '';
      this.#tools.warn(
        `${where}: no journal; ${entries} members${more} are known from their headers${printable(why)}`,
      );
      if (entries + parts > 0) {
        const blake3 = await hashOfPrefix(blocks, one.startBlock, wholeBytes, signal);
        const whole = { mediumId: one.mediumId, wholeBytes, blake3 };
        this.#tools.shelf.salvage(one.archiveId, whole);
      }
      return found;
    } catch (error) {
      if (!isOfMedium(error)) throw error;
      this.#tools.warn(`${where}: ${printable(error.message)}`);
      return undefined;
    } finally {
      await held.close();
    }
  }

  #members(blocks: Blocks, one: Standing, signal: AbortSignal): Promise<Salvaged> {
    const { opening, archiveId, blockBytes } = one;
    const { uuid, number } = opening.job;
    const isGroom = this.#grooms.has(uuid);
    const kind = isGroom ? 'stray' : 'stored';
    const timeMs = createdMs(one);
    const verb = isGroom ? 'groom' : 'backup';
    const job = { uuid, number, host: opening.host, startedMs: timeMs, verb };
    const known = { uuid, number: this.#tools.shelf.ensureJob(job) };
    const { runs } = this.#rebuild;
    const run = isGroom ? runs.tellStrays(known) : runs.tell(known, timeMs);
    const teller = { own: new Set([archiveId]), createdMs: timeMs, blockBytes };
    const tell = (entry: ToldEntry, segments: Buffer | undefined) => {
      this.#rebuild.add(run, teller, [entry]);
      if (segments && entry.hash) this.#rebuild.addSegments(entry.hash, 0, segments);
    };
    const tellPart = (entry: ToldEntry) =>
      this.parts.add(
        { jobUuid: uuid, run, entry, kind, places: entry.copies.flat(), createdMs: timeMs },
        true,
      );
    return salvage(blocks, { ...one, kind }, { tell, tellPart }, signal);
  }

  /** When all journals are told. @param standing archives of all media */
  async completeParts(standing: readonly Standing[], signal: AbortSignal) {
    const order = { rebuild: this.#rebuild, standing };
    return this.parts.complete(order, this.#tools, signal);
  }

  /** What another archive vouches for has no digest of its own: it is hashed as it is. */
  async prove(one: Standing, signal: AbortSignal): Promise<void> {
    const { shelf, hold, warn } = this.#tools;
    const lengthBytes = shelf.unproven(one.archiveId);
    if (lengthBytes === undefined) return;
    const held = await hold(one.barcode);
    try {
      const blocks = new Blocks(held.drive, one.blockBytes);
      const blake3 = await hashOfPrefix(blocks, one.startBlock, lengthBytes, signal);
      shelf.prove(one.archiveId, blake3);
    } catch (error) {
      if (!isOfMedium(error)) throw error;
      warn(`${printable(one.barcode)}, tape file ${one.file}: ${printable(error.message)}`);
    } finally {
      await held.close();
    }
  }
}
