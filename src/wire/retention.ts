/** Expiry as this machine has it: the catalog open for writing, rules as the config says. */
import type { Clock } from '../base/clock.ts';
import type { Host } from '../base/machine.ts';
import type { Random } from '../base/random.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Config } from '../config.ts';
import { type ExpireEvent, type ExpireReport, type ExpireRequest, expire } from '../job/expire.ts';

/** What of the application it needs. */
export type RetentionSurroundings = {
  readonly clock: Clock;
  readonly random: Random;
  readonly host: Host;
  config(): Promise<Config>;
  catalog(mode: 'write'): Promise<Catalog>;
};

/** Throws as `expire`. */
export async function wireExpire(
  app: RetentionSurroundings,
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
