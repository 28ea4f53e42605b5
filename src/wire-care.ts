/** What the care of media takes of the application: the book of their health, the cleaning of drives. */

import type { Clock } from './base/clock.ts';
import { CodedError } from './base/errors.ts';
import type { Catalog } from './catalog/catalog.ts';
import type { Cleaned } from './storage/clean.ts';
import type { HealthKeeper } from './storage/health-watch.ts';
import type { Library } from './storage/library.ts';

/** What of the application it needs. */
export type CareSurroundings = {
  readonly clock: Clock;
  /** The connection that this process writes with, else one for a moment. */
  writing<T>(work: (catalog: Catalog) => T): Promise<T>;
  library(): Promise<Library>;
};

/** Keeps what is seen of cartridges and drives; a catalog that cannot be written ends no job. */
export function healthKeeper(
  app: Pick<CareSurroundings, 'writing'>,
  warn: (message: string) => void,
): HealthKeeper {
  return {
    warn,
    keep: async ({ barcode, drive, reading }) => {
      const [{ HealthBook }, { Media }, { Jobs }] = await Promise.all([
        import('./catalog/health.ts'),
        import('./catalog/media.ts'),
        import('./catalog/jobs.ts'),
      ]);
      try {
        await app.writing((catalog) => {
          const { name: path, serial, model } = drive;
          new HealthBook(catalog).add({ path, serial, model }, reading, {
            mediumId: new Media(catalog).find(barcode)?.id,
            jobNumber: new Jobs(catalog).numberOf(process.pid),
          });
        });
      } catch (error) {
        if (!(error instanceof CodedError)) throw error;
        warn(`the health of ${barcode} was not recorded: ${error.message}`);
      }
    },
  };
}

/** Cleans a drive and counts it. @param drive default: the only one @throws CodedError as `cleanDrive` */
export async function cleanAndCount(
  app: CareSurroundings,
  drive: number | undefined,
  signal: AbortSignal,
): Promise<Cleaned> {
  const [{ cleanDrive }, { HealthBook }] = await Promise.all([
    import('./storage/clean.ts'),
    import('./catalog/health.ts'),
  ]);
  const library = await app.library();
  const spent = await spentCleaners(app);
  const cleaned = await cleanDrive(library, { drive, spent }, { clock: app.clock, signal });
  await app.writing((catalog) => {
    const { name: path, serial, model } = cleaned.drive;
    const reading = { cleanedBy: cleaned.cartridge, outcome: cleaned.outcome };
    const none = { mediumId: undefined, jobNumber: undefined };
    new HealthBook(catalog).add({ serial, path, model }, reading, none);
  });
  return cleaned;
}

/** Barcodes of cleaning cartridges that no drive takes any more. */
export async function spentCleaners(
  app: Pick<CareSurroundings, 'writing'>,
): Promise<ReadonlySet<string>> {
  const { healthOfCleaners } = await import('./job/media-health.ts');
  return app.writing(
    (catalog) =>
      new Set(
        healthOfCleaners(catalog)
          .filter(({ left }) => left === 0)
          .map(({ barcode }) => barcode),
      ),
  );
}
