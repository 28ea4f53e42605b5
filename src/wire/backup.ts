/** Builds what a backup works with, and what writes labels. */
import { hasSha256Instructions } from '../base/machine.ts';
import type { Alarm } from '../catalog/job/alarms.ts';
import type { Medium } from '../catalog/shelf/media.ts';
import type { DryRunReport } from '../job/backup/dry-run.ts';
import type { BackupReport, Listen } from '../job/backup/report.ts';
import type { StartRequest, StartTools } from '../job/backup/start.ts';
import type { EraseRequest } from '../job/erase.ts';
import type { LabelTools } from '../job/label.ts';
import type { LabelMediaRequest } from '../job/label-media.ts';
import type { OpenOperator } from './operator.ts';
import type { Surroundings } from './surroundings.ts';

type LabelSurroundings = Pick<
  Surroundings,
  'program' | 'clock' | 'random' | 'host' | 'config' | 'catalog' | 'library'
>;

type BackupSurroundings = Surroundings & { operator(): Promise<OpenOperator> };

export async function wireLabels(
  app: LabelSurroundings,
  request: LabelMediaRequest,
  signal: AbortSignal,
): Promise<Medium[]> {
  const { labelMedia } = await import('../job/label-media.ts');
  return labelMedia(await labelTools(app), request, signal);
}

/** @param request the medium by its name */
export async function wireErase(
  app: LabelSurroundings,
  request: Omit<EraseRequest, 'medium'> & { readonly name: string },
  signal: AbortSignal,
): Promise<Medium> {
  const [{ eraseMedium }, { findMedium }] = await Promise.all([
    import('../job/erase.ts'),
    import('../job/media.ts'),
  ]);
  const { name, ...rest } = request;
  const tools = await labelTools(app);
  return eraseMedium(tools, { ...rest, medium: findMedium(tools.catalog, name) }, signal);
}

export async function wireBackup(
  app: BackupSurroundings,
  { request, listen }: { readonly request: StartRequest; readonly listen: Listen },
  signal: AbortSignal,
): Promise<BackupReport> {
  const [{ startBackup }, { warningOf }, { withHandover }] = await Promise.all([
    import('../job/backup/start.ts'),
    import('../job/alarms.ts'),
    import('./recall.ts'),
  ]);
  const tools = await backupTools(app);
  const { operator, tell, close } = await app.operator();
  const onAlarm = (alarm: Alarm) => tell(warningOf(alarm));
  try {
    const report = await withHandover(app, (handover) =>
      startBackup(request, { ...tools, operator, onAlarm, handover }, listen, signal),
    );
    await app.cleanIdle(signal);
    return report;
  } finally {
    await close();
  }
}

export async function wireDryRun(
  app: BackupSurroundings,
  request: StartRequest,
  signal: AbortSignal,
): Promise<DryRunReport> {
  const { startDryRun } = await import('../job/backup/start.ts');
  return startDryRun(request, await backupTools(app), signal);
}

export async function backupTools(app: BackupSurroundings): Promise<StartTools> {
  const { backup, archive, groom, library: devices } = await app.config();
  const { clock, random, host, program, stateDirectory } = app;
  // A tape that nobody waits for never stands still.
  const isUnreal = devices.kind === 'virtual' && devices.speed !== 'real';
  const staging = isUnreal && backup.staging === 'auto' ? 'never' : backup.staging;
  const { catalog, library, ...label } = await labelTools(app);
  const { labelMedium } = await import('../job/label-media.ts');
  return {
    catalog,
    library,
    clock,
    random,
    archive,
    backup: { ...backup, staging },
    groom,
    stateDirectory,
    ownDirectories: await app.ownDirectories(),
    program,
    host,
    pid: process.pid,
    usage: () => {
      const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
      return { cpuSeconds: (userCPUTime + systemCPUTime) / 1e6, peakRssBytes: maxRSS * 1024 };
    },
    hasSha256: () => hasSha256Instructions(),
    label: (barcode, pool, signal) =>
      labelMedium({ ...label, catalog, library, pool }, barcode, signal),
    lock: app.lock,
  };
}

async function labelTools(app: LabelSurroundings): Promise<LabelTools> {
  const { backup, archive } = await app.config();
  const { clock, random, host, program } = app;
  return {
    clock,
    random,
    host: host.name,
    program,
    catalog: await app.catalog('write'),
    library: await app.library(),
    pool: backup.pool,
    blockBytes: archive.block,
  };
}
