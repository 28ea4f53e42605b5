/** What jobs said, across all of them; and times as people say them. */
import { usage } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import type { Catalog } from '../catalog/catalog.ts';
import {
  type FoundLine,
  LOG_LEVELS,
  type LogQuery,
  lastLines,
  queryLogs,
} from '../catalog/job/log-query.ts';

const LINES_A_PAGE = 1000;

/**
 * In the order they were said.
 * @param count undefined: all of them; else the newest
 */
export function* findLines(
  catalog: Catalog,
  query: LogQuery,
  count: number | undefined,
): Generator<FoundLine> {
  if (count !== undefined) {
    yield* lastLines(catalog, query, count);
    return;
  }
  for (let after = 0; ; ) {
    const page = queryLogs(catalog, query, { after, limit: LINES_A_PAGE });
    yield* page;
    const last = page.at(-1);
    if (page.length < LINES_A_PAGE || !last) return;
    after = last.id;
  }
}

/** @throws CodedError USAGE */
export function levelArgument(text: string): LogQuery['level'] {
  const level = LOG_LEVELS.find((known) => known === text);
  if (level) return level;
  throw usage(`--level ${printable(text)}: say one of ${LOG_LEVELS.join(', ')}`);
}

const UNITS_MS = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;

/**
 * A time as `2026-11-20T090000Z`, `2026-11-20 09:00`, `2026-11-20` (UTC), or how long ago: `90m`, `12h`, `7d`, `2w`.
 * @param edge which moment of what is left out is meant
 * @returns ms since the epoch
 * @throws CodedError USAGE
 */
export function timeArgument(
  text: string,
  options: { readonly edge: 'first' | 'last'; readonly nowMs: number },
): number {
  const ago = /^(\d{1,6})([mhdw])$/.exec(text);
  if (ago) {
    const unit = ago[2];
    if (unit === 'm' || unit === 'h' || unit === 'd' || unit === 'w')
      return options.nowMs - Number(ago[1]) * UNITS_MS[unit];
  }
  const isFirst = options.edge === 'first';
  const parts = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d):?(\d\d)(?::?(\d\d))?)?Z?$/.exec(text);
  const [, day, hour = isFirst ? '00' : '23', minute = isFirst ? '00' : '59', second] = parts ?? [];
  const end = isFirst ? '00.000' : '59.999';
  const seconds = second === undefined ? end : `${second}${isFirst ? '.000' : '.999'}`;
  const ms = Date.parse(`${day}T${hour}:${minute}:${seconds}Z`);
  // Date takes the 31st of June for the first of July.
  if (parts && !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(`${day}T${hour}`))
    return ms;
  throw usage(`"${printable(text)}" is no time; say 2026-11-20, "2026-11-20 09:00", 12h or 7d`);
}
