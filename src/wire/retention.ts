/** Expiry as this machine has it: the catalog open for writing, rules as the config says. */
import { type ExpireEvent, type ExpireReport, type ExpireRequest, expire } from '../job/expire.ts';
import type { Surroundings } from './surroundings.ts';

/** Throws as `expire`. */
export async function wireExpire(
  app: Pick<Surroundings, 'clock' | 'random' | 'host' | 'config' | 'catalog'>,
  request: ExpireRequest,
  listen: (event: ExpireEvent) => void,
  signal: AbortSignal,
): Promise<ExpireReport> {
  const { clock, random, host } = app;
  const { retention } = await app.config();
  const catalog = await app.catalog('write');
  const tools = { catalog, retention, clock, random, host, pid: process.pid };
  return expire(request, tools, listen, signal);
}
