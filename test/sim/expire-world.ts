/** Expiry in a world, by rules as the config has them. */
import { systemRandom } from '../../src/base/random.ts';
import { parseConfig } from '../../src/config.ts';
import { type ExpireReport, expire } from '../../src/job/expire.ts';
import { type BackupWorld, HOST } from './backup-world.ts';

export function expireWorld(world: BackupWorld, rules: string): Promise<ExpireReport> {
  const { retention } = parseConfig(
    `[library]\nkind = "virtual"\n[retention]\n${rules}\n`,
    'config',
  );
  const { catalog } = world;
  return expire(
    { clockIsRight: false },
    {
      ...{ catalog, retention, clock: world.sim.clock, random: systemRandom, pid: process.pid },
      host: { name: HOST, system: 'test' },
    },
    () => {},
    new AbortController().signal,
  );
}
