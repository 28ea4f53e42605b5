/** `shelfs media list`: a bar for each medium, and below what the pools hold and how long their room lasts. */
import { formatSize } from '../base/bytes.ts';
import { formatTable, printable } from '../base/text.ts';
import { MEDIUM_KINDS, MEDIUM_STATES } from '../domain/medium.ts';
import { type PoolShortage, policiesOf, shortages } from '../job/groom/policies.ts';
import {
  type ListedMedium,
  type MediaInventory,
  mediaInventory,
  type PoolTotal,
} from '../job/media-list.ts';
import { command, type OpenContext } from './context.ts';
import { countOf, documentTime } from './format.ts';
import { documentMedium, word } from './media-words.ts';

export const list = (open: OpenContext) =>
  command(
    {
      command: 'list',
      describe:
        'All media: what each is full of, what grooming would free, how long the room lasts',
      builder: (yargs) =>
        yargs
          .option('kind', { ...word('media of this kind'), choices: MEDIUM_KINDS })
          .option('pool', word('those of this pool'))
          .option('in-state', { ...word('those in this state'), choices: MEDIUM_STATES })
          .option('location', word('those that are kept there'))
          .option('free', {
            type: 'boolean',
            describe: 'those that can be written, and have room',
          }),
      run: async ({ app, output, isUtf8 }, args) => {
        const { kind, pool, inState: state, location, free: isFree = false } = args;
        const config = await app.config();
        const catalog = await app.catalog('read');
        const filter = { kind, pool, state, location, isFree };
        const found = mediaInventory(catalog, filter, config.groom.below);
        const below = shortages(catalog, policiesOf(config));
        const signs = isUtf8 ? BLOCKS : ASCII;
        output.result({ ...documentOf(found), belowPolicy: below }, () =>
          [textOf(found, signs), ...below.map(shortageLine)].join('\n'),
        );
      },
    },
    open,
  );

/** Groom makes copies; those that only lack a look at them, or a place off site, it cannot help. */
function shortageLine({ pool, contents, bytes, onlyElsewhere }: PoolShortage): string {
  const help =
    onlyElsewhere < contents
      ? '`shelfs groom` makes what is missing'
      : '`shelfs scrub` reads them back, `shelfs media due` says what goes where';
  return `pool ${printable(pool)}: ${countOf(contents, 'content')} (${formatSize(bytes)}) below its policy; ${help}`;
}

function documentOf({ media, pools }: MediaInventory) {
  return {
    media: media.map(({ medium, fill, groomFreesBytes, warnings }) => ({
      ...documentMedium(medium),
      ...fill,
      groomFreesBytes: groomFreesBytes ?? null,
      warnings,
    })),
    pools: pools.map(({ forecast, ...total }) => ({
      ...total,
      forecast: forecast
        ? {
            bytesADay: Math.round(forecast.bytesADay),
            runs: forecast.runs,
            since: documentTime(forecast.sinceMs),
            runsOut: (forecast.runsOutMs && documentTime(forecast.runsOutMs)) || null,
          }
        : null,
    })),
  };
}

function textOf(found: MediaInventory, signs: Signs): string {
  const { media, pools } = found;
  if (media.length === 0) return 'no such media; `shelfs media add BARCODE` registers one';
  const head = [
    ...['MEDIUM', 'STATE', 'POOL', 'TYPE', 'SIZE', `${signs.live} live ${signs.stale} stale`],
    ...['LIVE', 'LOCATION', ''],
  ];
  const parts = [
    formatTable(
      head,
      media.map((one) => rowOf(one, signs)),
    ),
  ];
  const warned = media.flatMap(({ medium, warnings }) =>
    warnings.map((warning) => printable(`${medium.barcode}: ${warning}`)),
  );
  if (warned.length > 0) parts.push(warned.join('\n'));
  if (pools.length > 0) {
    const totals = pools.map((total) => [
      ...[total.pool, total.media, total.scratch],
      ...[total.capacityBytes, total.liveBytes, total.staleBytes, total.roomBytes].map(formatSize),
    ]);
    parts.push(formatTable(['POOL', 'MEDIA', 'SCRATCH', 'SIZE', 'LIVE', 'STALE', 'ROOM'], totals));
    parts.push(pools.map(forecastLine).join('\n'));
  }
  return parts.join('\n\n');
}

function rowOf({ medium, fill, groomFreesBytes }: ListedMedium, signs: Signs): string[] {
  const { capacityBytes, writtenBytes } = medium;
  const share = writtenBytes === 0 ? '' : `${Math.round((fill.liveBytes / capacityBytes) * 100)} %`;
  return [
    ...[medium.barcode, medium.state, medium.pool ?? '', medium.generation ?? ''],
    ...[formatSize(capacityBytes), bar({ ...fill, capacityBytes }, signs), share],
    medium.location ?? '',
    groomFreesBytes === undefined ? '' : `groom: frees ${formatSize(groomFreesBytes)}`,
  ];
}

export type Signs = { readonly live: string; readonly stale: string; readonly free: string };
/** Block elements (Unicode 2580 to 259F), which every font of a terminal has. */
export const BLOCKS: Signs = { live: '\u2588', stale: '\u2592', free: '\u2591' };
export const ASCII: Signs = { live: '#', stale: '=', free: '.' };

const BAR_CELLS = 20;

/** What there is of something shows, however little of it. */
export function bar(
  sizes: {
    readonly liveBytes: number;
    readonly staleBytes: number;
    readonly capacityBytes: number;
  },
  { live, stale, free }: Signs,
): string {
  const { liveBytes, staleBytes, capacityBytes } = sizes;
  const cells = (bytes: number) =>
    bytes <= 0 || capacityBytes <= 0
      ? 0
      : Math.min(BAR_CELLS, Math.max(1, Math.round((bytes / capacityBytes) * BAR_CELLS)));
  const staleCells = cells(staleBytes);
  const liveCells = Math.min(cells(liveBytes), BAR_CELLS - Math.min(staleCells, BAR_CELLS - 1));
  const shown = live.repeat(liveCells) + stale.repeat(Math.min(staleCells, BAR_CELLS - liveCells));
  return shown + free.repeat(BAR_CELLS - shown.length);
}

/** Farther ahead nobody knows anything. */
const FORECAST_MS_MAX = 20 * 365.25 * 86_400_000;

function forecastLine({ pool, scratch, roomBytes, forecast }: PoolTotal): string {
  const has = `pool ${pool}: ${countOf(scratch, 'scratch cartridge')}, room for ${formatSize(roomBytes)}`;
  if (!forecast) return `${has}; too few backups yet to say how long that lasts`;
  const { bytesADay, runs, sinceMs, runsOutMs } = forecast;
  const day = (ms: number) => new Date(ms).toISOString().slice(0, 10);
  const pace = `at ${formatSize(bytesADay)} a day (${countOf(runs, 'backup')} since ${day(sinceMs)})`;
  if (runsOutMs === undefined || runsOutMs - sinceMs > FORECAST_MS_MAX)
    return `${has}; ${pace} that lasts for many years`;
  return `${has}; ${pace} that lasts until ${day(runsOutMs)}`;
}
