/** The inventory of media: registered, moved, retired. */
import { strict as assert } from 'node:assert';
import { usage } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { Archives } from '../catalog/shelf/archives.ts';
import { fillOfMedia, type MediumFill } from '../catalog/shelf/capacity.ts';
import { CatalogCopies, type LocatedCopy } from '../catalog/shelf/catalog-copies.ts';
import { holdsArchives } from '../catalog/shelf/label-plan.ts';
import { Media, type Medium, type Move } from '../catalog/shelf/media.ts';
import { setForGood } from '../catalog/shelf/medium-state.ts';
import { type Barcode, type BarcodeFacts, barcodeSeries, parseBarcode } from '../domain/barcode.ts';
import { healthOfMedium, type MediumHealth } from './media-health.ts';

/** Libraries of this size exist; more is a slip of the keyboard. */
const COUNT_MAX = 10_000;

export type AddMediaRequest = {
  readonly barcodes: readonly string[];
  /** A series of so many, counted up from `from`. */
  readonly series?: { readonly from: string; readonly count: number } | undefined;
  readonly pool: string;
  readonly location?: string | undefined;
};

export type MediumDetails = {
  readonly medium: Medium;
  /** Archives on it, whatever became of them. */
  readonly archives: number;
  readonly moves: readonly Move[];
  readonly fill: MediumFill;
  readonly health: MediumHealth;
  /** In order of tape. */
  readonly catalogCopies: readonly LocatedCopy[];
};

/**
 * Registers cartridges, all or none.
 * @param capacityOf what a virtual cartridge holds; for others the generation of the barcode says it
 * @throws CodedError USAGE naming the barcode that is none, is one of a cleaning cartridge, or is known already
 */
export async function addMedia(
  catalog: Catalog,
  request: AddMediaRequest,
  capacityOf: (barcode: Barcode) => Promise<number | undefined>,
): Promise<Medium[]> {
  const { pool, location } = request;
  const barcodes = barcodesOf(request);
  const added = await Promise.all(
    barcodes.map(async ({ barcode, generation }) => ({
      barcode,
      kind: 'tape' as const,
      pool,
      generation: generation.name,
      capacityBytes: (await capacityOf(barcode)) ?? generation.nativeBytes,
      location,
    })),
  );
  const media = new Media(catalog);
  return catalog.write(() => {
    media.add(added);
    return barcodes.map(({ barcode }) => known(media, barcode));
  });
}

type DataBarcode = Extract<BarcodeFacts, { kind: 'data' }>;

function barcodesOf({ barcodes, series }: AddMediaRequest): DataBarcode[] {
  const all = barcodes.map(dataBarcode);
  if (series) {
    const { count } = series;
    if (!Number.isInteger(count) || count < 1 || count > COUNT_MAX)
      throw usage(`--count: say a whole number from 1 to ${COUNT_MAX}`);
    const first = dataBarcode(series.from);
    const rest = barcodeSeries(first.barcode, count);
    if (!rest) throw usage(`${first.barcode} does not end in digits that count up ${count} times`);
    all.push(...rest.map(dataBarcode));
  }
  if (all.length === 0) throw usage('say which: barcodes, or --count with --from');
  const names = new Set<string>();
  for (const { barcode } of all) {
    if (names.has(barcode)) throw usage(`${barcode} is named twice`);
    names.add(barcode);
  }
  return all;
}

function dataBarcode(text: string): DataBarcode {
  const parsed = parseBarcode(text);
  if (parsed.kind === 'data') return parsed;
  throw usage(
    parsed.kind === 'cleaning'
      ? `${parsed.barcode} is a cleaning cartridge: it holds no data`
      : `${printable(text)}: ${parsed.reason}`,
  );
}

/**
 * A medium by its barcode or VOLSER, in whatever case.
 * @throws CodedError USAGE where there is none, or several share the VOLSER
 */
export function findMedium(catalog: Catalog, text: string): Medium {
  const name = text.trim().toUpperCase();
  const media = new Media(catalog);
  const exact = media.find(name) ?? media.find(text);
  if (exact) return exact;
  const [first, other] = media.list().filter(({ barcode }) => barcode.slice(0, 6) === name);
  if (first && !other) return first;
  if (first) throw usage(`${printable(name)} is the name of several media; give the barcode`);
  throw usage(`${printable(text)} is no medium of this catalog; \`shelfs media list\` shows them`);
}

/** In order of barcode. */
export function listMedia(catalog: Catalog): Medium[] {
  return new Media(catalog).list();
}

/** @throws CodedError USAGE */
export function showMedium(catalog: Catalog, name: string): MediumDetails {
  const media = new Media(catalog);
  const medium = findMedium(catalog, name);
  const archives = new Archives(catalog).onMedium(medium.id).length;
  const catalogCopies = new CatalogCopies(catalog).onMedium(medium.id);
  const fill = fillOfMedia(catalog).get(medium.id);
  assert(fill, 'every medium has one');
  const health = healthOfMedium(catalog, medium);
  return { medium, archives, moves: media.moves(medium.id), fill, health, catalogCopies };
}

/** @param location as people call the place; undefined: nobody knows @throws CodedError USAGE */
export function moveMedia(
  catalog: Catalog,
  names: readonly string[],
  location: string | undefined,
): Medium[] {
  const media = new Media(catalog);
  return catalog.write(() =>
    names.map((name) => {
      const { id } = findMedium(catalog, name);
      media.move(id, location);
      return media.get(id);
    }),
  );
}

export type Retired = { readonly medium: Medium; readonly holdsArchives: boolean };

/**
 * Takes media out of use: nothing more is written to them, and their copies no longer count, so that the next backup
 * stores anew what lies on them alone.
 * @throws CodedError USAGE
 */
export function retireMedia(catalog: Catalog, names: readonly string[]): Retired[] {
  const media = new Media(catalog);
  return catalog.write(() =>
    names.map((name) => {
      const { id } = findMedium(catalog, name);
      setForGood(catalog, id, 'retired');
      return { medium: media.get(id), holdsArchives: holdsArchives(catalog, id) };
    }),
  );
}

function known(media: Media, barcode: string): Medium {
  const medium = media.find(barcode);
  assert(medium, 'added a moment ago');
  return medium;
}
