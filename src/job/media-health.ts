/** What is known of the health of media, drives and cleaning cartridges, and what of it a person should act on. */
import type { Catalog } from '../catalog/catalog.ts';
import { HealthBook, type KnownDrive } from '../catalog/shelf/health.ts';
import { Media, type Medium } from '../catalog/shelf/media.ts';
import { parseGeneration, streamingBytes } from '../domain/generation.ts';
import {
  asksForCleaning,
  BY_HAND,
  type CleaningReading,
  cleaningsLeft,
  cleaningWarning,
  driveWarnings,
  type HealthReading,
  mediumWarnings,
} from '../domain/health.ts';

export type MediumHealth = {
  /** Oldest first; empty where it was in no drive since this is kept. */
  readonly readings: readonly HealthReading[];
  readonly warnings: readonly string[];
};

export type DriveHealth = {
  readonly drive: KnownDrive;
  /** Of its last stay with a cartridge. */
  readonly last: HealthReading | undefined;
  readonly cleanings: number;
  readonly warnings: readonly string[];
};

export type CleanerHealth = {
  readonly barcode: string;
  readonly uses: number;
  readonly left: number;
  readonly warning: string | undefined;
};

export function healthOfMedium(catalog: Catalog, medium: Medium): MediumHealth {
  const readings = new HealthBook(catalog).ofMedium(medium.id);
  const generation = parseGeneration(medium.generation ?? '')?.name;
  const nativeBytesASecond = generation && streamingBytes(generation);
  return { readings, warnings: mediumWarnings(readings, { nativeBytesASecond }) };
}

/** By id of the medium, those that have any. */
export function mediaWarnings(catalog: Catalog): Map<number, readonly string[]> {
  const media = new Media(catalog);
  return new Map(
    new HealthBook(catalog).media().flatMap((id) => {
      const { warnings } = healthOfMedium(catalog, media.get(id));
      return warnings.length > 0 ? [[id, warnings]] : [];
    }),
  );
}

/** In order of serial number. */
export function healthOfDrives(catalog: Catalog): DriveHealth[] {
  const book = new HealthBook(catalog);
  return book.drives().map((drive) => {
    const readings = book.ofDrive(drive.id);
    const cleanings = book.cleanings(drive.id);
    return {
      drive,
      last: readings.at(-1),
      cleanings: cleanings.filter(({ outcome }) => outcome === 'cleaned').length,
      warnings: driveWarnings(readings, cleanings),
    };
  });
}

/** Names of drives that asked to be cleaned, and were not since. */
export function drivesAsking(catalog: Catalog): string[] {
  const book = new HealthBook(catalog);
  return book
    .drives()
    .filter(({ id }) => asksForCleaning(book.ofDrive(id), book.cleanings(id)))
    .map(({ path }) => path);
}

/** Cleaning cartridges that were used, in order of barcode. */
export function healthOfCleaners(catalog: Catalog): CleanerHealth[] {
  const uses = new Map<string, CleaningReading[]>();
  for (const use of new HealthBook(catalog).cleanings())
    if (use.cleanedBy !== BY_HAND)
      uses.set(use.cleanedBy, [...(uses.get(use.cleanedBy) ?? []), use]);
  return [...uses]
    .map(([barcode, readings]) => ({
      barcode,
      uses: readings.length,
      left: cleaningsLeft(readings),
      warning: cleaningWarning(barcode, readings),
    }))
    .toSorted((a, b) => (a.barcode < b.barcode ? -1 : 1));
}

export type CareWarning = { readonly about: string; readonly sentence: string };

export type LibraryHealth = {
  readonly drives: readonly DriveHealth[];
  readonly cleaners: readonly CleanerHealth[];
  /** Of drives and cleaning cartridges; each says what to do. */
  readonly warnings: readonly CareWarning[];
};

export function healthOfLibrary(catalog: Catalog): LibraryHealth {
  return catalog.read(() => {
    const drives = healthOfDrives(catalog);
    const cleaners = healthOfCleaners(catalog);
    const ofDrives = drives.flatMap(({ drive, warnings }) =>
      warnings.map((sentence) => ({ about: `drive ${drive.serial}`, sentence })),
    );
    const ofCleaners = cleaners.flatMap(({ warning }) =>
      warning === undefined ? [] : [{ about: 'cleaning', sentence: warning }],
    );
    return { drives, cleaners, warnings: [...ofDrives, ...ofCleaners] };
  });
}

/** Everything that a person should act on, each with what it is about. */
export function careWarnings(catalog: Catalog): CareWarning[] {
  return catalog.read(() => {
    const media = new Media(catalog);
    const ofMedia = [...mediaWarnings(catalog)].flatMap(([id, warnings]) =>
      warnings.map((sentence) => ({ about: media.get(id).barcode, sentence })),
    );
    return [...ofMedia, ...healthOfLibrary(catalog).warnings];
  });
}
