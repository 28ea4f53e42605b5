/**
 * Import: a cartridge that another program wrote, to be browsed and restored from. It is read once, as a whole; its members
 * become a snapshot of a host of their own, and it is on hold for good: nothing is ever written to it.
 *
 * Reading may take a day, and the catalog is left to others meanwhile: what is read is told into files, as journals. Then all
 * of it goes into the catalog at once.
 */
import { strict as assert } from 'node:assert';
import { closeSync, createReadStream, openSync, rmSync, writeSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { formatRun, formatStart } from '../../archive/journal.ts';
import { journalLines, parseJournal } from '../../archive/journal-parse.ts';
import type { Clock } from '../../base/clock.ts';
import { CodedError } from '../../base/errors.ts';
import type { Host } from '../../base/machine.ts';
import type { Random } from '../../base/random.ts';
import { rawOf } from '../../base/raw.ts';
import { printable } from '../../base/text.ts';
import { Catalog } from '../../catalog/catalog.ts';
import { TakenOut } from '../../catalog/file/put-back.ts';
import { Jobs } from '../../catalog/job/jobs.ts';
import { Rebuild } from '../../catalog/rebuild/rebuild.ts';
import { Shelf } from '../../catalog/rebuild/shelf.ts';
import { addForeignArchive, addForeignMedium } from '../../catalog/shelf/foreign.ts';
import { Media } from '../../catalog/shelf/media.ts';
import { Directories } from '../../catalog/tree/directories.ts';
import { isAlive, ownProcess } from '../../catalog/writers.ts';
import { CATALOG_FILE } from '../../config.ts';
import { parseBarcode } from '../../domain/barcode.ts';
import type { Library } from '../../storage/library.ts';
import { tellJournal } from '../recover/tell.ts';
import { type ForeignCartridge, readForeign } from './read-foreign.ts';

export type ImportRequest = {
  readonly barcode: string;
  /** The host whose files they become; default: the barcode. */
  readonly as: string | undefined;
};

export type ImportEvent =
  | { readonly event: 'file'; readonly file: number; readonly entries: number }
  | { readonly event: 'warning'; readonly message: string }
  | ImportEnd;

export type ImportReport = {
  readonly job: number;
  readonly barcode: string;
  readonly host: string;
  readonly snapshot: number;
  readonly archives: number;
  readonly entries: number;
  /** Tape files that do not count. */
  readonly leftOut: number;
};

export type ImportEnd = ImportReport & { readonly event: 'end' };

export type ImportTools = {
  readonly stateDirectory: string;
  readonly library: Library;
  readonly clock: Clock;
  readonly random: Random;
  readonly host: Host;
  readonly pid: number;
  readonly program: string;
};

/** Below the state directory, while one runs; the process follows. */
const WORK = 'import.';
const BUFFER_CHARACTERS = 2 ** 18;

/**
 * @throws CodedError USAGE where the medium holds something that is known, or the name is taken; MEDIUM_MISMATCH naming what is
 *   on it instead; CATALOG_BUSY where others write the catalog while the last step is taken; the library's failures
 */
export async function importMedium(
  request: ImportRequest,
  tools: ImportTools,
  listen: (event: ImportEvent) => void,
  signal: AbortSignal,
): Promise<ImportReport> {
  const parsed = parseBarcode(request.barcode);
  if (parsed.kind !== 'data')
    throw usage(`${printable(request.barcode)} is no barcode of a cartridge`);
  const { barcode, generation } = parsed;
  const order = { barcode, host: request.as ?? barcode };
  expectNew(tools, order);
  const directory = await workDirectory(tools.stateDirectory);
  try {
    const jobUuid = tools.random.uuid();
    const startedMs = tools.clock.nowMs();
    const created = new Date(startedMs).toISOString();
    const run = { job: 0, uuid: jobUuid, host: rawOf(order.host), started: created };
    const head = formatRun({ ...run, program: tools.program });
    const cartridge = await read({ order, directory, head, created }, { ...tools, listen }, signal);
    const facts = { order, directory, jobUuid, created, cartridge, generation };
    const report = await tell(facts, tools, signal);
    listen({ event: 'end', ...report });
    return report;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Bears the name of this process; what one that ended badly has left goes. */
async function workDirectory(stateDirectory: string): Promise<string> {
  for (const name of await readdir(stateDirectory))
    if (name.startsWith(WORK) && !isAlive(name.slice(WORK.length)))
      await rm(join(stateDirectory, name), { recursive: true, force: true });
  const directory = join(stateDirectory, `${WORK}${ownProcess()}`);
  await mkdir(directory, { mode: 0o700 });
  return directory;
}

type Order = { readonly barcode: string; readonly host: string };

function expectNew({ stateDirectory, clock }: ImportTools, { barcode, host }: Order): void {
  const catalog = Catalog.open(join(stateDirectory, CATALOG_FILE), { mode: 'read', clock });
  try {
    const medium = new Media(catalog).find(barcode);
    if (medium?.foreign) throw usage(`${barcode} was imported already`);
    if (medium && medium.state !== 'unlabelled')
      throw usage(`${barcode} is a medium of this catalog, ${medium.state}: it is not imported`);
    if (new Directories(catalog).hosts().some(({ name }) => name === host))
      throw usage(`a host is called ${printable(host)}; --as gives these files another one`);
    if (!/^[^/\0]{1,255}$/.test(host) || host === '.' || host === '..' || printable(host) !== host)
      throw usage(`${printable(host)} cannot be the name of a host`);
  } finally {
    catalog.close();
  }
}

const journalPath = (directory: string, file: number) => join(directory, `journal-${file}`);

async function read(
  what: {
    readonly order: Order;
    readonly directory: string;
    readonly head: string;
    readonly created: string;
  },
  tools: ImportTools & { listen(event: ImportEvent): void },
  signal: AbortSignal,
): Promise<ForeignCartridge> {
  const { order, directory, head, created } = what;
  const begin = (file: number) => {
    const path = journalPath(directory, file);
    const fd = openSync(path, 'w', 0o600);
    const archive = tools.random.uuid();
    let text = formatStart({ archive, host: rawOf(order.host), created }) + head;
    const flush = () => {
      writeSync(fd, text, null, 'latin1');
      text = '';
    };
    return {
      add: (line: string) => {
        text += line;
        if (text.length >= BUFFER_CHARACTERS) flush();
      },
      end: () => {
        flush();
        closeSync(fd);
      },
      drop: () => {
        closeSync(fd);
        rmSync(path);
      },
    };
  };
  const { drive, close } = await tools.library.attach(order.barcode, signal);
  try {
    const readTools = {
      begin,
      warn: (message: string) => tools.listen({ event: 'warning', message }),
      onFile: (file: number, entries: number) => tools.listen({ event: 'file', file, entries }),
    };
    return await readForeign(drive, order.barcode, readTools, signal);
  } finally {
    await close();
  }
}

type Facts = {
  readonly order: Order;
  readonly directory: string;
  readonly jobUuid: string;
  readonly created: string;
  readonly cartridge: ForeignCartridge;
  readonly generation: { readonly name: string; readonly nativeBytes?: number | undefined };
};

/** Into a copy of the catalog, which then takes its place. */
async function tell(facts: Facts, tools: ImportTools, signal: AbortSignal): Promise<ImportReport> {
  const { stateDirectory, clock } = tools;
  const work = join(facts.directory, CATALOG_FILE);
  const taken = TakenOut.take(join(stateDirectory, CATALOG_FILE), work, clock);
  try {
    const catalog = Catalog.open(work, { mode: 'write', clock });
    let report: ImportReport;
    try {
      report = await tellInto(catalog, facts, tools, signal);
    } finally {
      catalog.close();
    }
    await taken.putBack(work, signal);
    return report;
  } finally {
    taken.close();
  }
}

async function tellInto(
  catalog: Catalog,
  facts: Facts,
  tools: ImportTools,
  signal: AbortSignal,
): Promise<ImportReport> {
  const { order, directory, jobUuid, created, cartridge, generation } = facts;
  const { barcode, host } = order;
  const jobs = new Jobs(catalog);
  const { host: here, pid } = tools;
  const job = jobs.add({
    ...{ uuid: jobUuid, verb: 'import', host: here.name, os: here.system, pid },
    parameters: { barcode, as: host },
  });
  const { tape, files, nextFile, nextBlock, leftOut } = cartridge;
  const capacityBytes = generation.nativeBytes ?? nextBlock * tape.blockBytes;
  const uuid = tools.random.uuid();
  const known = { barcode, uuid, tape, generation: generation.name, capacityBytes };
  const mediumId = addForeignMedium(catalog, { ...known, nextFile, nextBlock });
  const archives = files.map((file, index) =>
    addForeignArchive(catalog, {
      ...{ uuid: tools.random.uuid(), jobNumber: job, sequence: index + 1, mediumId },
      ...{ blockBytes: tape.blockBytes, fileNumber: file.file, startBlock: file.startBlock },
      ...{ lengthBlocks: file.lengthBlocks, lengthBytes: file.lengthBytes, blake3: file.blake3 },
    }),
  );
  const rebuild = new Rebuild(catalog);
  rebuild.extents.readShelf();
  const seconds = Math.floor(Date.parse(created) / 1000);
  const shelf = new Shelf(catalog);
  let entries = 0;
  for (const [index, { file }] of files.entries()) {
    const archiveId = archives[index];
    assert(archiveId !== undefined);
    rebuild.extents.speaks(archiveId);
    const teller = {
      own: new Set([archiveId]),
      createdMs: tools.clock.nowMs(),
      blockBytes: tape.blockBytes,
    };
    const lines = parseJournal(journalLines(createReadStream(journalPath(directory, file))));
    const told = {
      rebuild,
      shelf,
      warn: () => {},
      onEntries: (count: number) => {
        entries += count;
      },
    };
    await tellJournal({ archiveId, teller, lines }, told, signal);
  }
  const run = rebuild.runs.tell({ uuid: jobUuid, number: job }, seconds * 1000);
  rebuild.runs.end(jobUuid, 'finished', seconds);
  rebuild.addMissingDirectories(run, seconds);
  rebuild.finish(job, 'stay');
  catalog.write(() => catalog.prepare("UPDATE jobs SET verb = 'import' WHERE number = ?").run(job));
  const snapshot = catalog
    .prepare<[number]>('SELECT id FROM snapshots WHERE job = ?')
    .get(job)?.[0];
  assert(snapshot !== undefined);
  const report = { job, barcode, host, snapshot, archives: files.length, entries, leftOut };
  jobs.setReport(job, report);
  jobs.setState(job, 'finished');
  return report;
}

function usage(sentence: string): CodedError {
  return new CodedError('USAGE', sentence);
}
