/** What runs, as text for people: the file `.shelfs/jobs` of a mount. */
import { formatSize } from '../base/bytes.ts';
import { printable } from '../base/text.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { archivesOf, listJobs } from './jobs.ts';

/** Of more at a time nobody reads a list. */
const LOOKED_AT_MAX = 100;

export function jobsText(catalog: Catalog): string {
  const running = listJobs(catalog, LOOKED_AT_MAX).filter(
    ({ state }) => state === 'running' || state === 'waiting',
  );
  if (running.length === 0) return 'nothing runs\n';
  return running
    .map((job) => {
      const { number, verb, state, startedMs, pid, isInterrupted } = job;
      const how = isInterrupted
        ? `was cut short; \`shelfs job resume ${number}\` goes on`
        : `${state}, process ${pid}`;
      const since = new Date(startedMs).toISOString().replace(/\.\d+/, '');
      return `job ${number}  ${printable(verb)}  since ${since}  ${how}${stored(catalog, number)}\n`;
    })
    .join('');
}

function stored(catalog: Catalog, jobNumber: number): string {
  const good = archivesOf(catalog, jobNumber).filter(({ state }) => state === 'good');
  if (good.length === 0) return '';
  const bytes = good.reduce((sum, { lengthBytes = 0 }) => sum + lengthBytes, 0);
  const media = new Set(good.flatMap(({ copies }) => copies.map(({ barcode }) => barcode)));
  return `  ${formatSize(bytes)} stored on ${[...media].join(', ')}`;
}
