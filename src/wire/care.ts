/** What the care of media takes of the application: the book of their health. */
import { CodedError } from '../base/errors.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { Jobs } from '../catalog/job/jobs.ts';
import { HealthBook } from '../catalog/shelf/health.ts';
import { Media } from '../catalog/shelf/media.ts';
import { drivesAsking, healthOfCleaners } from '../job/media-health.ts';
import type { HealthKeeper } from '../storage/health-watch.ts';
import type { OpenCatalogs } from './open-catalogs.ts';

/** Keeps what is seen of cartridges and drives; a catalog that cannot be written ends no job. */
export function healthKeeper(
  app: Pick<OpenCatalogs, 'writing'>,
  { cleans, warn }: { readonly cleans: boolean; warn(message: string): void },
): HealthKeeper {
  const record = async (about: string, work: (catalog: Catalog, book: HealthBook) => void) => {
    try {
      await app.writing((catalog) => work(catalog, new HealthBook(catalog)));
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      warn(`the health of ${about} was not recorded: ${error.message}`);
    }
  };
  return {
    warn,
    cleans,
    asked: () => app.writing(drivesAsking),
    keep: ({ barcode, drive, reading }) =>
      record(barcode, (catalog, book) =>
        book.add(seen(drive), reading, {
          mediumId: new Media(catalog).find(barcode)?.id,
          jobNumber: new Jobs(catalog).numberOf(process.pid),
        }),
      ),
    keepCleaning: ({ cartridge, drive, outcome }) =>
      record(drive.name, (_, book) => {
        const none = { mediumId: undefined, jobNumber: undefined };
        book.add(seen(drive), { cleanedBy: cartridge, outcome }, none);
      }),
    spent: () =>
      app.writing((catalog) => {
        const spent = healthOfCleaners(catalog).filter(({ left }) => left === 0);
        return new Set(spent.map(({ barcode }) => barcode));
      }),
  };
}

function seen({ serial, name: path, model }: { serial: string; name: string; model: string }) {
  return { serial, path, model };
}

/** What goes wrong beside the work is the job's too: whoever looks at it later reads why nobody came. */
export async function noteInJob(
  app: Pick<OpenCatalogs, 'writing'>,
  message: string,
): Promise<void> {
  await app.writing((catalog) => {
    const jobs = new Jobs(catalog);
    const jobNumber = jobs.numberOf(process.pid);
    if (jobNumber === undefined) return;
    jobs.log([{ jobNumber, timeMs: catalog.clock.nowMs(), level: 'warning', message }]);
  });
}

/** Warnings that are told and noted in the job's log. That one cannot be noted is told too. */
export function withNotes(
  app: Pick<OpenCatalogs, 'writing'>,
  warn: (message: string) => void,
): { warn(message: string): void; settled(): Promise<void> } {
  let noting = Promise.resolve();
  return {
    warn: (message) => {
      warn(message);
      noting = noting
        .then(() => noteInJob(app, message))
        .catch((error: unknown) => {
          if (!(error instanceof CodedError)) throw error;
          warn(`that was not noted in the job's log: ${error.message}`);
        });
    },
    settled: () => noting,
  };
}
