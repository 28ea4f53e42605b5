/** What jobs said, looked for across all of them. */
import type { Catalog } from '../catalog.ts';
import type { LogLevel, LogLine } from './jobs.ts';

export type LogQuery = {
  readonly jobNumber?: number | undefined;
  /** This one and worse ones. */
  readonly level?: LogLevel | undefined;
  readonly sinceMs?: number | undefined;
  /** Included. */
  readonly untilMs?: number | undefined;
  /** As `rawText` prints it: the path itself and what is below. */
  readonly path?: string | undefined;
};

export type FoundLine = LogLine & { readonly id: number };

export const LOG_LEVELS: readonly LogLevel[] = ['debug', 'info', 'warning', 'error'];

type LineRow = [
  id: number,
  job: number,
  timeMs: number,
  level: LogLevel,
  path: string | null,
  message: string,
  facts: string | null,
];

/**
 * Lines in the order they were said.
 * @param page.after the id of the last line seen, 0 for the first page
 */
export function queryLogs(
  catalog: Catalog,
  query: LogQuery,
  page: { readonly after: number; readonly limit: number },
): FoundLine[] {
  const { jobNumber, level, sinceMs, untilMs, path } = query;
  const levels = LOG_LEVELS.slice(level === undefined ? 0 : LOG_LEVELS.indexOf(level));
  const below = path === undefined ? null : path.endsWith('/') ? path : `${path}/`;
  return catalog
    .prepare<LineRow>(
      `SELECT id, job, time_ms, level, path, message, facts FROM job_logs
       WHERE id > @after AND (@job IS NULL OR job = @job)
         AND level IN (SELECT value FROM json_each(@levels))
         AND (@since IS NULL OR time_ms >= @since) AND (@until IS NULL OR time_ms <= @until)
         AND (@path IS NULL OR path = @path OR substr(path, 1, length(@below)) = @below)
       ORDER BY id LIMIT @limit`,
    )
    .all({
      after: page.after,
      limit: page.limit,
      job: jobNumber ?? null,
      levels: JSON.stringify(levels),
      since: sinceMs ?? null,
      until: untilMs ?? null,
      path: path ?? null,
      below,
    })
    .map(([id, job, timeMs, lineLevel, linePath, message, facts]) => ({
      id,
      jobNumber: job,
      timeMs,
      level: lineLevel,
      path: linePath ?? undefined,
      message,
      facts: facts === null ? undefined : JSON.parse(facts),
    }));
}

/** The newest of what is found, at most `count`, in the order they were said. */
export function lastLines(catalog: Catalog, query: LogQuery, count: number): FoundLine[] {
  let found: FoundLine[] = [];
  let after = 0;
  for (;;) {
    const page = queryLogs(catalog, query, { after, limit: count });
    found = [...found, ...page].slice(-count);
    const last = page.at(-1);
    if (page.length < count || !last) return found;
    after = last.id;
  }
}
