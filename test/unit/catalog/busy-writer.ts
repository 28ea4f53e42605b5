/** A second process: holds the write lock, writes without end, or dies in mid-transaction. `node FILE PATH WHAT MS`. */
import { writeSync } from 'node:fs';
import { systemClock } from '../../../src/base/clock.ts';
import { Catalog } from '../../../src/catalog/catalog.ts';
import { Jobs } from '../../../src/catalog/job/jobs.ts';

const [path = '', what, ms = '0'] = process.argv.slice(2);
const catalog = Catalog.open(path, { mode: 'write', clock: systemClock });
const jobs = new Jobs(catalog);
const facts = { verb: 'test', host: 'h', os: 'o', pid: process.pid, parameters: {} };
const number = jobs.add({ ...facts, uuid: `${what}-${process.pid}` });
const endMs = systemClock.monotonicMs() + Number(ms);
const isOver = () => systemClock.monotonicMs() >= endMs;
writeSync(1, 'ready\n');

function* lines() {
  for (let index = 0; !isOver(); index += 1)
    yield { jobNumber: number, timeMs: index, level: 'info' as const, message: 'm'.repeat(200) };
}

if (what === 'hold')
  catalog.write(() => {
    while (!isOver());
  });
else if (what === 'batches') jobs.log(lines());
else if (what === 'die')
  catalog.write(() => {
    jobs.setReport(number, { half: 'done' });
    process.kill(process.pid, 'SIGKILL');
  });
catalog.close();
